package token_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// newer is the value of a secret of a format that is not known yet.
const newer = `{"tokenkeep":{"format":2,"kind":"token","seq":1,"write":"w"}}`

// saved saves a token, as a process does that then ends, and returns its id.
func saved(t *testing.T, d *memstore.Driver, words ...string) (id string) {
	t.Helper()
	saved := tok(words...)
	if err := open(t, d.Under("")).SaveToken(t.Context(), saved); err != nil {
		t.Fatal(err)
	}
	return saved.ID
}

// finds fails the test unless a store finds the record with an id.
func finds(t *testing.T, s *token.Store, id string, words ...string) {
	t.Helper()
	found, err := s.FindToken(t.Context(), tok(words...))
	if err != nil {
		t.Errorf("find %v: %v", words, err)
	} else if found.ID != id {
		t.Errorf("find %v: %s, want %s", words, found.ID, id)
	}
}

// behind is a view of the same memory by reads that are so many writes old, all but
// the strongest ones.
func behind(d *memstore.Driver, writes int) *memstore.Driver {
	view := d.Under("")
	view.Stale(func(_ context.Context, r memstore.Read) int {
		if r.How == driver.Fresh {
			return 0
		}
		return min(writes, r.Writes)
	})
	return view
}

func TestADamagedSecretStaysReportedAfterItWasRead(t *testing.T) {
	t.Run("a record under a chosen id", func(t *testing.T) {
		d := stocked(t)
		d.Set(codec.NameOf(codec.RefOf("chosen")), []byte(newer))
		unchanged(t, d)
		s := open(t, d)
		for range 2 {
			corrupt(t, "FindTokenByID", second(s.FindTokenByID(t.Context(), "chosen")))
			corrupt(t, "SaveToken", s.SaveToken(t.Context(), tok("#chosen", "U4", "R9")))
			corrupt(t, "UpdateToken", s.UpdateToken(t.Context(), "chosen", change1))
			corrupt(t, "DeleteToken", s.DeleteToken(t.Context(), "chosen"))
		}
	})
	t.Run("a record under an id that the store made", func(t *testing.T) {
		d := stocked(t)
		id := saved(t, d, "R7")
		d.Set(codec.NameOf(id), []byte(newer))
		unchanged(t, d)
		s := open(t, d)
		corrupt(t, "FindTokenByID", second(s.FindTokenByID(t.Context(), id)))
		again := tok("#"+id, "c", "A9")
		corrupt(t, "SaveToken", s.SaveToken(t.Context(), again))
		if again.ID != id {
			t.Errorf("it is saved under another id")
		}
	})
	t.Run("the index", func(t *testing.T) {
		d := stocked(t)
		d.Set(codec.RootName, []byte("{}"))
		unchanged(t, d)
		s := open(t, d)
		for range 2 {
			corrupt(t, "FindToken", second(s.FindToken(t.Context(), tok("U1"))))
			corrupt(t, "SaveToken", s.SaveToken(t.Context(), tok("U9", "R9")))
		}
	})
}

func TestABaseInTheIndexThatNoRecordCanHaveHarmsNoRecord(t *testing.T) {
	for _, base := range []int64{1<<52 - 1, 1 << 52, 1<<53 - 1, 1 << 53, 1<<63 - 1} {
		t.Run(fmt.Sprint(base), func(t *testing.T) {
			d := memstore.NewDriver()
			saved(t, d, "#one", "U1", "R1")
			editIndex(t, d, func(x *codec.Index) {
				for h := range x.Entries {
					x.Entries[h][0].Base = base
				}
			})
			// Whether the index is refused or mended, the record stays what it is.
			if err := open(t, d).SaveToken(t.Context(), tok("U1", "A1")); err != nil {
				corrupt(t, "SaveToken by user", err)
			}
			finds(t, open(t, d), "one", "#one")
			wantErr(t, open(t, d).SaveToken(t.Context(), tok("#one", "A2")), nil)
			finds(t, open(t, d), "one", "#one")
		})
	}
}

func TestARefusalRestsOnTheStrongestReads(t *testing.T) {
	t.Run("an update that seems to leave no token", func(t *testing.T) {
		d := memstore.NewDriver()
		a := open(t, d)
		wantErr(t, a.SaveToken(t.Context(), tok("#one", "R1")), nil)
		saved(t, d, "#one", "A1")
		wantErr(t, a.UpdateToken(t.Context(), "one", func(x *token.OAuthToken) error {
			x.RefreshToken = token.Secret{}
			return nil
		}), nil)
	})
	t.Run("a record that was large", func(t *testing.T) {
		d := memstore.NewDriver()
		a := open(t, d)
		wantErr(t, a.SaveToken(t.Context(), filled(60_000, "#one", "R1")), nil)
		wantErr(t, open(t, d).UpdateToken(t.Context(), "one", func(x *token.OAuthToken) error { x.Extra = nil; return nil }), nil)
		more := tok("#one")
		more.Extra = map[string]token.Secret{"other": token.NewSecret(strings.Repeat("x", 10_000))}
		wantErr(t, a.SaveToken(t.Context(), more), nil)
	})
	t.Run("a record that stale reads miss", func(t *testing.T) {
		d := memstore.NewDriver()
		id := saved(t, d, "U1", "R1")
		wantErr(t, open(t, behind(d, 9)).UpdateToken(t.Context(), id, change1), nil)
		wantErr(t, open(t, behind(d, 9)).SaveToken(t.Context(), &token.OAuthToken{ID: id, APIDomain: "x"}), nil)
		finds(t, open(t, behind(d, 9)), id, "#"+id)
		wantErr(t, open(t, behind(d, 9)).DeleteToken(t.Context(), id), nil)
	})
	t.Run("a record that stale reads show deleted", func(t *testing.T) {
		d := memstore.NewDriver()
		saved(t, d, "#one", "U3", "R3")
		wantErr(t, open(t, d).DeleteToken(t.Context(), "one"), nil)
		saved(t, d, "#one", "U3", "R3")
		finds(t, open(t, behind(d, 1)), "one", "#one")
		wantErr(t, open(t, behind(d, 1)).UpdateToken(t.Context(), "one", change1), nil)
		saved(t, d, "#one", "A3")
		wantErr(t, open(t, behind(d, 3)).DeleteToken(t.Context(), "one"), nil)
	})
	t.Run("a record that stale reads show with another user", func(t *testing.T) {
		d := memstore.NewDriver()
		saved(t, d, "#two", "U4", "R4")
		wantErr(t, open(t, d).UpdateToken(t.Context(), "two", func(x *token.OAuthToken) error {
			x.UserSignature.Name = "U5"
			return nil
		}), nil)
		wantErr(t, open(t, behind(d, 1)).SaveToken(t.Context(), tok("#two", "U5", "A5")), nil)
	})
}

// filled is a token with so many bytes beside its keys.
func filled(size int, words ...string) *token.OAuthToken {
	t := tok(words...)
	t.Extra = map[string]token.Secret{"big": token.NewSecret(strings.Repeat("x", size))}
	return t
}

func TestAServiceThatHangsIsUnavailable(t *testing.T) {
	for _, o := range operations {
		synctest.Test(t, func(t *testing.T) {
			d := stocked(t)
			s := open(t, d)
			d.OnCall(func(ctx context.Context, _ memstore.Call) memstore.Fault {
				<-ctx.Done()
				return memstore.Fault{}
			})
			err := o.do(t.Context(), s)
			if !errors.Is(err, token.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", o.name, err)
			}
		})
	}
}

func TestALowerKeyIsNotBelievedAfterAHigherOneWasMissedInMemory(t *testing.T) {
	t.Run("a user that came since", func(t *testing.T) {
		d := memstore.NewDriver()
		a := open(t, d)
		wantErr(t, a.SaveToken(t.Context(), tok("#nobodys", "R1")), nil)
		saved(t, d, "#hers", "U1", "R2")
		finds(t, a, "hers", "U1", "R1")
	})
	t.Run("with a client", func(t *testing.T) {
		d := memstore.NewDriver()
		a := open(t, d)
		wantErr(t, a.SaveToken(t.Context(), tok("#nobodys", "R1", "c1")), nil)
		saved(t, d, "#hers", "U1", "R2", "c1")
		finds(t, a, "hers", "U1", "R1", "c1")
		finds(t, open(t, d), "hers", "U1", "R1", "c1")
	})
	t.Run("a save that meets an access token that came since", func(t *testing.T) {
		d := memstore.NewDriver()
		a := open(t, d)
		wantErr(t, a.SaveToken(t.Context(), tok("R1")), nil)
		saved(t, d, "A1")
		wantErr(t, a.SaveToken(t.Context(), tok("A1", "R1")), token.ErrConflict)
		wantErr(t, open(t, d).SaveToken(t.Context(), tok("A1", "R1")), token.ErrConflict)
	})
}

func TestAbsenceThatIsBelievedIsNotRememberedAsSomethingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		knows := open(t, d)
		gone, err := knows.FindToken(t.Context(), tok("U2"))
		if err != nil {
			t.Fatal(err)
		}
		d.Remove(codec.NameOf(gone.ID))
		advance(30 * time.Minute)
		wantErr(t, second(knows.FindTokenByID(t.Context(), gone.ID)), token.ErrNotFound)
		saved(t, d, "U2", "R2", "A9")
		began := time.Now()
		wantErr(t, knows.SaveToken(t.Context(), tok("U2", "R2", "A10")), nil)
		if took := time.Since(began); took > 0 {
			t.Errorf("the save waits for %v", took)
		}
	})
}

func TestDeleteTokensGoesOnPastADamagedRecordAndReportsIt(t *testing.T) {
	d := memstore.NewDriver()
	for i := range 10 {
		saved(t, d, fmt.Sprint("U", i), fmt.Sprint("R", i))
	}
	all, err := open(t, d).GetTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bad := codec.NameOf(all[4].ID)
	d.Set(bad, []byte(`{"x":1}`))
	for range 2 { // the second time nothing else is left
		corrupt(t, "DeleteTokens", open(t, d).DeleteTokens(t.Context()))
		for name, value := range d.Dump() {
			if r, err := codec.DecodeRecord(value); err == nil && r.Live() {
				t.Errorf("%s is left", name)
			}
		}
		if string(d.Dump()[bad]) != `{"x":1}` {
			t.Error("the damaged record was written over")
		}
		x, err := codec.DecodeIndex(d.Dump()[codec.RootName])
		if err != nil || len(x.Entries) != 2 {
			t.Errorf("the index keeps %d keys, want the two of the damaged record: %v", len(x.Entries), err)
		}
	}
}

func TestATouchOfARecordThatJustFitsIsNeverTooLarge(t *testing.T) {
	d := memstore.NewDriver()
	d.SetLimits(driver.Limits{Value: 4096})
	s := open(t, d)
	// The largest record that the store takes.
	size := 4096
	for s.SaveToken(t.Context(), filled(size, "#big", "U2", "R5", "A0")) != nil {
		size--
	}
	// A process dies after it claimed a refresh token for the record.
	dies := d.Under("")
	dies.OnCall(func(_ context.Context, c memstore.Call) memstore.Fault {
		if c.Op == memstore.OpPut && strings.HasPrefix(c.Names[0], "token-") {
			return memstore.Fault{Before: driver.ErrPermission}
		}
		return memstore.Fault{}
	})
	wantErr(t, open(t, dies).UpdateToken(t.Context(), "big", func(x *token.OAuthToken) error {
		x.RefreshToken = token.NewSecret("R6")
		x.Extra = nil
		return nil
	}), token.ErrPermission)
	// Who saves that refresh token has to touch the record first.
	wantErr(t, open(t, d).SaveToken(t.Context(), tok("U7", "R6")), nil)
	wantErr(t, open(t, d).SaveToken(t.Context(), tok("U7", "R6", "A7")), nil)
	finds(t, open(t, d), "big", "U2")
}

func TestAnExpiryThatCannotBeStoredIsInvalid(t *testing.T) {
	for name, expiry := range map[string]time.Time{
		"far ahead":           time.Unix(1<<60, 0),
		"the year 10000":      time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		"before the year one": time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			d := stocked(t)
			unchanged(t, d)
			x := tok("U1", "A9")
			x.Expiry = expiry
			invalid(t, open(t, d).SaveToken(t.Context(), x))
			invalid(t, open(t, d).UpdateToken(t.Context(), "chosen", func(x *token.OAuthToken) error {
				x.Expiry = expiry
				return nil
			}))
		})
	}
}
