package refresh_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/refresh/said"
)

// This file is what is made of a machine that has so much else to do that what takes a tenth of a second takes some. Then
// answers do not come in time, and new tokens are not stored in time. That is no fault of a source, but it must not be
// an excuse for one: it counts only if the lines that workers write, which have nothing to do with it, are late, too.

// behind is how late lines are, at least, on such a machine. On another one they are read within milliseconds.
const behind = time.Second / 2

// tooLate reports whether an error is one of a source that did not have the time.
func tooLate(err string) bool {
	return slices.ContainsFunc([]string{
		"it did not answer in time",
		"the new token is not stored yet",
		"context deadline exceeded",
		// Of tokens that are not stored yet, and not good any more:
		"it was tried a moment ago",
		"another process took the refresh over",
	}, func(text string) bool { return strings.Contains(err, text) })
}

// late reports whether a process said in a span of time that it did not hear the answer, or could not store what it had
// heard, in time.
func (m *member) late(user string, from, to time.Time) bool {
	return slices.ContainsFunc(m.lines, func(l said.Line) bool {
		told := l.Call != nil && l.Call.User == user && tooLate(l.Call.Err) ||
			l.Log != nil && l.Log.User == user && (tooLate(l.Log.Err) || l.Log.Message == said.Unsaved)
		return told && !l.At.Before(from) && l.At.Before(to)
	})
}

// behind reports whether the machine is so by now.
func (c *crew) behind() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lag >= behind
}

// judgeLate fails the test if a source says that it had too little time, and the machine had enough.
func (f *figures) judgeLate(t *testing.T) {
	t.Helper()
	if len(f.late)+f.unsaved > 0 && f.lag < behind {
		t.Errorf("lines are read within %v, and yet %d refreshes were not stored in time, and: %v", f.lag, f.unsaved, f.late)
	}
}

// allStored reports whether what was spent was stored, by who spent it. What is late may be stored, and not known to be.
func (f *figures) allStored() bool {
	return f.spent-f.unsaved <= f.stored && f.stored <= f.spent
}

// least is how much has to happen: what is asked for, or half of it.
func (f *figures) least(n int) int {
	if f.lag >= behind {
		return n / 2
	}
	return n
}
