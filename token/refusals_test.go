package token_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("the error is %v, want %v", err, want)
	}
}

// An operation is one call of a store.
type operation struct {
	name string
	do   func(ctx context.Context, s *token.Store) error
	// several: it is applied to one record after the other.
	several bool
}

var operations = []operation{
	{"FindTokenByID", func(ctx context.Context, s *token.Store) error { return second(s.FindTokenByID(ctx, "chosen")) }, false},
	{"ReadToken", func(ctx context.Context, s *token.Store) error { return second(s.ReadToken(ctx, "chosen")) }, false},
	{"FindToken by user", func(ctx context.Context, s *token.Store) error { return second(s.FindToken(ctx, tok("U1"))) }, false},
	{"FindToken by refresh token", func(ctx context.Context, s *token.Store) error { return second(s.FindToken(ctx, tok("R3", "c7"))) }, false},
	{"FindToken by scan", func(ctx context.Context, s *token.Store) error { return second(s.FindToken(ctx, tok("A2"))) }, false},
	{"GetTokens", func(ctx context.Context, s *token.Store) error { return second(s.GetTokens(ctx)) }, false},
	{"All", func(ctx context.Context, s *token.Store) error {
		for _, err := range s.All(ctx) {
			if err != nil {
				return err
			}
		}
		return nil
	}, false},
	{"SaveToken, insert", func(ctx context.Context, s *token.Store) error { return s.SaveToken(ctx, tok("U9", "R9")) }, false},
	{"SaveToken, insert under an id", func(ctx context.Context, s *token.Store) error { return s.SaveToken(ctx, tok("#new", "U9", "R9")) }, false},
	{"SaveToken, update", func(ctx context.Context, s *token.Store) error { return s.SaveToken(ctx, tok("U1", "A9")) }, false},
	{"SaveToken, rotation", func(ctx context.Context, s *token.Store) error { return s.SaveToken(ctx, tok("U1", "R9")) }, false},
	{"SaveToken, adoption", func(ctx context.Context, s *token.Store) error { return s.SaveToken(ctx, tok("U9", "R3")) }, false},
	{"UpdateToken", func(ctx context.Context, s *token.Store) error { return s.UpdateToken(ctx, "chosen", change1) }, false},
	{"DeleteToken", func(ctx context.Context, s *token.Store) error { return s.DeleteToken(ctx, "chosen") }, false},
	{"SaveTokens", func(ctx context.Context, s *token.Store) error {
		return s.SaveTokens(ctx, []*token.OAuthToken{tok("U1", "A9"), tok("U9", "R9"), tok("#chosen", "A9")})
	}, true},
	{"DeleteTokens", func(ctx context.Context, s *token.Store) error { return s.DeleteTokens(ctx) }, true},
}

// tryUpdate is the operation that is not tried again after a conflict.
var tryUpdate = operation{"TryUpdateToken", func(ctx context.Context, s *token.Store) error { return s.TryUpdateToken(ctx, "chosen", change1) }, false}

func second[T any](_ T, err error) error { return err }

// content returns what the live records of a memory hold, sorted, without their ids
// and frames.
func content(tb testing.TB, d *memstore.Driver) []string {
	tb.Helper()
	var all []string
	for name, value := range d.Dump() {
		if !strings.HasPrefix(name, "token-") {
			continue
		}
		r, err := codec.DecodeRecord(value)
		if err != nil {
			tb.Fatal(err)
		}
		if r.Live() {
			all = append(all, strings.Join([]string{r.UserName, r.ClientID, r.GrantToken, r.RefreshToken, r.AccessToken, r.APIDomain}, "|"))
		}
	}
	slices.Sort(all)
	return all
}

// atEveryCall runs every operation, cold and warm, again and again, each time with
// trouble at another of its calls, and checks that it then was not applied, or was
// not in trouble, and that it goes well afterwards.
func atEveryCall(t *testing.T, trouble func(cancel context.CancelFunc, call memstore.Call) memstore.Fault, check func(t *testing.T, err error)) {
	for _, o := range append(slices.Clone(operations), tryUpdate) {
		clean := stocked(t)
		before := content(t, clean)
		if err := o.do(t.Context(), open(t, clean)); err != nil {
			t.Fatal(err)
		}
		after := content(t, clean)
		for _, warm := range []bool{false, true} {
			for k := 1; ; k++ {
				hit := false
				t.Run(fmt.Sprintf("%s, warm %v, call %d", o.name, warm, k), func(t *testing.T) {
					d := stocked(t)
					s := open(t, d)
					if warm {
						if _, err := s.FindToken(t.Context(), tok("U1")); err != nil {
							t.Fatal(err)
						}
					}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					var n atomic.Int64
					d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
						if n.Add(1) != int64(k) {
							return memstore.Fault{}
						}
						return trouble(cancel, call)
					})
					err := o.do(ctx, s)
					d.OnCall(nil)
					hit = n.Load() >= int64(k)
					now := content(t, d)
					switch {
					case err == nil:
						same(t, now, after)
					case o.several || errors.Is(err, token.ErrOutcomeUnknown):
						for _, r := range now {
							if !slices.Contains(before, r) && !slices.Contains(after, r) {
								t.Errorf("half a record: %s", r)
							}
						}
					default:
						same(t, now, before)
					}
					if err != nil {
						check(t, err)
						if errors.Is(err, token.ErrNotFound) {
							t.Errorf("trouble is taken for absence: %v", err)
						}
						err := o.do(t.Context(), s)
						if err != nil && !(errors.Is(err, token.ErrNotFound) && o.name == "DeleteToken") {
							t.Errorf("once more: %v", err)
						}
						same(t, content(t, d), after)
					}
				})
				if !hit {
					break
				}
			}
		}
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestACancelledContextEndsEachOperationAtAnyCallWithoutPartialEffect(t *testing.T) {
	atEveryCall(t, func(cancel context.CancelFunc, _ memstore.Call) memstore.Fault {
		cancel()
		return memstore.Fault{}
	}, func(t *testing.T, err error) {
		wantErr(t, err, context.Canceled)
		if errors.Is(err, token.ErrOutcomeUnknown) {
			t.Errorf("nothing was sent, and yet: %v", err)
		}
	})
}

func TestPermissionDeniedIsReportedAtAnyCallAndNeverTakenForAbsence(t *testing.T) {
	atEveryCall(t, func(context.CancelFunc, memstore.Call) memstore.Fault {
		return memstore.Fault{Before: driver.ErrPermission}
	}, func(t *testing.T, err error) { wantErr(t, err, token.ErrPermission) })
}

func TestAServiceThatIsUnavailableIsReportedAtAnyCall(t *testing.T) {
	atEveryCall(t, func(context.CancelFunc, memstore.Call) memstore.Fault {
		return memstore.Fault{Before: driver.ErrUnavailable}
	}, func(t *testing.T, err error) { wantErr(t, err, token.ErrUnavailable) })
}

func TestAQuotaThatIsUsedUpIsReportedAtAnyCall(t *testing.T) {
	atEveryCall(t, func(context.CancelFunc, memstore.Call) memstore.Fault {
		return memstore.Fault{Before: driver.ErrQuota}
	}, func(t *testing.T, err error) {
		wantErr(t, err, token.ErrQuota)
		wantErr(t, err, token.ErrUnavailable)
	})
}

func TestALostAnswerAtAnyCallIsNobodysTrouble(t *testing.T) {
	atEveryCall(t, func(context.CancelFunc, memstore.Call) memstore.Fault {
		return memstore.Fault{Lost: true}
	}, func(t *testing.T, err error) { t.Error(err) })
}

func TestAnUnknownOutcomeIsReportedForTheRecordOnly(t *testing.T) {
	atEveryCall(t, func(_ context.CancelFunc, call memstore.Call) memstore.Fault {
		if call.Op == memstore.OpPut {
			return memstore.Fault{After: driver.ErrOutcomeUnknown}
		}
		return memstore.Fault{}
	}, func(t *testing.T, err error) {
		if !errors.Is(err, token.ErrOutcomeUnknown) && !errors.Is(err, token.ErrUnavailable) {
			t.Error(err)
		}
	})
}

func TestAConflictAtAnyCallIsTriedAgain(t *testing.T) {
	for _, o := range operations {
		clean := stocked(t)
		if err := o.do(t.Context(), open(t, clean)); err != nil {
			t.Fatal(err)
		}
		for k := 1; ; k++ {
			d := stocked(t)
			n, hit := 0, false
			d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
				if n++; n == k {
					hit = true
					if call.Op == memstore.OpPut {
						touch(t, d, call.Names[0])
					}
				}
				return memstore.Fault{}
			})
			if err := o.do(t.Context(), open(t, d)); err != nil {
				t.Errorf("%s, call %d: %v", o.name, k, err)
			}
			same(t, content(t, d), content(t, clean))
			if !hit {
				break
			}
		}
	}
}

// touch is another process that writes a secret and changes nothing but its number.
func touch(t *testing.T, d *memstore.Driver, name string) {
	value := d.Dump()[name]
	if value == nil {
		return
	}
	var err error
	if name == codec.RootName {
		var x *codec.Index
		if x, err = codec.DecodeIndex(value); err == nil {
			x.Frame = x.Next(x.Kind, "the other's write")
			value, err = codec.EncodeIndex(x)
		}
	} else {
		var r *codec.Record
		if r, err = codec.DecodeRecord(value); err == nil {
			r.Frame = r.Next(r.Kind, "the other's write")
			value, err = codec.EncodeRecord(r)
		}
	}
	if err != nil {
		t.Error(err)
	}
	d.Set(name, value)
}

func TestAContextThatEndsAfterTheWriteLeavesItsOutcomeOpen(t *testing.T) {
	d := stocked(t)
	ctx, cancel := context.WithCancel(t.Context())
	d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
		if call.Again {
			cancel()
		}
		return memstore.Fault{Lost: call.Op == memstore.OpPut}
	})
	err := open(t, d).SaveToken(ctx, tok("#chosen", "A9"))
	wantErr(t, err, token.ErrOutcomeUnknown)
	wantErr(t, err, context.Canceled)
}

func TestAQuotaOfWritesIsUsedUpAndNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memstore.NewDriver()
		d.SetLimits(driver.Limits{WritesPerDay: 10})
		s := open(t, d)
		var err error
		saved := 0
		for ; err == nil && saved < 50; saved++ {
			err = s.SaveToken(t.Context(), tok(fmt.Sprint("U", saved), fmt.Sprint("R", saved)))
		}
		saved--
		wantErr(t, err, token.ErrQuota)
		wantErr(t, err, token.ErrUnavailable)
		if saved != 10 || len(content(t, d)) != saved {
			t.Errorf("%d saves went well, %d records are there", saved, len(content(t, d)))
		}
		for i := range saved { // the index takes no more, the records do
			if err := s.SaveToken(t.Context(), tok(fmt.Sprint("U", i), "A1")); err != nil {
				t.Errorf("an update without new keys: %v", err)
			}
		}
		for i := 0; err == nil || i == 0; i++ {
			err = s.SaveToken(t.Context(), tok("U0", fmt.Sprint("A", i+2)))
		}
		wantErr(t, err, token.ErrQuota)
		found, err := open(t, d).FindToken(t.Context(), tok("U0"))
		if err != nil || !found.AccessToken.Equal(token.NewSecret("A9")) {
			t.Errorf("the last acknowledged update is not there: %v", err)
		}
		advance(3 * time.Hour)
		if err := s.SaveToken(t.Context(), tok("U99", "R99")); err != nil {
			t.Errorf("when the quota allows it: %v", err)
		}
	})
}

// advance lets time pass: the clock is the test's.
func advance(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the clock is synctest's
}
