package containers_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/judge"
	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
	"github.com/tokenkeep/tokenkeep/integration/containers/stage"
)

// What the workers are told.
const (
	seats     = 4                     // workers at a time
	clients   = 2                     // goroutines of each
	pauses    = 60 * time.Millisecond // between operations of one of them
	patience  = 2 * time.Second       // for an operation
	unhurried = 30 * time.Second      // for an operation when all is over
	searching = 20 * time.Second      // for an order of one user's operations: some take five

	// muster is how long the first workers have until all of them are there and begin.
	muster = 5 * time.Second
	// closing is for how much longer they work than was asked for. The last operation may begin so
	// long before the end.
	closing = patience + time.Second

	// What a program does to live in 64 MiB: its store remembers little, and Go collects garbage
	// before there is much.
	remember    = 500
	memoryLimit = "24MiB"
)

// A crew are the workers on one store, each in a seat. When one is killed, another one
// takes the seat, which remembers nothing.
type crew struct {
	stage   stage.Stage
	service *service
	seed    int64
	started int64
	asked   time.Duration // for how long they are to work
	length  time.Duration // for how long they do, from started on

	mu    sync.Mutex
	last  int // the number of the last worker
	logs  []*judge.Log
	seats [seats]*worker
}

// A worker is one program, and what it wrote.
type worker struct {
	stage.Unit
	log *judge.Log
}

// startCrew starts the workers, and waits until they begin.
func startCrew(t *testing.T, on stage.Stage, s *service, seed int64, length time.Duration) *crew {
	t.Helper()
	c := &crew{stage: on, service: s, seed: seed, started: oplog.Now() + muster.Nanoseconds(), asked: length, length: length + closing}
	for i := range c.seats {
		if err := c.fill(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	if late := c.length - c.left(); late > 0 {
		t.Logf("the last worker was started %v after the others began", late)
	}
	wait(t.Context(), c.left()-c.length)
	return c
}

// left is for how long the workers will go on.
func (c *crew) left() time.Duration { return time.Duration(c.started + int64(c.length) - oplog.Now()) }

// fill starts a worker in a seat.
func (c *crew) fill(ctx context.Context, seat int) error {
	w, err := c.start(ctx, "work", map[string]string{
		"WORKER_FOR": c.length.String(), "WORKER_CLIENTS": strconv.Itoa(clients), "WORKER_PAUSE": pauses.String(),
		"WORKER_TIMEOUT": patience.String(),
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seats[seat] = w
	c.logs = append(c.logs, w.log)
	return nil
}

// start starts a worker.
func (c *crew) start(ctx context.Context, do string, env map[string]string) (*worker, error) {
	c.mu.Lock()
	c.last++
	w := &worker{log: &judge.Log{Worker: c.last}}
	c.mu.Unlock()
	name := fmt.Sprint("worker-", w.log.Worker)
	servers, err := c.service.reach(c.stage, name)
	if err != nil {
		return nil, err
	}
	env["WORKER_DO"], env["WORKER_SERVICE"], env["WORKER_SERVERS"], env["WORKER_TOKEN"] = do, c.service.name, servers, c.service.token
	env["WORKER_NUMBER"], env["WORKER_SEED"] = strconv.Itoa(w.log.Worker), strconv.FormatInt(c.seed, 10)
	confined := do != "fill"
	if confined {
		env["WORKER_REMEMBER"], env["GOMEMLIMIT"] = strconv.Itoa(remember), memoryLimit
	}
	env["WORKER_START"] = strconv.FormatInt(c.started, 10)
	w.Unit, err = c.stage.Start(ctx, stage.Program{Name: name, Binary: stage.Worker, Env: env, Confined: confined, Says: w.log.Add})
	return w, err
}

// replace kills the worker in a seat and starts another one.
func (c *crew) replace(ctx context.Context, seat int) error {
	w := c.seats[seat]
	if err := w.Kill(ctx); err != nil {
		return err
	}
	w.log.Killed, w.log.Trace = true, w.Trace()
	return errors.Join(w.Remove(ctx), c.fill(ctx, seat))
}

// finish waits for the workers, and for a server that was killed last, and lets a worker look
// at the store. How long that takes depends on how many records there are, and so on how long
// the workers worked: for each minute up to twenty seconds on a single server, and a minute on a
// cluster, on two cores that have a lot else to do.
func (c *crew) finish(ctx context.Context) (judge.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute+2*c.length)
	defer cancel()
	var errs []error
	for _, w := range c.seats {
		errs = append(errs, w.Wait(ctx))
		w.log.Trace = w.Trace()
	}
	_, _, err := c.service.whole(ctx)
	errs = append(errs, err)
	last, err := c.start(ctx, "finish", map[string]string{"WORKER_FOR": c.length.String(), "WORKER_TIMEOUT": unhurried.String()})
	if err != nil {
		return judge.Run{}, errors.Join(append(errs, err)...)
	}
	errs = append(errs, last.Wait(ctx))
	last.log.Trace = last.Trace()
	return judge.Run{Logs: c.logs, Final: last.log, AtOnce: seats * clients, Patience: searching}, errors.Join(errs...)
}
