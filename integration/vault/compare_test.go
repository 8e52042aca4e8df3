package vault_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	flagCompareSeed     = flag.Uint64("compare.seed", 0, "the one seed of the comparisons with the double, in place of the fixed one and a fresh one")
	flagCompareRequests = flag.Int("compare.requests", 10_000, "how many requests a comparison with the double sends")
)

// fixedSeed is compared in every run.
const fixedSeed = 1

// compareSeeds returns those that are compared. A seed decides everything: the same
// requests in the same order.
func compareSeeds() []uint64 {
	if *flagCompareSeed != 0 {
		return []uint64{*flagCompareSeed}
	}
	return []uint64{fixedSeed, 1 + rand.Uint64()>>32}
}

// The double and the core get the same requests, one after the other, and answer each
// of them the same. Then they hold the same.
func TestCompareTheDoubleAnswersAsVaultDoes(t *testing.T) {
	t.Parallel()
	for _, seed := range compareSeeds() {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			c := newComparison(t, seed, nil)
			began := time.Now()
			diff := c.run(t, *flagCompareRequests)
			if diff == nil {
				diff = c.state(t)
			}
			t.Logf("seed %d: %d requests in %v", seed, len(c.past), time.Since(began).Round(time.Millisecond))
			if diff != nil {
				t.Fatal(c.report(t, diff))
			}
			c.checkReached(t, *flagCompareRequests)
		})
	}
}

// A comparison is a run of requests through both.
type comparison struct {
	*pair
	past    []step
	reached map[string]int // how often which kind of answer came
}

// A step is a request that was sent, and how it went.
type step struct {
	request
	said string // in a word
}

// A difference is two answers to one request.
type difference struct {
	number        int // of the request
	vault, double string
}

func newComparison(t testing.TB, seed uint64, wrap func(http.Handler) http.Handler) *comparison {
	t.Helper()
	return &comparison{pair: startPair(t, newDrawer(seed), wrap), reached: map[string]int{}}
}

// run draws requests until one is answered differently.
func (c *comparison) run(t testing.TB, requests int) *difference {
	t.Helper()
	for range requests {
		if _, diff := c.step(t, c.drawer.request()); diff != nil {
			return diff
		}
	}
	return nil
}

// step sends a request to both.
func (c *comparison) step(t testing.TB, r request) (outcome, *difference) {
	t.Helper()
	vault, double := c.vault.send(t, r), c.double.send(t, r)
	o := newOutcome(r, vault)
	o.newest = c.drawer.newest(o.place)
	c.drawer.learn(o)
	c.reach(o)
	c.past = append(c.past, step{r, o.String()})
	if o.token != "" {
		c.vault.know("login", o.token)
		c.double.know("login", newOutcome(r, double).token)
	}
	if vault.body == double.body && vault.status == double.status && maps.EqualFunc(vault.header, double.header, slices.Equal) {
		return o, nil // as refusals are, mostly
	}
	v, d := c.vault.said(vault), c.double.said(double)
	if v != d {
		return o, &difference{len(c.past) - 1, v, d}
	}
	return o, nil
}

// state compares all that there is: the keys, their metadata, each of their versions.
func (c *comparison) state(t testing.TB) *difference {
	t.Helper()
	for _, m := range compareMounts {
		area := "metadata/"
		if m.version == 1 {
			area = ""
		} else if _, diff := c.step(t, look("/v1/"+m.path+"/config")); diff != nil {
			return diff
		}
		if diff := c.below(t, "/v1/"+m.path+"/", area, "", m.version); diff != nil {
			return diff
		}
	}
	return nil
}

func look(target string) request { return as("GET", target, "") }

// below compares what is below a prefix.
func (c *comparison) below(t testing.TB, mount, area, prefix string, version int) *difference {
	t.Helper()
	list, diff := c.step(t, as("LIST", mount+area+prefix, ""))
	if diff != nil {
		return diff
	}
	keys, _ := list.data["keys"].([]any)
	for _, key := range keys {
		var diff *difference
		if dir, is := strings.CutSuffix(key.(string), "/"); is {
			diff = c.below(t, mount, area, prefix+url.PathEscape(dir)+"/", version)
		} else {
			diff = c.key(t, mount, prefix+url.PathEscape(dir), version)
		}
		if diff != nil {
			return diff
		}
	}
	return nil
}

// key compares what there is of a key.
func (c *comparison) key(t testing.TB, mount, key string, version int) *difference {
	t.Helper()
	if version == 1 {
		_, diff := c.step(t, look(mount+key))
		return diff
	}
	meta, diff := c.step(t, look(mount+"metadata/"+key))
	if diff != nil {
		return diff
	}
	versions, _ := meta.data["versions"].(map[string]any)
	for _, n := range slices.Sorted(maps.Keys(versions)) {
		if _, diff := c.step(t, look(mount+"data/"+key+"?version="+n)); diff != nil {
			return diff
		}
	}
	_, diff = c.step(t, look(mount+"data/"+key))
	return diff
}
