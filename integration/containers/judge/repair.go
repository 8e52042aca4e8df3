package judge

import (
	"slices"
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

// leftBehind bounds how often each problem can be there, found or waiting, by what the operations
// did. What is not in it, no operation may leave, whatever becomes of it.
//
// The rules are those of package token; the bounds say what one operation can leave that was
// cut off at the worst moment. Operations that go well leave entries of the refresh tokens
// that they replaced, tombstones and sealed leaves that rest for a day, and growth of which the root
// is told later; and nothing else.
func (j *judging) leftBehind() map[string]int {
	var saves, claims, dead, deletions, tombstones, replaced int
	users := j.past()
	for _, o := range j.ops {
		if o.begin.Final {
			continue // the repair came before
		}
		of := users[o.begin.User]
		unsettled := o.outcome() != "done" && o.outcome() != "not found"
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
				if !of.wroteAfter(o) {
					claims += of.claims(o)
				}
				dead++
				tombstones++
			}
			if unfinished {
				replaced++
			}
		case o.deletes():
			deletions++
			tombstones++ // which rests; or is removed at once, if the service does not fail then
			// The entry of the user is dead, and those of saves that claimed a key for the record
			// when it died.
			dead += 1 + of.savesDuring(o, j.run.AtOnce-1)
			if unfinished {
				replaced++
			}
		case o.begin.Do == "update" && o.mayHaveWritten() && unfinished:
			replaced++
		}
	}
	for _, l := range j.looks {
		if l.Record.Refresh != 0 {
			dead-- // that refresh token is none that was replaced
		}
	}
	// The index has eight leaves when it is written often, or more when they are full: with
	// 500 entries each at least, and a save adds two. A leaf is sealed when it is split, or
	// when it was written some 80 times in a day. An operation writes two leaves, and seldom again.
	leaves := 8 + saves/250
	return map[string]int{
		"unfinished claim":  claims,
		"dead entry":        max(0, dead),
		"old tombstone":     tombstones,
		"unfinished growth": leaves,
		"orphaned leaf":     2*leaves + (saves+deletions)/10,
		// Who replaces a value destroys it, and on Google those of others who came too late for
		// the same number.
		"replaced value": replaced * j.run.AtOnce,
	}
}

func (o op) saves() bool {
	return strings.HasPrefix(o.begin.Do, "save") || strings.HasPrefix(o.begin.Do, "keep")
}

// mayHaveWritten reports whether a write took effect, or nobody knows that it did not.
func (o op) mayHaveWritten() bool { return o.outcome() == "done" || o.outcome() == "outcome unknown" }

// deletes reports whether a record died of an operation, or may have.
func (o op) deletes() bool { return o.begin.Do == "delete" && o.mayHaveWritten() }

// before reports whether an operation had ended when another one began.
func (o op) before(other op) bool { return o.end != nil && o.returns < other.call }

// A past are the operations on one user before the repair.
type past []op

func (j *judging) past() map[int]past {
	users := map[int]past{}
	for _, o := range j.ops {
		if !o.begin.Final {
			users[o.begin.User] = append(users[o.begin.User], o)
		}
	}
	return users
}

// claims is how many claims a save may leave that comes no further: it claims the keys that
// the record gains before it writes the record. They are that of a refresh token, and the
// user's if there is no record yet.
func (p past) claims(save op) (n int) {
	if save.begin.Refresh != 0 {
		n++
	}
	if !p.hadRecord(save) {
		n++
	}
	return n
}

// hadRecord reports whether the user had a record all the time that an operation was under way:
// somebody saw or wrote it before, and it did not die since.
func (p past) hadRecord(during op) bool {
	return slices.ContainsFunc(p, func(proof op) bool {
		return proof.outcome() == "done" && proof.begin.Do != "delete" && proof.before(during) &&
			!slices.ContainsFunc(p, func(death op) bool {
				over := death.outcome() == "done" && death.before(proof)
				return death.deletes() && !over && !during.before(death)
			})
	})
}

// wroteAfter reports whether somebody wrote the record after a save had ended. What that had
// claimed is dead then: a claim is one as long as the record is as it was.
func (p past) wroteAfter(save op) bool {
	return slices.ContainsFunc(p, func(o op) bool {
		return save.before(o) && o.outcome() == "done" && (o.begin.Mark != 0 || o.begin.Do == "delete")
	})
}

// savesDuring counts the saves with a refresh token that were under way when a deletion took
// effect, at most so many.
func (p past) savesDuring(deletion op, most int) (n int) {
	for _, o := range p {
		over := deletion.outcome() == "done" && deletion.before(o)
		if o.saves() && o.begin.Refresh != 0 && !over && !o.before(deletion) {
			n++
		}
	}
	return min(n, most)
}
