package vaultstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/history"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// A claim is what Put said of one write.
type claim struct {
	value string
	rev   driver.Revision
	err   error
}

// Some processes write one secret under all kinds of faults. Vault keeps all versions, so
// that each answer of Put can be held against what was written: nil says once, at that
// revision; ErrOutcomeUnknown at most once; all other errors not at all.
func TestWhatPutSaysIsSo(t *testing.T) {
	t.Parallel()
	for what, behind := range map[string]time.Duration{"where reads are current": 0, "where reads are stale": time.Second} {
		fixed := []uint64{1, 2, 3}
		if underRace {
			fixed = nil // the fresh seed is enough
		}
		for _, seed := range history.Seeds(fixed...) {
			t.Run(fmt.Sprint(what, ", seed ", seed), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, s *service) { whatPutSays(t, s, seed, behind) }, vaultstoretest.WithEnterprise())
			})
		}
	}
}

func whatPutSays(t *testing.T, s *service, seed uint64, behind time.Duration) {
	// The mount says that it keeps one version, so that nobody destroys any, and the secret
	// keeps them all.
	s.SetMountConfig(mount, 1, false, 0)
	hand{t, s}.write("metadata", map[string]any{"max_versions": 10_000})
	drivers := make([]*vaultstore.Driver, 6)
	for i := range drivers {
		if drivers[i] = s.driver(t, nil); i%2 > 0 {
			drivers[i] = s.standby(t) // sends them elsewhere if it is not answered
		}
		get(t, drivers[i], "none") // reads the mount's config
	}
	if behind > 0 {
		s.SetTimeLag(behind)
		s.SetState(vaultstoretest.PerformanceStandby)
	}
	trouble := disturb(s, seed)
	var (
		mu     sync.Mutex
		claims []claim
		wg     sync.WaitGroup
	)
	rounds := 25
	if underRace {
		rounds = 8
	}
	for process, d := range drivers {
		draw := rand.New(rand.NewPCG(seed, uint64(process)))
		wg.Go(func() {
			for range rounds {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+draw.IntN(20))*time.Second/4)
				items, err := d.Get(ctx, driver.Fresh, driver.Item{Name: "a"})
				if err == nil && items[0].Err == nil {
					value := first(t)
					if items[0].Revision != driver.Absent {
						value = after(t, items[0].Value)
					}
					rev, err := d.Put(ctx, "a", value, items[0].Revision)
					silent(t, err)
					mu.Lock()
					claims = append(claims, claim{string(value), rev, err})
					trouble.meanwhile(len(claims))
					mu.Unlock()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	trouble.calm()
	synctest.Wait()

	places := map[string][]int{}
	for _, v := range s.Versions(at("a")) {
		value, _ := v.Data["value"].(string)
		places[value] = append(places[value], v.Number)
	}
	count := map[string]int{}
	for _, c := range claims {
		written := places[c.value]
		switch {
		case len(written) > 1:
			t.Errorf("it was written %d times (error %v)", len(written), c.err)
		case errors.Is(c.err, driver.ErrOutcomeUnknown):
			count["unknown"]++
		case c.err != nil && len(written) > 0:
			t.Errorf("error %v, but it was written", c.err)
		case errors.Is(c.err, driver.ErrConflict):
			count["lost"]++
		case c.err != nil:
			count["failed"]++
		case len(written) == 0:
			t.Errorf("no error, but it was not written")
		default:
			count["won"]++
			if want := fmt.Sprint(written[0], "."); string(c.rev[:min(len(want), len(c.rev))]) != want {
				t.Errorf("it is at %q, but was written as version %d", c.rev, written[0])
			}
		}
	}
	if count["won"] == 0 || count["lost"] == 0 || count["unknown"] == 0 {
		t.Errorf("too little happened: %v", count)
	}
}
