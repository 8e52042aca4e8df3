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

// day lets finds be answered with what is a day old if the service cannot be reached.
var day = token.Options{MaxStale: 24 * time.Hour}

// fails makes every call fail.
func fails(d *memstore.Driver, err error) {
	d.OnCall(func(context.Context, memstore.Call) memstore.Fault { return memstore.Fault{Before: err} })
}

// hangs makes every call wait for the end of its context.
func hangs(d *memstore.Driver) {
	d.OnCall(func(ctx context.Context, _ memstore.Call) memstore.Fault {
		<-ctx.Done()
		return memstore.Fault{}
	})
}

func TestFindsAreAnsweredWithWhatWasReadAtMostMaxStaleAgoWhileTheServiceCannotBeReached(t *testing.T) {
	for _, c := range warmFinds {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := stocked(t)
				s := with(t, d, day)
				read, err := doFind(t.Context(), s, c.query)
				wantErr(t, err, nil)
				fails(d, driver.ErrUnavailable)
				advance(12 * time.Hour)
				for range 2 {
					found, err := doFind(t.Context(), s, c.query)
					wantErr(t, err, nil)
					same(t, found, read)
					advance(6 * time.Hour)
				}
				wantErr(t, second(doFind(t.Context(), s, c.query)), nil)
				advance(1)
				wantErr(t, second(doFind(t.Context(), s, c.query)), token.ErrUnavailable)
			})
		})
	}
}

func TestWhichErrorsAStaleAnswerStandsFor(t *testing.T) {
	for _, c := range []struct {
		what     string
		fault    error
		maxStale time.Duration
		err      error
	}{
		{"unavailable", driver.ErrUnavailable, time.Hour, nil},
		{"a quota", driver.ErrQuota, time.Hour, nil},
		{"what the SDK said", &driver.Error{Op: "Get", Kind: driver.ErrUnavailable, Code: "503"}, time.Hour, nil},
		{"no rights", driver.ErrPermission, time.Hour, token.ErrPermission},
		{"damaged", driver.ErrCorrupt, time.Hour, token.ErrCorrupt},
		{"unavailable, without MaxStale", driver.ErrUnavailable, 0, token.ErrUnavailable},
		{"a quota, without MaxStale", driver.ErrQuota, 0, token.ErrQuota},
	} {
		t.Run(c.what, func(t *testing.T) {
			for _, f := range warmFinds {
				synctest.Test(t, func(t *testing.T) { // no time passes
					d := stocked(t)
					s := with(t, d, token.Options{MaxStale: c.maxStale})
					wantErr(t, second(doFind(t.Context(), s, f.query)), nil)
					fails(d, c.fault)
					wantErr(t, second(doFind(t.Context(), s, f.query)), c.err)
				})
			}
		})
	}
}

func TestAStaleAnswerIsGivenOfNothingThatWasNotRead(t *testing.T) {
	d := stocked(t)
	s := with(t, d, day)
	wantErr(t, second(s.FindToken(t.Context(), tok("U1"))), nil)
	fails(d, driver.ErrUnavailable)
	for _, query := range []*token.OAuthToken{tok("U2"), tok("U9"), tok("#chosen"), tok("U9", "R1"), tok("A1")} {
		wantErr(t, second(s.FindToken(t.Context(), query)), token.ErrUnavailable)
	}
}

func TestAServiceThatHangsUntilTheTimeoutIsAnsweredForAndAContextThatEndsIsNot(t *testing.T) {
	for _, c := range []struct {
		what string
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		err  error
		took time.Duration
	}{
		{"a context without an end", context.WithCancel, nil, 10 * time.Second},
		{"a deadline that comes later", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 11*time.Second)
		}, nil, 10 * time.Second},
		{"a deadline that comes earlier", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 3*time.Second)
		}, context.DeadlineExceeded, 3 * time.Second},
		{"a context that is cancelled meanwhile", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(2*time.Second, cancel)
			return ctx, cancel
		}, context.Canceled, 2 * time.Second},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := stocked(t)
				s := with(t, d, token.Options{MaxStale: time.Hour, Timeout: 10 * time.Second})
				access(t, s)
				hangs(d)
				ctx, cancel := c.ctx(t.Context())
				defer cancel()
				began := time.Now()
				wantErr(t, second(s.FindTokenByID(ctx, "chosen")), c.err)
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
			})
		})
	}
}

func TestReadTokenAndListsNeverAnswerStale(t *testing.T) {
	d := stocked(t)
	s := with(t, d, token.Options{MaxAge: time.Hour, MaxStale: time.Hour})
	access(t, s)
	calls := count(d)
	wantErr(t, second(s.ReadToken(t.Context(), "chosen")), nil)
	calls.want(t, "ReadToken", "get token")
	fails(d, driver.ErrUnavailable)
	wantErr(t, second(s.ReadToken(t.Context(), "chosen")), token.ErrUnavailable)
	wantErr(t, second(s.GetTokens(t.Context())), token.ErrUnavailable)
	wantErr(t, second(s.FindTokenByID(t.Context(), "chosen")), nil)
}

func TestWhatOnlyAListReadIsNoStaleAnswerHoweverOldItMayBe(t *testing.T) {
	d := stocked(t)
	s := with(t, d, token.Options{MaxStale: 1<<63 - 1})
	wantErr(t, second(s.GetTokens(t.Context())), nil)
	fails(d, driver.ErrUnavailable)
	wantErr(t, second(s.FindTokenByID(t.Context(), "chosen")), token.ErrUnavailable)
}

func TestAStaleAnswerMakesNothingABaseOfAWriteThatIsOlderThanAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		s := with(t, d, day)
		access(t, s)
		advance(2 * time.Hour)
		fails(d, driver.ErrUnavailable)
		access(t, s)
		calls := count(d)
		update(t, s, "A9")
		calls.want(t, "a save after a stale answer", "get token, put token")
	})
}

func TestAStaleAnswerIsTheNewestThatTheStoreKnows(t *testing.T) {
	t.Run("what it wrote", func(t *testing.T) {
		d := stocked(t)
		s := with(t, d, day)
		access(t, s)
		update(t, s, "A8")
		fails(d, driver.ErrUnavailable)
		if got := access(t, s); got != "A8" {
			t.Errorf("%q", got)
		}
	})
	t.Run("nothing, if it does not know what it wrote", func(t *testing.T) {
		d := stocked(t)
		s := with(t, d, day)
		access(t, s)
		d.OnCall(func(context.Context, memstore.Call) memstore.Fault {
			return memstore.Fault{After: driver.ErrOutcomeUnknown}
		})
		wantErr(t, s.UpdateToken(t.Context(), "chosen", change1), token.ErrOutcomeUnknown)
		fails(d, driver.ErrUnavailable)
		wantErr(t, second(s.FindTokenByID(t.Context(), "chosen")), token.ErrUnavailable)
	})
	t.Run("nothing, if it saw the deletion", func(t *testing.T) {
		d := stocked(t)
		s := with(t, d, day)
		wantErr(t, second(s.FindToken(t.Context(), tok("U4"))), nil)
		wantErr(t, open(t, d.Under("")).DeleteToken(t.Context(), "chosen"), nil)
		wantErr(t, second(s.FindTokenByID(t.Context(), "chosen")), token.ErrNotFound)
		fails(d, driver.ErrUnavailable)
		wantErr(t, second(s.FindTokenByID(t.Context(), "chosen")), token.ErrUnavailable)
		wantErr(t, second(s.FindToken(t.Context(), tok("U4"))), token.ErrUnavailable)
	})
	t.Run("nothing, if rights were missing since", func(t *testing.T) {
		d := stocked(t)
		s := with(t, d, day)
		access(t, s)
		fails(d, driver.ErrPermission)
		wantErr(t, second(s.FindTokenByID(t.Context(), "chosen")), token.ErrPermission)
		fails(d, driver.ErrUnavailable)
		wantErr(t, second(s.FindTokenByID(t.Context(), "chosen")), token.ErrUnavailable)
	})
	t.Run("of the record that the index leads to, and not of one that lost the key", func(t *testing.T) {
		d := stocked(t)
		s := with(t, d, day)
		wantErr(t, second(s.FindToken(t.Context(), tok("R4"))), nil)
		wantErr(t, open(t, d.Under("")).SaveToken(t.Context(), tok("U4", "R8")), nil)
		access(t, s)
		fails(d, driver.ErrUnavailable)
		wantErr(t, second(s.FindToken(t.Context(), tok("R4"))), token.ErrUnavailable)
	})
}

func TestAnIndexThatLeadsBackToItselfAnswersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := grown(t, 100)
		s := with(t, d, day)
		wantErr(t, second(s.FindToken(t.Context(), tok("U1"))), nil)
		for name, x := range indexSecrets(t, d) {
			if name == codec.RootName {
				continue
			}
			x.Frame = x.Next(codec.KindSealed, "given up")
			x.Leaves = map[string]string{x.Prefix: codec.RootName}
			value, err := codec.EncodeIndex(x)
			if err != nil {
				t.Fatal(err)
			}
			d.Set(name, value)
		}
		advance(2 * time.Hour)
		wantErr(t, second(s.FindToken(t.Context(), tok("U1"))), token.ErrCorrupt)
		fails(d, driver.ErrUnavailable)
		wantErr(t, second(s.FindToken(t.Context(), tok("U1"))), token.ErrUnavailable)
	})
}

func TestAStaleAnswerIsGivenAtWhicheverCallTheServiceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		s := with(t, d, day)
		wantErr(t, second(s.FindToken(t.Context(), tok("U1"))), nil)
		advance(2 * time.Hour) // the index is read again, and the record
		for k := 1; k <= 2; k++ {
			n := 0
			d.OnCall(func(context.Context, memstore.Call) memstore.Fault {
				if n++; n == k {
					return memstore.Fault{Before: driver.ErrUnavailable}
				}
				return memstore.Fault{}
			})
			wantErr(t, second(s.FindToken(t.Context(), tok("U1"))), nil)
			if n != k {
				t.Errorf("%d calls, and call %d was to fail", n, k)
			}
		}
	})
}

func TestAStaleAnswerIsGivenWhileReadsStayBehindWhatTheStoreWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		s := with(t, d, day)
		update(t, s, "A8")
		d.Stale(func(context.Context, memstore.Read) int { return 1 })
		if got := access(t, s); got != "A8" {
			t.Errorf("%q", got)
		}
	})
}

func TestWhatIsCachedPrintsNowhere(t *testing.T) {
	d, id := canaryService(t)
	s := with(t, d, token.Options{MaxAge: time.Hour, MaxStale: time.Hour})
	for name, do := range canaryOperations(id) {
		silent(t, name, do(t.Context(), s))
		if text := fmt.Sprintf("%v %+v %#v", s, s, *s); len(text) == 0 || strings.Contains(text, bird) {
			t.Errorf("a canary came out of the store after %s", name)
		}
		fails(d, &driver.Error{Op: "Get", Kind: driver.ErrUnavailable, Cause: errors.New("you sent " + bird)})
		silent(t, name+" while the service cannot be reached", do(t.Context(), s))
		d.OnCall(nil)
	}
}

func TestAnIndexIsAsOldAsMaxStaleAllowsAndALeafThatIsNotKnownAnswersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := grown(t, 100)
		s := with(t, d, day)
		wantErr(t, second(s.FindToken(t.Context(), tok("U1"))), nil)
		fails(d, driver.ErrUnavailable)
		advance(23 * time.Hour)
		wantErr(t, second(s.FindToken(t.Context(), tok("U1"))), nil)
		unknown := 0
		for i := range 100 {
			if err := second(s.FindToken(t.Context(), tok(fmt.Sprint("U", i)))); err != nil {
				wantErr(t, err, token.ErrUnavailable)
				unknown++
			}
		}
		if unknown != 99 {
			t.Errorf("%d users are not known, want 99", unknown)
		}
	})
}
