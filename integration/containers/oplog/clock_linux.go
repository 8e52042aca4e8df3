package oplog

import "golang.org/x/sys/unix"

// Now reads the clock that all processes of a machine share, in containers too, and that
// nobody sets.
func Now() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		panic("oplog: there is no monotonic clock")
	}
	return t.Nano()
}
