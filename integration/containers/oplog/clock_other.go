//go:build !linux

package oplog

import "time"

// Now reads the clock on the wall: nobody should set it meanwhile.
func Now() int64 { return time.Now().UnixNano() }
