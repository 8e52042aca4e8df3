package token_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// Leaves that were edited by hand, and trouble while the index grows.

// prefixes are those of splitIndex.
var prefixes = []string{"00", "01", "10", "11"}

// leafOf is a name that the store could have made.
func leafOf(prefix string) string {
	return codec.RootName + "-leaf" + strings.Repeat("a", 16-len(prefix)) + strings.NewReplacer("0", "a", "1", "b").Replace(prefix)
}

// edit changes an index secret as somebody does it by hand.
func edit(t *testing.T, d *memstore.Driver, name string, change func(*codec.Index)) {
	t.Helper()
	x, err := codec.DecodeIndex(d.Dump()[name])
	if err != nil {
		t.Fatal(err)
	}
	change(x)
	x.Frame = x.Next(x.Kind, "by hand")
	value, err := codec.EncodeIndex(x)
	if err != nil {
		t.Fatal(err)
	}
	d.Set(name, value)
}

// everyLeaf does the same to each of the leaves.
func everyLeaf(change func(prefix string, x *codec.Index)) func(*testing.T, *memstore.Driver) {
	return func(t *testing.T, d *memstore.Driver) {
		t.Helper()
		for _, prefix := range prefixes {
			edit(t, d, leafOf(prefix), func(x *codec.Index) { change(prefix, x) })
		}
	}
}

// rootNames makes the root name other secrets for its leaves.
func rootNames(name func(prefix string) string) func(*testing.T, *memstore.Driver) {
	return func(t *testing.T, d *memstore.Driver) {
		t.Helper()
		edit(t, d, codec.RootName, func(x *codec.Index) {
			for _, prefix := range prefixes {
				x.Leaves[prefix] = name(prefix)
			}
		})
	}
}

// sealed makes every leaf a sealed one that hands on to what next says.
func sealed(next func(prefix string) string) func(*testing.T, *memstore.Driver) {
	return everyLeaf(func(prefix string, x *codec.Index) {
		x.Kind, x.Leaves = codec.KindSealed, map[string]string{prefix: next(prefix)}
	})
}

func TestALeafThatWasEditedByHandIsReportedAndNotWrittenOver(t *testing.T) {
	record := codec.NameOf(codec.RefOf("chosen"))
	is := func(name string) func(string) string { return func(string) string { return name } }
	other := func(prefix string) string { return leafOf(prefixes[(slices.Index(prefixes, prefix)+1)%4]) }
	replace := func(old, with string) func(*testing.T, *memstore.Driver) {
		return func(_ *testing.T, d *memstore.Driver) {
			for _, prefix := range prefixes {
				d.Set(leafOf(prefix), bytes.Replace(d.Dump()[leafOf(prefix)], []byte(old), []byte(with), 1))
			}
		}
	}
	for what, c := range map[string]struct {
		damage func(*testing.T, *memstore.Driver)
		names  string // in the error of a find
	}{
		"a root that names itself":          {rootNames(is(codec.RootName)), codec.RootName},
		"a root that names a record":        {rootNames(is(record)), record},
		"a root that names a foreign one":   {rootNames(is("foreign")), "foreign"},
		"a root that names what is missing": {rootNames(is("index-lost")), "index-lost"},
		"a root that names one leaf twice":  {rootNames(is(leafOf("00"))), leafOf("00")},
		"leaves of other prefixes":          {rootNames(other), codec.RootName + "-leaf"},
		"a sealed leaf that names itself":   {sealed(leafOf), codec.RootName + "-leaf"},
		"a sealed leaf that names the root": {sealed(is(codec.RootName)), codec.RootName},
		"a sealed leaf that names a record": {sealed(is(record)), record},
		"a sealed leaf that names another":  {sealed(other), codec.RootName + "-leaf"},
		"sealed leaves in a circle": {func(t *testing.T, d *memstore.Driver) {
			for _, prefix := range prefixes {
				d.Set(leafOf(prefix)+"-b", d.Dump()[leafOf(prefix)])
				edit(t, d, leafOf(prefix)+"-b", func(x *codec.Index) {
					x.Kind, x.Leaves = codec.KindSealed, map[string]string{prefix: leafOf(prefix)}
				})
			}
			sealed(func(prefix string) string { return leafOf(prefix) + "-b" })(t, d)
		}, codec.RootName + "-leaf"},
		"a sealed leaf that hands half of it on": {everyLeaf(func(prefix string, x *codec.Index) {
			x.Kind, x.Leaves = codec.KindSealed, map[string]string{prefix + "0": "index-aaaaaaaaaaaaaaaaaaaa"}
		}), codec.RootName + "-leaf"},
		"a sealed leaf that hands nothing on": {everyLeaf(func(_ string, x *codec.Index) { x.Kind = codec.KindSealed }), codec.RootName + "-leaf"},
		"a leaf of a newer format":            {replace(`"format":1`, `"format":2`), codec.RootName + "-leaf"},
		"a leaf of an unknown kind":           {replace(`"kind":"index"`, `"kind":"other"`), codec.RootName + "-leaf"},
		"a leaf with a hash key":              {replace(`"prefix":`, `"hash_key":"a2V5","prefix":`), codec.RootName + "-leaf"},
		"leaves that are gone": {func(_ *testing.T, d *memstore.Driver) {
			for _, prefix := range prefixes {
				d.Remove(leafOf(prefix))
			}
		}, codec.RootName + "-leaf"},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := memstore.NewDriver()
				splitIndex(t, d)
				d.Set("foreign", []byte(`{"password":"canary"}`))
				for _, words := range [][]string{{"#chosen", "U4", "R4"}, {"U1", "R1"}, {"U2", "G2"}} {
					if err := open(t, d).SaveToken(t.Context(), tok(words...)); err != nil {
						t.Fatal(err)
					}
				}
				root, err := codec.DecodeIndex(d.Dump()[codec.RootName])
				if err != nil {
					t.Fatal(err)
				}
				c.damage(t, d)
				unchanged(t, d)
				indexIsCorrupt(t, d)
				_, err = open(t, d).FindToken(t.Context(), tok("U4"))
				if text := fmt.Sprintf("%v %+v", err, err); !strings.Contains(text, c.names) {
					t.Errorf("the error does not name the secret %s: %v", c.names, err)
				} else if strings.Contains(text, "canary") || strings.Contains(text, string(root.Key)) {
					t.Errorf("the error tells what is in the secret: %v", err)
				}
			})
		})
	}
}

// A store that began before the damage does not write into it either.
func TestAStoreThatKnowsTheIndexMeetsALeafThatWasRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memstore.NewDriver()
		splitIndex(t, d)
		s := open(t, d)
		if err := s.SaveToken(t.Context(), tok("#chosen", "U4", "R4")); err != nil {
			t.Fatal(err)
		}
		for _, prefix := range prefixes {
			d.Remove(leafOf(prefix))
		}
		before := content(t, d)
		for i := range 8 {
			if err := s.SaveToken(t.Context(), tok(fmt.Sprint("U-new", i), fmt.Sprint("R-new", i))); err == nil {
				t.Error("a new user was saved where the index is lost")
			}
		}
		same(t, content(t, d), before)
		for name := range d.Dump() {
			if strings.HasPrefix(name, codec.RootName+"-") {
				t.Errorf("%s was created anew, of nothing", name)
			}
		}
	})
}

// Where deleted names rest, a sealed leaf goes as soon as the root names others: a store
// that remembers the root of before finds all the same, and lists, saves and deletes.
func TestAStoreThatRemembersAnOldRootFindsWhatTheIndexGrewTo(t *testing.T) {
	const users = 60
	grow := func(t *testing.T) (knows *token.Store) {
		t.Helper()
		d := memstore.NewDriver()
		d.SetLimits(driver.Limits{Value: 2500, DeletedNameRests: 7 * 24 * time.Hour})
		knows, others := open(t, d), open(t, d)
		for i := range 4 * users {
			if i == users {
				if _, err := knows.FindToken(t.Context(), tok("U0")); err != nil {
					t.Fatal(err)
				}
			}
			if err := others.SaveToken(t.Context(), tok(fmt.Sprint("U", i), fmt.Sprint("R", i))); err != nil {
				t.Fatal(err)
			}
		}
		return knows
	}
	for what, do := range map[string]func(s *token.Store, i int) error{
		"find":            func(s *token.Store, i int) error { return second(s.FindToken(t.Context(), tok(fmt.Sprint("U", i)))) },
		"find by refresh": func(s *token.Store, i int) error { return second(s.FindToken(t.Context(), tok(fmt.Sprint("R", i)))) },
		"save":            func(s *token.Store, i int) error { return s.SaveToken(t.Context(), tok(fmt.Sprint("U", i), "R-new")) },
		"list":            func(s *token.Store, _ int) error { return second(s.GetTokens(t.Context())) },
		"delete":          func(s *token.Store, _ int) error { return s.DeleteTokens(t.Context()) },
	} {
		for i := range 3 {
			if err := do(grow(t), 20*i); err != nil {
				t.Errorf("%s, user %d: %v", what, 20*i, err)
			}
		}
	}
}

// sealing are services where the save of U1 and R1 seals: the root, and a leaf.
var sealing = map[string][][]string{
	"the root": {{"U3", "R3"}, {"U4", "R4"}},
	"a leaf":   {{"U3", "R3"}, {"U4", "R4"}, {"U5", "R5"}, {"U6", "R6"}, {"U7", "R7"}, {"U8", "R8"}, {"U9", "R9"}, {"Ua", "Ra"}, {"Ub", "Rb"}},
}

// errGivesUp stands for a caller that ends its context.
var errGivesUp = errors.New("the caller gives up")

// troubles are what a call may meet.
var troubles = map[string]memstore.Fault{
	"permission":                  {Before: driver.ErrPermission},
	"unavailable":                 {Before: driver.ErrUnavailable},
	"a quota":                     {Before: driver.ErrQuota},
	"a lost answer":               {Lost: true},
	"unknown, and it was applied": {After: driver.ErrOutcomeUnknown},
	"unknown, and it was not":     {Before: driver.ErrOutcomeUnknown},
	"a caller that gives up":      {Before: errGivesUp},
}

func TestTroubleAtAnyCallOfASaveThatSealsLosesNothing(t *testing.T) {
	for what, fault := range troubles {
		for where, before := range sealing {
			for _, rests := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s is sealed, names rest: %v", what, where, rests), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { // so that to wait takes no time
						sealed := false
						for hit, k := true, 1; hit; k++ {
							var grew bool
							hit, grew = troubleAt(t, k, fault, before, rests)
							sealed = sealed || grew
						}
						if !sealed {
							t.Error("nothing was sealed: what is this test about?")
						}
					})
				})
			}
		}
	}
}

// troubleAt lets the k-th call of a save meet trouble. It reports whether there was such a
// call, and whether a leaf was sealed.
func troubleAt(t *testing.T, k int, fault memstore.Fault, before [][]string, rests bool) (hit, grew bool) {
	t.Helper()
	sc := scenario{value: tight}
	for _, words := range before {
		sc.before = append(sc.before, save(words...))
	}
	d := sc.service(t)
	if rests {
		d.SetLimits(driver.Limits{Value: tight, DeletedNameRests: 7 * 24 * time.Hour})
	}
	was, n := indexSecrets(t, d), 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
		if n++; n != k {
			return memstore.Fault{}
		}
		hit = true
		switch {
		case errors.Is(fault.Before, errGivesUp):
			cancel()
			return memstore.Fault{}
		case errors.Is(fault.Before, driver.ErrOutcomeUnknown) || fault.After != nil:
			if call.Op == memstore.OpGet || call.Op == memstore.OpNames {
				return memstore.Fault{Before: driver.ErrUnavailable}
			}
		}
		return fault
	})
	old := content(t, d)
	err := open(t, d).SaveToken(ctx, tok("U1", "R1"))
	d.OnCall(nil)
	now := content(t, d)
	if saved := len(now) > len(old); err == nil != saved && !errors.Is(err, token.ErrOutcomeUnknown) {
		t.Errorf("call %d: saved %v, and %v", k, saved, err)
	}
	fresh := indexSecrets(t, d)
	maps.DeleteFunc(fresh, func(name string, _ *codec.Index) bool { return was[name] != nil })
	grew = len(fresh) > 1 // a leaf that was only finished is one
	if err := open(t, d).SaveToken(t.Context(), tok("U1", "R1", "A1")); err != nil {
		t.Errorf("call %d: the next save: %v", k, err)
	}
	for _, words := range append(slices.Clone(before), []string{"U1", "R1"}) {
		for _, word := range words {
			if _, err := open(t, d).FindToken(t.Context(), tok(word)); err != nil {
				t.Errorf("call %d: %s: %v", k, word, err)
			}
		}
	}
	if got := len(content(t, d)); got != len(before)+1 {
		t.Errorf("call %d: %d records, want %d", k, got, len(before)+1)
	}
	if listed, err := open(t, d).GetTokens(t.Context()); err != nil || len(listed) != len(before)+1 {
		t.Errorf("call %d: %d records are listed: %v", k, len(listed), err)
	}
	return hit, grew
}
