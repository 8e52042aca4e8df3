package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tokenkeep/tokenkeep/token"
)

// An operation whose time is up has an error that says what became of it. One that says only
// that the time was up is as unexplained as any other.
func TestTheTimeThatIsUpExplainsNothing(t *testing.T) {
	wrap := func(kind error) error { return fmt.Errorf("%w: %w", kind, context.DeadlineExceeded) }
	for _, c := range []struct {
		do   string
		err  error
		want string
	}{
		{"save access", nil, "done"},
		{"save access", context.DeadlineExceeded, "unexplained"},
		{"delete", context.DeadlineExceeded, "unexplained"},
		{"find by id", context.DeadlineExceeded, "unexplained"},
		{"save access", wrap(token.ErrUnavailable), "refused"},
		{"find by id", wrap(token.ErrUnavailable), "refused"},
		{"update", wrap(token.ErrOutcomeUnknown), "outcome unknown"},
		{"delete", wrap(token.ErrOutcomeUnknown), "outcome unknown"},
		{"find by user", wrap(token.ErrOutcomeUnknown), "unexplained"},
		{"update", token.ErrNotFound, "not found"},
		{"find by user", token.ErrNotFound, "not found"},
		{"save refresh", token.ErrNotFound, "unexplained"},
		{"keep refresh", token.ErrNotFound, "unexplained"},
		{"save refresh", token.ErrConflict, "unexplained"},
		{"update", errors.New("moths"), "unexplained"},
	} {
		if got := outcome(c.do, c.err); got != c.want {
			t.Errorf("%s that ended with %v is %q, want %q", c.do, c.err, got, c.want)
		}
	}
}
