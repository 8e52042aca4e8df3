package token_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// An id that a store made is used once. Somebody may have judged an entry of it dead, by its
// tombstone, before that was removed: if the id came to life again, the entry would be a claim
// again, and would be dropped.
func TestAnIDThatWasRemovedIsNotUsedAgain(t *testing.T) {
	for _, refresh := range []string{"R11", "R12", "R13", "R14", "R15", "R16"} { // one of them stands in a leaf of its own
		for _, named := range []bool{false, true} {
			t.Run(fmt.Sprint(refresh, ", named by the caller: ", named), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // it begins with the first second of an hour
					service := memstore.NewDriver()
					splitIndex(t, service)
					a := open(t, service)
					x := tok("U1", refresh)
					wantErr(t, a.SaveToken(t.Context(), x), nil)
					wantErr(t, a.SaveToken(t.Context(), tok("U1", "R2")), nil) // the entry of refresh stays
					wantErr(t, a.DeleteToken(t.Context(), x.ID), nil)
					advance(24*time.Hour + time.Minute)
					z, y := tok(refresh), tok(refresh)
					if named {
						z.ID = x.ID
					}
					view, met := service.Under(""), false
					view.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
						if call.Op != memstore.OpPut || !strings.HasPrefix(call.Names[0], codec.RootName) || met {
							return memstore.Fault{}
						}
						met = true // y has judged the entry: its record is a tombstone
						other := tok("U1", "R9")
						wantErr(t, open(t, service).SaveToken(t.Context(), other), nil)
						wantErr(t, open(t, service).DeleteToken(t.Context(), other.ID), nil) // removes the tombstone
						wantErr(t, open(t, service).SaveToken(t.Context(), z), nil)
						return memstore.Fault{}
					})
					wantErr(t, open(t, view).SaveToken(t.Context(), y), nil)
					if y.ID != z.ID || y.ID == x.ID {
						t.Errorf("the token has the records %s and %s; %s was removed", y.ID, z.ID, x.ID)
					}
					if all, err := open(t, service).GetTokens(t.Context()); len(all) != 1 || err != nil {
						t.Errorf("%d records are listed: %v", len(all), err)
					}
				})
			})
		}
	}
}

// What another store made is a chosen id here, so that records can be brought from one store
// to another and keep their ids.
func TestIDsOfAnotherStoreAreKept(t *testing.T) {
	from, d := memstore.NewDriver(), memstore.NewDriver()
	ids := []string{saved(t, from, "U1", "R1"), saved(t, from, "U2", "R2"), "abcdefghijklmnopqrst"}
	saved(t, from, "#"+ids[2], "U3", "R3")
	list, err := open(t, from).GetTokens(t.Context())
	if err != nil || len(list) != 3 {
		t.Fatalf("%d records are listed: %v", len(list), err)
	}
	for range 2 { // the second time they are there
		wantErr(t, open(t, d).SaveTokens(t.Context(), list), nil)
		for _, r := range list {
			wantErr(t, open(t, d).SaveToken(t.Context(), r), nil)
		}
		for i, id := range ids {
			for _, q := range []*token.OAuthToken{{ID: id}, tok(fmt.Sprint("U", i+1))} {
				found, err := open(t, d).FindToken(t.Context(), q)
				if err != nil || found.ID != id || found.UserSignature.Name != fmt.Sprint("U", i+1) {
					t.Errorf("record %d: %v, %v", i, found, err)
				}
			}
		}
		if all, err := open(t, d).GetTokens(t.Context()); len(all) != 3 || err != nil {
			t.Errorf("%d records are listed: %v", len(all), err)
		}
	}
	wantErr(t, open(t, d).UpdateToken(t.Context(), ids[0], change1), nil)
	for _, id := range ids {
		wantErr(t, open(t, d).DeleteToken(t.Context(), id), nil)
		_, err := open(t, d).FindTokenByID(t.Context(), id)
		wantErr(t, err, token.ErrNotFound)
	}
	wantErr(t, open(t, d).SaveToken(t.Context(), tok("#"+ids[0], "U1", "R1")), nil)
	finds(t, open(t, d), ids[0], "U1")
	again := tok("#"+saved(t, d, "U9", "R9"), "A9")
	own := again.ID
	wantErr(t, open(t, d).DeleteToken(t.Context(), own), nil)
	wantErr(t, open(t, d).SaveToken(t.Context(), again), nil)
	if again.ID == own {
		t.Error("an id of this store is used again")
	}
}
