package token_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// This file simulates processes that share one service. Each client of a world is
// a store of its own, and stops before every call to the service until the
// scheduler lets it go on: so one runs at a time, and a run depends on nothing but
// the scheduler's decisions.

// A fate is what the scheduler does to one call.
type fate int

const (
	served      fate = iota
	crashBefore      // the process dies, the call was not served
	crashAfter       // the process dies, the call was served
	lostAnswer       // served; the driver has to find out by itself
	unknown          // served; nobody can find out
	refused          // not served, and the caller is told so
	late             // on its way until the scheduler lets it arrive; the caller does not know
	fates            // how many there are
)

func (f fate) String() string {
	return [...]string{"served", "crash before", "crash after", "answer lost", "outcome unknown", "refused", "late"}[f]
}

// An op is one operation of a client. mark is unique to it: an op that saves puts it
// into the record, so that it can be seen whether and where it was applied.
type op struct {
	name string
	do   func(ctx context.Context, s *token.Store, mark string) error
	save bool
}

// errWentBack is the error of an op that did not see what its own store had saved.
var errWentBack = errors.New("a store did not see its own write")

// A step is a client that stands before a call.
type step struct {
	client int
	call   memstore.Call
	resume chan memstore.Fault
}

// A result is how an op ended.
type result struct {
	op      op
	mark    string
	err     error
	crashed bool
}

// A client is one process.
type client struct {
	store  *token.Store
	view   *memstore.Driver
	crash  func()
	dead   bool
	script []op
}

// A world is one service and its clients.
type world struct {
	service *memstore.Driver
	clients []*client
	events  chan any // step or a client's number that has finished
	results []result
	log     []string
	audit   *audit
}

func newWorld(seed uint64, patience int, service *memstore.Driver, scripts ...[]op) *world {
	w := &world{service: service, events: make(chan any), audit: newAudit(service)}
	for i, script := range scripts {
		c := &client{script: script}
		view := service.Under("")
		view.OnCall(func(ctx context.Context, call memstore.Call) memstore.Fault {
			if c.dead {
				c.crash()
				return memstore.Fault{}
			}
			s := step{i, call, make(chan memstore.Fault)}
			w.events <- s
			return <-s.resume
		})
		c.view = view
		c.store = simulatedStore(view, seed+uint64(i)*1_000_003, patience)
		w.clients = append(w.clients, c)
	}
	return w
}

// simulatedStore returns a store that draws its random numbers from seed, does not
// wait, and gives an operation up, as it does at its deadline, after so many tries.
func simulatedStore(d driver.Driver, seed uint64, patience int) *token.Store {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	s, err := token.NewSimulatedStore(d, rand.NewChaCha8(key), func(ctx context.Context, try int) error {
		if try >= patience {
			return context.DeadlineExceeded
		}
		return ctx.Err()
	})
	if err != nil {
		panic(err)
	}
	return s
}

// A chooser decides what happens next: which of the steps, and its fate. A negative
// index ends the run.
type chooser func(steps []step) (int, fate)

// run lets the clients work until all have finished.
func (w *world) run(choose chooser) {
	var waiting []step
	await := func() {
		switch e := (<-w.events).(type) {
		case step:
			waiting = append(waiting, e)
		case int:
		}
	}
	for i, c := range w.clients {
		ctx, crash := context.WithCancel(context.Background())
		c.crash = crash // work calls it at its end
		go w.work(ctx, i, c)
		await()
	}
	for len(waiting) > 0 {
		slices.SortFunc(waiting, func(a, b step) int { return a.client - b.client })
		at, f := choose(waiting)
		if at < 0 {
			for _, s := range waiting { // this run is of no interest any more
				w.kill(s)
				await()
			}
			return
		}
		s := waiting[at]
		waiting = slices.Delete(waiting, at, at+1)
		w.log = append(w.log, fmt.Sprintf("client %d: %s %v: %s", s.client, s.call.Op, s.call.Names, f))
		w.serve(s, f)
		await()
		if s.call.Op == memstore.OpPut {
			w.audit.after()
		}
	}
}

func (w *world) serve(s step, f fate) {
	c := w.clients[s.client]
	switch f {
	case served:
		s.resume <- memstore.Fault{}
	case crashBefore:
		w.kill(s)
	case crashAfter:
		c.dead = true
		s.resume <- memstore.Fault{After: driver.ErrOutcomeUnknown}
	case lostAnswer:
		s.resume <- memstore.Fault{Lost: true}
	case unknown:
		s.resume <- memstore.Fault{After: driver.ErrOutcomeUnknown}
	case late:
		s.resume <- memstore.Fault{Late: true}
	case refused:
		s.resume <- memstore.Fault{Before: driver.ErrUnavailable}
	}
}

func (w *world) kill(s step) {
	c := w.clients[s.client]
	c.dead = true
	c.crash()
	s.resume <- memstore.Fault{}
}

// work runs the script of a client. The results are written one client at a time:
// the scheduler waits for each.
func (w *world) work(ctx context.Context, i int, c *client) {
	defer c.crash()
	for n, o := range c.script {
		mark := fmt.Sprintf("op-%d-%d", i, n)
		err := o.do(ctx, c.store, mark)
		w.results = append(w.results, result{o, mark, err, c.dead})
		if c.dead {
			break
		}
	}
	w.events <- i // crash comes after: nothing of this client is under way any more
}

// fail reports what is wrong with a run, and how it came about.
func (w *world) fail(t *testing.T, problems []string) {
	t.Helper()
	for _, p := range problems {
		t.Errorf("violation: %s", p)
	}
	for _, line := range w.log {
		t.Log(line)
	}
	for _, r := range w.results {
		t.Logf("%s (%s): %v, crashed %v", r.op.name, r.mark, r.err, r.crashed)
	}
	for name, value := range w.service.Dump() {
		t.Logf("%s: %s", name, value)
	}
	t.FailNow()
}
