package vault_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var (
	compareSeed     = flag.Uint64("compare.seed", 0, "the one seed of the comparison of Vault and its double, in place of the fixed one and a fresh one")
	compareRequests = flag.Int("compare.requests", 10_000, "how many requests are compared")
)

func compareSeeds() []uint64 {
	if *compareSeed != 0 {
		return []uint64{*compareSeed}
	}
	return []uint64{1, 1 + rand.Uint64()>>32}
}

func TestCompareTheDoubleAnswersAsVaultDoes(t *testing.T) {
	t.Parallel()
	for _, seed := range compareSeeds() {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			p := startPair(t, nil)
			d := newDrawer(seed)
			began := time.Now()
			kinds := map[string]int{}
			seen := map[string]int{}
			for i := range *compareRequests {
				r := d.request()
				if len(kinds) > 300 {
					break
				}
				va, da := p.ask(t, r)
				d.learn(r, va)
				v, c := p.vault.said(va), p.double.said(da)
				kinds[fmt.Sprintf("%s %d", r.kind(), va.status)]++
				if v != c {
					k := r.kind() + fmt.Sprint(va.status, da.status)
					if seen[k]++; seen[k] < 3 {
						t.Errorf("request %d: %s\nVAULT %s\nDOUBLE %s", i, r, cut(v), cut(c))
					}
				}
			}
			t.Log(time.Since(began))
			t.Log(kinds)
			t.Log(seen)
		})
	}
}

func cut(s string) string { return strings.Join(strings.Split(s, "\n"), "\n   ")[:min(3000, len(s))] }
