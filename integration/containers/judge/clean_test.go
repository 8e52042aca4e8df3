package judge_test

import (
	"testing"

	"github.com/tokenkeep/tokenkeep/integration/containers/judge"
	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

// What may happen is no violation, though it looks like one.
func TestWhatMayHappenIsNoViolation(t *testing.T) {
	none := map[string]oplog.Count{}
	unknown := oplog.End{Outcome: "outcome unknown", Err: "outcome unknown"}
	for _, c := range []struct {
		name string
		of   func() *scribe
		do   func(*scribe)
	}{
		{"a record dies, and another one takes its place", deadly, func(*scribe) {}},
		{"an update that a worker died in took effect", good, func(s *scribe) {
			s.look().Record = *record(2, 1, 2, 11, 12, 13, 14, 16)
			s.ends[9].Seen = record(2, 1, 2, 11, 12, 13, 14, 16)
		}},
		{"the last line of a worker that was killed is cut short", good, func(s *scribe) {
			s.log(0).Add([]byte(`{"at":12,"beg`))
		}},
		{"each client of a worker that was killed was in an operation", good, func(s *scribe) {
			s.begin(2, oplog.Begin{Client: 1, Do: "find by user"})
		}},
		{"a worker writes to its standard error", good, func(s *scribe) { s.log(1).Trace = "the connection to user and refresh was lost" }},
		{"a save with an unknown outcome took effect after a find did not see it", func() *scribe {
			s := &scribe{}
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 1}, unknown)
			s.do(1, oplog.Begin{Do: "find by user"}, oplog.End{Outcome: "not found"})
			s.finish(record(0, 1, 0, 1), none, none, none)
			return s
		}, func(*scribe) {}},
		{"a save with an unknown outcome never took effect", func() *scribe {
			s := &scribe{}
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 1}, unknown)
			s.finish(nil, none, none, none)
			return s
		}, func(*scribe) {}},
		{"an update with an unknown outcome took effect", func() *scribe {
			s := &scribe{}
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 1}, oplog.End{ID: "x"})
			lost := unknown
			lost.Seen = record(0, 1, 0, 1)
			s.do(0, oplog.Begin{Do: "update", ID: "x", Mark: 2}, lost)
			s.finish(record(0, 1, 1, 1, 2), none, none, none)
			return s
		}, func(*scribe) {}},
		{"the answer to a deletion was lost, and the record is gone", func() *scribe {
			s := &scribe{}
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 1}, oplog.End{ID: "x"})
			s.do(0, oplog.Begin{Do: "delete", ID: "x"}, unknown)
			s.finish(nil, none, none, none)
			return s
		}, func(*scribe) {}},
		{"the answer to a deletion was lost, and the record is there", func() *scribe {
			s := &scribe{}
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 1}, oplog.End{ID: "x"})
			s.do(0, oplog.Begin{Do: "delete", ID: "x"}, unknown)
			s.finish(record(0, 1, 0, 1), none, none, none)
			return s
		}, func(*scribe) {}},
		{"a worker died in a deletion that took effect after others saw the record", func() *scribe {
			s := &scribe{}
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 1}, oplog.End{ID: "x"})
			s.begin(0, oplog.Begin{Do: "delete", ID: "x"})
			s.kill(0)
			s.do(1, oplog.Begin{Do: "find by user"}, oplog.End{Seen: record(0, 1, 0, 1)})
			s.do(1, oplog.Begin{Do: "save refresh", Refresh: 2, Mark: 2}, oplog.End{ID: "y"})
			s.finish(recordOf("y", 0, 2, 0, 2), none, none, none)
			return s
		}, func(*scribe) {}},
		{"a deletion was refused", func() *scribe {
			s := &scribe{}
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 1}, oplog.End{ID: "x"})
			s.do(0, oplog.Begin{Do: "delete", ID: "x"}, oplog.End{Outcome: "refused", Err: "unavailable"})
			s.finish(record(0, 1, 0, 1), none, none, none)
			return s
		}, func(*scribe) {}},
		{"a second deletion finds nothing", func() *scribe {
			s := &scribe{}
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 1}, oplog.End{ID: "x"})
			s.do(0, oplog.Begin{Do: "delete", ID: "x"}, oplog.End{})
			s.do(1, oplog.Begin{Do: "delete", ID: "x"}, oplog.End{Outcome: "not found"})
			s.finish(nil, none, none, none)
			return s
		}, func(*scribe) {}},
		{"the repair finds as much as was left", deadly, func(s *scribe) {
			for problem, most := range bounds {
				s.repair("before").Problems[problem] = oplog.Count{Found: most}
				s.repair("mend").Problems[problem] = oplog.Count{Found: most - 1, Fixed: most - 1, Waiting: 1}
				s.repair("after").Problems[problem] = oplog.Count{Waiting: most}
			}
		}},
		{"saves that met a deletion left claims for what is dead", func() *scribe {
			s := &scribe{}
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 1}, oplog.End{ID: "x"})
			death := s.begin(0, oplog.Begin{Do: "delete", ID: "x"})
			birth := s.begin(1, oplog.Begin{Do: "save refresh", Refresh: 2, Mark: 2})
			s.end(death, oplog.End{})
			s.end(birth, oplog.End{ID: "y"})
			// Of x: its user and both refresh tokens.
			dead := map[string]oplog.Count{"dead entry": {Found: 3, Fixed: 3}}
			s.finish(recordOf("y", 0, 2, 0, 2), dead, dead, none)
			return s
		}, func(*scribe) {}},
		{"a late save may have had no time to destroy what it replaced", func() *scribe {
			s := &scribe{}
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 1}, oplog.End{ID: "x"})
			s.do(0, oplog.Begin{Do: "save access", Access: 1, Mark: 2}, oplog.End{ID: "x", Late: true})
			old := map[string]oplog.Count{"replaced value": {Found: 1, Fixed: 1}}
			s.finish(record(1, 1, 0, 1, 2), old, old, none)
			return s
		}, func(*scribe) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.of()
			c.do(s)
			if v := judge.Judge(s.run); len(v.Violations) > 0 {
				t.Errorf("violations: %v", v.Violations)
			}
		})
	}
}

// The longest unavailability may be at the beginning, and at the end.
func TestUnavailabilityIsCountedFromTheFirstOperationToTheLast(t *testing.T) {
	refused := oplog.End{Outcome: "refused", Err: "unavailable"}
	for _, c := range []struct {
		name string
		do   func(*scribe)
		want int64 // in milliseconds
	}{
		{"before the first success", func(s *scribe) {
			for range 5 {
				s.do(0, oplog.Begin{Do: "find by user"}, refused)
			}
			s.do(0, oplog.Begin{Do: "find by user"}, oplog.End{Outcome: "not found"})
			s.do(0, oplog.Begin{Do: "find by user"}, oplog.End{Outcome: "not found"})
		}, 11},
		{"after the last success", func(s *scribe) {
			s.do(0, oplog.Begin{Do: "find by user"}, oplog.End{Outcome: "not found"})
			for range 5 {
				s.do(0, oplog.Begin{Do: "find by user"}, refused)
			}
		}, 9},
		{"all the time", func(s *scribe) {
			for range 5 {
				s.do(0, oplog.Begin{Do: "find by user"}, refused)
			}
		}, 8},
		{"nothing happened", func(*scribe) {}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &scribe{}
			c.do(s)
			if got := judge.Judge(s.run).Unavailable.Milliseconds(); got != c.want {
				t.Errorf("unavailable for %d ms, want %d", got, c.want)
			}
		})
	}
}

// A log keeps apart what a worker says of itself.
func TestALogTellsHowItsWorkerIsConfined(t *testing.T) {
	var l judge.Log
	l.Add([]byte(`{"at":1,"confined":{"uid":65532,"gid":65532,"memory":"67108864"}}` + "\n"))
	l.Add([]byte(`{"at":2,"listed":{"tokens":3}}` + "\n"))
	l.Add([]byte(`{"at":3,"ended":true}` + "\n"))
	if l.Confined == nil || l.Confined.UID != 65532 || l.Confined.Memory != "67108864" {
		t.Errorf("confined: %+v", l.Confined)
	}
	if !l.Ended || len(l.Lines) != 1 || l.Lines[0].Listed == nil || len(l.Bad) > 0 {
		t.Errorf("ended %v, lines %+v, bad %q", l.Ended, l.Lines, l.Bad)
	}
}
