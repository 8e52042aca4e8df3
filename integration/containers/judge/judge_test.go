package judge_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/integration/containers/judge"
	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

// A scribe writes logs of operations that come one after the other. It numbers them from 1.
type scribe struct {
	now    int64
	run    judge.Run
	begins []*oplog.Begin
	ends   map[int]*oplog.End
	last   map[[2]int]int // what each client of a worker did last
	by     []int          // the worker that did it
}

// log is that of a worker, the first from 0; the final one is -1.
func (s *scribe) log(worker int) *judge.Log {
	s.run.AtOnce = 8
	if worker < 0 {
		if s.run.Final == nil {
			s.run.Final = &judge.Log{Worker: 99, Ended: true}
		}
		return s.run.Final
	}
	for len(s.run.Logs) <= worker {
		s.run.Logs = append(s.run.Logs, &judge.Log{Worker: len(s.run.Logs), Ended: true})
	}
	return s.run.Logs[worker]
}

func (s *scribe) write(worker int, l oplog.Line) {
	s.now += 1_000_000
	l.At = s.now
	log := s.log(worker)
	log.Lines = append(log.Lines, l)
}

// begin begins an operation on user 7, if no other one is named.
func (s *scribe) begin(worker int, b oplog.Begin) (op int) {
	if s.last == nil {
		s.last, s.ends = map[[2]int]int{}, map[int]*oplog.End{}
	}
	client := [2]int{worker, b.Client}
	s.last[client]++
	b.Op, b.Final = s.last[client], worker < 0
	if b.User == 0 {
		b.User = 7
	}
	s.begins, s.by = append(s.begins, &b), append(s.by, worker)
	s.write(worker, oplog.Line{Begin: &b})
	return len(s.begins)
}

func (s *scribe) end(op int, e oplog.End) {
	b := s.begins[op-1]
	e.Op, e.Client = b.Op, b.Client
	if e.Outcome == "" {
		e.Outcome = "done"
	}
	s.ends[op] = &e
	s.write(s.by[op-1], oplog.Line{End: &e})
}

func (s *scribe) do(worker int, b oplog.Begin, e oplog.End) { s.end(s.begin(worker, b), e) }

// kill kills a worker: it does not say that it ended.
func (s *scribe) kill(worker int) { s.log(worker).Killed, s.log(worker).Ended = true, false }

// finish looks at the store: the repair finds some problems, and user 7 has a record or none.
func (s *scribe) finish(r *oplog.Record, before, mend, after map[string]oplog.Count) {
	records := 0
	if r != nil {
		records = 1
	}
	repair := func(run string, problems map[string]oplog.Count) {
		s.write(-1, oplog.Line{Repair: &oplog.Repair{Run: run, Records: records, Done: true, Problems: problems}})
	}
	repair("before", before)
	last := oplog.End{Outcome: "not found"}
	if r != nil {
		seen := *r
		last = oplog.End{Seen: &seen}
		found := map[string]string{"id": r.ID, "user": r.ID, "refresh": r.ID}
		s.write(-1, oplog.Line{Look: &oplog.Look{Record: *r, Found: found}})
	}
	repair("mend", mend)
	repair("after", after)
	s.do(-1, oplog.Begin{Do: "find by user"}, last)
}

func record(access, refresh, count int, marks ...int64) *oplog.Record {
	return recordOf("x", access, refresh, count, marks...)
}

func recordOf(id string, access, refresh, count int, marks ...int64) *oplog.Record {
	return &oplog.Record{ID: id, User: 7, Access: access, Refresh: refresh, Count: count, Marks: marks}
}

// good is a run without a violation: two workers save, update and find a record; one is
// killed in a save, which took effect, and one in an update, which did not.
func good() *scribe {
	s := &scribe{}
	s.do(0, oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 11}, oplog.End{ID: "x"})
	s.do(1, oplog.Begin{Do: "find by user"}, oplog.End{Seen: record(0, 1, 0, 11)})
	s.do(1, oplog.Begin{Do: "update", ID: "x", Mark: 12}, oplog.End{Seen: record(0, 1, 0, 11)})
	s.do(0, oplog.Begin{Do: "save access", Access: 1, Mark: 13}, oplog.End{ID: "x"})
	s.do(0, oplog.Begin{Do: "save refresh", Refresh: 3, Mark: 15}, oplog.End{Outcome: "refused", Err: "unavailable"})
	s.begin(0, oplog.Begin{Do: "save access", Access: 2, Mark: 14})
	s.kill(0)
	s.begin(2, oplog.Begin{Do: "update", ID: "x", Mark: 16})
	s.kill(2)
	s.do(1, oplog.Begin{Do: "find by refresh", Refresh: 1}, oplog.End{Seen: record(2, 1, 1, 11, 12, 13, 14)})
	s.finish(record(2, 1, 1, 11, 12, 13, 14),
		map[string]oplog.Count{"unfinished claim": {Found: 1}},
		map[string]oplog.Count{"unfinished claim": {Found: 1, Fixed: 1}},
		map[string]oplog.Count{})
	return s
}

// deadly is another one: a record dies, and another one takes its place. Of the deletion of that
// one and of the last save nobody knows what became of them: the save took effect.
func deadly() *scribe {
	s := &scribe{}
	s.do(0, oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 21}, oplog.End{ID: "x"})
	s.do(0, oplog.Begin{Do: "delete", ID: "x"}, oplog.End{})
	s.do(1, oplog.Begin{Do: "find by user"}, oplog.End{Outcome: "not found", Err: "no such token"})
	s.do(1, oplog.Begin{Do: "update", ID: "x", Mark: 22}, oplog.End{Outcome: "not found", Err: "no such token"})
	s.do(1, oplog.Begin{Do: "save refresh", Refresh: 2, Mark: 23}, oplog.End{ID: "y"})
	s.do(0, oplog.Begin{Do: "delete", ID: "y"}, oplog.End{Outcome: "outcome unknown", Err: "outcome unknown"})
	s.do(1, oplog.Begin{Do: "save access", Access: 1, Mark: 24}, oplog.End{Outcome: "outcome unknown", Err: "outcome unknown"})
	s.finish(recordOf("y", 1, 2, 0, 23, 24), map[string]oplog.Count{}, map[string]oplog.Count{}, map[string]oplog.Count{})
	return s
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

// cut takes lines out of a log.
func (s *scribe) cut(worker int, which func(oplog.Line) bool) {
	s.log(worker).Lines = slices.DeleteFunc(s.log(worker).Lines, which)
}

func TestAGoodRunHasNoViolation(t *testing.T) {
	v := judge.Judge(good().run)
	if len(v.Violations) > 0 {
		t.Errorf("violations: %v", v.Violations)
	}
	if diff := cmp.Diff(map[string]int{"done": 5, "refused": 1, "cut off": 2}, v.Outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"save refresh": 1, "save access": 1, "update": 1, "find by user": 1, "find by refresh": 1}, v.Done); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
	if got := v.Worked.Milliseconds(); got != 12 {
		t.Errorf("worked for %d ms", got)
	}
	if v.Operations != 8 || v.Users != 1 || v.Records != 1 || v.Workers != 3 {
		t.Errorf("operations %d, users %d, records %d, workers %d", v.Operations, v.Users, v.Records, v.Workers)
	}
	// From the end of the second save to the beginning of the last operation, a find.
	if got := v.Unavailable.Milliseconds(); got != 5 {
		t.Errorf("unavailable for %d ms", got)
	}
}

func TestARowSaysWhatHappened(t *testing.T) {
	s := good()
	row := judge.Row{Service: "AWS", Mode: "containers", Faults: map[string]int{"worker killed": 2, "server paused": 1}, Verdict: judge.Judge(s.run)}
	row.Worked = 60e9
	want := "| AWS | containers | 1m0s | 8 (cut off 2, done 5, refused 1) | 3 (server paused 1, worker killed 2) | 0.0 s | unfinished claim 1 | 0 |"
	if row.String() != want {
		t.Errorf("%s\nwant\n%s", row, want)
	}
	if strings.Count(want, "|") != strings.Count(strings.Split(judge.Head, "\n")[0], "|") {
		t.Error("the head has other columns")
	}
}
