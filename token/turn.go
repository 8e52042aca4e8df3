package token

import (
	"context"
	"hash/maphash"
)

// turns make those goroutines of one process that write the same thing do so one
// after the other: at the service they would only make each other's
// compare-and-set fail. No correctness rests on them.
type turns struct {
	seed  maphash.Seed
	lanes [64]chan struct{}
}

func newTurns() *turns {
	t := &turns{seed: maphash.MakeSeed()}
	for i := range t.lanes {
		t.lanes[i] = make(chan struct{}, 1)
	}
	return t
}

// take waits for the turn to write what a text names and returns how to end it.
func (t *turns) take(ctx context.Context, what string) (done func(), err error) {
	lane := t.lanes[maphash.String(t.seed, what)%uint64(len(t.lanes))]
	select {
	case lane <- struct{}{}:
		return func() { <-lane }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
