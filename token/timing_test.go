package token_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

func TestTimeoutBoundsEachCallOfAServiceThatHangs(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Second, token.MaxTimeout} {
		want := timeout
		if want == 0 {
			want = time.Minute
		}
		for _, o := range operations {
			synctest.Test(t, func(t *testing.T) {
				d := stocked(t)
				s, err := token.NewStore(d, &token.Options{Timeout: timeout})
				if err != nil {
					t.Fatal(err)
				}
				d.OnCall(func(ctx context.Context, _ memstore.Call) memstore.Fault {
					<-ctx.Done()
					return memstore.Fault{}
				})
				began := time.Now()
				wantErr(t, o.do(t.Context(), s), context.DeadlineExceeded)
				if took := time.Since(began); took != want {
					t.Errorf("%s took %v, want %v", o.name, took, want)
				}
			})
		}
	}
}

func TestTheCallersDeadlineCountsIfItIsEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		d.OnCall(func(ctx context.Context, _ memstore.Call) memstore.Fault {
			<-ctx.Done()
			return memstore.Fault{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		wantErr(t, open(t, d).SaveToken(ctx, tok("U1", "A9")), context.DeadlineExceeded)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestASaveThatAlwaysLosesGivesUpInTimeAndWaitsLongerEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		var tries []time.Time
		d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
			if call.Op == memstore.OpPut {
				tries = append(tries, time.Now())
				touch(t, d, call.Names[0])
			}
			return memstore.Fault{}
		})
		began := time.Now()
		err := open(t, d).SaveToken(t.Context(), tok("#chosen", "A9"))
		wantErr(t, err, token.ErrUnavailable)
		wantErr(t, err, context.DeadlineExceeded)
		if errors.Is(err, token.ErrConflict) || errors.Is(err, token.ErrOutcomeUnknown) {
			t.Errorf("the error says more than is known: %v", err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("it took %v", took)
		}
		early, late := tries[5].Sub(tries[0]), tries[len(tries)-1].Sub(tries[len(tries)-6])
		if early > 500*time.Millisecond || late < time.Second || late > 6*time.Second {
			t.Errorf("five waits take %v at first and %v in the end", early, late)
		}
		if len(tries) < 60 || len(tries) > 250 {
			t.Errorf("%d tries in a minute", len(tries))
		}
	})
}

func TestABaseThatWasReadMoreThanAnHourAgoIsReadAgain(t *testing.T) {
	for _, c := range []struct {
		name          string
		words         []string
		early, anHour string
	}{
		{"an update by id", []string{"#chosen", "A9"}, "put token", "get token, put token"},
		{"an update by user", []string{"U4", "A9"}, "put token", "get index, get token, put token"},
		{"an insert", []string{"U9", "R9"}, "put index, put token", "get index, put index, put token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for age, want := range map[time.Duration]string{59 * time.Minute: c.early, 61 * time.Minute: c.anHour} {
				synctest.Test(t, func(t *testing.T) {
					d := stocked(t)
					s := open(t, d)
					if _, err := s.FindToken(t.Context(), tok("U4")); err != nil {
						t.Fatal(err)
					}
					advance(age)
					calls := count(d)
					if err := s.SaveToken(t.Context(), tok(c.words...)); err != nil {
						t.Fatal(err)
					}
					calls.want(t, "after "+age.String(), want)
				})
			}
		})
	}
}

func TestAStoreNeverGoesBackBehindWhatItSawForFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		view := d.Under("")
		s := open(t, view)
		view.Stale(nil)
		for _, access := range []string{"A6", "A7"} {
			if err := s.SaveToken(t.Context(), tok("#chosen", access)); err != nil {
				t.Fatal(err)
			}
		}
		reads, behind := 0, 3
		view.Stale(func(context.Context, memstore.Read) int {
			if reads++; reads > behind {
				return 0
			}
			return 1
		})
		found, err := s.FindTokenByID(t.Context(), "chosen")
		if err != nil || !found.AccessToken.Equal(token.NewSecret("A7")) {
			t.Errorf("the newest state: %v", err)
		}
		if reads != behind+1 {
			t.Errorf("%d reads, want %d", reads, behind+1)
		}
		view.Stale(func(context.Context, memstore.Read) int { return 1 })
		wantErr(t, second(s.FindTokenByID(t.Context(), "chosen")), context.DeadlineExceeded)
		advance(5*time.Minute + time.Second)
		found, err = s.FindTokenByID(t.Context(), "chosen") // the service is believed: somebody has put it back
		if err != nil || !found.AccessToken.Equal(token.NewSecret("A6")) {
			t.Errorf("after five minutes: %v", err)
		}
	})
}

func TestAnIndexThatIsReadTooEarlyIsNotTakenForALostOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		view := d.Under("")
		misses := 4
		view.Stale(func(_ context.Context, r memstore.Read) int {
			if r.Name == codec.RootName && misses > 0 {
				misses--
				return r.Writes
			}
			return 0
		})
		if _, err := open(t, view).FindToken(t.Context(), tok("U1")); err != nil {
			t.Error(err)
		}
	})
}

func TestWaitingForATurnEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		s := open(t, d)
		free := make(chan struct{})
		d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
			if call.Op == memstore.OpPut {
				<-free
			}
			return memstore.Fault{}
		})
		done := make(chan error)
		go func() { done <- s.SaveToken(context.WithoutCancel(t.Context()), tok("U1", "A8")) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- s.SaveToken(ctx, tok("U1", "A9")) }()
		synctest.Wait()
		cancel()
		wantErr(t, <-done, context.Canceled)
		close(free)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestErrorsOfTheServiceStayReachable(t *testing.T) {
	d := stocked(t)
	cause := &causeError{}
	d.OnCall(func(context.Context, memstore.Call) memstore.Fault {
		return memstore.Fault{Before: &driver.Error{Op: "Get", Kind: driver.ErrPermission, Cause: cause, Code: "Denied"}}
	})
	for _, o := range operations {
		err := o.do(t.Context(), open(t, d))
		got, e := (*causeError)(nil), (*driver.Error)(nil)
		if !errors.As(err, &got) || !errors.As(err, &e) || e.Code != "Denied" {
			t.Errorf("%s: %v", o.name, err)
		}
	}
}

type causeError struct{}

func (*causeError) Error() string { return "the cause" }
