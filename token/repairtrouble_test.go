package token_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// Trouble with the service in the course of a repair, repairs that end early, and what callers
// get wrong.

// ill has a bit of everything.
func ill(t *testing.T) *memstore.Driver {
	t.Helper()
	d := stocked(t)
	dropKey(t, d, "user", "U1")
	addEntry(t, d, "user", "U9", codec.Entry{Ref: codec.RefOf("chosen")})
	addEntry(t, d, "user", "U8", codec.Entry{Ref: codec.RefOf("nobody's")})
	r := live(oldID(t, 1), "", "").Bury(time.Now().Add(-25 * time.Hour))
	r.Kind = codec.KindTombstone
	put(t, d, codec.NameOf(r.ID), r)
	twin := live(newID(t, 7), "U2", "R2")
	twin.Expiry = time.UnixMilli(1893456000000)
	put(t, d, codec.NameOf(twin.ID), twin)
	d.Set("index-"+oldID(t, 1), d.Dump()[codec.RootName])
	edit(t, d, "index-"+oldID(t, 1), func(x *codec.Index) { x.Key, x.Leaves = nil, nil })
	return d
}

var illnesses = found{
	token.MissingEntry: 2, token.DeadEntry: 1, token.UnfinishedClaim: 1, token.OldTombstone: 1, token.DuplicateRecord: 1, token.OrphanedLeaf: 1,
}

func TestARepairMendsABitOfEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := ill(t)
		mends(t, d, token.RepairOptions{Duplicates: token.KeepLatestExpiry}, illnesses)
		sound(t, d)
	})
}

func TestTroubleAtAnyCallOfARepairIsToldAndMendedLater(t *testing.T) {
	for what, fault := range troubles {
		for _, rebuild := range []bool{false, true} {
			for _, rests := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, rebuild: %v, names rest: %v", what, rebuild, rests), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { // so that to wait takes no time
						calls := 0
						for hit := true; hit; calls++ {
							hit = repairTroubleAt(t, calls+1, fault, rebuild, rests)
						}
						t.Logf("%d calls", calls)
					})
				})
			}
		}
	}
}

func repairTroubleAt(t *testing.T, k int, fault memstore.Fault, rebuild, rests bool) (hit bool) {
	t.Helper()
	d := ill(t)
	if rests {
		d.SetLimits(driver.Limits{DeletedNameRests: 7 * 24 * time.Hour})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
		if n++; n != k {
			return memstore.Fault{}
		}
		hit = true
		reads := call.Op == memstore.OpGet || call.Op == memstore.OpNames
		switch {
		case errors.Is(fault.Before, errGivesUp):
			cancel()
			return memstore.Fault{}
		case reads && (errors.Is(fault.Before, driver.ErrOutcomeUnknown) || fault.After != nil):
			return memstore.Fault{Before: driver.ErrUnavailable}
		}
		return fault
	})
	opts := token.RepairOptions{Duplicates: token.KeepLatestExpiry, Rebuild: rebuild}
	report, err := open(t, d).Repair(ctx, opts)
	d.OnCall(nil)
	if fault.Lost && err != nil {
		t.Errorf("call %d: %v", k, err)
	}
	if err == nil != (report.Clean() || len(report.Unreadable) > 0) {
		t.Errorf("call %d: %v, and clean: %v\n%v", k, err, report.Clean(), report)
	}
	for _, name := range []string{"U2", "R3", "U4"} {
		if _, err := open(t, d).FindToken(t.Context(), tok(name)); err != nil && !errors.Is(err, token.ErrAmbiguous) {
			// An index that is shut, and a record that is not in it yet and was chosen of two.
			passing := rebuild && errors.Is(err, token.ErrCorrupt) || name == "U2" && report.Count(token.DuplicateRecord).Found > 0
			if report.Done || !passing {
				t.Errorf("call %d: %s: %v", k, name, err)
			}
		}
	}
	opts.From, opts.Rebuild = report.Next, false
	second, err := open(t, d).Repair(t.Context(), opts)
	if err != nil || !second.Clean() {
		t.Errorf("call %d: the next run: %v\n%v", k, err, second)
	}
	for p, n := range illnesses { // what was cut short may leave more
		if got := report.Count(p).Fixed + second.Count(p).Fixed; got > n && p != token.DeadEntry && p != token.OldTombstone {
			t.Errorf("call %d: %s: %d of %d were fixed", k, p, got, n)
		}
	}
	nothingToMend(t, d)
	if got := len(content(t, d)); got != 5 {
		t.Errorf("call %d: %d records", k, got)
	}
	sound(t, d)
	return hit
}

func TestARepairGoesOnWhereItEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := grown(t, 450)
		leaves := indexSecrets(t, d)
		for name, x := range leaves {
			if x.Live() {
				edit(t, d, name, func(x *codec.Index) { // each record loses a key at most
					for h := range x.Entries {
						if h[8]%64 == 0 {
							delete(x.Entries, h)
						}
					}
				})
			}
		}
		whole, err := open(t, d).Repair(t.Context(), token.RepairOptions{DryRun: true})
		if err != nil || whole.Records != 450 || whole.Count(token.MissingEntry).Found == 0 {
			t.Fatalf("%v %v", whole, err)
		}
		var from string
		var phases, places []string
		fixed, runs := 0, 0
		for done := false; !done && runs < 50; runs++ {
			ctx, cancel := context.WithCancel(t.Context())
			calls := 0
			d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
				if calls++; calls > 2+4*runs {
					cancel()
				}
				return memstore.Fault{}
			})
			report, err := open(t, d).Repair(ctx, token.RepairOptions{From: from, Progress: func(p token.RepairProgress) {
				if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
					phases = append(phases, p.Phase)
				}
				if p.Done > p.Total && p.Total > 0 {
					t.Errorf("%+v", p)
				}
			}})
			cancel()
			done = report.Done
			if done != (err == nil) || !done && !errors.Is(err, context.Canceled) {
				t.Fatalf("%v %v", report, err)
			}
			fixed += report.Count(token.MissingEntry).Fixed
			if from = report.Next; from != "" {
				places = append(places, from)
			}
		}
		d.OnCall(nil)
		t.Logf("%d runs, by way of %q", runs, places)
		if want := whole.Count(token.MissingEntry).Found; fixed > want || fixed < want-runs { // one that was cut short may have been mended
			t.Errorf("%d entries were mended of %d", fixed, want)
		}
		if len(places) < 3 || !strings.HasPrefix(places[0], "records/token-") || !strings.HasPrefix(places[len(places)-1], "entries") {
			t.Errorf("the places %q", places)
		}
		for _, phase := range []string{"names", "index", "records", "duplicates", "entries", "leftovers"} {
			if !strings.Contains(strings.Join(phases, " "), phase) {
				t.Errorf("no progress was told of %s", phase)
			}
		}
		nothingToMend(t, d)
	})
}

func TestWhatIsNoFromIsInvalid(t *testing.T) {
	d := stocked(t)
	unchanged(t, d)
	s := open(t, d)
	for _, from := range []string{
		"x", "/", "records/", "records/x", "records/index", "/records", "entries/2", "entries/" + strings.Repeat("0", 49),
		"duplicates/1", "leftovers/x", "index", "rebuild", "names", "token-aaaaaaaaaaaaaaaaaaaa", "entries/0/1", " ",
	} {
		report, err := s.Repair(t.Context(), token.RepairOptions{From: from})
		if invalid(t, err); report.Done {
			t.Errorf("%q: %v", from, report)
		}
	}
	for _, from := range []string{"", "records", "records/token-aaaaaaaaaaaaaaaaaaaa", "duplicates", "entries", "entries/0101", "leftovers"} {
		if report, err := s.Repair(t.Context(), token.RepairOptions{From: from}); err != nil || !report.Clean() {
			t.Errorf("%q: %v %v", from, report, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if report, err := s.Repair(ended, token.RepairOptions{}); !errors.Is(err, context.Canceled) || report.Done {
		t.Errorf("%v %v", report, err)
	}
}

// No report and no error of a repair holds a secret or a user name.
func TestARepairTellsNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memstore.NewDriver()
		s := open(t, d)
		for n := range 3 {
			if err := s.SaveToken(t.Context(), canaryToken(n)); err != nil {
				t.Fatal(err)
			}
		}
		all, err := s.GetTokens(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		twin, err := codec.DecodeRecord(d.Dump()[codec.NameOf(codec.RefOf(all[0].ID))])
		if err != nil {
			t.Fatal(err)
		}
		twin.ID, twin.AccessToken, twin.Chosen = newID(t, 1), canary("other"), false
		put(t, d, codec.NameOf(twin.ID), twin)
		d.Set(codec.NameOf(newID(t, 2)), []byte(`{"refresh_token":"`+canary("damaged")+`"}`))
		d.Set(codec.NameOf(newID(t, 3)), d.Dump()[codec.NameOf(twin.ID)])
		for k := range 30 {
			n := 0
			d.OnCall(func(context.Context, memstore.Call) memstore.Fault {
				if n++; n == k {
					return memstore.Fault{Before: driver.ErrUnavailable}
				}
				return memstore.Fault{}
			})
			report, err := open(t, d).Repair(t.Context(), token.RepairOptions{DryRun: k%2 == 0, Rebuild: k%3 == 0})
			for _, text := range []string{
				fmt.Sprint(report), fmt.Sprintf("%v %+v %#v", report, report, report), fmt.Sprintf("%v %+v %#v", err, err, err),
			} {
				if strings.Contains(text, bird) {
					t.Fatalf("call %d: %s", k, text)
				}
			}
			silent(t, "Repair", err)
		}
	})
}
