// Package judge says whether what workers wrote down (package oplog) can be explained by a
// store that keeps its promises: no acknowledged save is lost, none is applied twice, no user has
// two live records, each record is found by each of its keys, the operations on each record come
// in some order that explains what everybody was told, and the repair finds no more than a worker
// may leave that was killed.
package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

// A Run is what all workers of one store wrote.
type Run struct {
	Logs []*Log
	// Final is of the worker that looked at the store when the others had ended.
	Final *Log
	// AtOnce is how many operations there were at a time, of all workers.
	AtOnce int
	// Faults are what was done meanwhile, where something is known of what it must prevent.
	Faults []Fault
	// Patience is for how long an order of one user's operations is looked for; zero: as
	// package history has it.
	Patience time.Duration
}

// The kinds of violations.
const (
	BadLog      = "the log is broken"
	Unexplained = "an error that nothing explains"
	Leak        = "the log holds a name or a token"
	Lost        = "an acknowledged save is lost"
	Twice       = "a write was applied twice"
	Refused     = "a write was applied that was said not to be"
	Invented    = "a record holds what nobody wrote"
	TwoRecords  = "two live records of one user"
	Unfound     = "a key does not find its record"
	Unlisted    = "a record is found that is not in the list"
	NoOrder     = "no order explains the operations"
	Undecided   = "undecided: the search for an order took too long"
	Backwards   = "a worker saw less than before"
	Repairs     = "the repair finds what it must not"
	TooMuch     = "the repair finds more than was left behind"
	NoFault     = "a fault did nothing"
)

// A Violation is a promise that was not kept.
type Violation struct {
	Kind, Text string
	// Operations are those on the record, in the order in which they began, where it takes all
	// of them to see it.
	Operations []string
}

func (v Violation) String() string { return v.Kind + ": " + v.Text }

// A Verdict is what came out.
type Verdict struct {
	// Workers and Users are how many there were.
	Workers, Users int
	// Operations are those that began, and Outcomes how they ended: "done", "not found",
	// "refused", "outcome unknown", or "cut off" by a kill.
	Operations int
	Outcomes   map[string]int
	// Done is how many of each kind are done: "save access", "delete".
	Done map[string]int
	// Worked is from the beginning of the first operation to that of the last one.
	Worked time.Duration
	// Unavailable is the longest time in which no operation of any worker succeeded, from the
	// beginning of the first operation to that of the last one.
	Unavailable time.Duration
	// Records are those in the end.
	Records int
	// Repaired is what the repair found before it mended anything, by problem.
	Repaired   map[string]oplog.Count
	Violations []Violation
}

// An op is an operation as it is in the logs.
type op struct {
	worker  int
	begin   oplog.Begin
	end     *oplog.End // nil: cut off
	call    int64
	returns int64
}

// judging is a verdict in the making.
type judging struct {
	Verdict
	run   Run
	ops   []op
	looks []oplog.Look
}

// Judge reads the logs and decides.
func Judge(r Run) Verdict {
	j := &judging{run: r, Verdict: Verdict{Outcomes: map[string]int{}, Done: map[string]int{}, Repaired: map[string]oplog.Count{}}}
	for _, l := range r.Logs {
		j.read(l, false)
	}
	j.Workers = len(r.Logs)
	if r.Final == nil {
		j.violation(BadLog, "nobody looked at the store in the end")
	} else {
		j.read(r.Final, true)
	}
	if r.AtOnce <= 0 {
		j.violation(BadLog, "how many operations there were at a time is not told")
	}
	j.count()
	j.faults()
	j.errors()
	j.seen()
	j.records()
	j.lost()
	j.repair()
	j.histories()
	return j.Verdict
}

func (j *judging) violation(kind, format string, args ...any) {
	j.Violations = append(j.Violations, Violation{Kind: kind, Text: fmt.Sprintf(format, args...)})
}

// count counts, and finds the longest time without a success.
func (j *judging) count() {
	users := map[int]bool{}
	var calls, successes []int64
	for _, o := range j.ops {
		users[o.begin.User] = true
		if o.begin.Final {
			continue
		}
		j.Operations++
		outcome := "cut off"
		if o.end != nil {
			outcome = o.end.Outcome
		}
		j.Outcomes[outcome]++
		calls = append(calls, o.call)
		if outcome == "done" {
			j.Done[o.begin.Do]++
		}
		if o.wentWell() {
			successes = append(successes, o.returns)
		}
	}
	j.Users = len(users)
	if len(calls) == 0 {
		return
	}
	since, last := slices.Min(calls), slices.Max(calls)
	j.Worked = time.Duration(last - since)
	slices.Sort(successes)
	for _, at := range append(successes, last) {
		at = min(at, last) // what succeeds later is of operations that nobody waited for
		j.Unavailable = max(j.Unavailable, time.Duration(at-since))
		since = at
	}
}

// errors looks at what operations failed with.
func (j *judging) errors() {
	for _, o := range j.ops {
		switch {
		case o.end == nil:
		case o.end.Outcome == "unexplained":
			j.violation(Unexplained, "%v: %s", o, o.end.Err)
		case o.begin.Final && !o.wentWell():
			j.violation(Unexplained, "%v, when all was over: %s", o, o.end.Err)
		}
	}
}

func (o op) String() string {
	outcome := "cut off"
	if o.end != nil {
		outcome = o.end.Outcome
	}
	return fmt.Sprintf("%s by worker %d (operation %d of client %d, user %d): %s",
		o.begin.Do, o.worker, o.begin.Op, o.begin.Client, o.begin.User, outcome)
}

// outcome is how an operation ended as far as is known.
func (o op) outcome() string {
	if o.end == nil {
		return "outcome unknown"
	}
	return o.end.Outcome
}
