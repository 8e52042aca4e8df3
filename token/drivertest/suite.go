// Package drivertest is the conformance suite of drivers: it tests each promise
// of package driver. A driver that passes can be used by token.NewStore.
//
// A driver's test makes a [Suite] and runs it:
//
//	func TestDriver(t *testing.T) {
//		drivertest.Suite{New: ..., Other: ...}.Run(t)
//	}
//
// Nothing in it can be left out: a promise that cannot be tested is none. The
// hooks that make a service misbehave are all required, which is why a suite as
// a rule runs on a double of the service that is on the wire, not on the service.
package drivertest

import (
	"testing"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// A Suite says how the suite gets drivers and makes their service misbehave. All
// hooks get the driver that New or Other returned, and may call t.Fatal.
//
// The suite runs its tests one after the other, so New may return drivers on one
// service, and a hook that says "the next requests" may mean those of the whole
// service. What a test ordered and did not use up is cancelled by the same hook
// with 0, nil or false.
type Suite struct {
	// New returns a driver under a prefix that nothing else uses and under which
	// there is nothing.
	New func(t *testing.T) driver.Driver

	// Other returns another driver on the service of d, made as another process
	// would make it, under the prefix of d followed by suffix. The suffix is
	// empty, or begins with a letter, with '-', or with '/' (for a service
	// that knows no '/' in names, take the separator that it has instead).
	// It is needed since drivers may share nothing but the service, and since
	// "p", "p2", "p-2" and "p/2" are neighbours that must not meet.
	Other func(t *testing.T, d driver.Driver, suffix string) driver.Driver

	// Settle lets a little time pass: the suite calls it between two reads of a
	// loop that waits until an answer is current, for ten seconds at most. A double
	// moves its clock, a real service needs a moment; where reads and listings
	// are current at once, the hook does nothing. Of all hooks it alone is called
	// by many goroutines, and so must not call t.Fatal.
	Settle func(t *testing.T, d driver.Driver)

	// LoseAnswers makes the service apply the next n writes and deletions and
	// lose their answers: it closes the connection, or a proxy says 502. It is
	// needed since that is what Put has to settle.
	LoseAnswers func(t *testing.T, d driver.Driver, n int)

	// FailRequests makes the service fail the next n requests, reads too, before
	// it applies anything: with 503, Unavailable, or what it says when it is in
	// trouble. The answer repeats the whole request if the service's answers have
	// a text at all: it is needed since services and proxies do that, and errors
	// must not carry a value.
	FailRequests func(t *testing.T, d driver.Driver, n int)

	// Deny makes the service refuse the caller's rights for everything, or, with
	// false, no more. It is needed since a refusal must not look like absence.
	Deny func(t *testing.T, d driver.Driver, denied bool)

	// Damage does what an operator can do by hand: it makes a secret under d's
	// prefix hold what no Put can have written, such as bytes that are no text. The
	// secret may not exist yet; its name need not be one that d can have, but
	// consists of letters of both cases and '_'.
	Damage func(t *testing.T, d driver.Driver, name string)

	// HoldWrite keeps the next write on its way. It closes held when the write
	// has come that far that its client can no longer take it back. Release lets
	// the service apply or refuse it, though nobody may be waiting any more, and
	// returns when that is done. It is needed since a write that was given up may
	// come late.
	HoldWrite func(t *testing.T, d driver.Driver) (held <-chan struct{}, release func())
}

// Run tests the driver.
func (s Suite) Run(t *testing.T) {
	for _, hook := range s.hooks() {
		if !hook.set {
			t.Errorf("Suite.%s is not set: it has to %s", hook.name, hook.does)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	for _, group := range [][]promise{
		promisesOfGet, promisesOfPut, promisesOfOutcome, promisesOfRaces,
		promisesOfDelete, promisesOfNames, promisesOfAll, promisesOfCleaner,
	} {
		for _, p := range group {
			t.Run(p.sentence, func(t *testing.T) { p.test(t, newBench(t, s)) })
		}
	}
}

// A promise is a sentence of package driver and its test.
type promise struct {
	sentence string
	test     func(t *testing.T, b *bench)
}

type hook struct {
	name string
	set  bool
	does string
}

func (s Suite) hooks() []hook {
	return []hook{
		{"New", s.New != nil, "return a driver under an unused prefix"},
		{"Other", s.Other != nil, "return another driver on the same service, under the prefix of the first and a suffix"},
		{"Settle", s.Settle != nil, "let time pass until reads are current, if they are not at once"},
		{"LoseAnswers", s.LoseAnswers != nil, "apply the next n writes and lose their answers"},
		{"FailRequests", s.FailRequests != nil, "fail the next n requests before anything is applied"},
		{"Deny", s.Deny != nil, "refuse the caller's rights until it is told otherwise"},
		{"Damage", s.Damage != nil, "make a secret hold what no Put can have written"},
		{"HoldWrite", s.HoldWrite != nil, "keep the next write on its way until it is released"},
	}
}
