package containers_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// trouble is what goes wrong while a crew works.
type trouble struct {
	crew *crew

	mu     sync.Mutex
	faults map[string]int
}

// happened counts a fault.
func (m *trouble) happened(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults[name]++
}

// A fault is one thing that goes wrong.
type fault struct {
	name string
	do   func(ctx context.Context) error
}

// make lets things go wrong until the time is over: workers and servers at the same time, one of
// each after the other. In the end all is well again.
func (m *trouble) make(t *testing.T, length time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var wg sync.WaitGroup
	for i, lane := range []struct {
		draws func(*rand.Rand) fault
		rest  time.Duration
	}{
		{m.ofWorkers, 500 * time.Millisecond},
		{m.ofServers, 1500 * time.Millisecond},
	} {
		draw := rand.New(rand.NewPCG(uint64(m.crew.seed), uint64(i)))
		wg.Go(func() {
			for wait(ctx, lane.rest+time.Duration(draw.Int64N(int64(time.Second)))) {
				f := lane.draws(draw)
				// What has begun is mended, whatever the time.
				if err := f.do(context.WithoutCancel(ctx)); err != nil {
					t.Errorf("%s: %v", f.name, err)
					return
				}
				m.happened(f.name)
			}
		})
	}
	wg.Wait()
}

// wait waits, and reports whether there is time left.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// during does something, and something else some time later.
func during(d time.Duration, begin, end func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := begin(ctx); err != nil {
			return err
		}
		wait(ctx, d)
		return end(ctx)
	}
}

// ofWorkers draws what happens to a worker.
func (m *trouble) ofWorkers(draw *rand.Rand) fault {
	seat := draw.IntN(seats)
	w := m.crew.seats[seat]
	switch draw.IntN(3) {
	case 0:
		return fault{"worker paused", during(absence, w.Pause, w.Resume)}
	case 1:
		return fault{"worker cut off", during(absence, w.Cut, w.Mend)}
	default:
		return fault{"worker killed", func(ctx context.Context) error { return m.crew.replace(ctx, seat) }}
	}
}

// ofServers draws what happens to the server.
func (m *trouble) ofServers(draw *rand.Rand) fault {
	s := m.crew.service.servers[0]
	for_ := time.Second + time.Duration(draw.Int64N(int64(2*time.Second)))
	if how := m.crew.service.restart; how != "" && draw.IntN(2) == 0 {
		if how == bySignal {
			return fault{string(how), s.Hang}
		}
		return fault{string(how), during(time.Second, s.Kill, s.Again)}
	}
	return fault{"server paused", during(for_, s.Pause, s.Resume)}
}
