package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

// A counter counts from 1.
type counter struct{ n atomic.Int64 }

func (c *counter) next() int { return int(c.n.Add(1)) }

// A worker's numbers are its own: no other worker makes the same.
const numbers = 1_000_000

func (w *worker) mark() int64 { return int64(w.number)*numbers + int64(w.marks.next()) }

func (w *worker) newToken() int { return w.number*numbers + w.fresh.next() }

// work does operations from the start on until the time is over. What it does is drawn; who it does it to is
// decided by the clock, so that all workers are at the same few users at the same time.
func (w *worker) work(ctx context.Context) error {
	ends := time.Duration(w.start + int64(w.length) - oplog.Now())
	ctx, cancel := context.WithTimeout(ctx, ends)
	defer cancel()
	rest(ctx, time.Duration(w.start-oplog.Now()))
	known := &knowledge{of: map[int]*known{}}
	var wg sync.WaitGroup
	for i := range w.clients {
		draw := rand.New(rand.NewPCG(uint64(w.seed), uint64(w.number*100+i))) //nolint:gosec // repeats from its seed
		wg.Go(func() {
			c := client{number: i}
			for ctx.Err() == nil {
				// The operation has its own time, also if there is none left for others.
				w.do(context.WithoutCancel(ctx), &c, w.choose(draw, known), known)
				rest(ctx, time.Duration(float64(w.pause)*(0.5+draw.Float64())))
			}
		})
	}
	wg.Wait()
	return nil
}

// rest waits, unless the context ends.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// knowledge is what a worker was told of users.
type knowledge struct {
	mu sync.Mutex
	of map[int]*known
}

// known is what it was told of one user: the ids and refresh tokens that it saw last.
type known struct {
	ids       []string
	refreshes []int
}

func (k *knowledge) get(user int) known {
	k.mu.Lock()
	defer k.mu.Unlock()
	if u := k.of[user]; u != nil {
		return known{slices.Clone(u.ids), slices.Clone(u.refreshes)}
	}
	return known{}
}

// learn remembers what an operation showed.
func (k *knowledge) learn(user int, id string, refresh int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	u := k.of[user]
	if u == nil {
		u = &known{}
		k.of[user] = u
	}
	if id != "" && !slices.Contains(u.ids, id) {
		u.ids = append(u.ids, id)
	}
	if refresh != 0 && !slices.Contains(u.refreshes, refresh) {
		u.refreshes = append(u.refreshes, refresh)
	}
}

// crowds are how many users there are at a time, one after the other.
var crowds = []int{2, 10, 50}

// phase is how long each crowd is there.
const phase = 20 * time.Second

// eachUser is how long one user is there for each of its crowd: then others take their
// place, so that no record is written more often than a secret may be on AWS, nor than an order
// of its writes can be found.
const eachUser = time.Second

// user draws one of those who are there at a time.
func user(draw *rand.Rand, since time.Duration) int {
	n := int(since / phase)
	crowd := crowds[n%len(crowds)]
	generation := int((since % phase) / (time.Duration(crowd) * eachUser))
	return n*10_000 + generation*100 + draw.IntN(crowd)
}

// users are all that were there up to a time.
func users(until time.Duration) []int {
	var all []int
	for n := range int(until/phase) + 1 {
		crowd := crowds[n%len(crowds)]
		for generation := range int(phase/(time.Duration(crowd)*eachUser)) + 1 {
			for i := range crowd {
				all = append(all, n*10_000+generation*100+i)
			}
		}
	}
	return all
}

// choose draws the next operation.
func (w *worker) choose(draw *rand.Rand, k *knowledge) oplog.Begin {
	u := user(draw, time.Duration(oplog.Now()-w.start))
	b := oplog.Begin{User: u}
	seen := k.get(u)
	recent := func(n int) int { return max(0, n-1-draw.IntN(3)) }
	switch n := draw.IntN(100); {
	case n < 30 && len(seen.ids) > 0:
		b.Do, b.ID, b.Mark = "update", seen.ids[recent(len(seen.ids))], w.mark()
	case n < 36 && len(seen.ids) > 0:
		b.Do, b.ID = "find by id", seen.ids[recent(len(seen.ids))]
	case n < 41 && len(seen.ids) > 0:
		b.Do, b.ID = "delete", seen.ids[len(seen.ids)-1]
	case n < 50 && len(seen.refreshes) > 0:
		b.Do, b.Refresh = "find by refresh", seen.refreshes[recent(len(seen.refreshes))]
	case n < 60:
		b.Do = "find by user"
	case n < 65 && len(seen.refreshes) > 0:
		b.Do, b.Refresh = "keep refresh", seen.refreshes[len(seen.refreshes)-1]
	case n < 85:
		b.Do, b.Mark, b.Refresh = "save refresh", w.mark(), w.newToken()
	default:
		b.Do, b.Mark, b.Access = "save access", w.mark(), w.newToken()
	}
	return b
}
