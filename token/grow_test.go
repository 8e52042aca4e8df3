package token_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// grown is a service whose secrets hold few entries, with so many users.
func grown(t *testing.T, users int) *memstore.Driver {
	t.Helper()
	d := memstore.NewDriver()
	d.SetLimits(driver.Limits{Value: 4000})
	s := open(t, d)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < users; i += 8 {
				if err := s.SaveToken(t.Context(), tok(fmt.Sprint("U", i), fmt.Sprint("R", i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return d
}

// indexSecrets returns the secrets of the index.
func indexSecrets(t *testing.T, d *memstore.Driver) map[string]*codec.Index {
	t.Helper()
	secrets := map[string]*codec.Index{}
	for name, value := range d.Dump() {
		if strings.HasPrefix(name, codec.RootName) {
			x, err := codec.DecodeIndex(value)
			if err != nil {
				t.Fatal(err)
			}
			secrets[name] = x
		}
	}
	return secrets
}

func TestAnIndexGrowsBeyondOneSecret(t *testing.T) {
	const users = 1000
	d := grown(t, users)
	for i := range users {
		calls := count(d)
		found, err := open(t, d).FindToken(t.Context(), tok(fmt.Sprint("U", i)))
		if err != nil || !found.RefreshToken.Equal(token.NewSecret(fmt.Sprint("R", i))) {
			t.Fatalf("user %d: %v", i, err)
		}
		// The root, the leaf, the record, and one sealed leaf on the way at most.
		if n := len(calls.calls); n > 4 {
			t.Errorf("a find by user takes the calls %q", calls.calls)
		}
		if found, err = open(t, d).FindToken(t.Context(), tok(fmt.Sprint("R", i))); err != nil || found.UserSignature.Name != fmt.Sprint("U", i) {
			t.Fatalf("refresh token %d: %v", i, err)
		}
	}
	listed, err := open(t, d).GetTokens(t.Context())
	if err != nil || len(listed) != users {
		t.Errorf("%d records are listed, %v", len(listed), err)
	}
	live := 0
	for _, x := range indexSecrets(t, d) {
		if x.Live() {
			live++
		}
	}
	if live < 10 {
		t.Errorf("the index has %d leaves: is this test about growth?", live)
	}
}

func TestAnIndexThatFitsStaysOneSecret(t *testing.T) {
	d := memstore.NewDriver()
	d.SetLimits(driver.Limits{Value: 64 * 1024})
	s := open(t, d)
	for i := range 300 {
		if err := s.SaveToken(t.Context(), tok(fmt.Sprint("U", i), fmt.Sprint("R", i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(indexSecrets(t, d)); n != 1 {
		t.Errorf("300 tokens have %d index secrets", n)
	}
}

// Sealed leaves go when nobody can be on the way to them any more.
func TestSealedLeavesAreRemovedADayAfterTheRootNamesOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := grown(t, 200)
		sealed := func() (n int) {
			for _, x := range indexSecrets(t, d) {
				if x.Kind == codec.KindSealed {
					n++
				}
			}
			return n
		}
		before := sealed()
		if before == 0 {
			t.Fatal("no leaf was sealed")
		}
		advance(25 * time.Hour)
		s := open(t, d)
		for i := range 400 {
			if err := s.SaveToken(t.Context(), tok(fmt.Sprint("Ulater", i), fmt.Sprint("Rlater", i))); err != nil {
				t.Fatal(err)
			}
		}
		advance(25 * time.Hour)
		for i := range 200 {
			if err := s.SaveToken(t.Context(), tok(fmt.Sprint("Ulast", i), fmt.Sprint("Rlast", i))); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 200 {
			if _, err := open(t, d).FindToken(t.Context(), tok(fmt.Sprint("U", i))); err != nil {
				t.Fatalf("user %d: %v", i, err)
			}
		}
		for name, x := range indexSecrets(t, d) {
			for ref, at := range x.Retired {
				if time.Since(at) > 24*time.Hour {
					t.Errorf("%s still has %s of %v ago", name, ref, time.Since(at))
				}
			}
		}
	})
}

// Each sign-up is a process of its own, as in a serverless function: nothing is known, and
// nothing is written together.
func TestASecretsWritesOfADayDoNotBoundTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memstore.NewDriver()
		d.SetLimits(driver.Limits{WritesPerDay: 100, DeletedNameRests: 7 * 24 * time.Hour, Value: 64 * 1024})
		users := 2000
		if underRace {
			users = 500
		}
		for i := range users {
			advance(10 * time.Second)
			if err := open(t, d).SaveToken(t.Context(), tok(fmt.Sprint("U", i), fmt.Sprint("R", i))); err != nil {
				t.Fatalf("sign-up %d: %v", i, err)
			}
		}
		most, sum, finds := 0, 0, 0
		for i := 0; i < users; i += 50 {
			calls := count(d)
			if _, err := open(t, d).FindToken(t.Context(), tok(fmt.Sprint("U", i))); err != nil {
				t.Fatalf("user %d: %v", i, err)
			}
			most, sum, finds = max(most, len(calls.calls)), sum+len(calls.calls), finds+1
		}
		t.Logf("%d index secrets; a find where nothing is known takes %d calls at most, and %.2f in the mean",
			len(indexSecrets(t, d)), most, float64(sum)/float64(finds))
		// The root, the leaf with those that may have taken its place, and the record.
		if most > 4 || sum > 3*finds+finds/10 {
			t.Errorf("a find takes %d calls at most, and %d in %d finds", most, sum, finds)
		}
		// Who may not read several secrets with one call reads one after the other.
		d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
			if call.Op == memstore.OpGet && len(call.Names) > 1 {
				return memstore.Fault{Before: driver.ErrPermission}
			}
			return memstore.Fault{}
		})
		for i := 0; i < users; i += 50 {
			if _, err := open(t, d).FindToken(t.Context(), tok(fmt.Sprint("U", i))); err != nil {
				t.Errorf("user %d: %v", i, err)
			}
		}
	})
}

func TestALargeStoreIsListedInParts(t *testing.T) {
	const users = 250
	d := grown(t, users)
	saved(t, d, "#chosen", "Ux", "Rx")
	for _, at := range []int{1000, 251, 250, 100, 7} {
		s := open(t, d)
		s.ListAtOnce(at)
		var ids []string
		for found, err := range s.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, codec.RefOf(found.ID))
		}
		if !slices.IsSorted(ids) || len(slices.Compact(ids)) != users+1 {
			t.Errorf("%d at once: %d records are listed, sorted: %v", at, len(ids), slices.IsSorted(ids))
		}
	}
}

// Whoever finds a leaf missing that a sealed one names creates it.
func TestAHalfDoneSealIsFinishedByWhoeverFindsIt(t *testing.T) {
	d := memstore.NewDriver()
	d.SetLimits(driver.Limits{Value: 4000})
	seals := 0
	dies := d.Under("")
	dies.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
		if call.Op == memstore.OpPut && strings.HasPrefix(call.Names[0], codec.RootName+"-") {
			seals++ // the first creation of a leaf
			return memstore.Fault{Before: driver.ErrPermission}
		}
		return memstore.Fault{}
	})
	a := open(t, dies)
	saved := 0
	for ; seals == 0; saved++ {
		_ = a.SaveToken(t.Context(), tok(fmt.Sprint("U", saved), fmt.Sprint("R", saved)))
	}
	b := open(t, d)
	for i := range saved - 1 {
		if _, err := b.FindToken(t.Context(), tok(fmt.Sprint("U", i))); err != nil {
			t.Errorf("user %d: %v", i, err)
		}
	}
	if err := b.SaveToken(t.Context(), tok("U-new", "R-new")); err != nil {
		t.Fatal(err)
	}
	for i := range saved - 1 {
		if _, err := open(t, d).FindToken(t.Context(), tok(fmt.Sprint("U", i))); err != nil {
			t.Errorf("user %d, later: %v", i, err)
		}
	}
}

// A token that is rotated leaves an entry behind each time, in whatever leaf.
func TestRotationsDoNotFillTheIndexWithWhatIsDead(t *testing.T) {
	const users, rotations = 100, 20
	d := grown(t, users)
	s := open(t, d)
	for r := range rotations {
		for i := range users {
			if err := s.SaveToken(t.Context(), tok(fmt.Sprint("U", i), fmt.Sprintf("R%d-%d", i, r))); err != nil {
				t.Fatal(err)
			}
		}
	}
	entries, leaves := 0, 0
	for _, x := range indexSecrets(t, d) {
		if x.Live() {
			entries, leaves = entries+len(x.Entries), leaves+1
		}
	}
	// Two of each user are alive. Leaves are half full of them at least before they split.
	if entries > 8*users {
		t.Errorf("%d entries in %d leaves after %d rotations of %d users", entries, leaves, rotations, users)
	}
	for i := range users {
		q := tok(fmt.Sprintf("R%d-%d", i, rotations-1))
		if found, err := open(t, d).FindToken(t.Context(), q); err != nil || found.UserSignature.Name != fmt.Sprint("U", i) {
			t.Errorf("user %d: %v", i, err)
		}
		if _, err := open(t, d).FindToken(t.Context(), tok(fmt.Sprintf("R%d-%d", i, rotations-2))); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("the token before the last of user %d: %v", i, err)
		}
	}
}

// Where a service counts the writes of a second, those that lose a race too, a leaf that many
// write becomes several.
func TestALeafThatManyWriteIsSplit(t *testing.T) {
	for _, perSecond := range []int{0, 2} {
		t.Run(fmt.Sprint(perSecond, " writes a second"), func(t *testing.T) {
			d := memstore.NewDriver()
			d.SetLimits(driver.Limits{WritesPerSecond: perSecond})
			saved(t, d, "U1", "R1")
			saved(t, d, "U2", "R2")
			races := 0
			view := d.Under("")
			view.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
				if call.Op == memstore.OpPut && call.Names[0] == codec.RootName && races < 4 {
					races++ // somebody is faster
					saved(t, d, fmt.Sprint("Uother", races), fmt.Sprint("Rother", races))
				}
				return memstore.Fault{}
			})
			wantErr(t, open(t, view).SaveToken(t.Context(), tok("U3", "R3")), nil)
			if n := len(indexSecrets(t, d)); (n > 1) != (perSecond > 0) {
				t.Errorf("%d index secrets after %d lost races", n, races)
			}
			for _, user := range []string{"U1", "U2", "U3", "Uother1", "Uother4"} {
				if _, err := open(t, d).FindToken(t.Context(), tok(user)); err != nil {
					t.Errorf("user %s: %v", user, err)
				}
			}
		})
	}
}
