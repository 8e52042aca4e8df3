package judge

import (
	"slices"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

// A Fault is what was done to a worker or to the service, while it lasted. A fault that does nothing
// shows nothing, however often it is counted.
type Fault struct {
	Name string
	// Worker is the number of the worker that it was done to; 0: it was done to the service, and no
	// worker reached it.
	Worker int
	// Frozen: the worker could do nothing. Otherwise it did not reach the service.
	Frozen bool
	// From is when it had begun, and To when its end began, on the clock of package oplog.
	From, To int64
}

// settling is how long it may take a fault to be felt everywhere: what was on its way arrives.
const settling = 500 * time.Millisecond

// faults looks for what cannot have happened while a fault lasted.
func (j *judging) faults() {
	for _, f := range j.run.Faults {
		from := f.From + settling.Nanoseconds()
		if f.Frozen {
			for _, l := range j.run.Logs {
				at := slices.IndexFunc(l.Lines, func(line oplog.Line) bool {
					return l.Worker == f.Worker && from < line.At && line.At < f.To
				})
				if at >= 0 {
					j.violation(NoFault, "%s: worker %d wrote %v after it had begun", f.Name, l.Worker, time.Duration(l.Lines[at].At-f.From))
				}
			}
			continue
		}
		at := slices.IndexFunc(j.ops, func(o op) bool {
			return (f.Worker == 0 || f.Worker == o.worker) && from < o.call && o.wentWell() && o.returns < f.To
		})
		if at >= 0 {
			j.violation(NoFault, "%s: %v after it had begun, %v", f.Name, time.Duration(j.ops[at].call-f.From), j.ops[at])
		}
	}
}

// wentWell reports whether the service was asked, and answered.
func (o op) wentWell() bool {
	return o.end != nil && (o.end.Outcome == "done" || o.end.Outcome == "not found")
}
