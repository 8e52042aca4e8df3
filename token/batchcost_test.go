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

func TestDeleteTokensRemovesTheSecretsWhereNamesRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memstore.NewDriver()
		d.SetLimits(driver.Limits{DeletedNameRests: 7 * 24 * time.Hour})
		wantErr(t, open(t, d).SaveTokens(t.Context(), users(0, 3000, "R")), nil)
		d.OnCall(func(_ context.Context, c memstore.Call) memstore.Fault {
			if c.Op != memstore.OpGet {
				advance(30 * time.Millisecond) // a fast AWS
			}
			return memstore.Fault{}
		})
		wantErr(t, open(t, d).DeleteTokens(t.Context()), nil)
		d.OnCall(nil)
		left := 0
		for name := range d.Dump() {
			if strings.HasPrefix(name, "token-") {
				left++
			}
		}
		if left > 0 {
			t.Errorf("DeleteTokens returned nil, and %d of 3000 secrets are left", left)
		}
		wantErr(t, open(t, d).DeleteTokens(t.Context()), nil)
		left = 0
		for name := range d.Dump() {
			if strings.HasPrefix(name, "token-") {
				left++
			}
		}
		t.Log("after calling it again:", left)
	})
}

func TestBatchWithASmallMemory(t *testing.T) {
	for _, remember := range []int{1, 300, 500, 0} {
		d := memstore.NewDriver()
		s, err := token.NewStore(d, &token.Options{Remember: remember})
		wantErr(t, err, nil)
		wantErr(t, s.SaveTokens(t.Context(), users(0, 1000, "R")), nil)
		var calls tally
		calls.of(d)
		wantErr(t, s.SaveTokens(t.Context(), users(0, 1000, "Rr")), nil)
		t.Logf("Remember %d: %d reads for a rotation of 1000", remember, calls.reads.Load())
		if calls.reads.Load() > 50 {
			t.Error("reads one by one")
		}
	}
}

func TestOneStuckSecretFailsNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memstore.NewDriver()
		id := saved(t, d, "U0", "R")
		d.OnCall(func(_ context.Context, c memstore.Call) memstore.Fault {
			if c.Op == memstore.OpPut && c.Names[0] == codec.NameOf(id) {
				return memstore.Fault{Before: &driver.Error{Op: "call", Code: "KMSInternalException", Kind: driver.ErrUnavailable}}
			}
			return memstore.Fault{}
		})
		for i := range 2 {
			began := time.Now()
			err := open(t, d).SaveTokens(t.Context(), users(0, 1000*(i+1), fmt.Sprint("R", i, "-")))
			e := (*token.BatchError)(nil)
			errors.As(err, &e)
			t.Log(i, time.Since(began), err, len(e.Left))
			if len(e.Failed) > 1 {
				t.Error("other tokens fail because of one secret:", e.Failed[1500])
			}
		}
	})
}
