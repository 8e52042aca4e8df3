package token_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// Another process adopts a record between any two calls of a save of the same user. The
// store remembers one secret only, so it reads each of them again and again: what it
// read once has to count for the whole attempt.
func TestAnAttemptThatReadsARecordTwiceMakesNoConflict(t *testing.T) {
	type words = []string
	for _, c := range []struct{ before, other, mine, warm words }{
		{words{"R1"}, words{"U1", "R1"}, words{"U1", "R1"}, nil},
		{words{"R1"}, words{"U1", "R1"}, words{"U1", "R1"}, words{"R1"}},
		{words{"R1"}, words{"U1", "R1"}, words{"#two", "U1", "R1", "G1"}, words{"R1"}},
		{words{"#x", "R1"}, words{"#x", "U1"}, words{"U1", "R1"}, words{"R1"}},
	} {
		for at := 1; at < 10; at++ {
			t.Run(fmt.Sprint(c.other, " before call ", at, " of ", c.mine, " after ", c.warm), func(t *testing.T) {
				d := memstore.NewDriver()
				saved(t, d, c.before...)
				mine := d.Under("")
				s, err := token.NewStore(mine, &token.Options{Remember: 1})
				if err != nil {
					t.Fatal(err)
				}
				if c.warm != nil {
					wantErr(t, second(s.FindToken(t.Context(), tok(c.warm...))), nil)
				}
				n := 0
				mine.OnCall(func(context.Context, memstore.Call) memstore.Fault {
					if n++; n == at {
						saved(t, d, c.other...)
					}
					return memstore.Fault{}
				})
				err = s.SaveToken(t.Context(), tok(c.mine...))
				if err != nil && open(t, d).SaveToken(t.Context(), tok(c.mine...)) == nil {
					t.Errorf("SaveToken: %v, and once more it goes well", err)
				}
			})
		}
	}
}

func TestADeletionOnARememberedIndexLeavesNoEntryBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memstore.NewDriver()
		d.SetLimits(driver.Limits{DeletedNameRests: 7 * 24 * time.Hour})
		a := open(t, d)
		wantErr(t, a.SaveToken(t.Context(), tok("U9", "R9")), nil) // a remembers the index
		id := saved(t, d, "U1", "R1")
		wantErr(t, a.DeleteToken(t.Context(), id), nil)
		x, err := codec.DecodeIndex(d.Dump()[codec.RootName])
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range x.Entries {
			if slices.ContainsFunc(list, func(e codec.Entry) bool { return e.Ref == id }) {
				t.Error("the index points to the deleted record")
			}
		}
		advance(8 * 24 * time.Hour)
		if again := saved(t, d, "U2", "R1"); again == id {
			t.Error("another user got the deleted record")
		}
		wantErr(t, second(open(t, d).FindTokenByID(t.Context(), id)), token.ErrNotFound)
	})
}

// has fails the test unless a secret is there, or is not there.
func has(t *testing.T, d *memstore.Driver, when, id string, want bool) {
	t.Helper()
	if _, got := d.Dump()[codec.NameOf(codec.RefOf(id))]; got != want {
		t.Errorf("%s: the secret of the deleted record is there: %v, want %v", when, got, want)
	}
}

// graves returns the refs of the graves that the index notes, sorted.
func graves(t *testing.T, d *memstore.Driver) []string {
	t.Helper()
	x, err := codec.DecodeIndex(d.Dump()[codec.RootName])
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(x.Graves))
}

func TestATombstoneGoesWithADeletionOfALaterDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memstore.NewDriver()
		first, second, third := saved(t, d, "U1", "R1"), saved(t, d, "U2", "R2"), saved(t, d, "U3", "R3")
		saved(t, d, "#chosen", "U4", "R4")
		remove := func(id string) {
			t.Helper()
			wantErr(t, open(t, d).DeleteToken(t.Context(), id), nil)
		}
		remove(first)
		remove("chosen")
		has(t, d, "at once", first, true)
		same(t, graves(t, d), []string{first})
		advance(23 * time.Hour)
		remove(second)
		has(t, d, "23 hours later", first, true)
		advance(2 * time.Hour)
		remove(third)
		has(t, d, "25 hours later", first, false)
		has(t, d, "two hours after its deletion", second, true)
		has(t, d, "under a chosen id", "chosen", true)
		same(t, graves(t, d), slices.Sorted(slices.Values([]string{second, third})))
		wantErr(t, func() error { _, err := open(t, d).FindTokenByID(t.Context(), first); return err }(), token.ErrNotFound)
		saved(t, d, "#chosen", "U4", "R4")
		finds(t, open(t, d), "chosen", "U4")
	})
}

func TestNobodyGetsTheIDOfARecordThatWasRemoved(t *testing.T) {
	for name, base := range map[string]int64{"an entry of its creation": 0, "an entry of later": 1, "an entry about to bring it back": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := memstore.NewDriver()
				first, second := saved(t, d, "U1", "R1"), saved(t, d, "U2", "R2")
				wantErr(t, open(t, d).DeleteToken(t.Context(), first), nil)
				advance(25 * time.Hour)
				wantErr(t, open(t, d).DeleteToken(t.Context(), second), nil)
				has(t, d, "25 hours later", first, false)
				editIndex(t, d, func(x *codec.Index) {
					for _, k := range []string{"U1", "U3"} {
						x.Entries[codec.NewHash(x.Key, "user", k)] = []codec.Entry{{Ref: first, Base: base}}
					}
				})
				s := open(t, d)
				for _, user := range []string{"U1", "U3"} {
					other := tok(user, "R-"+user)
					wantErr(t, s.SaveToken(t.Context(), other), nil)
					if other.ID == first {
						t.Errorf("%s got the id of the removed record", user)
					}
					finds(t, open(t, d), other.ID, user)
				}
				wantErr(t, func() error { _, err := open(t, d).FindTokenByID(t.Context(), first); return err }(), token.ErrNotFound)
			})
		})
	}
}

func TestWhereDeletedNamesRestASecretGoesWithItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memstore.NewDriver()
		d.SetLimits(driver.Limits{DeletedNameRests: 7 * 24 * time.Hour})
		id := saved(t, d, "U1", "R1")
		saved(t, d, "#chosen", "U4", "R4")
		wantErr(t, open(t, d).DeleteToken(t.Context(), id), nil)
		wantErr(t, open(t, d).DeleteToken(t.Context(), "chosen"), nil)
		has(t, d, "at once", id, false)
		has(t, d, "under a chosen id", "chosen", true)
		if dug := graves(t, d); len(dug) > 0 {
			t.Errorf("the index notes graves: %v", dug)
		}
	})
}
