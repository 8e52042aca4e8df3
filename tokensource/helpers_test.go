package tokensource_test

import "time"

// elapse lets time go by, which takes none: the clock is synctest's.
func elapse(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the clock is synctest's
}
