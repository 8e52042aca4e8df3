package token_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// users returns tokens of users n to m, with a refresh token each.
func users(n, m int, refresh string) []*token.OAuthToken {
	var list []*token.OAuthToken
	for i := n; i < m; i++ {
		list = append(list, tok(fmt.Sprint("U", i), fmt.Sprint(refresh, i)))
	}
	return list
}

// tally counts calls: writes of index secrets, writes of records, and reads.
type tally struct{ index, records, reads atomic.Int64 }

func (c *tally) of(d *memstore.Driver) {
	d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
		switch {
		case call.Op != memstore.OpPut:
			c.reads.Add(1)
		case strings.HasPrefix(call.Names[0], codec.RootName):
			c.index.Add(1)
		default:
			c.records.Add(1)
		}
		return memstore.Fault{}
	})
}

func (c *tally) want(t *testing.T, what string, index, records, reads int64) {
	t.Helper()
	got := [3]int64{c.index.Swap(0), c.records.Swap(0), c.reads.Swap(0)}
	if want := [3]int64{index, records, reads}; got != want {
		t.Errorf("%s: %d writes of the index, %d of records and %d reads, want %v", what, got[0], got[1], got[2], want)
	}
}

func TestABatchWritesAnIndexSecretOnce(t *testing.T) {
	d := memstore.NewDriver()
	var calls tally
	calls.of(d)
	s := open(t, d)
	list := users(0, 700, "R")
	wantErr(t, s.SaveTokens(t.Context(), list), nil)
	calls.want(t, "an import", 1, 700, 2) // the root, and the names
	wantErr(t, s.SaveTokens(t.Context(), list), nil)
	calls.want(t, "the same again", 0, 0, 8) // the root, and a hundred records at a time
	rotated := users(0, 700, "Rs")
	wantErr(t, open(t, d).SaveTokens(t.Context(), rotated), nil)
	calls.want(t, "a rotation by another process", 1, 700, 8)
	byID := users(0, 100, "R")
	for i, u := range byID {
		u.ID = list[i].ID
	}
	wantErr(t, s.SaveTokens(t.Context(), byID), nil)
	for i, u := range rotated {
		if u.ID != list[i].ID {
			t.Errorf("user %d has the records %s and %s", i, u.ID, list[i].ID)
		}
		finds(t, open(t, d), u.ID, fmt.Sprint("U", i))
	}
}

func TestAnImportLetsTheIndexGrow(t *testing.T) {
	const n = 12_000
	d := memstore.NewDriver()
	d.SetLimits(driver.Limits{WritesPerDay: 100, DeletedNameRests: 7 * 24 * time.Hour, Value: 65_536})
	var calls tally
	calls.of(d)
	s := open(t, d)
	yielded := 0
	for u, err := range s.SaveEach(t.Context(), slices.Values(users(0, n, "R"))) {
		if err != nil || u.ID == "" {
			t.Fatalf("token %d: %v", yielded, err)
		}
		yielded++
	}
	if yielded != n || calls.records.Load() != n {
		t.Errorf("%d tokens are yielded, and %d records were written", yielded, calls.records.Load())
	}
	if beside := calls.index.Load() + calls.reads.Load(); beside > n/10 {
		t.Errorf("%d calls beside the %d writes of records", beside, n)
	}
	d.OnCall(nil)
	live := 0
	for _, x := range indexSecrets(t, d) {
		if x.Kind == codec.KindIndex {
			live++
		}
	}
	t.Logf("%d tokens: %d writes of the index, %d reads, %d index secrets that are not sealed", n, calls.index.Load(), calls.reads.Load(), live)
	if live > n/500 {
		t.Errorf("%d index secrets for %d tokens", live, n)
	}
	for i := 0; i < n; i += 97 {
		if _, err := open(t, d).FindToken(t.Context(), tok(fmt.Sprint("R", i))); err != nil {
			t.Errorf("user %d: %v", i, err)
		}
	}
	if got, err := open(t, d).GetTokens(t.Context()); len(got) != n || err != nil {
		t.Errorf("%d records are listed: %v", len(got), err)
	}
}

// Tokens of one identity are saved in their order, whatever they have in common.
func TestABatchKeepsTheOrderWhereItMatters(t *testing.T) {
	d := memstore.NewDriver()
	list := []*token.OAuthToken{
		tok("U1", "R1"), tok("R1", "A1"), tok("U1", "R2"), tok("U2", "G1"), tok("U1", "R3"),
		tok("#one", "U3", "R9"), tok("#one", "A3"), tok("R2", "A4"), tok("R3", "A5"),
	}
	wantErr(t, open(t, d).SaveTokens(t.Context(), list), nil)
	found, err := open(t, d).FindToken(t.Context(), tok("U1"))
	if err != nil || !found.RefreshToken.Equal(token.NewSecret("R3")) || !found.AccessToken.Equal(token.NewSecret("A5")) {
		t.Errorf("the user has %v: %v", found, err)
	}
	if list[0].ID != found.ID || list[2].ID != found.ID || list[8].ID != found.ID {
		t.Errorf("the ids are %q, %q and %q, want %q", list[0].ID, list[2].ID, list[8].ID, found.ID)
	}
	finds(t, open(t, d), "one", "U3")
}

func TestBatchesOfManyProcessesMakeOneRecordOfEachUser(t *testing.T) {
	const n, processes = 300, 4
	d := memstore.NewDriver()
	d.SetLimits(driver.Limits{Value: 6000})
	errs := make(chan error)
	for p := range processes {
		go func() {
			list := users(0, n, fmt.Sprint("R", p, "-"))
			if p%2 == 1 {
				slices.Reverse(list)
			}
			errs <- open(t, d).SaveTokens(t.Context(), list)
		}()
	}
	for range processes {
		wantErr(t, <-errs, nil)
	}
	seen := map[string]bool{}
	for u, err := range open(t, d).All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if seen[u.UserSignature.Name] {
			t.Errorf("user %s has two records", u.UserSignature.Name)
		}
		seen[u.UserSignature.Name] = true
		finds(t, open(t, d), u.ID, u.UserSignature.Name)
	}
	if len(seen) != n {
		t.Errorf("%d users", len(seen))
	}
}

// What goes wrong at any call of a batch is told, and saving all of it again is right.
func TestTroubleAtAnyCallOfABatchIsReported(t *testing.T) {
	for what, fault := range map[string]memstore.Fault{
		"permission":                  {Before: driver.ErrPermission},
		"unavailable":                 {Before: driver.ErrUnavailable},
		"a quota":                     {Before: driver.ErrQuota},
		"a lost answer":               {Lost: true},
		"unknown, and it was applied": {After: driver.ErrOutcomeUnknown},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for k, hit := 1, true; hit; k++ {
					d := memstore.NewDriver()
					d.SetLimits(driver.Limits{Value: 3000})
					wantErr(t, open(t, d).SaveTokens(t.Context(), users(0, 10, "Rq")), nil)
					var n atomic.Int64
					hit = false
					d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
						if n.Add(1) != int64(k) || call.Op != memstore.OpPut && (fault.Lost || fault.After != nil) {
							return memstore.Fault{}
						}
						hit = true
						return fault
					})
					list := users(0, 40, "R")
					err := open(t, d).SaveTokens(t.Context(), list)
					hit = hit || n.Load() >= int64(k)
					d.OnCall(nil)
					report := &token.BatchError{Saved: len(list)}
					if err != nil && !errors.As(err, &report) {
						t.Fatalf("call %d: %v", k, err)
					}
					for i, u := range list {
						_, ferr := open(t, d).FindToken(t.Context(), tok(fmt.Sprint("R", i)))
						failed := report.Failed[i] != nil || slices.Contains(report.Left, i)
						if ferr != nil && !failed || ferr == nil && failed && !errors.Is(report.Failed[i], token.ErrOutcomeUnknown) {
							t.Errorf("call %d: token %d %q is found: %v, and failed: %v", k, i, u.ID, ferr, report.Failed[i])
						}
					}
					wantErr(t, open(t, d).SaveTokens(t.Context(), list), nil)
					if got, err := open(t, d).GetTokens(t.Context()); len(got) != 40 || err != nil {
						t.Fatalf("call %d: %d records: %v", k, len(got), err)
					}
				}
			})
		})
	}
}

// A service that takes few writes a second refuses those that are too many.
func TestABatchWaitsForAServiceThatThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memstore.NewDriver()
		began, mu, served := time.Now(), sync.Mutex{}, map[time.Duration]int{}
		d.OnCall(func(context.Context, memstore.Call) memstore.Fault {
			advance(20 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			second := time.Since(began) / time.Second
			if served[second]++; served[second] > 20 {
				return memstore.Fault{Before: &driver.Error{Op: "call", Code: "TooMany", Kind: driver.ErrUnavailable}}
			}
			return memstore.Fault{}
		})
		list := users(0, 2500, "R")
		wantErr(t, open(t, d).SaveTokens(t.Context(), list), nil)
		if took := time.Since(began); took > time.Hour {
			t.Errorf("it took %v", took)
		}
	})
}

func TestABatchEndsWithItsContext(t *testing.T) {
	d := memstore.NewDriver()
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	endless := iter.Seq[*token.OAuthToken](func(yield func(*token.OAuthToken) bool) {
		for more := true; more; {
			if n++; n == 1500 {
				cancel()
			}
			more = yield(tok(fmt.Sprint("U", n), fmt.Sprint("R", n)))
		}
	})
	yielded, failed := 0, 0
	for _, err := range open(t, d).SaveEach(ctx, endless) {
		yielded++
		if err != nil {
			failed++
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		}
	}
	if yielded != n || failed != n-1000 {
		t.Errorf("%d tokens were taken, %d yielded, %d of them failed", n, yielded, failed)
	}
}
