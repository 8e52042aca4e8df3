package token_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// Two branches: 0 (sealed b -> c) and 1 (d). Process r1 remembers the root as it was.
// Then others tell the root of c, seal c (-> e) and seal d (-> f).
func TestALeafThatTheRootNamesIsNotRemoved(t *testing.T) {
	d := memstore.NewDriver()
	d.SetLimits(driver.Limits{WritesPerDay: 100, DeletedNameRests: 7 * 24 * time.Hour, Value: 64 * 1024})
	hk := []byte("a key of the hashes of this test")
	n := func(s string) string { return codec.RootName + "-aaaaaaaaaaaaaaaaaaa" + s }
	revs, last := map[string]driver.Revision{}, map[string]codec.Frame{}
	put := func(name string, x *codec.Index, kind codec.Kind) {
		t.Helper()
		x.Frame = last[name].Next(kind, fmt.Sprint("w-", name, len(last[name].History)))
		last[name] = x.Frame
		v, err := codec.EncodeIndex(x)
		if err != nil {
			t.Fatal(err)
		}
		rev, ok := revs[name]
		if !ok {
			rev = driver.Absent
		}
		if revs[name], err = d.Put(t.Context(), name, v, rev); err != nil {
			t.Fatal(err)
		}
	}
	to := func(prefix, name string) map[string]string { return map[string]string{prefix: name} }
	put(n("c"), &codec.Index{Prefix: "0"}, codec.KindIndex)
	put(n("b"), &codec.Index{Prefix: "0", Leaves: to("0", n("c"))}, codec.KindSealed)
	put(n("d"), &codec.Index{Prefix: "1"}, codec.KindIndex)
	put("index", &codec.Index{Key: hk, Leaves: map[string]string{"0": n("b"), "1": n("d")}}, codec.KindIndex)
	find := func(kind, letter, prefix string) string {
		for i := 0; ; i++ {
			if codec.NewHash(hk, kind, fmt.Sprint(letter, i)).Under(prefix) {
				return fmt.Sprint(letter, i)
			}
		}
	}
	user := find("user", "U", "0")
	r1 := open(t, d)
	_, _ = r1.FindToken(t.Context(), tok(user))
	_, _ = r1.FindToken(t.Context(), tok(find("user", "U", "1")))

	put("index", &codec.Index{Key: hk, Leaves: map[string]string{"0": n("c"), "1": n("d")}}, codec.KindIndex)
	if err := d.Delete(t.Context(), n("b")); err != nil {
		t.Fatal(err)
	}
	put(n("e"), &codec.Index{Prefix: "0"}, codec.KindIndex)
	put(n("c"), &codec.Index{Prefix: "0", Leaves: to("0", n("e"))}, codec.KindSealed)
	put(n("f"), &codec.Index{Prefix: "1"}, codec.KindIndex)
	put(n("d"), &codec.Index{Prefix: "1", Leaves: to("1", n("f"))}, codec.KindSealed)

	if err := r1.SaveToken(t.Context(), tok(user, find("refresh", "R", "1"))); err != nil {
		t.Fatal(err)
	}
	// r1's relink: the link of "0" is skipped (the root names c by now), that of "1" is
	// told; then c is deleted all the same.
	if _, err := open(t, d).FindToken(t.Context(), tok(user)); err != nil {
		t.Error(err)
	}
}
