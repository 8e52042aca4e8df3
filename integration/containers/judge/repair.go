package judge

import (
	"strings"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

// repair looks at the three runs of the repair.
func (j *judging) repair() {
	runs := map[string]oplog.Repair{}
	if j.run.Final != nil {
		for _, line := range j.run.Final.Lines {
			if line.Repair != nil {
				runs[line.Repair.Run] = *line.Repair
			}
		}
	}
	most := j.leftBehind()
	for _, name := range []string{"before", "mend", "after"} {
		r, ok := runs[name]
		switch {
		case !ok:
			j.violation(Repairs, "there was no run %q", name)
			continue
		case !r.Done || r.Err != "":
			j.violation(Repairs, "the run %q did not end well: %s", name, r.Err)
		case r.Records != len(j.looks):
			j.violation(Repairs, "%d records in the run %q, and %d in the list", r.Records, name, len(j.looks))
		}
		for _, problem := range sorted(r.Problems) {
			c := r.Problems[problem]
			bound, may := most[problem]
			switch {
			case c.Found+c.Waiting == 0:
				continue
			case !may:
				j.violation(Repairs, "%d of %q in the run %q, and %d are waiting", c.Found, problem, name, c.Waiting)
			case c.Found+c.Waiting > bound:
				j.violation(TooMuch, "%d of %q in the run %q, and %d are waiting: all that happened can have left %d",
					c.Found, problem, name, c.Waiting, bound)
			}
			switch {
			case c.Found > c.Fixed && name == "mend":
				j.violation(Repairs, "%d of %q, and %d were mended", c.Found, problem, c.Fixed)
			case c.Found > 0 && name == "after":
				j.violation(Repairs, "%d of %q are left", c.Found, problem)
			}
		}
	}
	j.Repaired = runs["before"].Problems
}

// atOnce is how many operations there are at a time, of all workers.
const atOnce = 8

// leftBehind bounds how often each problem can be there, found or waiting, by what the operations
// did. What is not in it, no operation may leave, whatever becomes of it.
//
// The rules are those of package token; the bounds say what one operation can leave that was
// cut off at the worst moment. Operations that go well leave entries of the refresh tokens
// that they replaced, tombstones and sealed leaves that rest for a day, and growth of which the root
// is told later; and nothing else.
func (j *judging) leftBehind() map[string]int {
	var saves, claims, dead, deletions, tombstones, replaced int
	for _, o := range j.ops {
		if o.begin.Final {
			continue // the repair came before
		}
		outcome := o.outcome()
		unsettled := outcome != "done" && outcome != "not found"
		happened := outcome == "done" || outcome == "outcome unknown"
		// What an operation does after its write has taken effect, it does if there is time.
		unfinished := unsettled || o.end != nil && o.end.Late
		switch {
		case o.saves():
			saves++
			if o.begin.Refresh != 0 {
				// The entry of a refresh token is dead when another one takes its place. It stands
				// in another leaf as a rule, where nobody comes by.
				dead++
			}
			if unsettled {
				// It claims the keys that the record gains before it writes the record: the user's,
				// if the record is new, and that of a refresh token. They stay if it gets no further,
				// until somebody writes that record, or fences the one that never came to be.
				claims++
				if o.begin.Refresh != 0 {
					claims++
				}
				dead++
				tombstones++
			}
			if unfinished {
				replaced++
			}
		case o.begin.Do == "delete" && happened:
			deletions++
			tombstones++ // which rests; or is removed at once, if the service does not fail then
			// The entry of the user is dead, and those of saves that claimed a key for the record
			// when it died.
			dead += 1 + j.savesDuring(o)
			if unfinished {
				replaced++
			}
		case o.begin.Do == "update" && happened && unfinished:
			replaced++
		}
	}
	// The index has eight leaves when it is written often, or more when they are full: with
	// 500 entries each at least, and a save adds two. A leaf is sealed when it is split, or
	// when it was written some 80 times in a day. An operation writes two leaves, and seldom again.
	leaves := 8 + saves/250
	return map[string]int{
		"unfinished claim":  claims,
		"dead entry":        dead,
		"old tombstone":     tombstones,
		"unfinished growth": leaves,
		"orphaned leaf":     2*leaves + (saves+deletions)/10,
		// Who replaces a value destroys it, and on Google those of others who came too late for
		// the same number.
		"replaced value": replaced * atOnce,
	}
}

func (o op) saves() bool {
	return strings.HasPrefix(o.begin.Do, "save") || strings.HasPrefix(o.begin.Do, "keep")
}

// savesDuring counts the saves with a refresh token of a user that were under way when a deletion
// of that user took effect: all at that time are no more than atOnce.
func (j *judging) savesDuring(deletion op) (n int) {
	for _, o := range j.ops {
		before := deletion.outcome() == "done" && deletion.returns < o.call
		after := o.end != nil && o.returns < deletion.call
		if o.saves() && o.begin.Refresh != 0 && o.begin.User == deletion.begin.User && !o.begin.Final && !before && !after {
			n++
		}
	}
	return min(n, atOnce-1)
}
