package gcpsm_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// The append log in every order: two processes increment one secret, and each of their
// requests waits until the test lets it go. The test tries all orders, and in each of them
// all ways in which one request can go wrong.

// A lot is what becomes of a request.
type lot int

const (
	delivered  lot = iota
	lost           // it never arrives
	unanswered     // it is applied, and its answer is lost
	late           // its sender is told that it failed, and it arrives at the end
)

// lotsOf returns what can become of a request. One that reads and whose answer is lost
// might as well not have arrived.
func lotsOf(method string) []lot {
	if method == "AccessSecretVersion" || method == "GetSecretVersion" {
		return []lot{delivered, lost}
	}
	return []lot{delivered, lost, unanswered, late}
}

// A director lets requests go, one at a time.
type director struct {
	mu      sync.Mutex
	waiting map[int][]*waiter // by process, in the order of their coming
	late    []func()
}

type waiter struct {
	method string
	decide chan lot
}

// intercept makes the requests of a process wait for the director.
func (d *director) intercept(process int) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		w := &waiter{method: method[strings.LastIndexByte(method, '/')+1:], decide: make(chan lot)}
		d.mu.Lock()
		d.waiting[process] = append(d.waiting[process], w)
		d.mu.Unlock()
		failed := status.Error(codes.Unavailable, "the connection is lost")
		switch <-w.decide {
		case lost:
			return failed
		case unanswered:
			_ = invoke(ctx, method, req, reply, cc, opts...)
			return failed
		case late:
			d.late = append(d.late, func() { _ = invoke(context.WithoutCancel(ctx), method, req, reply, cc) })
			return failed
		}
		return invoke(ctx, method, req, reply, cc, opts...)
	}
}

// A request is one that waits for the director.
type request struct {
	process int
	method  string
}

// next waits until no process can go on by itself and returns the first request of each.
// Processes that wait for a time only are let wait.
func (d *director) next(running func() int) []request {
	for {
		synctest.Wait()
		d.mu.Lock()
		ready := []request{}
		for process, w := range d.waiting {
			if len(w) > 0 {
				ready = append(ready, request{process, w[0].method})
			}
		}
		d.mu.Unlock()
		slices.SortFunc(ready, func(a, b request) int { return a.process - b.process })
		if n := running(); len(ready) == n || n == 0 {
			return ready
		}
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // the bubble's time
	}
}

// release lets the first request of a process go.
func (d *director) release(process int, f lot) {
	d.mu.Lock()
	w := d.waiting[process][0]
	d.waiting[process] = d.waiting[process][1:]
	d.mu.Unlock()
	w.decide <- f
}

// A step is one decision of a run: which process goes on, and what becomes of its request.
// A run follows a path of steps and then takes the first choice; what else it could have
// chosen are the paths to try next.
type step struct {
	process int
	lot     lot
}

// explore runs all paths with so many faults at most and returns how many there were.
func explore(t *testing.T, faults, longest int, run func(t *testing.T, choose func(ready []request) step)) int {
	runs := 0
	var try func(path []step)
	try = func(path []step) {
		if t.Failed() {
			return
		}
		runs++
		taken, wrong := []step{}, 0
		var branches [][]step
		synctest.Test(t, func(t *testing.T) {
			run(t, func(ready []request) step {
				at := len(taken)
				if at < len(path) {
					taken = append(taken, path[at])
				} else {
					taken = append(taken, step{ready[0].process, delivered})
					if at < longest {
						branches = append(branches, others(taken, ready, wrong < faults)...)
					}
				}
				if taken[at].lot != delivered {
					wrong++
				}
				return taken[at]
			})
		})
		if t.Failed() {
			t.Logf("the path is %v", taken)
		}
		for _, branch := range branches {
			try(branch)
		}
	}
	try(nil)
	return runs
}

// others returns the paths that end in another step than taken does.
func others(taken []step, ready []request, faulty bool) (paths [][]step) {
	last := len(taken) - 1
	for _, r := range ready {
		for _, f := range lotsOf(r.method) {
			s := step{r.process, f}
			if s != taken[last] && (f == delivered || faulty) {
				paths = append(paths, append(slices.Clone(taken[:last]), s))
			}
		}
	}
	return paths
}

// An increment is what a process was told of a write of its own.
type increment struct {
	value []byte
	err   error
}

var deep = flag.Bool("deep", false, "explore deeper: some minutes")

func TestExploreTwoProcessesThatIncrementOneSecret(t *testing.T) {
	for _, c := range []struct {
		created               bool
		faults, shallow, deep int
	}{
		{true, 0, 40, 40},
		{true, 1, 6 - raceDetector, 11},
		{false, 1, 6 - raceDetector, 10},
		{true, 2, 4 - raceDetector, 7},
	} {
		t.Run(fmt.Sprintf("created %v, %d faults", c.created, c.faults), func(t *testing.T) {
			longest := c.shallow
			if *deep {
				longest = c.deep
			}
			runs := explore(t, c.faults, longest, func(t *testing.T, choose func([]request) step) {
				incrementTogether(t, c.created, choose)
			})
			t.Logf("%d runs: every choice in the first %d requests", runs, longest)
		})
	}
}

func incrementTogether(t *testing.T, created bool, choose func(ready []request) step) {
	srv := gcpsmtest.NewServer(gcpsmtest.WithListener(bufconn.Listen(1 << 20)))
	defer srv.Close()
	d := &director{waiting: map[int][]*waiter{}}
	open := func(opts ...option.ClientOption) *gcpsm.Driver {
		client, err := srv.Client(t.Context(), opts...)
		if err != nil {
			t.Fatal(err)
		}
		drv, err := gcpsm.NewDriver(client, parent, prefix, unpaced())
		if err != nil {
			t.Fatal(err)
		}
		return drv
	}
	if created {
		put(t, open(), "a", first(t), driver.Absent)
	}
	var mu sync.Mutex
	running := 2
	var done []increment
	for process := range 2 {
		drv := open(option.WithGRPCDialOption(grpc.WithUnaryInterceptor(d.intercept(process))))
		go func() {
			err := incrementOnce(t, drv, &mu, &done)
			if err != nil && !errors.Is(err, driver.ErrOutcomeUnknown) {
				t.Errorf("process %d: %v", process, err)
			}
			mu.Lock()
			defer mu.Unlock()
			running--
		}()
	}
	left := func() int {
		mu.Lock()
		defer mu.Unlock()
		return running
	}
	for ready := d.next(left); len(ready) > 0; ready = d.next(left) {
		s := choose(ready)
		d.release(s.process, s.lot)
	}
	for _, arrive := range d.late {
		arrive()
	}
	check(t, get(t, open(), "a"), done, created)
}

// incrementOnce reads and writes until one write is not refused.
func incrementOnce(t *testing.T, d driver.Driver, mu *sync.Mutex, done *[]increment) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		items, err := d.Get(ctx, driver.Fresh, driver.Item{Name: "a"})
		if err != nil {
			return err
		}
		if items[0].Err != nil {
			return items[0].Err
		}
		value := first(t)
		if items[0].Revision != driver.Absent {
			value = after(t, items[0].Value)
		}
		_, err = d.Put(ctx, "a", value, items[0].Revision)
		if !errors.Is(err, driver.ErrConflict) {
			mu.Lock()
			*done = append(*done, increment{value, err})
			mu.Unlock()
			return err
		}
	}
}

// check makes sure that each acknowledged write is there, once, and no refused one.
func check(t *testing.T, item driver.Item, done []increment, created bool) {
	t.Helper()
	if item.Err != nil {
		t.Errorf("at the end: %v", item.Err)
		return
	}
	r, err := codec.DecodeRecord(item.Value)
	if err != nil {
		t.Errorf("at the end: %v", err)
		return
	}
	want, most := int64(0), int64(0)
	if created {
		want, most = 1, 1
	}
	for _, i := range done {
		most++
		if i.err == nil {
			want++
			if !codec.Includes(item.Value, i.value) {
				t.Error("an acknowledged write is not in the history of what is there")
			}
		}
	}
	if r.Seq < want || r.Seq > most {
		t.Errorf("there were %d writes, want %d to %d", r.Seq, want, most)
	}
}
