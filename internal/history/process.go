package history

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/tokenkeep/tokenkeep/token"
)

// A Process is one store and whoever uses it. When it dies, a new one takes its
// place, which remembers nothing.
type Process struct {
	Number int
	dead   atomic.Bool
	store  *token.Store
}

// Die ends the process: from now on nobody is told what came of its operations. The
// driver has to see to it that they come to nothing, see [Process.Dead].
func (p *Process) Die() { p.dead.Store(true) }

// Dead reports whether the process has died.
func (p *Process) Dead() bool { return p.dead.Load() }

// A seat is where processes follow each other.
type seat struct {
	mu  sync.Mutex
	now *Process
}

// process returns the living process of a seat.
func (s *seat) process(next func() (*Process, error)) (*Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || s.now.Dead() {
		p, err := next()
		if err != nil {
			return nil, err
		}
		s.now = p
	}
	return s.now, nil
}

type cancelKey struct{}

// withGiveUp returns a context that GiveUp ends.
func withGiveUp(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	return context.WithValue(ctx, cancelKey{}, cancel), cancel
}

// GiveUp ends the context of an operation, as a caller does who waits no longer. ctx
// is that of a call to the driver.
func GiveUp(ctx context.Context) {
	if cancel, ok := ctx.Value(cancelKey{}).(context.CancelFunc); ok {
		cancel()
	}
}
