package judge_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/judge"
	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

// What was done to a worker or to the service has to be felt.
func TestAFaultThatDoesNothingIsFound(t *testing.T) {
	cut := judge.Fault{Name: "worker cut off", Worker: 1}
	frozen := judge.Fault{Name: "worker paused", Worker: 1, Frozen: true}
	down := judge.Fault{Name: "server paused"}
	done, refused := oplog.End{Seen: record(0, 1, 0, 11)}, oplog.End{Outcome: "refused", Err: "unavailable"}
	notFound := oplog.End{Outcome: "not found", Err: "no such token"}
	for _, c := range []struct {
		name  string
		fault judge.Fault
		by    int // the worker that does something while the fault lasts
		end   oplog.End
		after time.Duration // that it had begun
		found bool
	}{
		{"a worker that is cut off saves", cut, 1, done, time.Second, true},
		{"a worker that is cut off is told that there is nothing", cut, 1, notFound, time.Second, true},
		{"a worker that is cut off is refused", cut, 1, refused, time.Second, false},
		{"a worker works when another one is cut off", cut, 3, done, time.Second, false},
		{"an answer was on its way", cut, 1, done, time.Millisecond, false},
		{"a worker writes while it is paused", frozen, 1, refused, time.Second, true},
		{"a worker writes while another one is paused", frozen, 3, refused, time.Second, false},
		{"a worker writes before it is frozen", frozen, 1, refused, time.Millisecond, false},
		{"a server answers that is paused", down, 3, done, time.Second, true},
		{"a server that is paused does not answer", down, 3, refused, time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &scribe{}
			s.do(0, oplog.Begin{Do: "save refresh", Refresh: 1, Mark: 11}, oplog.End{ID: "x"})
			s.log(1)
			c.fault.From = s.now
			s.now += c.after.Nanoseconds()
			s.do(c.by, oplog.Begin{Do: "find by user"}, c.end)
			c.fault.To = s.now + 1
			s.now += time.Second.Nanoseconds()
			s.do(1, oplog.Begin{Do: "find by user"}, done)
			s.run.Faults = []judge.Fault{c.fault}
			found := slices.ContainsFunc(judge.Judge(s.run).Violations, func(v judge.Violation) bool { return v.Kind == judge.NoFault })
			if found != c.found {
				t.Errorf("it is found: %v", found)
			}
		})
	}
	t.Run("its end is not waited for", func(t *testing.T) {
		s := &scribe{}
		s.log(1)
		fault := cut
		s.now += time.Second.Nanoseconds()
		op := s.begin(1, oplog.Begin{Do: "find by user"})
		fault.To = s.now + 1
		s.end(op, notFound)
		s.run.Faults = []judge.Fault{fault}
		for _, v := range judge.Judge(s.run).Violations {
			if v.Kind == judge.NoFault {
				t.Error(v)
			}
		}
	})
}
