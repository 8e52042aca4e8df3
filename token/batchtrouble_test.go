package token_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// An order that ran out of the batch's time is put behind those that wait for it.
func TestLateOrderKeepsItsPlaceBeforeItsSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memstore.NewDriver()
		s, err := token.NewStore(d, &token.Options{Timeout: 10 * time.Second})
		wantErr(t, err, nil)
		id := saved(t, d, "U1", "R0")
		slow := true
		d.OnCall(func(ctx context.Context, c memstore.Call) memstore.Fault {
			if c.Op == memstore.OpPut && c.Names[0] == codec.NameOf(id) && slow {
				slow = false
				<-ctx.Done() // one request hangs until the batch is out of time
			}
			return memstore.Fault{}
		})
		list := []*token.OAuthToken{tok("U1", "R1"), tok("U2", "R2"), tok("U1", "R3")}
		wantErr(t, s.SaveTokens(t.Context(), list), nil)
		d.OnCall(nil)
		found, err := open(t, d).FindToken(t.Context(), tok("U1"))
		if err != nil || found.RefreshToken.Reveal() != "R3" {
			t.Errorf("user 1 has %q (%v), want R3, the last that was saved", found.RefreshToken.Reveal(), err)
		}
	})
}

// Tokens of one identity that have no key in common in the slice.
func TestOrderOfOneIdentityWithoutACommonKey(t *testing.T) {
	wrong, conflicts := 0, 0
	for range 50 {
		d := memstore.NewDriver()
		id := saved(t, d, "U1", "R0")
		s := open(t, d)
		var puts atomic.Int64
		d.OnCall(func(_ context.Context, c memstore.Call) memstore.Fault {
			if c.Op == memstore.OpPut && c.Names[0] == codec.NameOf(id) {
				puts.Add(1)
			}
			return memstore.Fault{}
		})
		wantErr(t, s.SaveTokens(t.Context(), []*token.OAuthToken{
			tok("U1", "A1"), tok("R0", "A2"), tok("#"+id, "A3"),
		}), nil)
		d.OnCall(nil)
		conflicts += int(puts.Load()) - 3
		found, err := open(t, d).FindToken(t.Context(), tok("U1"))
		if err != nil || found.AccessToken.Reveal() != "A3" {
			wrong++
			if wrong == 1 {
				t.Log(found.AccessToken.Reveal(), found.ID == id, err)
			}
		}
	}
	if wrong > 0 || conflicts > 0 {
		t.Errorf("in %d of 50 runs another than the last token is what is stored; %d writes met a conflict of this call's own making", wrong, conflicts)
	}
}

// cancelAfter ends a context once n records were put.
type cancelAfter struct {
	driver.Driver
	left   atomic.Int64
	cancel func()
}

func (d *cancelAfter) Put(ctx context.Context, name string, value []byte, prev driver.Revision) (driver.Revision, error) {
	rev, err := d.Driver.Put(ctx, name, value, prev)
	if err == nil && strings.HasPrefix(name, "token-") && d.left.Add(-1) == 0 {
		d.cancel()
	}
	return rev, err
}

// A context that ends between two batches.
func TestContextThatEndsBetweenBatchesIsTold(t *testing.T) {
	open := func() (context.Context, *token.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		d := &cancelAfter{Driver: memstore.NewDriver(), cancel: cancel}
		d.left.Store(1000)
		s, err := token.NewStore(d, nil)
		wantErr(t, err, nil)
		return ctx, s
	}
	ctx, s := open()
	err := s.SaveTokens(ctx, users(0, 2000, "R"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("SaveTokens: %v does not say that the context ended", err)
	}
	ctx, s = open()
	n, failed := 0, 0
	for _, err := range s.SaveEach(ctx, func(yield func(*token.OAuthToken) bool) {
		for _, u := range users(0, 2000, "R") {
			if !yield(u) {
				return
			}
		}
	}) {
		n++
		if err != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Errorf("SaveEach yielded %d of 2000 tokens and no error at all", n)
	}
}

// A save by an id of the store's own, of which a plain read shows nothing yet.
func TestStaleMissOfAnOwnIDMakesNoSecondRecord(t *testing.T) {
	for _, many := range []bool{false, true} {
		d := memstore.NewDriver()
		id := saved(t, d, "U1", "R1")
		view := d.Under("")
		view.Stale(func(_ context.Context, r memstore.Read) int {
			if r.How != driver.Fresh && r.Name == codec.NameOf(id) {
				return r.Writes // a plain read does not show the record yet; the strongest one does
			}
			return 0
		})
		s := open(t, view)
		tk := tok("#"+id, "R2")
		if many {
			wantErr(t, s.SaveTokens(t.Context(), []*token.OAuthToken{tk}), nil)
		} else {
			wantErr(t, s.SaveToken(t.Context(), tk), nil)
		}
		all, err := open(t, d).GetTokens(t.Context())
		if tk.ID != id || len(all) != 1 || err != nil {
			t.Errorf("many %v: saved under %s instead of %s; there are %d records (%v)", many, tk.ID, id, len(all), err)
		}
	}
}

// The same for an id of another store that was brought here (it stands at the hashed place), and for
// an id whose record is at its made place while the root has another hash key now.
func TestStaleMissOfAnIDOfAnOlderRoot(t *testing.T) {
	d := memstore.NewDriver()
	id := saved(t, d, "U1", "R1")
	// the root was rebuilt under another key: the record is at its made place
	old := d.Dump()
	d2 := memstore.NewDriver()
	saved(t, d2, "U1", "R1")
	root, _ := codec.DecodeIndex(old[codec.RootName])
	root.Key = []byte("another key of thirty-two bytes.")
	entries := map[codec.Hash][]codec.Entry{}
	for _, k := range [][2]string{{"user", "U1"}, {"refresh", "R1"}} {
		entries[codec.NewHash(root.Key, k[0], k[1])] = []codec.Entry{{Ref: id}}
	}
	root.Entries = entries
	root.Frame = root.Next(codec.KindIndex, "another-write")
	value, err := codec.EncodeIndex(root)
	wantErr(t, err, nil)
	d.Set(codec.RootName, value)
	view := d.Under("")
	view.Stale(func(_ context.Context, r memstore.Read) int {
		if r.How != driver.Fresh && r.Name == codec.NameOf(id) {
			return r.Writes
		}
		return 0
	})
	tk := tok("#"+id, "R2")
	wantErr(t, open(t, view).SaveToken(t.Context(), tk), nil)
	all, err := open(t, d).GetTokens(t.Context())
	if len(all) != 1 || err != nil {
		t.Errorf("there are %d records with the id %s (%v)", len(all), id, err)
		for _, r := range all {
			t.Log(r.ID, r.UserSignature.Name, r.RefreshToken.Reveal())
		}
	}
}

// One damaged leaf.
func TestDamagedLeafFailsOnlyTheTokensOfThatLeaf(t *testing.T) {
	d := memstore.NewDriver()
	splitIndex(t, d)
	d.Set(codec.RootName+"-leaf11", []byte(`{"broken":true}`))
	one := 0
	for _, u := range users(0, 40, "R") {
		if open(t, d).SaveToken(t.Context(), u) == nil {
			one++
		}
	}
	d = memstore.NewDriver()
	splitIndex(t, d)
	d.Set(codec.RootName+"-leaf11", []byte(`{"broken":true}`))
	err := open(t, d).SaveTokens(t.Context(), users(0, 40, "R"))
	e := (*token.BatchError)(nil)
	if errors.As(err, &e) && e.Saved < one {
		t.Errorf("SaveToken saves %d of 40, SaveTokens %d; left %d: %v", one, e.Saved, len(e.Left), err)
	}
}

// A record with a very high seq.
func TestHighSeqDoesNotPoisonTheIndex(t *testing.T) {
	d := memstore.NewDriver()
	id := saved(t, d, "U1", "R1")
	r, err := codec.DecodeRecord(d.Dump()[codec.NameOf(id)])
	wantErr(t, err, nil)
	r.Frame = r.Next(codec.KindToken, "by-hand")
	r.Seq = 1<<52 + 5
	value, err := codec.EncodeRecord(r)
	wantErr(t, err, nil)
	d.Set(codec.NameOf(id), value)
	t.Log("save:", open(t, d).SaveToken(t.Context(), tok("U1", "R2")))
	err = open(t, d).SaveToken(t.Context(), tok("U2", "R9"))
	if err != nil {
		t.Errorf("after a save of a record with a high seq, others: %v", err)
	}
}

// An unknown outcome of which the batch's time is over.
func TestUnknownOutcomeIsNotCalledUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memstore.NewDriver()
		s, err := token.NewStore(d, &token.Options{Timeout: 10 * time.Second})
		wantErr(t, err, nil)
		d.OnCall(func(ctx context.Context, c memstore.Call) memstore.Fault {
			if c.Op == memstore.OpPut && strings.HasPrefix(c.Names[0], "token-") {
				if c.Again {
					<-ctx.Done()
				}
				return memstore.Fault{Lost: true}
			}
			return memstore.Fault{}
		})
		err = s.SaveTokens(t.Context(), []*token.OAuthToken{tok("U1", "R1")})
		one := s.SaveToken(t.Context(), tok("U2", "R2"))
		t.Logf("one: unknown %v unavailable %v; batch: %v", errors.Is(one, token.ErrOutcomeUnknown), errors.Is(one, token.ErrUnavailable), err)
		if errors.Is(err, token.ErrOutcomeUnknown) && errors.Is(err, token.ErrUnavailable) {
			t.Error("it is ErrOutcomeUnknown, and ErrUnavailable (nothing was written) too")
		}
		if n := len(d.Dump()); n > 0 {
			t.Log("secrets:", n)
		}
	})
}

// An id that was made for a root that somebody else's took the place of.
func TestIDsAreMadeUnderTheKeyOfTheirRoot(t *testing.T) {
	d := memstore.NewDriver()
	view := d.Under("")
	met := false
	view.OnCall(func(_ context.Context, c memstore.Call) memstore.Fault {
		if c.Op == memstore.OpPut && c.Names[0] == codec.RootName && !met {
			met = true
			saved(t, d, "U9", "R9")
		}
		return memstore.Fault{}
	})
	list := users(0, 3, "R")
	wantErr(t, open(t, view).SaveTokens(t.Context(), list), nil)
	root, err := codec.DecodeIndex(d.Dump()[codec.RootName])
	wantErr(t, err, nil)
	for _, u := range list {
		if !codec.MadeUnder(root.Key, u.ID) {
			t.Errorf("the id %s was not made under the key of the root", u.ID)
		}
	}
	own := list[0].ID
	wantErr(t, open(t, d).DeleteToken(t.Context(), own), nil)
	again := tok("#"+own, "U0", "R0")
	wantErr(t, open(t, d).SaveToken(t.Context(), again), nil)
	if again.ID == own {
		t.Error("an id that the store made, and deleted, is used again")
	}
}
