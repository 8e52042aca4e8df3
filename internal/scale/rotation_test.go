package scale

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
)

// Each refresh token is used once an hour, and the provider gives another one for it.
func TestScaleRotation(t *testing.T) {
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			people, processes, hours := pick(5000, 100, 50), pick(50, 10, 5), pick(24, 4, 3)
			t.Run("one by one", func(t *testing.T) {
				measure(t, "rotation", "one by one", s.name, func(r *run) *result { return r.rotateOneByOne(people, processes, hours) })
			})
			t.Run("in bulk", func(t *testing.T) {
				measure(t, "rotation", "in bulk", s.name, func(r *run) *result { return r.rotateInBulk(people, hours) })
			})
		})
	}
}

// lifetime is how long a process rotates tokens.
const lifetime = 2 * time.Hour

// rotateOneByOne lets processes rotate the tokens of people, each once in each hour at a
// time of its own, at whichever process it is.
func (r *run) rotateOneByOne(people, processes, hours int) *result {
	r.fill(people)
	random := seeded("rotation")
	type turn struct {
		at            time.Duration
		n, round, who int
	}
	var turns []turn
	for n := range people {
		minute := time.Duration(random.Int64N(int64(time.Hour - time.Minute)))
		for hour := range hours {
			turns = append(turns, turn{time.Duration(hour)*time.Hour + minute, n, hour + 1, random.IntN(processes)})
		}
	}
	slices.SortFunc(turns, func(a, b turn) int { return cmp.Compare(a.at, b.at) })
	// What a process read is remembered for an hour, so that it does not matter for long how
	// old it is: but for one, they are replaced after two.
	stores, since := make([]*token.Store, processes), make([]time.Duration, processes)
	for i := range stores {
		stores[i], since[i] = r.open(r), -time.Duration(random.Int64N(int64(lifetime)))
	}
	rounds := map[int]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, turn := range turns {
		pass(turn.at - time.Since(r.began))
		if turn.who > 0 && turn.at-since[turn.who] > lifetime {
			stores[turn.who], since[turn.who] = r.open(r), turn.at
		}
		store := stores[turn.who]
		wg.Go(func() {
			err := r.do("rotation", func(ctx context.Context) error {
				return store.SaveToken(ctx, rotated(person(turn.n), turn.n, turn.round))
			})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				rounds[turn.n] = turn.round
			}
		})
		if (i+1)%people == 0 {
			r.progress("%d rotations, index %+v", i+1, shapeOf(r, r.service))
		}
	}
	wg.Wait()
	clear(stores[1:])
	oldest := r.heapOf(&stores[0])
	res := r.result(more{Processes: processes, Tokens: people, Heap: oldest})
	res.calm(r)
	r.found(rounds)
	r.listing(people)
	return res
}

// rotateInBulk lets one process rotate all tokens at the beginning of each hour.
func (r *run) rotateInBulk(people, hours int) *result {
	r.fill(people)
	store, rounds := r.open(r), map[int]int{}
	for hour := range hours {
		pass(time.Duration(hour)*time.Hour - time.Since(r.began))
		list := make([]*token.OAuthToken, people)
		for n := range list {
			list[n] = rotated(person(n), n, hour+1)
		}
		err := r.do("rotation of all", func(ctx context.Context) error { return store.SaveTokens(ctx, list) })
		for n := range list {
			if err == nil {
				rounds[n] = hour + 1
			}
		}
		r.progress("hour %d, index %+v", hour+1, shapeOf(r, r.service))
	}
	res := r.result(more{Processes: 1, Tokens: people})
	res.calm(r)
	r.found(rounds)
	r.listing(people)
	return res
}
