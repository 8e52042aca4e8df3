package judge_test

import (
	"slices"
	"testing"

	"github.com/tokenkeep/tokenkeep/integration/containers/judge"
	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

// A forgery is what somebody makes of a run that had no violation, and the violation that has to
// be found in it.
type forgery struct {
	name string
	want string
	do   func(*scribe)
}

func found(t *testing.T, of func() *scribe, forgeries []forgery) {
	t.Helper()
	for _, c := range forgeries {
		t.Run(c.name, func(t *testing.T) {
			s := of()
			c.do(s)
			v := judge.Judge(s.run)
			if !slices.ContainsFunc(v.Violations, func(v judge.Violation) bool { return v.Kind == c.want }) {
				t.Errorf("no violation %q, but %v", c.want, v.Violations)
			}
		})
	}
}

func TestAForgedRecordIsFound(t *testing.T) {
	found(t, good, []forgery{
		{"an acknowledged save has left no mark in the record", judge.Lost, func(s *scribe) {
			s.look().Record.Marks = []int64{11, 12, 14}
		}},
		{"an acknowledged save is of a user who has no record", judge.Lost, func(s *scribe) {
			s.cut(-1, func(l oplog.Line) bool { return l.Look != nil || l.Begin != nil || l.End != nil })
		}},
		{"an update was counted out", judge.Lost, func(s *scribe) { s.look().Record.Count = 0 }},
		{"an update was counted twice", judge.Twice, func(s *scribe) { s.look().Record.Count = 2 }},
		{"a find saw an update twice", judge.Twice, func(s *scribe) { s.ends[8].Seen.Count = 2 }},
		{"a save that was refused was applied", judge.Refused, func(s *scribe) {
			s.look().Record.Marks = append(s.look().Record.Marks, 15)
		}},
		{"a record has a mark that nobody left", judge.Invented, func(s *scribe) {
			s.look().Record.Marks = append(s.look().Record.Marks, 17)
		}},
		{"a record has a mark that was left for another user", judge.Invented, func(s *scribe) {
			s.do(1, oplog.Begin{Do: "save access", User: 8, Access: 9, Mark: 18}, oplog.End{ID: "z"})
			s.look().Record.Marks = append(s.look().Record.Marks, 18)
		}},
		{"a find returns the record of another user", judge.Invented, func(s *scribe) { s.ends[2].Seen.User = 8 }},
		{"a user has two records", judge.TwoRecords, func(s *scribe) {
			other := *s.look()
			other.Record.ID, other.Found = "y", map[string]string{"id": "y", "user": "y", "refresh": "y"}
			s.write(-1, oplog.Line{Look: &other})
		}},
		{"the user finds nothing", judge.Unfound, func(s *scribe) { s.look().Found["user"] = "not found" }},
		{"the refresh token finds another record", judge.Unfound, func(s *scribe) { s.look().Found["refresh"] = "y" }},
		{"the id was not asked for", judge.Unfound, func(s *scribe) { delete(s.look().Found, "id") }},
		{"a record is found that is not in the list", judge.Unlisted, func(s *scribe) {
			s.do(-1, oplog.Begin{Do: "find by user", User: 8}, oplog.End{Seen: &oplog.Record{ID: "z", User: 8}})
		}},
		{"an update that a worker died in was applied twice", judge.Twice, func(s *scribe) {
			s.look().Record.Marks, s.look().Record.Count = append(s.look().Record.Marks, 16), 3
		}},
	})
	found(t, deadly, []forgery{
		{"an update that found nothing was applied", judge.Refused, func(s *scribe) {
			s.look().Record.Marks, s.look().Record.Count = append(s.look().Record.Marks, 22), 1
		}},
		{"a save after a deletion is lost", judge.Lost, func(s *scribe) {
			s.ends[6].Outcome = "refused"
			s.look().Record.Marks = []int64{24}
		}},
		{"of a save with an unknown outcome there is half", judge.NoOrder, func(s *scribe) {
			s.ends[8].Seen.Access = 0 // and its mark
		}},
	})
}

func TestAForgedOrderIsFound(t *testing.T) {
	found(t, good, []forgery{
		{"a find after a save does not see it", judge.NoOrder, func(s *scribe) { s.ends[8].Seen = record(0, 1, 0, 11) }},
		{"a find sees a save that has not begun", judge.NoOrder, func(s *scribe) { s.ends[2].Seen = record(1, 1, 0, 11, 13) }},
		{"a save made another record", judge.NoOrder, func(s *scribe) { s.ends[4].ID = "y" }},
		{"a find after a save finds nothing", judge.NoOrder, func(s *scribe) {
			*s.ends[2] = oplog.End{Op: s.ends[2].Op, Outcome: "not found"}
		}},
		{"a worker sees less than before", judge.Backwards, func(s *scribe) { s.ends[8].Seen = record(0, 1, 0, 11) }},
	})
	found(t, deadly, []forgery{
		{"a record is seen after its deletion", judge.NoOrder, func(s *scribe) {
			*s.ends[3] = oplog.End{Op: s.ends[3].Op, Outcome: "done", Seen: record(0, 1, 0, 21)}
		}},
		{"a worker sees a record that it deleted", judge.Backwards, func(s *scribe) {
			s.do(0, oplog.Begin{Do: "find by id", ID: "x"}, oplog.End{Seen: record(0, 1, 0, 21)})
		}},
		{"a record comes back with its id after its deletion", judge.NoOrder, func(s *scribe) { s.ends[5].ID = "x" }},
		{"a deletion was refused, and the record is gone", judge.NoOrder, func(s *scribe) { s.ends[2].Outcome = "refused" }},
		{"a deletion found nothing where a record was", judge.NoOrder, func(s *scribe) { s.ends[2].Outcome = "not found" }},
		{"a record was deleted twice", judge.NoOrder, func(s *scribe) {
			s.do(1, oplog.Begin{Do: "delete", ID: "x"}, oplog.End{})
		}},
		{"a deletion with an unknown outcome is seen and undone", judge.NoOrder, func(s *scribe) {
			s.do(0, oplog.Begin{Do: "find by user"}, oplog.End{Outcome: "not found"})
			s.do(-1, oplog.Begin{Do: "find by user"}, oplog.End{Seen: recordOf("y", 1, 2, 0, 23, 24)})
		}},
		{"a save with an unknown outcome is seen and undone", judge.NoOrder, func(s *scribe) {
			s.do(0, oplog.Begin{Do: "find by user"}, oplog.End{Seen: recordOf("y", 1, 2, 0, 23, 24)})
			s.do(-1, oplog.Begin{Do: "find by user"}, oplog.End{Seen: recordOf("y", 0, 2, 0, 23)})
		}},
	})
}

// Where so many saves are under way that no search comes to its end, that is what is said.
func TestASearchThatGivesUpIsUndecided(t *testing.T) {
	s := good()
	const many = 30
	for i := range many {
		s.begin(3, oplog.Begin{Client: i, Do: "save access", Access: 100 + i, Mark: int64(100 + i)})
	}
	for i := range many {
		s.end(10+i, oplog.End{ID: "x"})
	}
	s.do(1, oplog.Begin{Do: "find by user"}, oplog.End{Seen: record(99, 1, 1, 11)}) // in no order
	s.run.Patience = 1
	v := judge.Judge(s.run)
	kinds := func(kind string) bool {
		return slices.ContainsFunc(v.Violations, func(v judge.Violation) bool { return v.Kind == kind })
	}
	if !kinds(judge.Undecided) || kinds(judge.NoOrder) {
		t.Errorf("violations: %v", v.Violations)
	}
}

func TestAForgedErrorIsFound(t *testing.T) {
	found(t, good, []forgery{
		{"an error that nothing explains", judge.Unexplained, func(s *scribe) { s.ends[5].Outcome = "unexplained" }},
		{"an operation fails when all is over", judge.Unexplained, func(s *scribe) { s.ends[9].Outcome = "refused" }},
		{"the records could not be listed", judge.Unexplained, func(s *scribe) { s.write(-1, oplog.Line{Problem: "no list"}) }},
	})
}

// Names and tokens are found wherever a log may hold text.
func TestALeakIsFound(t *testing.T) {
	found(t, good, []forgery{
		{"in the error of an operation", judge.Leak, func(s *scribe) { s.ends[5].Err = "unavailable: user-7" }},
		{"in the error of a look", judge.Leak, func(s *scribe) { s.look().Found["refresh"] = "no record for refresh-1" }},
		{"in the error of a repair", judge.Leak, func(s *scribe) { s.repair("mend").Err = "secret of user-7" }},
		{"in the name of what it found", judge.Leak, func(s *scribe) { s.repair("before").Problems["access-2"] = oplog.Count{} }},
		{"in a problem", judge.Leak, func(s *scribe) { s.write(-1, oplog.Line{Problem: `it holds "mark-x" and "mark-1"`}) }},
		{"in an id", judge.Leak, func(s *scribe) { s.ends[1].ID = "user-7" }},
		{"in a line that is none", judge.Leak, func(s *scribe) { s.log(0).Add([]byte("goroutine 1: access-1")) }},
		{"far behind in a line that is none", judge.Leak, func(s *scribe) {
			s.log(0).Add(append(slices.Repeat([]byte("."), 500), "access-1"...))
		}},
		{"in what a worker wrote to its standard error", judge.Leak, func(s *scribe) { s.log(2).Trace = "panic: refresh-1" }},
	})
}

func TestAHoleInALogIsFound(t *testing.T) {
	begins := func(op int) func(oplog.Line) bool {
		return func(l oplog.Line) bool { return l.Begin != nil && l.Begin.Op == op }
	}
	ends := func(op int) func(oplog.Line) bool {
		return func(l oplog.Line) bool { return l.End != nil && l.End.Op == op }
	}
	found(t, good, []forgery{
		{"an operation has no end, and its worker was not killed", judge.BadLog, func(s *scribe) { s.log(0).Killed, s.log(0).Ended = false, true }},
		{"an operation ends that never began", judge.BadLog, func(s *scribe) { s.ends[5].Op = 500 }},
		{"an operation ends that another client began", judge.BadLog, func(s *scribe) { s.ends[5].Client = 1 }},
		{"an operation ends twice", judge.BadLog, func(s *scribe) { s.end(3, oplog.End{Seen: record(0, 1, 0, 11)}) }},
		{"an operation is missing, its beginning and its end", judge.BadLog, func(s *scribe) {
			s.cut(1, begins(1))
			s.cut(1, ends(1))
		}},
		{"an operation in the middle is missing", judge.BadLog, func(s *scribe) {
			s.cut(1, begins(2))
			s.cut(1, ends(2))
		}},
		{"a worker that was killed lost an operation in the middle", judge.BadLog, func(s *scribe) {
			s.cut(0, begins(2))
			s.cut(0, ends(2))
		}},
		{"an operation that is not the last has no end, and its worker was killed", judge.BadLog, func(s *scribe) { s.cut(0, ends(2)) }},
		{"two operations have one number", judge.BadLog, func(s *scribe) { s.begins[2].Op, s.ends[3].Op = 1, 1 }},
		{"the last operations are missing of a worker that was not killed", judge.BadLog, func(s *scribe) {
			s.cut(1, begins(3))
			s.cut(1, ends(3))
			s.log(1).Ended = false
		}},
		{"a line is none", judge.BadLog, func(s *scribe) { s.log(1).Add([]byte(`{"at":`)) }},
		{"two lines of a worker that was killed are none", judge.BadLog, func(s *scribe) {
			s.log(0).Add([]byte(`{"at":`))
			s.log(0).Add([]byte(`{"at":`))
		}},
		{"a line of a worker that was killed is none, and others follow", judge.BadLog, func(s *scribe) {
			s.log(0).Add([]byte(`{"at":`))
			s.log(0).Add([]byte(`{"at":12}`))
		}},
		{"nobody looked in the end", judge.BadLog, func(s *scribe) { s.run.Final = nil }},
		{"nobody says how many operations there were at a time", judge.BadLog, func(s *scribe) { s.run.AtOnce = 0 }},
		{"who looked in the end did not come to its end", judge.BadLog, func(s *scribe) { s.run.Final.Ended = false }},
	})
}

func TestAForgedRepairIsFound(t *testing.T) {
	none := func(run string) func(*scribe) {
		return func(s *scribe) {
			s.cut(-1, func(l oplog.Line) bool { return l.Repair != nil && l.Repair.Run == run })
		}
	}
	found(t, good, []forgery{
		{"it finds a record that a key does not find", judge.Repairs, func(s *scribe) {
			s.repair("before").Problems["missing entry"] = oplog.Count{Found: 1}
		}},
		{"it finds a problem that nobody knows", judge.Repairs, func(s *scribe) {
			s.repair("before").Problems["moths"] = oplog.Count{Found: 1}
		}},
		{"something waits that never has to", judge.Repairs, func(s *scribe) {
			s.repair("after").Problems["empty grave"] = oplog.Count{Waiting: 1}
		}},
		{"it does not mend all", judge.Repairs, func(s *scribe) {
			s.repair("mend").Problems["unfinished claim"] = oplog.Count{Found: 1}
		}},
		{"it leaves something", judge.Repairs, func(s *scribe) {
			s.repair("after").Problems["dead entry"] = oplog.Count{Found: 1}
		}},
		{"it fails", judge.Repairs, func(s *scribe) { s.repair("mend").Err = "unavailable" }},
		{"it does not come to its end", judge.Repairs, func(s *scribe) { s.repair("after").Done = false }},
		{"it was not run before", judge.Repairs, none("before")},
		{"it mended nothing", judge.Repairs, none("mend")},
		{"it was not run afterwards", judge.Repairs, none("after")},
		{"it saw a record that is not in the list", judge.Repairs, func(s *scribe) { s.repair("before").Records = 2 }},
		{"it lost a record", judge.Repairs, func(s *scribe) { s.repair("after").Records = 0 }},
	})
}

// What a run may leave is bounded by what happened in it. The bounds are those of the run deadly:
// three saves, two of them with a refresh token, the third without an outcome; a deletion, and
// another one without an outcome.
var bounds = map[string]int{
	"unfinished claim":  1,         // of the save without an outcome: the user's key
	"dead entry":        1 + 2 + 1, // the refresh token that is not the last, the records that died, that save
	"old tombstone":     2 + 1,     // the same without the refresh token
	"unfinished growth": 8,         // as many leaves
	"orphaned leaf":     2 * 8,     // and few writes
	"replaced value":    2 * 8,     // of the deletion and of the save without an outcome
}

func TestARepairThatFindsMoreThanWasLeftIsFound(t *testing.T) {
	for problem, most := range bounds {
		found(t, deadly, []forgery{
			{problem + " found", judge.TooMuch, func(s *scribe) {
				s.repair("before").Problems[problem] = oplog.Count{Found: most + 1}
			}},
			{problem + " waiting", judge.TooMuch, func(s *scribe) {
				s.repair("after").Problems[problem] = oplog.Count{Waiting: most + 1}
			}},
			{problem + " found and waiting", judge.TooMuch, func(s *scribe) {
				s.repair("mend").Problems[problem] = oplog.Count{Found: most, Fixed: most, Waiting: 1}
			}},
		})
	}
}

// A library that leaves a claim after each save does not pass because some of the operations
// came to nothing: most of them can have left none.
func TestAClaimThatNothingCanHaveLeftIsFound(t *testing.T) {
	saved := oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 1}
	refused := oplog.End{Outcome: "refused", Err: "unavailable"}
	nothing := map[string]oplog.Count{}
	for _, c := range []struct {
		name string
		most int
		of   func() *scribe
	}{
		{"all saves were done", 0, func() *scribe {
			s := &scribe{}
			s.do(0, saved, oplog.End{ID: "x"})
			s.finish(record(0, 1, 0, 1), nothing, nothing, nothing)
			return s
		}},
		{"one was refused that would have made the record", 2, func() *scribe {
			s := &scribe{}
			s.do(0, saved, refused)
			s.finish(nil, nothing, nothing, nothing)
			return s
		}},
		{"one was refused whose record there was", 1, func() *scribe {
			s := &scribe{}
			s.do(0, saved, oplog.End{ID: "x"})
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 2, Mark: 2}, refused)
			s.finish(record(0, 1, 0, 1), nothing, nothing, nothing)
			return s
		}},
		{"one was refused whose record had died", 2, func() *scribe {
			s := &scribe{}
			s.do(0, saved, oplog.End{ID: "x"})
			s.do(0, oplog.Begin{Do: "delete", ID: "x"}, oplog.End{})
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 2, Mark: 2}, refused)
			s.finish(nil, nothing, nothing, nothing)
			return s
		}},
		{"one was refused whose record may have died", 2, func() *scribe {
			s := &scribe{}
			s.do(0, saved, oplog.End{ID: "x"})
			s.do(0, oplog.Begin{Do: "delete", ID: "x"}, oplog.End{Outcome: "outcome unknown"})
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 2, Mark: 2}, refused)
			s.finish(record(0, 1, 0, 1), nothing, nothing, nothing)
			return s
		}},
		{"one was refused that brings no key", 0, func() *scribe {
			s := &scribe{}
			s.do(0, saved, oplog.End{ID: "x"})
			s.do(0, oplog.Begin{Do: "save access", Access: 2, Mark: 2}, refused)
			s.finish(record(0, 1, 0, 1), nothing, nothing, nothing)
			return s
		}},
		{"an update was refused", 0, func() *scribe {
			s := &scribe{}
			s.do(0, saved, oplog.End{ID: "x"})
			s.do(0, oplog.Begin{Do: "update", ID: "x", Mark: 2}, refused)
			s.finish(record(0, 1, 0, 1), nothing, nothing, nothing)
			return s
		}},
		{"one was refused before another one wrote the record", 0, func() *scribe {
			s := &scribe{}
			s.do(0, saved, oplog.End{ID: "x"})
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 2, Mark: 2}, refused)
			s.do(0, oplog.Begin{Do: "update", ID: "x", Mark: 3}, oplog.End{Seen: record(0, 1, 0, 1)})
			s.finish(record(0, 1, 1, 1, 3), nothing, nothing, nothing)
			return s
		}},
	} {
		claims := func(s *scribe, n int) {
			s.repair("before").Problems = map[string]oplog.Count{"unfinished claim": {Found: n}}
		}
		found(t, c.of, []forgery{{c.name, judge.TooMuch, func(s *scribe) { claims(s, c.most+1) }}})
		s := c.of()
		claims(s, c.most)
		if v := judge.Judge(s.run); len(v.Violations) > 0 {
			t.Errorf("%s, and %d claims are left: %v", c.name, c.most, v.Violations)
		}
	}
}
