package awssm_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
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

func TestAContextThatHasEndedSendsNothing(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	s.ResetCalls()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	expired := deadline{t.Context(), make(chan struct{})}
	close(expired.done)
	for operation, call := range calls(t, d, value, rev) {
		for ctx, want := range map[context.Context]error{cancelled: context.Canceled, expired: context.DeadlineExceeded} {
			err := call(ctx)
			if !errors.Is(err, want) || errors.Is(err, driver.ErrOutcomeUnknown) {
				t.Errorf("%s: error %v, want %v", operation, err, want)
			}
		}
	}
	if _, err := d.Get(cancelled, driver.Any); !errors.Is(err, context.Canceled) {
		t.Errorf("Get of nothing: error %v, want %v", err, context.Canceled)
	}
	if got := s.called(); len(got) != 0 {
		t.Errorf("requests %v, want none", got)
	}
}

// A request that hangs ends with its context: a write then may be applied yet.
func TestAContextThatEndsWhileTheServiceHangs(t *testing.T) {
	for what, do := range map[string]awssmtest.Action{"before": awssmtest.Hang(), "after": awssmtest.HangAfter()} {
		for _, want := range []error{context.Canceled, context.DeadlineExceeded} {
			t.Run(what+" it applied, "+want.Error(), func(t *testing.T) {
				s := start(t)
				d := s.driver(t, nil)
				value := first(t)
				rev := put(t, d, "a", value, driver.Absent)
				for operation, call := range calls(t, d, value, rev) {
					hang := s.fault(1, do, operation)
					ctx, end := ending(t, want)
					done := make(chan error, 1)
					go func() { done <- call(ctx) }()
					if err := hang.Await(t.Context(), 1); err != nil {
						t.Fatal(err)
					}
					end()
					err := <-done
					if !errors.Is(err, want) {
						t.Errorf("%s: error %v, want %v", operation, err, want)
					}
					writes := []string{"CreateSecret", "PutSecretValue", "DeleteSecret"}
					if got := errors.Is(err, driver.ErrOutcomeUnknown); got != slices.Contains(writes, operation) {
						t.Errorf("%s: the outcome is unknown: %v (error %v)", operation, got, err)
					}
					if errors.Is(err, driver.ErrUnavailable) && errors.Is(err, driver.ErrOutcomeUnknown) {
						t.Errorf("%s: an unknown outcome that claims that nothing was written: %v", operation, err)
					}
					silent(t, err)
				}
			})
		}
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

// A context that ends while the SDK waits to send again: what was sent before
// decides whether the outcome is known.
func TestAContextThatEndsBetweenRequests(t *testing.T) {
	for _, c := range []struct {
		what    string
		do      []awssmtest.Action
		unknown bool
	}{
		{"throttled", []awssmtest.Action{awssmtest.Throttle()}, false},
		{"lost", []awssmtest.Action{awssmtest.LoseRequest()}, true},
		{"lost and throttled", []awssmtest.Action{awssmtest.LoseAnswer(), awssmtest.Throttle()}, true},
	} {
		for _, operation := range []string{"CreateSecret", "PutSecretValue", "DeleteSecret"} {
			t.Run(operation+" "+c.what, func(t *testing.T) {
				s := start(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				waits := 0
				d := s.driver(t, nil, func(o *secretsmanager.Options) {
					o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
						o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) {
							if waits++; waits < len(c.do) {
								return 0, nil
							}
							cancel()
							return time.Hour, nil
						})
					})
				})
				value := first(t)
				rev := put(t, d, "a", value, driver.Absent)
				for _, do := range c.do {
					s.fault(1, do, operation)
				}
				err := calls(t, d, value, rev)[operation](ctx)
				if !errors.Is(err, context.Canceled) || errors.Is(err, driver.ErrOutcomeUnknown) != c.unknown {
					t.Errorf("error %v, want %v, outcome unknown: %v", err, context.Canceled, c.unknown)
				}
			})
		}
	}
}

// A write that is refused after it may have been applied, and whose version cannot
// be read, stays unknown, with the context's error and the service's code.
func TestAnOutcomeThatCannotBeFoundOutIsUnknown(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	s.fault(1, awssmtest.LoseRequest(), "PutSecretValue")
	s.fault(0, awssmtest.FailBefore(denied), "PutSecretValue")
	reads := s.fault(0, awssmtest.FailBefore(denied), "GetSecretValue")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- calls(t, d, value, rev)["PutSecretValue"](ctx) }()
	if err := reads.Await(t.Context(), 3); err != nil { // it does not give up by itself
		t.Fatal(err)
	}
	cancel()
	err := <-done
	if !errors.Is(err, driver.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) || errors.Is(err, driver.ErrPermission) {
		t.Errorf("error %v, want %v and %v", err, driver.ErrOutcomeUnknown, context.Canceled)
	}
}
