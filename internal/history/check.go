package history

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// searchTime is how long the search for an order of one user's operations may take, if nothing
// else is said.
const searchTime = 5 * time.Second

// A Verdict is what is found out about the operations of one user.
type Verdict struct {
	User string
	// Result is porcupine.Unknown if the time was up before an order was found, or before it was
	// certain that there is none. That is no violation, and no proof either.
	Result porcupine.CheckResult
	info   porcupine.LinearizationInfo
}

func (v Verdict) String() string {
	switch v.Result {
	case porcupine.Ok:
		return "there is an order that explains what happened"
	case porcupine.Illegal:
		return "no order explains what happened"
	default:
		return "undecided: in the time that there was no order was found that explains what happened, nor that there is none"
	}
}

// Check looks for an order of each user's operations in which each of them comes
// out as it did. With reads false the finds count for nothing, except the final
// ones, nor does it that an update or a deletion found nothing: they may have been
// told what was true some time ago.
func Check(ops []Operation, reads bool) []Verdict { return CheckWithin(ops, reads, 0) }

// CheckWithin is Check with another time for each search; zero: as long as Check takes.
func CheckWithin(ops []Operation, reads bool, patience time.Duration) []Verdict {
	if patience == 0 {
		patience = searchTime
	}
	users := map[string][]Operation{}
	for _, o := range ops {
		users[o.Input.User] = append(users[o.Input.User], o)
	}
	var verdicts []Verdict
	for _, user := range slices.Sorted(maps.Keys(users)) {
		all := resolve(users[user])
		v := Verdict{User: user}
		// Most unknown writes that nobody saw did not happen. To try first whether
		// all goes well without them saves the search what grows exponentially.
		for _, without := range []bool{true, false} {
			v.Result, v.info = porcupine.CheckOperationsVerbose(model, counted(all, reads, without), patience)
			if v.Result == porcupine.Ok {
				break
			}
		}
		verdicts = append(verdicts, v)
	}
	return verdicts
}

// resolve gives writes with an unknown outcome the latest time at which they can
// have taken effect: the first return of an operation that saw their mark.
func resolve(ops []Operation) []Operation {
	ops = slices.Clone(ops)
	for i := range ops {
		o := &ops[i]
		if o.Output.Outcome != Unknown {
			continue
		}
		o.Return = math.MaxInt64
		for _, saw := range ops {
			if saw.Output.Seen.Marks.has(o.Input.Mark) && saw.Return < o.Return {
				o.Return = saw.Return
				o.Output.ID, o.Output.must = saw.Output.Seen.ID, true
			}
		}
	}
	return ops
}

// counted returns the operations that have to be put in order.
func counted(ops []Operation, reads, withoutUnseen bool) []porcupine.Operation {
	var list []porcupine.Operation
	for _, o := range ops {
		out := o.Output
		unseen := out.Outcome == Unknown && o.Input.Kind != Delete && !out.must
		uncertain := !reads && !o.Final && (!o.Input.Kind.writes() || out.Outcome == NotFound)
		if out.Outcome == Refused || uncertain || unseen && withoutUnseen {
			continue
		}
		list = append(list, porcupine.Operation{
			ClientId: o.Client, Input: o.Input, Output: out, Call: o.Call, Return: o.Return, Metadata: o.String(),
		})
	}
	return list
}

// Draw writes a page into a directory that shows the operations of a user and how far
// the search came.
func (v Verdict) Draw(dir string) (path string, err error) {
	path = filepath.Join(dir, fmt.Sprintf("history-%s.html", v.User))
	return path, porcupine.VisualizePath(model, v.info, path)
}
