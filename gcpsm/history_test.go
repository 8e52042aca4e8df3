package gcpsm_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/internal/history"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// A disturbance is what goes wrong in a history.
type disturbance struct {
	service *service
	faults  []*gcpsmtest.Injection

	mu   sync.Mutex
	held []func() // what lets held requests go, the oldest first
	over bool
}

// disturb lets requests of all kinds go wrong until calm is called.
func disturb(s *service, seed uint64) *disturbance {
	d := &disturbance{service: s}
	writes := []string{"CreateSecret", "AddSecretVersion", "DestroySecretVersion", "DeleteSecret"}
	inject := func(chance float64, do gcpsmtest.Action, methods ...string) {
		seed++
		d.faults = append(d.faults, s.Inject(gcpsmtest.Fault{Methods: methods, Chance: chance, Seed: seed, Do: do}))
	}
	inject(0.02, gcpsmtest.FailBefore(codes.Unavailable, "try again"))
	inject(0.01, gcpsmtest.FailBefore(codes.Internal, "broken"))
	inject(0.01, gcpsmtest.Throttle())
	inject(0.01, gcpsmtest.LoseRequest())
	inject(0.02, gcpsmtest.Corrupt(), "AccessSecretVersion")
	inject(0.03, gcpsmtest.FailAfter(codes.DeadlineExceeded, "slow"), writes...)
	inject(0.02, gcpsmtest.LoseAnswer(), writes...)
	inject(0.04, gcpsmtest.Duplicate(), writes...)
	return d
}

// meanwhile holds a request back now and then, and lets the one before go, whether its
// caller has given up or not: one in two has its number already.
func (d *disturbance) meanwhile(ended int) {
	if ended%6 != 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	for len(d.held) > 0 {
		d.release()
	}
	free := make(chan struct{})
	do := gcpsmtest.Hold(free)
	if ended%12 == 0 {
		do = gcpsmtest.HoldNumber(free)
	}
	in := d.service.fault(1, do, "AddSecretVersion")
	d.held = append(d.held, func() { in.Remove(); close(free) })
}

// release lets the oldest request go that is held.
func (d *disturbance) release() {
	d.held[0]()
	d.held = d.held[1:]
}

// calm ends all faults and lets all requests go.
func (d *disturbance) calm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.faults {
		f.Remove()
	}
	for len(d.held) > 0 {
		d.release()
	}
	d.over = true
}

// The histories run in bubbles, where waits take no time, over connections that take
// some: so that operations overlap.
func TestHistories(t *testing.T) {
	const (
		hurry    = 500 * time.Millisecond // of callers that give up often
		patience = 20 * time.Second       // of those that do so when nothing else helps
	)
	late := gcpsmtest.WithLag(time.Minute)
	for _, plan := range []struct {
		name    string
		users   int
		timeout time.Duration
		options gcpsm.Options
		double  []gcpsmtest.Option
		fixed   []uint64
	}{
		{"are linearizable under faults", 2, hurry, *unpaced(), nil, []uint64{1, 2, 3, 4}},
		{"are linearizable under faults, whatever aliases and lists say", 2, hurry, *unpaced(), []gcpsmtest.Option{late}, []uint64{5, 6, 7, 8}},
		{"are linearizable under faults on one record", 1, hurry, *unpaced(), []gcpsmtest.Option{late}, []uint64{9, 10}},
		{"are linearizable under faults of which callers await the end", 2, patience, *unpaced(), []gcpsmtest.Option{late}, []uint64{11, 12}},
		{
			"are linearizable under faults when versions are destroyed later", 2, hurry,
			gcpsm.Options{Pace: unpaced().Pace, VersionDestroyTTL: 24 * time.Hour}, nil, []uint64{13, 14},
		},
		{
			"are linearizable under faults and quotas", 2, patience, gcpsm.Options{},
			[]gcpsmtest.Option{gcpsmtest.WithClock(time.Now), gcpsmtest.WithQuotas(gcpsmtest.Quotas{})}, []uint64{15},
		},
	} {
		t.Run(plan.name, func(t *testing.T) {
			if underRace {
				plan.fixed = nil // the fresh seed is enough
			}
			for _, seed := range history.Seeds(plan.fixed...) {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						s := start(t, append(plan.double, gcpsmtest.WithListener(bufconn.Listen(64<<10)), gcpsmtest.WithLatency(3*time.Millisecond))...)
						d := disturb(s, seed)
						history.Run(t, history.Plan{
							Seed:    seed,
							Clients: 8,
							Stores:  4,
							Users:   plan.users,
							Ops:     160,
							Timeout: plan.timeout,
							Open: func(*history.Process) (*token.Store, error) {
								return gcpsm.New(s.sdk(t), parent, prefix, &plan.options)
							},
							Meanwhile: func(ended int) {
								s.clock.Advance(time.Second) // what was late is seen some time
								d.meanwhile(ended)
							},
							Settle: func() {
								d.calm()
								synctest.Wait()
								s.Settle()
							},
						})
					})
				})
			}
		})
	}
}

// A number that was given out before newer ones is filled, and what it replaces is
// destroyed, while a read is between the two.
func TestAReadMeetsANumberThatIsFilledMeanwhile(t *testing.T) {
	s := start(t)
	writer, reader := s.driver(t, unpaced()), s.driver(t, unpaced())
	value := first(t)
	rev := put(t, writer, "a", value, driver.Absent)
	fill, filled := make(chan struct{}), make(chan error, 1)
	taken := s.fault(1, gcpsmtest.HoldNumber(fill), "AddSecretVersion")
	next := after(t, value)
	go func() {
		_, err := writer.Put(t.Context(), "a", next, rev)
		filled <- err
	}()
	reaches(t, taken)
	if _, err := s.SetValue(secretOf(prefix, "a"), `{"seen":1,"of":"a write that comes too late"}`); err != nil {
		t.Fatal(err)
	}
	// The reader asks for latest, 4, 2 and 1.
	look := make(chan struct{})
	between := s.Inject(gcpsmtest.Fault{Methods: []string{"AccessSecretVersion"}, Skip: 3, Times: 1, Do: gcpsmtest.Hold(look)})
	got := make(chan driver.Item, 1)
	go func() {
		items, err := reader.Get(t.Context(), driver.Any, driver.Item{Name: "a"})
		if err != nil {
			items = []driver.Item{{Err: err}}
		}
		got <- items[0]
	}()
	reaches(t, between)
	close(fill)
	if err := <-filled; err != nil {
		t.Fatal(err)
	}
	close(look)
	if item := <-got; item.Err != nil || string(item.Value) != string(next) {
		t.Errorf("read %q, error %v", item.Value, item.Err)
	}
}
