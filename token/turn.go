package token

import (
	"context"
	"sync"
)

// turns make those goroutines of one process that write the same record do so one
// after the other: at the service they would only make each other's
// compare-and-set fail. No correctness rests on them.
type turns struct {
	mu    sync.Mutex
	lanes map[string]*lane // of what is written, or waited for
}

// A lane holds a value while somebody has the turn.
type lane struct {
	turn  chan struct{}
	users int // who have the turn, or wait for it
}

func newTurns() *turns { return &turns{lanes: map[string]*lane{}} }

// take waits for the turn to write what a text names and returns how to end it.
func (t *turns) take(ctx context.Context, what string) (done func(), err error) {
	l := t.enter(what)
	select {
	case l.turn <- struct{}{}:
		return func() { <-l.turn; t.leave(what, l) }, nil
	case <-ctx.Done():
		t.leave(what, l)
		return nil, ctx.Err()
	}
}

func (t *turns) enter(what string) *lane {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lanes[what]
	if l == nil {
		l = &lane{turn: make(chan struct{}, 1)}
		t.lanes[what] = l
	}
	l.users++
	return l
}

func (t *turns) leave(what string, l *lane) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(t.lanes, what)
	}
}
