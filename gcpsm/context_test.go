package gcpsm_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// A deadline is a context whose deadline passes when the test says so.
type deadline struct {
	context.Context //nolint:containedctx // it is a context
	done            chan struct{}
}

func (d deadline) Done() <-chan struct{} { return d.done }

func (d deadline) Err() error {
	select {
	case <-d.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// ending returns a context and what ends it with an error.
func ending(t *testing.T, want error) (context.Context, func()) {
	if errors.Is(want, context.Canceled) {
		return context.WithCancel(t.Context())
	}
	d := deadline{t.Context(), make(chan struct{})}
	return d, func() { close(d.done) }
}

func TestAContextThatHasEndedSendsNothing(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	s.ResetCalls()
	for _, want := range []error{context.Canceled, context.DeadlineExceeded} {
		ctx, end := ending(t, want)
		end()
		for method, call := range calls(t, d, value, rev) {
			if err := call(ctx); !errors.Is(err, want) || errors.Is(err, driver.ErrOutcomeUnknown) {
				t.Errorf("%s: error %v, want %v", method, err, want)
			}
		}
		if _, err := d.Get(ctx, driver.Any); !errors.Is(err, want) {
			t.Errorf("Get of nothing: error %v, want %v", err, want)
		}
		if _, err := d.Get(ctx, driver.Lax, driver.Item{Name: "a"}, driver.Item{Name: "b"}); !errors.Is(err, want) {
			t.Errorf("Get of two: error %v, want %v", err, want)
		}
	}
	if got := s.called(); len(got) != 0 {
		t.Errorf("requests %v, want none", got)
	}
}

// A request that hangs ends with its context: a write then may be applied yet. A secret
// without a version is no write.
func TestAContextThatEndsWhileTheServiceHangs(t *testing.T) {
	for what, do := range map[string]gcpsmtest.Action{"before": gcpsmtest.Hang(), "after": gcpsmtest.HangAfter()} {
		for _, want := range []error{context.Canceled, context.DeadlineExceeded} {
			t.Run(what+" it applied, "+want.Error(), func(t *testing.T) {
				t.Parallel()
				s := start(t)
				d := s.driver(t, unpaced())
				value := first(t)
				rev := put(t, d, "a", value, driver.Absent)
				for method, call := range calls(t, d, value, rev) {
					hang := s.fault(1, do, method)
					ctx, end := ending(t, want)
					done := make(chan error, 1)
					go func() { done <- call(ctx) }()
					if err := hang.Await(t.Context(), 1); err != nil {
						t.Fatal(err)
					}
					end()
					err := <-done
					if !errors.Is(err, want) {
						t.Errorf("%s: error %v, want %v", method, err, want)
					}
					open := method == "AddSecretVersion" || method == "DeleteSecret"
					if got := errors.Is(err, driver.ErrOutcomeUnknown); got != open {
						t.Errorf("%s: the outcome is unknown: %v (error %v)", method, got, err)
					}
					if errors.Is(err, driver.ErrUnavailable) {
						t.Errorf("%s: a context that ended is %v", method, err)
					}
					silent(t, err)
				}
			})
		}
	}
}

// A context that ends between two requests: what was sent before decides whether the
// outcome is known.
func TestAContextThatEndsBetweenRequests(t *testing.T) {
	for _, c := range []struct {
		what string
		do   []gcpsmtest.Action
		// open: what was sent may have been applied.
		open bool
	}{
		{"throttled", []gcpsmtest.Action{gcpsmtest.Throttle()}, false},
		{"lost", []gcpsmtest.Action{gcpsmtest.LoseRequest()}, true},
		{"lost and throttled", []gcpsmtest.Action{gcpsmtest.LoseAnswer(), gcpsmtest.Throttle()}, true},
		{"unavailable", []gcpsmtest.Action{gcpsmtest.FailBefore(codes.Unavailable, canary)}, true},
	} {
		for _, method := range []string{"CreateSecret", "AddSecretVersion", "DeleteSecret"} {
			t.Run(method+" "+c.what, func(t *testing.T) {
				t.Parallel()
				s := start(t)
				value := first(t)
				rev := put(t, s.driver(t, unpaced()), "a", value, driver.Absent)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				n := len(c.do)
				if method == "AddSecretVersion" {
					// After an answer that is lost, the place is looked at: the write must not be
					// found there.
					n = 1
				}
				d := driverOn(t, s.answered(t, int32(n), method, cancel))
				get(t, d, "a")
				for _, do := range c.do {
					s.fault(1, do, method)
				}
				err := calls(t, d, value, rev)[method](ctx)
				open := c.open && method != "CreateSecret"
				if !errors.Is(err, context.Canceled) || errors.Is(err, driver.ErrOutcomeUnknown) != open {
					t.Errorf("error %v, want %v, outcome unknown: %v", err, context.Canceled, open)
				}
				silent(t, err)
			})
		}
	}
}

// A write whose place cannot be read stays unknown, with the context's error and the
// service's code.
func TestAnOutcomeThatCannotBeFoundOutIsUnknown(t *testing.T) {
	s := start(t)
	d := s.driver(t, unpaced())
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	s.fault(1, gcpsmtest.LoseRequest(), "AddSecretVersion")
	s.fault(0, gcpsmtest.FailBefore(codes.PermissionDenied, canary), "AddSecretVersion")
	reads := s.fault(0, gcpsmtest.FailBefore(codes.PermissionDenied, canary), "AccessSecretVersion")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- calls(t, d, value, rev)["AddSecretVersion"](ctx) }()
	if err := reads.Await(t.Context(), 3); err != nil { // it does not give up by itself
		t.Fatal(err)
	}
	cancel()
	err := <-done
	if !errors.Is(err, driver.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) || errors.Is(err, driver.ErrPermission) {
		t.Errorf("error %v, want %v and %v", err, driver.ErrOutcomeUnknown, context.Canceled)
	}
	silent(t, err)
}

// The write stands whatever becomes of what it replaced.
func TestAContextThatEndsWhileTheLastVersionIsDestroyed(t *testing.T) {
	for what, do := range map[string]gcpsmtest.Action{"hangs": gcpsmtest.Hang(), "is lost": gcpsmtest.LoseRequest(), "is throttled": gcpsmtest.Throttle()} {
		t.Run("a destruction that "+what, func(t *testing.T) {
			s := start(t)
			d := s.driver(t, unpaced())
			value := first(t)
			rev := put(t, d, "a", value, driver.Absent)
			hang := s.fault(0, do, "DestroySecretVersion")
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				_ = hang.Await(ctx, 1)
				cancel()
			}()
			next := after(t, value)
			last, err := d.Put(ctx, "a", next, rev)
			if err != nil {
				t.Fatal(err)
			}
			hang.Remove()
			if got := get(t, d, "a"); got.Revision != last || string(got.Value) != string(next) {
				t.Errorf("revision %q, want %q", got.Revision, last)
			}
			if got := s.Active(secretOf(prefix, "a")); got != 2 {
				t.Errorf("%d versions are charged for, want the one that could not be destroyed too", got)
			}
		})
	}
}

// A write that waits for its pace: nothing was sent.
func TestAContextThatEndsWhileAWriteWaits(t *testing.T) {
	for what, pace := range map[string]gcpsm.Pace{
		"for the project's quota": {SecretAdds: -1, ProjectWrites: 1},
		"for the secret's quota":  {SecretAdds: 1, ProjectWrites: -1},
	} {
		t.Run(what, func(t *testing.T) {
			s := start(t)
			value := first(t)
			rev := put(t, s.driver(t, unpaced()), "a", value, driver.Absent)
			d := s.driver(t, &gcpsm.Options{Pace: pace})
			last := after(t, value)
			short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			rev, err := d.Put(short, "a", last, rev) // it takes what the pace allows at once
			if err != nil {
				t.Fatal(err)
			}
			s.ResetCalls()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(0, cancel)
			_, cancelled := d.Put(ctx, "a", after(t, last), rev)
			_, expired := d.Put(short, "a", after(t, last), rev)
			for err, want := range map[error]error{cancelled: context.Canceled, expired: context.DeadlineExceeded} {
				if !errors.Is(err, want) || errors.Is(err, driver.ErrOutcomeUnknown) {
					t.Errorf("error %v, want %v", err, want)
				}
			}
			if got := s.CountCalls()["AddSecretVersion"]; got != 0 {
				t.Errorf("%d versions were added", got)
			}
		})
	}
}

// The generated REST client lists without the context.
func TestListsByHTTPEndWithTheirContext(t *testing.T) {
	s := start(t)
	d := driverOn(t, s.rest(t))
	hang := s.fault(1, gcpsmtest.Hang(), "ListSecrets")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_ = hang.Await(ctx, 1)
		cancel()
	}()
	if err := calls(t, d, nil, "")["ListSecrets"](ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// The time is up while a request hangs. What the one before it failed with tells the
// caller more, and the context's error is still there.
func TestWhatACallFailedWithBeforeTheTimeWasUpIsSaid(t *testing.T) {
	t.Parallel()
	s := start(t)
	d := s.driver(t, nil)
	s.fault(1, gcpsmtest.FailBefore(codes.Unavailable, "try later"), "ListSecrets")
	hang := s.fault(0, gcpsmtest.Hang(), "ListSecrets")
	ctx, end := ending(t, context.DeadlineExceeded)
	go func() {
		if hang.Await(t.Context(), 1) == nil {
			end()
		}
	}()
	var err error
	for _, e := range d.Names(ctx) {
		err = errors.Join(err, e)
	}
	var e *driver.Error
	if !errors.Is(err, driver.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || e.Code != "Unavailable" {
		t.Errorf("error %v", err)
	}
}
