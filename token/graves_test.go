package token_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

func tombstones(d *memstore.Driver) (n int) {
	for name := range d.Dump() {
		if strings.HasPrefix(name, "token-") {
			n++
		}
	}
	return n
}

// Deleted names are free at once (Google, Vault): the leaf is three quarters full before
// the deletion, and empty after it, and notes no grave.
func TestDeleteTokensNotesGravesInALeafThatItEmpties(t *testing.T) {
	d := memstore.NewDriver()
	s := open(t, d)
	wantErr(t, s.SaveTokens(t.Context(), users(0, 1000, "R")), nil)
	wantErr(t, s.DeleteTokens(t.Context()), nil)
	root := indexSecrets(t, d)[codec.RootName]
	if len(root.Graves) == 0 {
		t.Errorf("%d tombstones, %d entries, and no grave is noted: nothing but Repair removes them", tombstones(d), len(root.Entries))
	}
}

// As many graves are emptied as are new, so that they do not pile up.
func TestDeleteTokensEmptiesWhatDeleteTokensNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memstore.NewDriver()
		s := open(t, d)
		for k := range 6 {
			wantErr(t, s.SaveTokens(t.Context(), users(0, 500, fmt.Sprint("R", k, "-"))), nil)
			wantErr(t, s.DeleteTokens(t.Context()), nil)
			t.Log(k, "tombstones:", tombstones(d), "graves", len(indexSecrets(t, d)[codec.RootName].Graves), "secrets of the index", len(indexSecrets(t, d)))
			advance(48 * time.Hour)
		}
		if n := tombstones(d); n > 1000 {
			t.Errorf("%d tombstones after six generations of 500 tokens, two days apart", n)
		}
	})
}

// An index secret without its entries.
func TestARootWithoutEntriesIsDamaged(t *testing.T) {
	d := memstore.NewDriver()
	s := open(t, d)
	wantErr(t, s.SaveTokens(t.Context(), users(0, 3, "R")), nil)
	v := string(d.Dump()[codec.RootName])
	i := strings.Index(v, `"entries":"`)
	j := strings.Index(v[i+11:], `"`)
	d.Set(codec.RootName, []byte(v[:i]+`"old":"`+v[i+11:i+11+j]+v[i+11+j:]))
	err := open(t, d).SaveToken(t.Context(), tok("U1", "R1"))
	all := tombstones(d)
	if err == nil || all > 3 {
		t.Errorf("a root that lost its member entries counts as empty: %v, %d records of 3 users", err, all)
	}
}
