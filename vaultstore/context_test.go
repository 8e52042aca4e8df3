package vaultstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
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
	d := s.warm(t)
	s.ResetCalls()
	for _, want := range []error{context.Canceled, context.DeadlineExceeded} {
		ctx, end := ending(t, want)
		end()
		for method, call := range calls(t, d) {
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

// A request that hangs ends with its context: a write then may be applied yet.
func TestAContextThatEndsWhileVaultHangs(t *testing.T) {
	for what, do := range map[string]vaultstoretest.Action{"before": vaultstoretest.Hang(), "after": vaultstoretest.HangAfter()} {
		for _, want := range []error{context.Canceled, context.DeadlineExceeded} {
			t.Run(what+" it applied, "+want.Error(), func(t *testing.T) {
				t.Parallel()
				s := start(t)
				d := s.warm(t)
				for method, call := range calls(t, d) {
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
					open := method == "PUT data" || method == "DELETE metadata"
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
		do   vaultstoretest.Action
		open bool // what was sent may have been applied
	}{
		{"throttled", vaultstoretest.Throttle(), false},
		{"sealed", vaultstoretest.FailBefore(503, saysSealed), false},
		{"behind", vaultstoretest.FailBefore(412, saysState), false},
		{"lost", vaultstoretest.LoseRequest(), true},
		{"unavailable", vaultstoretest.FailBefore(502, canary), true},
	} {
		for _, method := range []string{"PUT data", "DELETE metadata"} {
			t.Run(method+" "+c.what, func(t *testing.T) {
				t.Parallel()
				s := start(t)
				d := s.warm(t)
				fault := s.fault(0, c.do, method)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- calls(t, d)[method](ctx) }()
				if err := fault.Await(t.Context(), 3); err != nil { // it does not give up by itself
					t.Fatal(err)
				}
				cancel()
				err := <-done
				if !errors.Is(err, context.Canceled) {
					t.Errorf("error %v, want %v", err, context.Canceled)
				}
				// The last request may have been cut off.
				if got := errors.Is(err, driver.ErrOutcomeUnknown); c.open && !got {
					t.Errorf("error %v, want %v", err, driver.ErrOutcomeUnknown)
				}
				silent(t, err)
			})
		}
	}
}

// The write stands whatever becomes of what it replaced.
func TestAContextThatEndsWhileTheLastVersionIsDestroyed(t *testing.T) {
	for what, do := range map[string]vaultstoretest.Action{
		"hangs": vaultstoretest.Hang(), "is lost": vaultstoretest.LoseRequest(), "is throttled": vaultstoretest.Throttle(),
	} {
		t.Run("a destruction that "+what, func(t *testing.T) {
			s := start(t)
			d := s.warm(t)
			value := first(t)
			rev := put(t, d, "a", value, driver.Absent)
			hang := s.fault(0, do, "PUT destroy")
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
			s.stands(t, "a", next, last)
		})
	}
}
