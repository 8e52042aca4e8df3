package judge

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
	"github.com/tokenkeep/tokenkeep/internal/history"
)

// histories looks for an order of each user's operations that explains how they came out.
func (j *judging) histories() {
	byUser := map[int][]op{}
	for _, o := range j.ops {
		byUser[o.begin.User] = append(byUser[o.begin.User], o)
	}
	for _, user := range sorted(byUser) {
		ops, ok := translate(byUser[user])
		if !ok {
			j.violation(BadLog, "user %d was written more than %d times: no order is looked for", user, history.MaxMarks-1)
			continue
		}
		for _, v := range history.CheckWithin(ops, true, j.run.Patience) {
			kind := NoOrder
			switch v.Result {
			case porcupine.Ok:
				continue
			case porcupine.Unknown:
				kind = Undecided
			}
			j.violation(kind, "user %d: %v", user, v)
			j.Violations[len(j.Violations)-1].Operations = describe(ops)
		}
		for _, bad := range history.CheckSessions(ops) {
			j.violation(Backwards, "user %d: %s", user, bad)
		}
	}
}

// describe writes operations down, one in a line.
func describe(ops []history.Operation) (lines []string) {
	for _, o := range ops {
		lines = append(lines, o.String())
	}
	return lines
}

// translate puts the operations of one user in the words of package history, whose marks are
// small numbers.
func translate(ops []op) (out []history.Operation, ok bool) {
	slices.SortStableFunc(ops, func(a, b op) int { return int(min(1, max(-1, a.call-b.call))) })
	number := map[int64]int{}
	for _, o := range ops {
		if m := o.begin.Mark; m != 0 && number[m] == 0 {
			number[m] = len(number) + 1
		}
	}
	if len(number) >= history.MaxMarks {
		return nil, false
	}
	text := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	record := func(r *oplog.Record) (h history.Record) {
		if r == nil {
			return h
		}
		h = history.Record{User: strconv.Itoa(r.User), ID: r.ID, Access: text(r.Access), Refresh: text(r.Refresh), Count: r.Count}
		for _, m := range r.Marks {
			h.Marks = h.Marks.With(number[m])
		}
		return h
	}
	for _, o := range ops {
		h := history.Operation{
			Client: o.worker*100 + o.begin.Client, Store: o.worker, Final: o.begin.Final, Call: o.call, Return: o.returns,
			Input: history.Input{
				Kind: history.Kind(o.begin.Do), User: strconv.Itoa(o.begin.User), ID: o.begin.ID,
				Access: text(o.begin.Access), Refresh: text(o.begin.Refresh), Mark: number[o.begin.Mark],
			},
			Output: history.Output{Outcome: history.Outcome(o.outcome())},
		}
		switch {
		case o.end == nil && strings.HasPrefix(o.begin.Do, "find"):
			continue // nobody was told what it found
		case o.end == nil:
			h.Return = math.MaxInt64
		default:
			h.Output.ID, h.Output.Seen = o.end.ID, record(o.end.Seen)
		}
		if h.Output.Outcome == "unexplained" {
			h.Output.Outcome = history.Refused // it is a violation already
		}
		out = append(out, h)
	}
	return out, true
}
