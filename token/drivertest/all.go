package drivertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

var promisesOfAll = []promise{
	{"A call whose context was cancelled says so and does nothing", contextCancelled},
	{"A call whose context has expired says so and does nothing", contextExpired},
	{"Errors carry no value and no part of one", errorsCarryNothing},
	{"Limits always returns the same, and asks nobody", limitsConstant},
}

func contextCancelled(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.ended(ctx, context.Canceled)
}

func contextExpired(t *testing.T, b *bench) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	b.ended(ctx, context.DeadlineExceeded)
}

func (b *bench) ended(ctx context.Context, want error) {
	value := first(b.t)
	rev := b.put("a", value, driver.Absent)
	b.lists("a")

	_, getting := b.d.Get(ctx, driver.Any, named("a", "none")...)
	_, gettingFresh := b.d.Get(ctx, driver.Fresh, named("a")...)
	_, putting := b.d.Put(ctx, "a", after(b.t, value), rev)
	_, creating := b.d.Put(ctx, "b", first(b.t), driver.Absent)
	deleting := b.d.Delete(ctx, "a")
	var listing error
	for _, err := range b.d.Names(ctx) {
		listing = errors.Join(listing, err)
	}
	for call, err := range map[string]error{
		"Get": getting, "Get fresh": gettingFresh, "Put": putting, "Put of a new secret": creating,
		"Delete": deleting, "Names": listing,
	} {
		if !errors.Is(err, want) {
			b.t.Errorf("%s: error %v, want %v", call, err, want)
		}
		if errors.Is(err, driver.ErrOutcomeUnknown) {
			b.t.Errorf("%s: nothing was sent, so its outcome is known: %v", call, err)
		}
	}
	b.stands("a", value, rev)
	b.missing("b")
}

// Each answer that the suite sees is checked for values; here is a service that
// repeats every request in its errors.
func errorsCarryNothing(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	b.suite.FailRequests(t, b.bare, forever)
	defer b.suite.FailRequests(t, b.bare, 0)
	calls := map[string]func(context.Context) error{
		"a replacement": func(ctx context.Context) error { _, err := b.d.Put(ctx, "a", after(t, value), rev); return err },
		"a creation":    func(ctx context.Context) error { _, err := b.d.Put(ctx, "b", first(t), driver.Absent); return err },
		"a Get":         func(ctx context.Context) error { _, err := b.d.Get(ctx, driver.Any, named("a")...); return err },
		"a Delete":      func(ctx context.Context) error { return b.d.Delete(ctx, "a") },
	}
	for call, run := range calls {
		ctx, cancel := briefly(t)
		if run(ctx) == nil {
			t.Errorf("%s at a service that fails: no error", call)
		}
		cancel()
	}
}

func limitsConstant(t *testing.T, b *bench) {
	limits := b.d.Limits()
	if limits.Value <= 0 || limits.DeletedNameRests < 0 || limits.WritesPerDay < 0 || limits.WritesPerSecond < 0 {
		t.Errorf("no service has these limits: %+v", limits)
	}
	b.put("a", first(t), driver.Absent)
	b.suite.Deny(t, b.bare, true)
	denied := b.d.Limits()
	b.suite.Deny(t, b.bare, false)
	for who, again := range map[string]driver.Limits{
		"later": b.d.Limits(), "without rights": denied, "of another driver": b.other("").d.Limits(),
	} {
		if diff := cmp.Diff(limits, again); diff != "" {
			t.Errorf("the limits %s (-first +now):\n%s", who, diff)
		}
	}
}
