package token_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// checkRepair makes sure that a repair can mend what a run left, that all is as promised
// then, and that another one finds nothing.
func (a *audit) checkRepair(add func(string, ...any)) {
	ctx := context.Background()
	before := a.records()
	s := simulatedStore(a.service.Under(""), 101, 20)
	report, err := s.Repair(ctx, token.RepairOptions{})
	if err != nil || !report.Clean() {
		add("a repair: %v: %v", err, report)
		return
	}
	for name, r := range a.records() {
		if old := before[name]; old.Live() != r.Live() {
			add("a repair changed whether %s lives", name)
		}
	}
	a.checkIndex(a.live(), func(format string, args ...any) { add("after a repair, "+format, args...) })
	again, err := simulatedStore(a.service.Under(""), 102, 20).Repair(ctx, token.RepairOptions{DryRun: true})
	if err != nil || len(foundIn(again)) > 0 {
		add("after a repair, another one: %v: %v", err, again)
	}
}

func mend(opts token.RepairOptions) op {
	return op{
		name: fmt.Sprintf("repair, rebuild %v", opts.Rebuild),
		do: func(ctx context.Context, s *token.Store, _ string) error {
			_, err := s.Repair(ctx, opts)
			return err
		},
	}
}

var (
	repair  = mend(token.RepairOptions{})
	rebuild = mend(token.RepairOptions{Rebuild: true})
)

// A mending is a scenario in which a store is mended while it is in use. Something is wrong
// with it from the beginning.
type mending struct {
	scenario
	damage func(*testing.T, *memstore.Driver)
	// A repair that looks for what is lost looks again and again; then a run is long.
	lost bool
	// calm: nobody dies.
	calm bool
}

func lose(kind, value string) func(*testing.T, *memstore.Driver) {
	return func(t *testing.T, d *memstore.Driver) { t.Helper(); dropKey(t, d, kind, value) }
}

// claimed lets a record that has a refresh token be about to get another user.
func claimedBy(user, refresh string) func(*testing.T, *memstore.Driver) {
	return func(t *testing.T, d *memstore.Driver) {
		t.Helper()
		id := idOf(t, d, refresh)
		r, err := codec.DecodeRecord(d.Dump()[codec.NameOf(id)])
		if err != nil {
			t.Fatal(err)
		}
		addEntry(t, d, "user", user, codec.Entry{Ref: id, Base: r.Seq})
	}
}

func loseRoot(_ *testing.T, d *memstore.Driver) { d.Remove(codec.RootName) }

func loseLeaf(_ *testing.T, d *memstore.Driver) { d.Remove(leafOf("01")) }

var mendings = []mending{
	{scenario{"a repair while a user signs up", one(save("U3", "R3")), [][]op{one(repair), one(save("U1", "R1"))}, 0, 0}, nil, false, false},
	{scenario{"a repair while a record is deleted that its user does not find", one(save("U1", "R1")), [][]op{one(repair), one(remove("R1"))}, 0, 0}, lose("user", "U1"), false, false},
	{scenario{"a repair while a token is rotated that does not find its record", one(save("U1", "R1")), [][]op{one(repair), one(rotate("U1", "R2"))}, 0, 0}, lose("refresh", "R1"), false, false},
	{scenario{"a repair while a record changes its user that does not find it", one(save("U1", "R1")), [][]op{one(repair), one(change("R1", "U2", "R1"))}, 0, 0}, lose("user", "U1"), false, false},
	{scenario{"a repair while a user signs up whom a record is about to get", one(save("R3")), [][]op{one(repair), one(save("U1", "R1"))}, 0, 0}, claimedBy("U1", "R3"), false, false},
	{scenario{"two repairs of what is missing", one(save("U1", "R1")), [][]op{one(repair), one(repair)}, 0, 0}, lose("user", "U1"), false, false},
	{scenario{"a repair of a lost index while a user signs up", one(save("U3", "R3")), [][]op{one(repair), one(save("U1", "R1"))}, 0, 0}, loseRoot, true, false},
	{scenario{"two repairs of a lost index", one(save("U1", "R1")), [][]op{one(repair), one(repair)}, 0, 0}, loseRoot, true, false},
	{scenario{"a repair of a lost leaf while a token is rotated", one(save("U1", "R1")), [][]op{one(repair), one(rotate("U1", "R2"))}, 4, 0}, loseLeaf, true, true},
	{scenario{"a rebuild while a user signs up", one(save("U3", "R3")), [][]op{one(rebuild), one(save("U1", "R1"))}, 0, 0}, nil, false, false},
	{scenario{"a rebuild while a user signs up over four leaves", nil, [][]op{one(rebuild), one(save("U1", "R1"))}, 4, 0}, nil, false, false},
	{scenario{"a rebuild while a user becomes known", one(save("R1")), [][]op{one(rebuild), one(save("U1", "R1"))}, 0, 0}, nil, false, false},
	{scenario{"a rebuild while a record changes its user", one(save("U1", "R1")), [][]op{one(rebuild), one(change("U1", "U2", "R1"))}, 0, 0}, nil, false, false},
	{scenario{"a rebuild while a record is deleted", one(save("U1", "R1")), [][]op{one(rebuild), one(remove("U1"))}, 0, 0}, nil, false, false},
	{scenario{"a rebuild while the index grows", one(save("U3", "R3"), save("U4", "R4")), [][]op{one(rebuild), one(save("U1", "R1"))}, 0, tight}, nil, false, false},
	{scenario{"two rebuilds while a user signs up", one(save("U3", "R3")), [][]op{one(rebuild), one(rebuild), one(save("U1", "R1"))}, 0, 0}, nil, false, true},
	{scenario{"a rebuild while two sign up as one user", one(save("U3", "R3")), [][]op{one(rebuild), one(save("U1", "R1")), one(save("U1", "R2"))}, 0, 0}, nil, false, false},
}

func TestEveryCrashPointOfARepairInAStoreThatIsInUse(t *testing.T) {
	for i, m := range mendings {
		if underRace && i%4 > 0 {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			e, patience := newExplorer(crashes, 1, 1), 3
			if m.lost {
				patience = 10
			}
			if m.calm {
				e.faults = 0
			}
			mended := 0
			for more := true; more; more = e.next() {
				d := m.service(t)
				if m.damage != nil {
					m.damage(t, d)
				}
				w := newWorld(1, patience, d, m.clients...)
				w.run(e.choose)
				bad, done := []string{}, true
				add := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
				for _, r := range w.results {
					switch {
					case r.op.name != m.clients[0][0].name:
					case r.err == nil:
						mended++
					default:
						done = false
					}
				}
				if done {
					w.audit.checkIndex(w.audit.live(), add)
				}
				// A repair that died may leave an index that is shut: another one opens it.
				w.audit.checkRepair(add)
				if bad = append(bad, w.audit.problems(w.results)...); len(bad) > 0 {
					w.fail(t, bad)
				}
			}
			t.Logf("%d runs, %d repairs that came to their end", e.runs, mended)
			if mended == 0 {
				t.Error("no repair came to its end")
			}
		})
	}
}

// TestRepairsAmongFiveClientsAtRandom lets clients do what they like while the store is
// repaired, and its index rebuilt.
func TestRepairsAmongFiveClientsAtRandom(t *testing.T) {
	runs := *simRuns
	switch {
	case runs > 0:
	case underRace:
		runs = 20
	default:
		runs = 500
	}
	seeds := make([]uint64, runs)
	for i := range seeds {
		seeds[i] = uint64(i + 1)
	}
	if *simSeed != 0 {
		seeds = []uint64{*simSeed}
	}
	for _, seed := range seeds {
		ops := []op{repair, rebuild, repair, rebuild}
		randomRun(t, seed, ops[seed%4:max(seed%4+1, seed%5)]...)
	}
}
