package judge_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/integration/containers/judge"
	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

// A scribe writes logs of operations that come one after the other.
type scribe struct {
	now int64
	run judge.Run
	ops int
}

// log is that of a worker, the first from 0; the final one is -1.
func (s *scribe) log(worker int) *judge.Log {
	if worker < 0 {
		if s.run.Final == nil {
			s.run.Final = &judge.Log{Worker: 99}
		}
		return s.run.Final
	}
	for len(s.run.Logs) <= worker {
		s.run.Logs = append(s.run.Logs, &judge.Log{Worker: len(s.run.Logs)})
	}
	return s.run.Logs[worker]
}

func (s *scribe) write(worker int, l oplog.Line) {
	s.now += 1_000_000
	l.At = s.now
	log := s.log(worker)
	log.Lines = append(log.Lines, l)
}

func (s *scribe) begin(worker int, b oplog.Begin) (op int) {
	s.ops++
	b.Op, b.User, b.Final = s.ops, 7, worker < 0
	s.write(worker, oplog.Line{Begin: &b})
	return s.ops
}

func (s *scribe) end(worker, op int, e oplog.End) {
	e.Op = op
	if e.Outcome == "" {
		e.Outcome = "done"
	}
	s.write(worker, oplog.Line{End: &e})
}

func (s *scribe) do(worker int, b oplog.Begin, e oplog.End) { s.end(worker, s.begin(worker, b), e) }

func record(access, refresh, count int, marks ...int64) *oplog.Record {
	return &oplog.Record{ID: "x", User: 7, Access: access, Refresh: refresh, Count: count, Marks: marks}
}

// good is a run without a violation: two workers save, update and find a record; one is
// killed in a save, which took effect, and one in an update, which did not.
func good() *scribe {
	s := &scribe{}
	s.do(0, oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 11}, oplog.End{ID: "x"})
	s.do(1, oplog.Begin{Do: "find by user"}, oplog.End{Seen: record(0, 1, 0, 11)})
	s.do(1, oplog.Begin{Do: "update", ID: "x", Mark: 12}, oplog.End{Seen: record(0, 1, 0, 11)})
	s.do(0, oplog.Begin{Do: "save access", Access: 1, Mark: 13}, oplog.End{ID: "x"})
	s.do(0, oplog.Begin{Do: "save access", Access: 3, Mark: 15}, oplog.End{Outcome: "refused", Err: "unavailable"})
	s.begin(0, oplog.Begin{Do: "save access", Access: 2, Mark: 14})
	s.log(0).Killed = true
	s.begin(2, oplog.Begin{Do: "update", ID: "x", Mark: 16})
	s.log(2).Killed = true
	s.do(1, oplog.Begin{Do: "find by refresh", Refresh: 1}, oplog.End{Seen: record(2, 1, 1, 11, 12, 13, 14)})

	s.write(-1, oplog.Line{Repair: &oplog.Repair{Run: "before", Done: true, Problems: map[string]oplog.Count{"unfinished claim": {Found: 1, Waiting: 1}}}})
	s.write(-1, oplog.Line{Look: &oplog.Look{Record: *record(2, 1, 1, 11, 12, 13, 14), Found: map[string]string{"id": "x", "user": "x", "refresh": "x"}}})
	s.write(-1, oplog.Line{Repair: &oplog.Repair{Run: "mend", Done: true, Problems: map[string]oplog.Count{"unfinished claim": {Found: 1, Fixed: 1, Waiting: 1}}}})
	s.write(-1, oplog.Line{Repair: &oplog.Repair{Run: "after", Done: true, Problems: map[string]oplog.Count{"unfinished claim": {Waiting: 1}}}})
	s.do(-1, oplog.Begin{Do: "find by user"}, oplog.End{Seen: record(2, 1, 1, 11, 12, 13, 14)})
	return s
}

// An update that a worker died in may have taken effect, though nobody knows what it
// changed.
func TestAnUpdateThatAWorkerDiedInMayBeSeen(t *testing.T) {
	s := good()
	s.look().Record = *record(2, 1, 2, 11, 12, 13, 14, 16)
	s.ended(9).Seen = record(2, 1, 2, 11, 12, 13, 14, 16)
	if v := judge.Judge(s.run); len(v.Violations) > 0 {
		t.Errorf("violations: %v", v.Violations)
	}
}

// look is the record in the end.
func (s *scribe) look() *oplog.Look {
	for _, l := range s.run.Final.Lines {
		if l.Look != nil {
			return l.Look
		}
	}
	return nil
}

func (s *scribe) repair(run string) *oplog.Repair {
	for _, l := range s.run.Final.Lines {
		if l.Repair != nil && l.Repair.Run == run {
			return l.Repair
		}
	}
	return nil
}

// ended returns the end of an operation, counted from 1.
func (s *scribe) ended(op int) *oplog.End {
	for _, log := range append(slices.Clone(s.run.Logs), s.run.Final) {
		for _, l := range log.Lines {
			if l.End != nil && l.End.Op == op {
				return l.End
			}
		}
	}
	return nil
}

func TestAGoodRunHasNoViolation(t *testing.T) {
	v := judge.Judge(good().run)
	if len(v.Violations) > 0 {
		t.Errorf("violations: %v", v.Violations)
	}
	if diff := cmp.Diff(map[string]int{"done": 5, "refused": 1, "cut off": 2}, v.Outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if v.Operations != 8 || v.Users != 1 || v.Records != 1 || v.Workers != 3 {
		t.Errorf("operations %d, users %d, records %d, workers %d", v.Operations, v.Users, v.Records, v.Workers)
	}
	// From the end of the second save to that of the find by the refresh token.
	if got := v.Unavailable.Milliseconds(); got != 6 {
		t.Errorf("unavailable for %d ms", got)
	}
}

// Each way to forge a good run is a violation, and of the right kind.
func TestADoctoredLogIsFound(t *testing.T) {
	for _, c := range []struct {
		name string
		want string
		do   func(*scribe)
	}{
		{"an acknowledged save has left no mark in the record", judge.Lost, func(s *scribe) {
			s.look().Record.Marks = []int64{11, 12, 14}
		}},
		{"an acknowledged save is of a user who has no record", judge.Lost, func(s *scribe) {
			s.run.Final.Lines = slices.DeleteFunc(s.run.Final.Lines, func(l oplog.Line) bool { return l.Look != nil || l.Begin != nil || l.End != nil })
		}},
		{"an update was counted out", judge.Lost, func(s *scribe) { s.look().Record.Count = 0 }},
		{"an update was counted twice", judge.Twice, func(s *scribe) { s.look().Record.Count = 2 }},
		{"a find saw an update twice", judge.Twice, func(s *scribe) { s.ended(8).Seen.Count = 2 }},
		{"a save that was refused was applied", judge.Refused, func(s *scribe) {
			s.look().Record.Marks = append(s.look().Record.Marks, 15)
		}},
		{"a record has a mark that nobody left", judge.Invented, func(s *scribe) {
			s.look().Record.Marks = append(s.look().Record.Marks, 17)
		}},
		{"a find returns the record of another user", judge.Invented, func(s *scribe) { s.ended(2).Seen.User = 8 }},
		{"a user has two records", judge.TwoRecords, func(s *scribe) {
			other := *s.look()
			other.Record.ID, other.Found = "y", map[string]string{"id": "y", "user": "y", "refresh": "y"}
			s.write(-1, oplog.Line{Look: &other})
		}},
		{"the user finds nothing", judge.Unfound, func(s *scribe) { s.look().Found["user"] = "not found" }},
		{"the refresh token finds another record", judge.Unfound, func(s *scribe) { s.look().Found["refresh"] = "y" }},
		{"the id was not asked for", judge.Unfound, func(s *scribe) { delete(s.look().Found, "id") }},
		{"a find after a save does not see it", judge.NoOrder, func(s *scribe) { s.ended(8).Seen = record(0, 1, 0, 11) }},
		{"a find sees a save that has not begun", judge.NoOrder, func(s *scribe) { s.ended(2).Seen = record(1, 1, 0, 11, 13) }},
		{"a save made another record", judge.NoOrder, func(s *scribe) { s.ended(4).ID = "y" }},
		{"a worker sees less than before", judge.Backwards, func(s *scribe) { s.ended(8).Seen = record(0, 1, 0, 11) }},
		{"an update that a worker died in was applied twice", judge.Twice, func(s *scribe) {
			s.look().Record.Marks, s.look().Record.Count = append(s.look().Record.Marks, 16), 3
		}},
		{"an error that nothing explains", judge.Unexplained, func(s *scribe) { s.ended(5).Outcome = "unexplained" }},
		{"an operation fails when all is over", judge.Unexplained, func(s *scribe) { s.ended(9).Outcome = "refused" }},
		{"the records could not be listed", judge.Unexplained, func(s *scribe) { s.write(-1, oplog.Line{Problem: "no list"}) }},
		{"an error holds a user's name", judge.Leak, func(s *scribe) { s.ended(5).Err = "unavailable: user-7" }},
		{"an operation has no end, and its worker was not killed", judge.BadLog, func(s *scribe) { s.log(0).Killed = false }},
		{"an operation ends that never began", judge.BadLog, func(s *scribe) { s.ended(5).Op = 500 }},
		{"a line is none", judge.BadLog, func(s *scribe) { s.log(1).Add([]byte(`{"at":`)) }},
		{"two lines of a worker that was killed are none", judge.BadLog, func(s *scribe) {
			s.log(0).Add([]byte(`{"at":`))
			s.log(0).Add([]byte(`{"at":`))
		}},
		{"nobody looked in the end", judge.BadLog, func(s *scribe) { s.run.Final = nil }},
		{"the repair finds a record that a key does not find", judge.Repairs, func(s *scribe) {
			s.repair("before").Problems["missing entry"] = oplog.Count{Found: 1}
		}},
		{"the repair finds a problem that nobody knows", judge.Repairs, func(s *scribe) {
			s.repair("before").Problems["moths"] = oplog.Count{Found: 1}
		}},
		{"the repair does not mend all", judge.Repairs, func(s *scribe) {
			s.repair("mend").Problems["unfinished claim"] = oplog.Count{Found: 2, Fixed: 1}
		}},
		{"the repair leaves something", judge.Repairs, func(s *scribe) {
			s.repair("after").Problems["dead entry"] = oplog.Count{Found: 1}
		}},
		{"the repair fails", judge.Repairs, func(s *scribe) { s.repair("mend").Err = "unavailable" }},
		{"the repair does not come to its end", judge.Repairs, func(s *scribe) { s.repair("after").Done = false }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := good()
			c.do(s)
			v := judge.Judge(s.run)
			if !slices.ContainsFunc(v.Violations, func(v judge.Violation) bool { return v.Kind == c.want }) {
				t.Errorf("no violation %q, but %v", c.want, v.Violations)
			}
		})
	}
}

// One line of a worker that was killed may be cut short, and what it had begun may have
// happened or not.
func TestAKilledWorkerIsExcused(t *testing.T) {
	s := good()
	s.log(0).Add([]byte(`{"at":12,"beg`))
	if v := judge.Judge(s.run); len(v.Violations) > 0 {
		t.Errorf("violations: %v", v.Violations)
	}
}

func TestARowSaysWhatHappened(t *testing.T) {
	s := good()
	row := judge.Row{Service: "AWS", Mode: "containers", Ran: 60e9, Faults: map[string]int{"worker killed": 2, "server paused": 1}, Verdict: judge.Judge(s.run)}
	want := "| AWS | containers | 1m0s | 8 (cut off 2, done 5, refused 1) | 3 (server paused 1, worker killed 2) | 0.0 s | unfinished claim 1 | 0 |"
	if row.String() != want {
		t.Errorf("%s\nwant\n%s", row, want)
	}
	if strings.Count(want, "|") != strings.Count(strings.Split(judge.Head, "\n")[0], "|") {
		t.Error("the head has other columns")
	}
}
