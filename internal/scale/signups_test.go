package scale

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
)

// People sign up: each with a save of a new user with a refresh and an access token.
func TestScaleSignUps(t *testing.T) {
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			people := pick(10_000, 200, 100)
			if *full && s.name == "Google" {
				people = 2500 // twice as many take most of 600 writes a minute, and some are refused
			}
			for variant, processes := range map[string]int{"processes": people / 10, "serverless": people} {
				t.Run(variant, func(t *testing.T) {
					measure(t, "sign-ups", variant, s.name, func(r *run) *result { return r.signUps(people, processes) })
				})
			}
		})
	}
}

// signUps lets people sign up within an hour, at random times. A process knows nothing at
// its first sign-up and ends after its last: a hundred are there at a time.
func (r *run) signUps(people, processes int) *result {
	random := seeded("sign-ups")
	at := make([]time.Duration, people)
	for i := range at {
		at[i] = time.Duration(random.Int64N(int64(time.Hour)))
	}
	slices.Sort(at)
	alive := make([]*process, min(100, processes))
	for i := range alive {
		alive[i] = &process{left: random.IntN(people/processes) + 1} // they do not all end at once
	}
	var wg sync.WaitGroup
	saved := make([]bool, people)
	for i, when := range at {
		pass(when - time.Since(r.began))
		p := &alive[random.IntN(len(alive))]
		if (*p).left == 0 {
			*p = &process{left: people / processes}
		}
		store := (*p).store(r)
		wg.Go(func() {
			saved[i] = r.do("sign-up", func(ctx context.Context) error { return store.SaveToken(ctx, login(i)) }) == nil
		})
		if (i+1)%1000 == 0 {
			r.progress("%d sign-ups", i+1)
		}
	}
	wg.Wait()
	rounds := map[int]int{}
	for i, ok := range saved {
		if ok {
			rounds[i] = 0
		}
	}
	res := r.result(more{Processes: processes, Tokens: len(rounds)})
	r.rest(res, people, rounds)
	res.calm(r)
	r.found(rounds)
	r.listing(len(rounds))
	return res
}

// A process has a store for so many operations more.
type process struct {
	left  int
	cache *token.Store
}

func (p *process) store(r *run) *token.Store {
	if p.cache == nil {
		p.cache = r.open(r)
	}
	p.left--
	return p.cache
}
