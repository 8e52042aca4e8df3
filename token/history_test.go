package token_test

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/history"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// A weather is what goes wrong in a history.
type weather struct {
	service *memstore.Driver
	calm    atomic.Bool
	stale   int // how many writes reads may miss

	mu   sync.Mutex
	draw *mathrand.Rand
}

func (w *weather) random(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.draw.IntN(n)
}

// open opens a store for a process.
func (w *weather) open(p *history.Process) (*token.Store, error) {
	view := w.service.Under("")
	view.OnCall(func(ctx context.Context, call memstore.Call) memstore.Fault {
		if w.calm.Load() {
			return memstore.Fault{}
		}
		for range w.random(20) { // let the others come first, or not
			runtime.Gosched()
		}
		return w.fault(ctx, p, call)
	})
	view.Stale(func(context.Context, memstore.Read) int {
		if w.calm.Load() {
			return 0
		}
		return w.random(w.stale + 1)
	})
	return token.NewSimulatedStore(view, rand.Reader, w.pause)
}

// pause waits shorter than a store does, and just as randomly.
func (w *weather) pause(ctx context.Context, try int) error {
	timer := time.NewTimer(time.Duration(w.random(50<<min(try, 5))) * time.Microsecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// fault draws what happens to a call.
func (w *weather) fault(ctx context.Context, p *history.Process, call memstore.Call) memstore.Fault {
	if p.Dead() {
		history.GiveUp(ctx)
		return memstore.Fault{}
	}
	write := call.Op == memstore.OpPut || call.Op == memstore.OpDelete
	switch n := w.random(1000); {
	case n < 20:
		return memstore.Fault{Before: driver.ErrUnavailable}
	case n < 35:
		history.GiveUp(ctx)
	case n < 40:
		p.Die()
		history.GiveUp(ctx)
	case !write:
	case n < 45:
		p.Die()
		return memstore.Fault{After: driver.ErrOutcomeUnknown}
	case n < 65:
		return memstore.Fault{After: driver.ErrOutcomeUnknown}
	case n < 85:
		return memstore.Fault{Late: true}
	case n < 145:
		return memstore.Fault{Lost: true}
	}
	return memstore.Fault{}
}

func TestHistoriesOnMemstore(t *testing.T) {
	for _, plan := range []struct {
		name               string
		users, stale, seed int
		ops                int
	}{
		{"are linearizable under faults", 2, 0, 1000, 320},
		{"are linearizable under faults on one record", 1, 0, 2000, 160},
		{"lose no write under faults and stale reads", 3, 3, 3000, 320},
	} {
		t.Run(plan.name, func(t *testing.T) {
			fixed := make([]uint64, 3)
			for i := range fixed {
				fixed[i] = uint64(plan.seed + i)
			}
			for _, seed := range history.Seeds(fixed...) {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
					t.Parallel()
					w := &weather{service: memstore.NewDriver(), stale: plan.stale, draw: mathrand.New(mathrand.NewPCG(seed, 1<<32))}
					history.Run(t, history.Plan{
						Seed:       seed,
						Clients:    8,
						Stores:     4,
						Users:      plan.users,
						Ops:        plan.ops,
						StaleReads: plan.stale > 0,
						Open:       w.open,
						Meanwhile: func(ended int) {
							if ended%15 == 0 {
								w.service.Deliver()
							}
						},
						Settle: func() {
							w.calm.Store(true)
							w.service.Deliver()
						},
					})
				})
			}
		})
	}
}
