// Package judge says whether what workers wrote down (package oplog) can be explained by a
// store that keeps its promises: no acknowledged save is lost, none is applied twice, no user has
// two live records, each record is found by each of its keys, the operations on each record come
// in some order that explains what everybody was told, and the repair finds no more than a worker
// may leave that was killed.
package judge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

// A Log is what one worker wrote.
type Log struct {
	// Worker is its number.
	Worker int
	// Killed: it did not end by itself, and what it had begun may have happened.
	Killed bool
	Lines  []oplog.Line
	// Bad are lines that are none.
	Bad []string
}

// Add reads a line.
func (l *Log) Add(text []byte) {
	var line oplog.Line
	if err := json.Unmarshal(bytes.TrimSpace(text), &line); err != nil {
		l.Bad = append(l.Bad, fmt.Sprintf("%.80q", text))
		return
	}
	l.Lines = append(l.Lines, line)
}

// A Run is what all workers of one store wrote.
type Run struct {
	Logs []*Log
	// Final is of the worker that looked at the store when the others had ended.
	Final *Log
}

// The kinds of violations.
const (
	BadLog      = "the log is broken"
	Unexplained = "an error that nothing explains"
	Leak        = "an error holds a value"
	Lost        = "an acknowledged save is lost"
	Twice       = "a write was applied twice"
	Refused     = "a write was applied that was said not to be"
	Invented    = "a record holds what nobody wrote"
	TwoRecords  = "two live records of one user"
	Unfound     = "a key does not find its record"
	NoOrder     = "no order explains the operations"
	Backwards   = "a worker saw less than before"
	Repairs     = "the repair finds what it must not"
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
	// Unavailable is the longest time in which no operation of any worker succeeded.
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
	j := &judging{run: r, Verdict: Verdict{Outcomes: map[string]int{}, Repaired: map[string]oplog.Count{}}}
	for _, l := range r.Logs {
		j.read(l, false)
	}
	j.Workers = len(r.Logs)
	if r.Final == nil {
		j.violation(BadLog, "nobody looked at the store in the end")
	} else {
		j.read(r.Final, true)
	}
	j.count()
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

// read collects the operations of a log.
func (j *judging) read(l *Log, final bool) {
	if len(l.Bad) > 0 && !(l.Killed && len(l.Bad) == 1) {
		j.violation(BadLog, "worker %d wrote %v", l.Worker, l.Bad)
	}
	open := map[int]op{}
	for _, line := range l.Lines {
		switch {
		case line.Begin != nil:
			open[line.Begin.Op] = op{worker: l.Worker, begin: *line.Begin, call: line.At}
		case line.End != nil:
			o, ok := open[line.End.Op]
			if !ok {
				j.violation(BadLog, "operation %d of worker %d ended and never began", line.End.Op, l.Worker)
				continue
			}
			delete(open, line.End.Op)
			o.end, o.returns = line.End, line.At
			j.ops = append(j.ops, o)
		case line.Look != nil && final:
			j.looks = append(j.looks, *line.Look)
		case line.Problem != "":
			j.violation(Unexplained, "worker %d: %s", l.Worker, line.Problem)
		}
	}
	for _, n := range sorted(open) {
		if !l.Killed {
			j.violation(BadLog, "operation %d of worker %d never ended, and nobody killed it", n, l.Worker)
		}
		j.ops = append(j.ops, open[n])
	}
}

// count counts, and finds the longest time without a success.
func (j *judging) count() {
	users := map[int]bool{}
	var successes []int64
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
		if outcome == "done" || outcome == "not found" {
			successes = append(successes, o.returns)
		}
	}
	j.Users = len(users)
	slices.Sort(successes)
	for i := 1; i < len(successes); i++ {
		j.Unavailable = max(j.Unavailable, time.Duration(successes[i]-successes[i-1]))
	}
}

// errors looks at what operations failed with.
func (j *judging) errors() {
	for _, o := range j.ops {
		if o.end == nil {
			continue
		}
		switch {
		case o.end.Outcome == "unexplained":
			j.violation(Unexplained, "%v: %s", o, o.end.Err)
		case o.begin.Final && o.end.Outcome != "done" && o.end.Outcome != "not found":
			j.violation(Unexplained, "%v, when all was over: %s", o, o.end.Err)
		}
		for _, part := range []string{"user-", "refresh-", "access-", "mark-"} {
			if strings.Contains(o.end.Err, part) {
				j.violation(Leak, "%v: %s", o, o.end.Err)
			}
		}
	}
}

func (o op) String() string {
	outcome := "cut off"
	if o.end != nil {
		outcome = o.end.Outcome
	}
	return fmt.Sprintf("%s by worker %d (operation %d, user %d): %s", o.begin.Do, o.worker, o.begin.Op, o.begin.User, outcome)
}

// outcome is how an operation ended as far as is known.
func (o op) outcome() string {
	if o.end == nil {
		return "outcome unknown"
	}
	return o.end.Outcome
}
