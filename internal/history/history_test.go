package history

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/tokenkeep/tokenkeep/token"
)

// one is an operation of user u between two times.
func one(call, back int64, in Input, out Output) Operation {
	in.User = "u"
	if out.Seen.ID != "" {
		out.Seen.User = "u"
	}
	return Operation{Input: in, Output: out, Call: call, Return: back}
}

func saved(call, back int64, id, access string, mark int) Operation {
	return one(call, back, Input{Kind: SaveAccess, Access: access, Mark: mark}, Output{Outcome: Done, ID: id})
}

func rotated(call, back int64, id, refresh string, mark int) Operation {
	return one(call, back, Input{Kind: SaveRefresh, Refresh: refresh, Mark: mark}, Output{Outcome: Done, ID: id})
}

func updated(call, back int64, mark int, outcome Outcome, seen Record) Operation {
	return one(call, back, Input{Kind: Update, ID: seen.ID, Mark: mark}, Output{Outcome: outcome, Seen: seen})
}

func deleted(call, back int64, id string, outcome Outcome) Operation {
	return one(call, back, Input{Kind: Delete, ID: id}, Output{Outcome: outcome})
}

func found(call, back int64, seen Record) Operation {
	return one(call, back, Input{Kind: FindByUser}, Output{Outcome: Done, Seen: seen})
}

func missed(call, back int64, in Input) Operation {
	return one(call, back, in, Output{Outcome: NotFound})
}

// with gives an operation another outcome.
func with(outcome Outcome, o Operation) Operation {
	o.Output.Outcome, o.Output.ID = outcome, ""
	return o
}

// final makes an operation one of the final ones.
func final(o Operation) Operation {
	o.Final = true
	return o
}

// record is what a find saw: id, access and refresh token, counter, marks.
func record(id, access, refresh string, count int, marks ...int) Record {
	r := Record{ID: id, Access: access, Refresh: refresh, Count: count}
	for _, mark := range marks {
		r.Marks = r.Marks.With(mark)
	}
	return r
}

func TestCheck(t *testing.T) {
	const good, bad = porcupine.Ok, porcupine.Illegal
	for _, h := range []struct {
		name         string
		want, writes porcupine.CheckResult // with all reads, and of the writes alone
		ops          []Operation
	}{
		{"nothing happens", good, good, nil},
		{"a record lives and dies", good, good, []Operation{
			missed(1, 2, Input{Kind: FindByUser}), saved(3, 4, "x", "a", 1), found(5, 6, record("x", "a", "", 0, 1)),
			rotated(7, 8, "x", "r", 2), updated(9, 10, 3, Done, record("x", "a", "r", 0, 1, 2)),
			one(11, 12, Input{Kind: FindByRefresh, Refresh: "r"}, Output{Outcome: Done, Seen: record("x", "a", "r", 1, 1, 2, 3)}),
			deleted(13, 14, "x", Done), missed(15, 16, Input{Kind: FindByID, ID: "x"}), saved(17, 18, "y", "b", 4),
			missed(19, 20, Input{Kind: FindByRefresh, Refresh: "r"}), final(found(21, 22, record("y", "b", "", 0, 4))),
		}},
		{"concurrent writes come in either order", good, good, []Operation{
			saved(1, 2, "x", "a", 1), saved(3, 6, "x", "b", 2), saved(4, 5, "x", "c", 3),
			final(found(7, 8, record("x", "b", "", 0, 1, 2, 3))),
		}},
		{"an update is lost", bad, bad, []Operation{
			saved(1, 2, "x", "a", 1), updated(3, 6, 2, Done, record("x", "a", "", 0, 1)),
			updated(4, 5, 3, Done, record("x", "a", "", 0, 1)), final(found(7, 8, record("x", "a", "", 1, 1, 3))),
		}},
		{"the fields of a save are lost", bad, bad, []Operation{
			saved(1, 2, "x", "a", 1), saved(3, 6, "x", "b", 2), rotated(4, 5, "x", "r", 3),
			final(found(7, 8, record("x", "b", "", 0, 1, 2))),
		}},
		{"an update is applied twice", bad, bad, []Operation{
			saved(1, 2, "x", "a", 1), updated(3, 4, 2, Done, record("x", "a", "", 0, 1)),
			final(found(5, 6, record("x", "a", "", 2, 1, 2))),
		}},
		{"a read after an acknowledged write is stale", bad, good, []Operation{
			saved(1, 2, "x", "a", 1), saved(3, 4, "x", "b", 2), found(5, 6, record("x", "a", "", 0, 1)),
		}},
		{"two reads disagree about the order", bad, good, []Operation{
			saved(1, 2, "x", "a", 1), saved(3, 9, "x", "b", 2),
			found(4, 5, record("x", "b", "", 0, 1, 2)), found(6, 7, record("x", "a", "", 0, 1)),
		}},
		{"a refresh token that was replaced still finds the record", bad, good, []Operation{
			rotated(1, 2, "x", "r", 1), rotated(3, 4, "x", "s", 2),
			one(5, 6, Input{Kind: FindByRefresh, Refresh: "r"}, Output{Outcome: Done, Seen: record("x", "", "s", 0, 1, 2)}),
		}},
		{"a refresh token finds nothing", bad, good, []Operation{
			rotated(1, 2, "x", "r", 1), missed(3, 4, Input{Kind: FindByRefresh, Refresh: "r"}),
		}},
		{"a record comes back after its deletion", bad, bad, []Operation{
			saved(1, 2, "x", "a", 1), deleted(3, 4, "x", Done), final(found(5, 6, record("x", "a", "", 0, 1))),
		}},
		{"an id is used again", bad, bad, []Operation{
			saved(1, 2, "x", "a", 1), deleted(3, 4, "x", Done), saved(5, 6, "x", "b", 2),
		}},
		{"a save makes a second record", bad, bad, []Operation{
			saved(1, 2, "x", "a", 1), saved(3, 4, "y", "b", 2),
		}},
		{"a record is deleted twice", bad, bad, []Operation{
			saved(1, 2, "x", "a", 1), deleted(3, 6, "x", Done), deleted(4, 5, "x", Done),
		}},
		{"a write was applied though the error said not", bad, bad, []Operation{
			saved(1, 2, "x", "a", 1), with(Refused, saved(3, 4, "x", "b", 2)),
			final(found(5, 6, record("x", "b", "", 0, 1, 2))),
		}},
		{"a write was not applied, as the error said", good, good, []Operation{
			saved(1, 2, "x", "a", 1), with(Refused, saved(3, 4, "x", "b", 2)),
			final(found(5, 6, record("x", "a", "", 0, 1))),
		}},
		{"an unknown write never happens", good, good, []Operation{
			saved(1, 2, "x", "a", 1), with(Unknown, saved(3, 4, "x", "b", 2)), deleted(5, 6, "x", Unknown),
			updated(7, 8, 3, Unknown, record("x", "a", "", 0, 1)), final(found(9, 10, record("x", "a", "", 0, 1))),
		}},
		{"an unknown write happens late", good, good, []Operation{
			with(Unknown, saved(1, 2, "", "b", 2)), missed(3, 4, Input{Kind: FindByUser}),
			final(found(5, 6, record("x", "b", "", 0, 2))),
		}},
		{"an unknown write happens before its call", bad, bad, []Operation{
			updated(1, 2, 2, Done, record("x", "b", "", 0, 1)), with(Unknown, saved(3, 4, "", "b", 1)),
		}},
		{"an unknown write happens twice", bad, good, []Operation{
			with(Unknown, saved(1, 2, "", "a", 1)), saved(3, 4, "x", "b", 2), saved(5, 6, "x", "c", 3),
			found(7, 8, record("x", "c", "", 0, 1, 2, 3)), final(found(9, 10, record("x", "a", "", 0, 1, 2, 3))),
		}},
		{"an unknown update does not count what it saw", bad, bad, []Operation{
			saved(1, 2, "x", "a", 1), updated(3, 4, 2, Unknown, record("x", "a", "", 0, 1)),
			updated(5, 6, 3, Done, record("x", "a", "", 0, 1)), final(found(7, 8, record("x", "a", "", 2, 1, 2, 3))),
		}},
		{"an update whose client died is seen", good, good, []Operation{
			saved(1, 2, "x", "a", 1), one(3, 4, Input{Kind: Update, ID: "x", Mark: 2}, Output{Outcome: Unknown}),
			final(found(5, 6, record("x", "a", "", 1, 1, 2))),
		}},
		{"an update whose client died is never seen", good, good, []Operation{
			saved(1, 2, "x", "a", 1), one(3, 4, Input{Kind: Update, ID: "x", Mark: 2}, Output{Outcome: Unknown}),
			final(found(5, 6, record("x", "a", "", 0, 1))),
		}},
		{"an update whose client died is applied twice", bad, bad, []Operation{
			saved(1, 2, "x", "a", 1), one(3, 4, Input{Kind: Update, ID: "x", Mark: 2}, Output{Outcome: Unknown}),
			final(found(5, 6, record("x", "a", "", 2, 1, 2))),
		}},
		{"an update whose client died loses a save", bad, bad, []Operation{
			saved(1, 2, "x", "a", 1), one(3, 6, Input{Kind: Update, ID: "x", Mark: 2}, Output{Outcome: Unknown}),
			saved(4, 5, "x", "b", 3), final(found(7, 8, record("x", "a", "", 1, 1, 2))),
		}},
		{"an unknown deletion happens", good, good, []Operation{
			saved(1, 2, "x", "a", 1), deleted(3, 4, "x", Unknown), found(5, 6, record("x", "a", "", 0, 1)),
			final(missed(7, 8, Input{Kind: FindByUser})),
		}},
		{"an unknown rotation is seen by its absence only", good, good, []Operation{
			rotated(1, 2, "x", "r", 1), with(Unknown, rotated(3, 4, "x", "s", 2)),
			missed(5, 6, Input{Kind: FindByRefresh, Refresh: "r"}), deleted(7, 8, "x", Done),
		}},
	} {
		t.Run(h.name, func(t *testing.T) {
			for reads, want := range map[bool]porcupine.CheckResult{true: h.want, false: h.writes} {
				for _, v := range Check(h.ops, reads) {
					if v.Result != want {
						t.Errorf("with all reads (%v): %v, want %v", reads, v.Result, want)
					}
				}
			}
		})
	}
}

func TestCheckSessions(t *testing.T) {
	// other makes an operation one of another store.
	other := func(o Operation) Operation {
		o.Store = 1
		return o
	}
	for _, h := range []struct {
		name string
		good bool
		ops  []Operation
	}{
		{"a store sees what it wrote", true, []Operation{saved(1, 2, "x", "a", 1), found(3, 4, record("x", "a", "", 0, 1))}},
		{"a store does not see what it wrote", false, []Operation{saved(1, 2, "x", "a", 1), found(3, 4, record("x", "", "r", 0, 2))}},
		{"a store does not see yet what it is writing", true, []Operation{saved(1, 5, "x", "a", 1), found(3, 4, record("x", "", "r", 0, 2))}},
		{"a store does not see yet what another one wrote", true, []Operation{
			other(saved(1, 2, "x", "a", 1)), found(3, 4, record("x", "", "r", 0, 2)),
		}},
		{"a store goes back behind what it saw", false, []Operation{
			found(1, 2, record("x", "", "r", 1, 1, 2)), found(3, 4, record("x", "", "r", 0, 1)),
		}},
		{"a store misses what it wrote", false, []Operation{saved(1, 2, "x", "a", 1), missed(3, 4, Input{Kind: FindByUser})}},
		{"a store misses what another one deleted", true, []Operation{
			saved(1, 2, "x", "a", 1), other(deleted(3, 7, "x", Unknown)), missed(4, 5, Input{Kind: FindByUser}),
		}},
		{"a store misses an id that it saw", false, []Operation{
			found(1, 2, record("x", "", "r", 0, 1)), missed(3, 4, Input{Kind: FindByID, ID: "x"}),
		}},
		{"a store sees what it deleted", false, []Operation{
			saved(1, 2, "x", "a", 1), deleted(3, 4, "x", Done), found(5, 6, record("x", "a", "", 0, 1)),
		}},
		{"a store misses a refresh token that it wrote", false, []Operation{
			rotated(1, 2, "x", "r", 1), missed(3, 4, Input{Kind: FindByRefresh, Refresh: "r"}),
		}},
		{"a store misses a refresh token that another one replaced", true, []Operation{
			rotated(1, 2, "x", "r", 1), other(rotated(3, 9, "x", "s", 2)), missed(4, 5, Input{Kind: FindByRefresh, Refresh: "r"}),
		}},
	} {
		t.Run(h.name, func(t *testing.T) {
			if bad := CheckSessions(h.ops); (len(bad) == 0) != h.good {
				t.Errorf("found: %q", bad)
			}
		})
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		name       string
		kind       Kind
		err        error
		dead       bool
		want       Outcome
		unexpected bool
	}{
		{"no error is done", Update, nil, false, Done, false},
		{"a write of a process that died is unknown", Update, nil, true, Unknown, false},
		{"a read of a process that died says nothing", FindByUser, nil, true, Refused, false},
		{"an unknown write is unknown even if its context ended", SaveAccess,
			fmt.Errorf("%w: %w", token.ErrOutcomeUnknown, context.Canceled), false, Unknown, false},
		{"a context that ended without that was not written", SaveAccess, context.Canceled, false, Refused, false},
		{"that the time was up explains nothing by itself", SaveAccess, context.DeadlineExceeded, false, Refused, true},
		{"a time that was up before anything was written is told so", SaveAccess,
			fmt.Errorf("%w: %w", token.ErrUnavailable, context.DeadlineExceeded), false, Refused, false},
		{"a read is never unknown", FindByID, token.ErrOutcomeUnknown, false, Refused, true},
		{"a save always finds its record", SaveRefresh, token.ErrNotFound, false, Refused, true},
		{"a user has one record", FindByUser, token.ErrAmbiguous, false, Refused, true},
		{"an error shows no values", FindByUser, errors.New("no user-1"), false, Refused, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, problem := classify(c.kind, c.err, c.dead, false)
			if got != c.want || (problem != "") != c.unexpected {
				t.Errorf("%v, %q", got, problem)
			}
		})
	}
}

// A search that takes too long says that it found out nothing, which is neither of the two.
func TestASearchThatGivesUpIsUndecided(t *testing.T) {
	var ops []Operation
	for i := range 30 {
		ops = append(ops, saved(1, 100, "x", fmt.Sprint(i), 1+i))
	}
	ops = append(ops, found(101, 102, record("x", "none of them", "", 0))) // after any order of them
	verdicts := CheckWithin(ops, true, 1)
	if len(verdicts) != 1 || verdicts[0].Result != porcupine.Unknown {
		t.Fatalf("verdicts: %v", verdicts)
	}
	if text := verdicts[0].String(); !strings.HasPrefix(text, "undecided: ") {
		t.Errorf("the verdict is told as %q", text)
	}
	if text := Check(ops[30:], true)[0].String(); text != "no order explains what happened" {
		t.Errorf("that there is no order is told as %q", text)
	}
}
