package containers_test

import (
	"context"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/judge"
	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
	"github.com/tokenkeep/tokenkeep/internal/history"
)

// How long things go wrong.
const (
	absence = patience + time.Second // of a worker: longer than an operation may take
	// long is longer than ten seconds, which is how long the library saves a batch again, how long
	// it waits for Google to answer, and how long the workers' clients of the others do.
	long     = 11 * time.Second
	downtime = time.Second // of a server that is killed, or restarts
	// outage is for how long a service may be away at most, with what faults that follow each other
	// add to the longest one on a busy machine.
	outage = 45 * time.Second
)

// trouble is what goes wrong while a crew works.
type trouble struct {
	crew *crew

	mu     sync.Mutex
	faults map[string]int // what ended while the workers worked
	late   int            // what did not
	felt   []judge.Fault  // what has to be seen in the logs
}

// happened counts a fault, if the workers still work.
func (m *trouble) happened(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crew.left() < 0 {
		m.late++
		return
	}
	m.faults[name]++
}

// A fault is one thing that can go wrong.
type fault struct {
	name  string
	lasts time.Duration
	do    func(ctx context.Context, draw *rand.Rand) error
}

// A lane is what goes wrong one after the other.
type lane struct {
	deck []fault
	rest time.Duration // between two of them
}

// lanes are of workers, each of other ones, and of the server.
func (m *trouble) lanes() []lane {
	return []lane{
		{m.ofWorkers(0, 1), 300 * time.Millisecond},
		{append(m.ofWorkers(2, 3), m.paused("worker paused long", long, []int{2, 3})), 300 * time.Millisecond},
		{m.ofServers(), time.Second},
	}
}

// kinds are the names of all faults of the lanes, each once.
func (m *trouble) kinds() []string {
	all := map[string]bool{}
	for _, lane := range m.lanes() {
		for _, f := range lane.deck {
			all[f.name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// deal returns the cards of a deck in the order in which they come: the first ones shuffled, then the
// others as they are. Each has come before the deck is shuffled again.
func deal[T any](draw *rand.Rand, deck []T, first int) iter.Seq[T] {
	return func(yield func(T) bool) {
		for {
			draw.Shuffle(first, func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			for _, card := range deck {
				if !yield(card) {
					return
				}
			}
		}
	}
}

// make lets things go wrong until the time is over, in all lanes at the same time. In the end all
// is well again.
func (m *trouble) make(t *testing.T, length time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	ends, _ := ctx.Deadline()
	var wg sync.WaitGroup
	for i, lane := range m.lanes() {
		draw := rand.New(rand.NewPCG(uint64(m.crew.seed), uint64(i)))
		wg.Go(func() {
			for f := range deal(draw, lane.deck, len(lane.deck)) {
				if !wait(ctx, lane.rest+time.Duration(draw.Int64N(int64(lane.rest)))) {
					return
				}
				if time.Until(ends) < f.lasts {
					continue // a shorter one may do
				}
				if err := m.let(ctx, f, draw); err != nil {
					t.Errorf("%s: %v", f.name, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// let lets something go wrong. What has begun is mended, whatever the time.
func (m *trouble) let(ctx context.Context, f fault, draw *rand.Rand) error {
	const stuck = 2 * time.Minute // then something does not answer
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.lasts+stuck)
	defer cancel()
	if err := f.do(ctx, draw); err != nil {
		return err
	}
	m.happened(f.name)
	return nil
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

// during does something, and something else some time later. The judge has to see it in the logs.
func (m *trouble) during(ctx context.Context, d time.Duration, begin, end func(context.Context) error, f judge.Fault) error {
	if err := begin(ctx); err != nil {
		return err
	}
	felt := m.feel(f)
	wait(ctx, d)
	felt()
	return end(ctx)
}

// feel notes that a fault has begun. What it returns is called when it is to end.
func (m *trouble) feel(f judge.Fault) (end func()) {
	f.From = oplog.Now()
	return func() {
		f.To = oplog.Now()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.felt = append(m.felt, f)
	}
}

// ofWorkers is what happens to the workers in some seats.
func (m *trouble) ofWorkers(seats ...int) []fault {
	paused := m.paused("worker paused", absence, seats)
	cut := fault{"worker cut off", absence, func(ctx context.Context, draw *rand.Rand) error {
		w := m.crew.seats[seats[draw.IntN(len(seats))]]
		return m.during(ctx, absence, w.Cut, w.Mend, judge.Fault{Name: "worker cut off", Worker: w.log.Worker})
	}}
	killed := fault{"worker killed", 3 * time.Second, func(ctx context.Context, draw *rand.Rand) error {
		return m.crew.replace(ctx, seats[draw.IntN(len(seats))])
	}}
	return []fault{paused, paused, cut, cut, killed, killed, killed}
}

func (m *trouble) paused(name string, lasts time.Duration, seats []int) fault {
	return fault{name, lasts, func(ctx context.Context, draw *rand.Rand) error {
		w := m.crew.seats[seats[draw.IntN(len(seats))]]
		return m.during(ctx, lasts, w.Pause, w.Resume, judge.Fault{Name: name, Worker: w.log.Worker, Frozen: true})
	}}
}

// ofServers is what happens to the server.
func (m *trouble) ofServers() []fault {
	s := m.crew.service.servers[0]
	paused := fault{"server paused", 3 * time.Second, func(ctx context.Context, draw *rand.Rand) error {
		return m.during(ctx, time.Second+time.Duration(draw.Int64N(int64(2*time.Second))), s.Pause, s.Resume, judge.Fault{Name: "server paused"})
	}}
	pausedLong := fault{"server paused long", long, func(ctx context.Context, _ *rand.Rand) error {
		return m.during(ctx, long, s.Pause, s.Resume, judge.Fault{Name: "server paused long"})
	}}
	restarted := fault{string(m.crew.service.restart), 3 * time.Second, func(ctx context.Context, _ *rand.Rand) error {
		if m.crew.service.restart == byKill {
			if err := m.during(ctx, downtime, s.Kill, s.Again, judge.Fault{Name: string(byKill)}); err != nil {
				return err
			}
			_, err := s.is(ctx, "active", active) // or one fault after the other would keep it away
			return err
		}
		return s.again(ctx)
	}}
	if m.crew.service.restart == "" {
		restarted = paused
	}
	return []fault{paused, paused, paused, restarted, restarted, restarted, pausedLong}
}

// enough fails the test unless the workers worked for as long as was asked for and did all that they can
// do, and so much went wrong in a first time, nearly as much in each that followed, and each kind of
// it once.
func (m *trouble) enough(t *testing.T, row judge.Row, first int, in time.Duration, kinds []string) {
	t.Helper()
	length := m.crew.asked
	if row.Worked < length {
		t.Errorf("the workers worked for %v, and not for %v", row.Worked, length)
	}
	if length < in {
		t.Logf("in %v not everything can go wrong: %v", length, m.faults)
		return
	}
	n := 0
	for _, times := range m.faults {
		n += times
	}
	if least := int(float64(first) * (0.25 + 0.75*length.Seconds()/in.Seconds())); n < least {
		t.Errorf("only %d faults, and not %d", n, least)
	}
	for _, kind := range kinds {
		if m.faults[kind] == 0 {
			t.Errorf("not once a %s", kind)
		}
	}
	for _, do := range []history.Kind{
		history.SaveAccess, history.SaveRefresh, history.Keep, history.Update, history.Delete,
		history.FindByUser, history.FindByID, history.FindByRefresh,
	} {
		if row.Done[string(do)] == 0 {
			t.Errorf("not one %s is done", do)
		}
	}
}
