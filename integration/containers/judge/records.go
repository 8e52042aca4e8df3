package judge

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

// What can be said of a record without an order of what happened to it.

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// seen holds each record that somebody saw to the marks in it: each was left by a write of
// that user that was not refused; and the counter is as high as there are updates among them, since each
// adds one, and leaves its mark, in the same write.
func (j *judging) seen() {
	writers := map[int64]op{}
	for _, o := range j.ops {
		if o.begin.Mark != 0 {
			writers[o.begin.Mark] = o
		}
	}
	check := func(r oplog.Record, user int, where string) {
		updates := 0
		for _, mark := range r.Marks {
			w, ok := writers[mark]
			switch {
			case !ok || w.begin.User != r.User:
				j.violation(Invented, "mark %d, %s", mark, where)
			case w.outcome() == "refused" || w.outcome() == "not found":
				j.violation(Refused, "%v; seen %s", w, where)
			case w.begin.Do == "update":
				updates++
			}
		}
		if r.User != user {
			j.violation(Invented, "the record of user %d instead of %d, %s", r.User, user, where)
		}
		if r.Count > updates {
			j.violation(Twice, "%d updates, counted %d, of user %d, %s", updates, r.Count, r.User, where)
		}
		if r.Count < updates {
			j.violation(Lost, "%d updates, counted %d, of user %d, %s", updates, r.Count, r.User, where)
		}
	}
	for _, o := range j.ops {
		if o.end != nil && o.end.Seen != nil {
			check(*o.end.Seen, o.begin.User, "in "+o.String())
		}
	}
	for _, l := range j.looks {
		check(l.Record, l.Record.User, "in the end")
	}
}

// records looks at the records in the end.
func (j *judging) records() {
	j.Records = len(j.looks)
	ids := map[int]string{}
	for _, l := range j.looks {
		if other, ok := ids[l.Record.User]; ok {
			j.violation(TwoRecords, "user %d: %s and %s", l.Record.User, other, l.Record.ID)
		}
		ids[l.Record.User] = l.Record.ID
		want := []string{"id", "user"}
		if l.Record.Refresh != 0 {
			want = append(want, "refresh")
		}
		for _, key := range want {
			if l.Found[key] != l.Record.ID {
				j.violation(Unfound, "the %s of record %s of user %d finds %q", key, l.Record.ID, l.Record.User, l.Found[key])
			}
		}
	}
	for _, o := range j.ops {
		if _, listed := ids[o.begin.User]; o.begin.Final && o.end != nil && o.end.Outcome == "done" && !listed {
			j.violation(Unlisted, "%v", o)
		}
	}
}

// lost looks for the mark of each acknowledged save of users whom nobody deleted
// afterwards.
func (j *judging) lost() {
	if j.run.Final == nil {
		return
	}
	marks := map[int]map[int64]bool{}
	for _, l := range j.looks {
		marks[l.Record.User] = map[int64]bool{}
		for _, m := range l.Record.Marks {
			marks[l.Record.User][m] = true
		}
	}
	deleted := map[int]int64{} // when the last deletion can have happened, by user
	for _, o := range j.ops {
		if o.begin.Do != "delete" {
			continue
		}
		switch o.outcome() {
		case "done":
			deleted[o.begin.User] = max(deleted[o.begin.User], o.returns)
		case "outcome unknown":
			deleted[o.begin.User] = math.MaxInt64
		}
	}
	for _, o := range j.ops {
		if o.begin.Final || o.begin.Mark == 0 || o.outcome() != "done" || o.call < deleted[o.begin.User] {
			continue
		}
		if !marks[o.begin.User][o.begin.Mark] {
			j.violation(Lost, "%v", o)
		}
	}
}
