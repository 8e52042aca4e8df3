package drivertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

var promisesOfOutcome = []promise{
	{"A creation whose answers are lost has won, and happens once", lostCreation},
	{"A replacement whose answers are lost has won, and happens once", lostReplacement},
	{"A conflict whose answers are lost is a conflict", lostConflict},
	{"A Put that is applied and never answered is settled, or unknown when its context ends", neverAnswered},
	{"A Put whose first requests fail is written, or says that it was not", failsAtFirst},
	{"A Put that fails until its context ends says so", failsForEver},
	{"A Put that was given up and comes late replaces what it should", lateInPlace},
	{"A Put that was given up and comes too late replaces nothing", lateAfterOthers},
	{"A creation that was given up and comes too late creates nothing", lateCreation},
	{"A deletion whose answers are lost has happened", lostDeletion},
}

// forever is more requests than any test makes.
const forever = 1 << 30

// briefly is for calls that have no chance: their context ends soon.
func briefly(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 300*time.Millisecond)
}

func lostCreation(t *testing.T, b *bench) {
	for n := 1; n <= 3; n++ {
		name, value := fmt.Sprintf("a%d", n), first(t)
		b.suite.LoseAnswers(t, b.bare, n)
		rev := b.put(name, value, driver.Absent)
		b.suite.LoseAnswers(t, b.bare, 0)
		b.stands(name, value, rev)
	}
}

func lostReplacement(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	for n := 1; n <= 3; n++ {
		value = after(t, value)
		b.suite.LoseAnswers(t, b.bare, n)
		rev = b.put("a", value, rev)
		b.suite.LoseAnswers(t, b.bare, 0)
	}
	b.stands("a", value, rev)
}

func lostConflict(t *testing.T, b *bench) {
	older := first(t)
	old := b.put("a", older, driver.Absent)
	value := after(t, older)
	rev := b.put("a", value, old)
	for n := 1; n <= 2; n++ {
		b.suite.LoseAnswers(t, b.bare, n)
		b.refused("a", after(t, older), old, driver.ErrConflict)
		b.refused("a", first(t), driver.Absent, driver.ErrConflict)
		b.suite.LoseAnswers(t, b.bare, 0)
	}
	b.stands("a", value, rev)
}

func neverAnswered(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	b.suite.LoseAnswers(t, b.bare, forever)
	defer b.suite.LoseAnswers(t, b.bare, 0)
	ctx, cancel := briefly(t)
	defer cancel()
	next := after(t, value)
	got, err := b.d.Put(ctx, "a", next, rev)
	b.suite.LoseAnswers(t, b.bare, 0)
	if err != nil && (!errors.Is(err, driver.ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded)) {
		t.Fatalf("Put: error %v, want %v and %v", err, driver.ErrOutcomeUnknown, context.DeadlineExceeded)
	}
	// Once the service answers again, the repeat finds out.
	again := b.put("a", next, rev)
	if err == nil && again != got {
		t.Errorf("the revision of the repeated write is %q, want %q", again, got)
	}
	b.stands("a", next, again)
}

func failsAtFirst(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	for n := 1; n <= 2; n++ {
		next := after(t, value)
		b.suite.FailRequests(t, b.bare, n)
		got, err := b.d.Put(t.Context(), "a", next, rev)
		b.suite.FailRequests(t, b.bare, 0)
		switch {
		case err == nil:
			value, rev = next, got
		case errors.Is(err, driver.ErrUnavailable):
			// Not written: another write may take its place.
		default:
			t.Fatalf("Put: error %v, want %v or none", err, driver.ErrUnavailable)
		}
		last := rev
		rev = b.stands("a", value, last)
		value = b.settled("a", rev).Value
	}
}

func failsForEver(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	b.suite.FailRequests(t, b.bare, forever)
	defer b.suite.FailRequests(t, b.bare, 0)
	ctx, cancel := briefly(t)
	defer cancel()
	_, err := b.d.Put(ctx, "a", after(t, value), rev)
	if !errors.Is(err, driver.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Put: error %v, want %v or %v", err, driver.ErrUnavailable, context.DeadlineExceeded)
	}
	if err := b.d.Delete(ctx, "a"); err == nil {
		t.Error("Delete at a service that answers nothing: no error")
	}
	b.suite.FailRequests(t, b.bare, 0)
	b.stands("a", value, rev)
}

// giveUp puts a value, ends its context when the write is on its way, and returns
// what lets it arrive.
func (b *bench) giveUp(name string, value []byte, prev driver.Revision) (release func()) {
	b.t.Helper()
	held, release := b.suite.HoldWrite(b.t, b.bare)
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, err := b.d.Put(ctx, name, value, prev)
		result <- err
	}()
	var err error
	select {
	case <-held:
		cancel()
		err = <-result
	case err = <-result: // a driver on memory need not wait for its context
		select {
		case <-held:
		default:
			b.t.Fatalf("Put was not held: error %v", err)
		}
	}
	if !errors.Is(err, driver.ErrOutcomeUnknown) {
		release()
		b.t.Fatalf("a Put that is given up on its way: error %v, want %v", err, driver.ErrOutcomeUnknown)
	}
	return release
}

func lateInPlace(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	next := after(t, value)
	b.giveUp("a", next, rev)()
	// It was applied or refused. If it is repeated it is applied, once.
	b.stands("a", next, b.put("a", next, rev))
}

func lateAfterOthers(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	release := b.giveUp("a", after(t, value), rev)
	next := after(t, value)
	rev = b.other("").put("a", next, rev)
	release()
	b.stands("a", next, rev)
}

func lateCreation(t *testing.T, b *bench) {
	release := b.giveUp("a", first(t), driver.Absent)
	value := first(t)
	rev := b.other("").put("a", value, driver.Absent)
	release()
	b.stands("a", value, rev)
}

func lostDeletion(t *testing.T, b *bench) {
	for n := 1; n <= 2; n++ {
		name := fmt.Sprintf("a%d", n)
		b.settled(name, b.put(name, first(t), driver.Absent))
		b.suite.LoseAnswers(t, b.bare, n)
		b.delete(name)
		b.suite.LoseAnswers(t, b.bare, 0)
		b.gone(name)
	}
}
