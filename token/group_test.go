package token_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// latency is what a call to the service takes.
const latency = 20 * time.Millisecond

// slow makes each call take its time, and counts the writes of index secrets.
func slow(d *memstore.Driver) (indexWrites func() int) {
	var writes atomic.Int32
	d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
		if call.Op == memstore.OpPut && strings.HasPrefix(call.Names[0], "index") {
			writes.Add(1)
		}
		advance(latency)
		return memstore.Fault{}
	})
	return func() int { return int(writes.Swap(0)) }
}

func TestNewUsersOfOneProcessShareTheWritesOfTheIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		s := open(t, d)
		indexWrites := slow(d)
		const goroutines, each = 64, 5
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for i := range each {
					if err := s.SaveToken(t.Context(), tok(fmt.Sprintf("Unew-%d-%d", g, i), fmt.Sprintf("Rnew-%d-%d", g, i))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if n := indexWrites(); float64(n)/(goroutines*each) > 0.05 {
			t.Errorf("%d writes of the index for %d new users", n, goroutines*each)
		}
		listed, err := s.GetTokens(t.Context())
		if err != nil || len(listed) != 5+goroutines*each {
			t.Errorf("%d records, %v", len(listed), err)
		}
	})
}

// Processes that write one index do not make each other begin anew.
func TestNewUsersOfSeveralProcessesCostAReadAndAWriteMoreThanTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		var reads atomic.Int32
		d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
			if call.Op == memstore.OpGet && strings.HasPrefix(call.Names[0], "token") {
				reads.Add(1)
			}
			advance(latency)
			return memstore.Fault{}
		})
		var wg sync.WaitGroup
		for p := range 4 {
			s := open(t, d)
			for g := range 8 {
				wg.Go(func() {
					if err := s.SaveToken(t.Context(), tok(fmt.Sprintf("Unew-%d-%d", p, g))); !errors.Is(err, token.ErrInvalid) {
						t.Error(err)
					}
					if err := s.SaveToken(t.Context(), tok(fmt.Sprintf("Unew-%d-%d", p, g), fmt.Sprintf("Rnew-%d-%d", p, g))); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if n := reads.Load(); n > 0 {
			t.Errorf("%d reads of records, and nobody's key is another's", n)
		}
	})
}

// A caller that gives up leaves the others their write.
func TestACallerThatGivesUpWhileChangesGatherDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		s := open(t, d)
		if _, err := s.FindToken(t.Context(), tok("U1")); err != nil {
			t.Fatal(err)
		}
		slow(d)
		var wg sync.WaitGroup
		for i := range 32 {
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if i%2 == 0 {
				// Some lead, some wait, some are in a write: they end at any time of it.
				ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*latency/8)
			}
			wg.Go(func() {
				defer cancel()
				began := time.Now()
				err := s.SaveToken(ctx, tok(fmt.Sprint("Unew-", i), fmt.Sprint("Rnew-", i)))
				if i%2 == 1 && err != nil {
					t.Errorf("save %d: %v", i, err)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("save %d took %v: %v", i, took, err)
				}
			})
		}
		wg.Wait()
		for i := range 32 {
			if err := s.SaveToken(t.Context(), tok(fmt.Sprint("Unew-", i), fmt.Sprint("Rnew-", i))); err != nil {
				t.Errorf("save %d, again: %v", i, err)
			}
		}
		listed, err := open(t, d).GetTokens(t.Context())
		if err != nil || len(listed) != 5+32 {
			t.Errorf("%d records, %v", len(listed), err)
		}
	})
}
