package token_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// A found says how often problems are met.
type found map[token.Problem]int

func foundIn(r token.RepairReport) found {
	f := found{}
	for _, c := range r.Problems {
		if c.Found > 0 {
			f[c.Problem] = c.Found
		}
	}
	return f
}

// mends runs a repair, dry first, and tells what it has to find and mend, and that nothing
// is left then.
func mends(t *testing.T, d *memstore.Driver, opts token.RepairOptions, want found) token.RepairReport {
	t.Helper()
	before := d.Dump()
	dry := opts
	dry.DryRun = true
	looked, err := open(t, d).Repair(t.Context(), dry)
	if err != nil {
		t.Fatalf("dry run: %v", err)
	}
	if diff := cmp.Diff(before, d.Dump()); diff != "" {
		t.Errorf("a dry run wrote (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(want, foundIn(looked)); diff != "" {
		t.Errorf("what a dry run found (-want +got):\n%s", diff)
	}
	report, err := open(t, d).Repair(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range report.Problems {
		if c.Found != want[c.Problem] || c.Found != c.Fixed {
			t.Errorf("%s: %d found, %d fixed, want %d", c.Problem, c.Found, c.Fixed, want[c.Problem])
		}
	}
	if !report.Done || report.Next != "" || !report.Clean() {
		t.Errorf("the run is not done: %+v", report)
	}
	nothingToMend(t, d)
	return report
}

// nothingToMend tells that all is well in the eyes of a repair.
func nothingToMend(t *testing.T, d *memstore.Driver) {
	t.Helper()
	again, err := open(t, d).Repair(t.Context(), token.RepairOptions{DryRun: true})
	if err != nil || len(foundIn(again)) > 0 {
		t.Errorf("what is left: %v, %v", foundIn(again), err)
	}
}

// sound tells that the promises hold, and that the store finds and saves.
func sound(t *testing.T, d *memstore.Driver) {
	t.Helper()
	for _, bad := range newAudit(d).problems(nil) {
		t.Error(bad)
	}
}

// ids returns the ids that the store made, of a stocked driver, by user or refresh token.
func idOf(t *testing.T, d *memstore.Driver, words ...string) string {
	t.Helper()
	found, err := open(t, d).FindToken(t.Context(), tok(words...))
	if err != nil {
		t.Fatal(err)
	}
	return found.ID
}

// hashOf returns the hash of a key.
func hashOf(t *testing.T, d *memstore.Driver, kind, value string) codec.Hash {
	t.Helper()
	root, err := codec.DecodeIndex(d.Dump()[codec.RootName])
	if err != nil {
		t.Fatal(err)
	}
	return codec.NewHash(root.Key, kind, value)
}

func dropKey(t *testing.T, d *memstore.Driver, kind, value string) {
	t.Helper()
	h := hashOf(t, d, kind, value)
	edit(t, d, codec.RootName, func(x *codec.Index) { delete(x.Entries, h) })
}

// put writes a record as another tool does it.
func put(t *testing.T, d *memstore.Driver, name string, r *codec.Record) {
	t.Helper()
	r.Frame = r.Next(r.Kind, "by hand "+name)
	value, err := codec.EncodeRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	d.Set(name, value)
}

func live(id, user, refresh string) *codec.Record {
	return &codec.Record{Frame: codec.Frame{Kind: codec.KindToken}, ID: id, UserName: user, RefreshToken: refresh}
}

// oldID is an id that was made days ago.
func oldID(t *testing.T, n byte) string {
	t.Helper()
	id, err := codec.NewID(bytes.NewReader(bytes.Repeat([]byte{n}, 10)), []byte("key"), time.Now().Add(-5*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newID(t *testing.T, n byte) string {
	t.Helper()
	id, err := codec.NewID(bytes.NewReader(bytes.Repeat([]byte{n}, 10)), []byte("key"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// addEntry puts an entry into a small index.
func addEntry(t *testing.T, d *memstore.Driver, kind, value string, e codec.Entry) {
	t.Helper()
	h := hashOf(t, d, kind, value)
	edit(t, d, codec.RootName, func(x *codec.Index) { x.Entries[h] = append(x.Entries[h], e) })
}

func TestRepairFindsNothingInAStoreThatIsWell(t *testing.T) {
	mends(t, memstore.NewDriver(), token.RepairOptions{}, found{})
	d := stocked(t)
	unchanged(t, d)
	report := mends(t, d, token.RepairOptions{}, found{})
	if report.Records != 5 || report.Tombstones != 0 || report.IndexSecrets != 1 || report.Again != 0 {
		t.Errorf("%+v", report)
	}
}

func TestRepairMendsWhatCrashesAndHandsLeave(t *testing.T) {
	rested := driver.Limits{DeletedNameRests: 7 * 24 * time.Hour}
	for what, c := range map[string]struct {
		limits driver.Limits
		damage func(*testing.T, *memstore.Driver)
		want   found
	}{
		"a root that is missing": {driver.Limits{}, func(_ *testing.T, d *memstore.Driver) { d.Remove(codec.RootName) }, found{token.LostIndex: 1}},
		"a root that is none":    {driver.Limits{}, func(_ *testing.T, d *memstore.Driver) { d.Set(codec.RootName, []byte("{}")) }, found{token.DamagedIndex: 1}},
		"a root without its key": {driver.Limits{}, func(_ *testing.T, d *memstore.Driver) {
			d.Set(codec.RootName, bytes.Replace(d.Dump()[codec.RootName], []byte("hash_key"), []byte("hash_yek"), 1))
		}, found{token.DamagedIndex: 1}},
		"a root that names what is missing": {driver.Limits{}, func(t *testing.T, d *memstore.Driver) {
			edit(t, d, codec.RootName, func(x *codec.Index) { x.Leaves[""] = "index-lost" })
		}, found{token.DamagedIndex: 1}},
		"records that no key finds": {driver.Limits{}, func(t *testing.T, d *memstore.Driver) {
			dropKey(t, d, "user", "U1")
			dropKey(t, d, "refresh", "R3")
			dropKey(t, d, "access", "A5")
		}, found{token.MissingEntry: 3}},
		"an index that was emptied": {driver.Limits{}, func(t *testing.T, d *memstore.Driver) {
			edit(t, d, codec.RootName, func(x *codec.Index) { clear(x.Entries) })
		}, found{token.MissingEntry: 5}},
		"entries that are dead": {driver.Limits{}, func(t *testing.T, d *memstore.Driver) {
			addEntry(t, d, "user", "U9", codec.Entry{Ref: codec.RefOf("chosen")})
			addEntry(t, d, "refresh", "R1", codec.Entry{Ref: idOf(t, d, "U2")})
		}, found{token.DeadEntry: 2}},
		"a claim of a record that is there": {driver.Limits{}, func(t *testing.T, d *memstore.Driver) {
			addEntry(t, d, "user", "U9", codec.Entry{Ref: codec.RefOf("chosen"), Base: 1})
		}, found{token.UnfinishedClaim: 1}},
		"a claim of a record that was never created": {driver.Limits{}, func(t *testing.T, d *memstore.Driver) {
			addEntry(t, d, "user", "U9", codec.Entry{Ref: oldID(t, 1)})
			addEntry(t, d, "user", "U1", codec.Entry{Ref: oldID(t, 2)})
			addEntry(t, d, "user", "U8", codec.Entry{Ref: codec.RefOf("nobody's")})
		}, found{token.UnfinishedClaim: 3}},
		"records that are behind the index": {driver.Limits{}, func(t *testing.T, d *memstore.Driver) {
			h := hashOf(t, d, "user", "U2")
			edit(t, d, codec.RootName, func(x *codec.Index) { x.Entries[h][0].Base = 7 })
			addEntry(t, d, "user", "U9", codec.Entry{Ref: codec.RefOf("nobody's"), Base: 7})
			addEntry(t, d, "user", "U9", codec.Entry{Ref: idOf(t, d, "R3"), Base: 7})
		}, found{token.BehindIndex: 3}},
		"tombstones that have rested": {driver.Limits{}, func(t *testing.T, d *memstore.Driver) {
			buried := time.Now().Add(-25 * time.Hour)
			for n := range byte(3) {
				r := live(oldID(t, n), "", "").Bury(buried)
				r.Kind, r.Chosen = codec.KindTombstone, n == 2
				if n == 1 {
					r.Kind = codec.KindPurging
				}
				put(t, d, codec.NameOf(oldID(t, n)), r)
			}
			fence := (&codec.Record{}).Bury(buried)
			fence.Kind = codec.KindTombstone
			put(t, d, codec.NameOf(oldID(t, 3)), fence)
			edit(t, d, codec.RootName, func(x *codec.Index) {
				x.Graves = map[string]time.Time{oldID(t, 0): buried, oldID(t, 9): buried}
			})
		}, found{token.OldTombstone: 3, token.EmptyGrave: 2}},
		"tombstones where names rest": {rested, func(t *testing.T, d *memstore.Driver) {
			r := live(oldID(t, 1), "", "").Bury(time.Now())
			r.Kind = codec.KindTombstone
			put(t, d, codec.NameOf(oldID(t, 1)), r)
		}, found{token.OldTombstone: 1}},
		"a leaf that nothing leads to": {driver.Limits{}, func(t *testing.T, d *memstore.Driver) {
			d.Set("index-"+oldID(t, 1), d.Dump()[codec.RootName])
			edit(t, d, "index-"+oldID(t, 1), func(x *codec.Index) { x.Key, x.Leaves = nil, nil })
		}, found{token.OrphanedLeaf: 1}},
		"a leaf that nothing leads to, where names rest": {rested, func(t *testing.T, d *memstore.Driver) {
			d.Set("index-"+oldID(t, 1), d.Dump()[codec.RootName])
			edit(t, d, "index-"+oldID(t, 1), func(x *codec.Index) { x.Key, x.Leaves = nil, nil })
		}, found{token.OrphanedLeaf: 1}},
		"sealed leaves that have rested": {driver.Limits{}, func(t *testing.T, d *memstore.Driver) {
			d.Set("index-"+oldID(t, 1), d.Dump()[codec.RootName])
			edit(t, d, "index-"+oldID(t, 1), func(x *codec.Index) {
				x.Key, x.Leaves, x.Kind = nil, map[string]string{"": "index-x"}, codec.KindSealed
			})
			edit(t, d, codec.RootName, func(x *codec.Index) {
				x.Retired = map[string]time.Time{oldID(t, 1): time.Now().Add(-25 * time.Hour), oldID(t, 2): time.Now().Add(-25 * time.Hour)}
			})
		}, found{token.OrphanedLeaf: 2}},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := stocked(t)
				if c.limits.DeletedNameRests > 0 {
					d.SetLimits(c.limits)
				}
				before := content(t, d)
				c.damage(t, d)
				mends(t, d, token.RepairOptions{}, c.want)
				same(t, content(t, d), before)
				sound(t, d)
			})
		})
	}
}

// Every way in which leaves are damaged by hand is mended.
func TestRepairMendsAnIndexOfSeveralLeaves(t *testing.T) {
	for what, c := range map[string]struct {
		damage func(*testing.T, *memstore.Driver)
		want   found
	}{
		"a root that names itself":        {rootNames(func(string) string { return codec.RootName }), found{token.DamagedIndex: 1}},
		"a root that names a record":      {rootNames(func(string) string { return codec.NameOf(codec.RefOf("chosen")) }), found{token.DamagedIndex: 1}},
		"leaves that are gone":            {func(_ *testing.T, d *memstore.Driver) { d.Remove(leafOf("01")) }, found{token.DamagedIndex: 1}},
		"leaves that name themselves":     {sealed(leafOf), found{token.DamagedIndex: 1}},
		"leaves that were given up":       {sealed(func(string) string { return codec.RootName }), found{token.DamagedIndex: 1}},
		"sealed leaves without a next":    {sealed(func(prefix string) string { return "index-next" + prefix }), found{token.UnfinishedGrowth: 4}},
		"leaves without their entries":    {everyLeaf(func(_ string, x *codec.Index) { clear(x.Entries) }), found{token.MissingEntry: 3}},
		"a lost root with all its leaves": {func(_ *testing.T, d *memstore.Driver) { d.Remove(codec.RootName) }, found{token.LostIndex: 1}},
	} {
		for _, rests := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, names rest: %v", what, rests), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := memstore.NewDriver()
					if rests {
						d.SetLimits(driver.Limits{DeletedNameRests: 7 * 24 * time.Hour})
					}
					splitIndex(t, d)
					for _, words := range [][]string{{"#chosen", "U4", "R4"}, {"U1", "R1"}, {"U2", "G2"}} {
						if err := open(t, d).SaveToken(t.Context(), tok(words...)); err != nil {
							t.Fatal(err)
						}
					}
					before := content(t, d)
					c.damage(t, d)
					mends(t, d, token.RepairOptions{}, c.want)
					same(t, content(t, d), before)
					sound(t, d)
					if leaves := len(indexSecrets(t, d)); rests && c.want[token.UnfinishedGrowth] == 0 && c.want[token.MissingEntry] == 0 && leaves > 1 {
						t.Errorf("%d index secrets of a small store", leaves)
					}
				})
			})
		}
	}
}

func TestARebuildMakesAnIndexOfManyLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const users = 600
		d := grown(t, users)
		knows := open(t, d)
		if _, err := knows.FindToken(t.Context(), tok("U1")); err != nil {
			t.Fatal(err)
		}
		before := content(t, d)
		old := indexSecrets(t, d)
		report, err := open(t, d).Repair(t.Context(), token.RepairOptions{Rebuild: true})
		if err != nil || !report.Clean() || report.Again == 0 {
			t.Fatalf("%v %v", report, err)
		}
		same(t, content(t, d), before)
		live := 0
		for name, x := range indexSecrets(t, d) {
			if name != codec.RootName && x.Live() {
				if live++; old[name] != nil {
					t.Errorf("%s is of the old index", name)
				}
			}
		}
		t.Logf("%d leaves for %d users, and %d secrets before", live, users, len(old))
		for i := range users {
			for _, s := range []*token.Store{knows, open(t, d)} {
				if err := s.SaveToken(t.Context(), tok(fmt.Sprint("U", i), fmt.Sprint("R-new", i%7, "-", i))); err != nil {
					t.Fatalf("user %d: %v", i, err)
				}
			}
		}
		if got := len(content(t, d)); got != users {
			t.Errorf("%d records", got)
		}
		advance(25 * time.Hour)
		if _, err := open(t, d).Repair(t.Context(), token.RepairOptions{}); err != nil {
			t.Fatal(err)
		}
		for name := range old {
			if name != codec.RootName && d.Dump()[name] != nil {
				t.Errorf("%s of the old index is still there", name)
			}
		}
		nothingToMend(t, d)
		sound(t, d)
	})
}

func TestDuplicatesAreListedAndResolvedAsTheRuleSays(t *testing.T) {
	duplicated := func(t *testing.T) (d *memstore.Driver, first, second string) {
		t.Helper()
		d = stocked(t)
		first, second = idOf(t, d, "U2"), newID(t, 7)
		r := live(second, "U2", "R2")
		r.ClientID, r.Expiry = "c9", time.UnixMilli(1893456000000)
		put(t, d, codec.NameOf(second), r)
		return d, first, second
	}
	t.Run("without a rule they stay", func(t *testing.T) {
		d, first, second := duplicated(t)
		unchanged(t, d)
		for _, dry := range []bool{true, false} {
			report, err := open(t, d).Repair(t.Context(), token.RepairOptions{DryRun: dry})
			want := []token.Duplicate{{IDs: []string{first, second}, Differ: []string{"ClientID", "AccessToken", "Expiry"}}}
			if diff := cmp.Diff(want, report.Duplicates); diff != "" || err != nil || report.Clean() {
				t.Errorf("%v, clean %v:\n%s", err, report.Clean(), diff)
			}
		}
	})
	t.Run("a rule chooses", func(t *testing.T) {
		for _, second := range []bool{false, true} {
			d, first, other := duplicated(t)
			rule, want := token.KeepLatestExpiry, other
			if !second {
				want = first
				rule = func(records []*token.OAuthToken) string {
					if len(records) != 2 {
						t.Errorf("%d records", len(records))
					}
					return records[0].ID
				}
			}
			problems := found{token.DuplicateRecord: 1}
			if second {
				problems[token.MissingEntry] = 1
			}
			report := mends(t, d, token.RepairOptions{Duplicates: rule}, problems)
			if len(report.Duplicates) != 1 || report.Duplicates[0].Kept != want {
				t.Errorf("%+v", report.Duplicates)
			}
			if got := idOf(t, d, "U2"); got != want {
				t.Errorf("the user has %s, want %s", got, want)
			}
			if got := len(content(t, d)); got != 5 {
				t.Errorf("%d records", got)
			}
			sound(t, d)
		}
	})
	t.Run("only those go that cannot be beside the one that is kept", func(t *testing.T) {
		d := stocked(t)
		for n, client := range []string{"", "c2", "c3"} {
			r := live(newID(t, byte(n)), "U7", fmt.Sprint("R7", n))
			r.ClientID = client
			put(t, d, codec.NameOf(r.ID), r)
		}
		mends(t, d, token.RepairOptions{Duplicates: func(records []*token.OAuthToken) string {
			for _, r := range records {
				if r.ClientID == "c2" {
					return r.ID
				}
			}
			return ""
		}}, found{token.DuplicateRecord: 1, token.MissingEntry: 2})
		if got := len(content(t, d)); got != 7 {
			t.Errorf("%d records", got)
		}
	})
	t.Run("a rule that names another one", func(t *testing.T) {
		d, _, _ := duplicated(t)
		unchanged(t, d)
		_, err := open(t, d).Repair(t.Context(), token.RepairOptions{Duplicates: func([]*token.OAuthToken) string { return "chosen" }})
		wantErr(t, err, token.ErrInvalid)
	})
	t.Run("users may share a token", func(t *testing.T) {
		d := stocked(t)
		if err := open(t, d).SaveToken(t.Context(), tok("U8", "R2")); err != nil {
			t.Fatal(err)
		}
		mends(t, d, token.RepairOptions{}, found{})
	})
}

func TestWhatCannotBeReadIsListedAndNotTouched(t *testing.T) {
	d := stocked(t)
	id := idOf(t, d, "U2")
	copied := codec.NameOf(newID(t, 4))
	d.Set(copied, d.Dump()[codec.NameOf(id)])
	damagedOne := codec.NameOf(newID(t, 5))
	d.Set(damagedOne, []byte("{}"))
	d.Set("index-foreign", []byte(`{"password":"x"}`))
	d.Set("foreign", []byte(`{"password":"x"}`))
	unchanged(t, d)
	for _, dry := range []bool{true, false} {
		report, err := open(t, d).Repair(t.Context(), token.RepairOptions{DryRun: dry})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, u := range report.Unreadable {
			names = append(names, u.Name)
			corrupt(t, u.Name, u.Err)
		}
		slices.Sort(names)
		same(t, names, slices.Sorted(slices.Values([]string{copied, damagedOne, "index-foreign"})))
		same(t, foundIn(report), found{token.UnreadableSecret: 3})
	}
}

func TestWhatIsYoungWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		id := newID(t, 8)
		addEntry(t, d, "user", "U9", codec.Entry{Ref: id})
		r := live(newID(t, 9), "", "").Bury(time.Now())
		r.Kind = codec.KindTombstone
		put(t, d, codec.NameOf(r.ID), r)
		d.Set("index-"+newID(t, 1), d.Dump()[codec.RootName])
		edit(t, d, "index-"+newID(t, 1), func(x *codec.Index) { x.Key, x.Leaves = nil, nil })
		before := d.Dump()
		report := mends(t, d, token.RepairOptions{}, found{})
		for _, p := range []token.Problem{token.UnfinishedClaim, token.OldTombstone, token.OrphanedLeaf} {
			if report.Count(p).Waiting != 1 {
				t.Errorf("%+v", report.Count(p))
			}
		}
		same(t, maps.Clone(d.Dump()), before)
		if report.Again != 24*time.Hour {
			t.Errorf("again in %v", report.Again)
		}
		advance(50 * time.Hour)
		mends(t, d, token.RepairOptions{}, found{token.UnfinishedClaim: 1, token.OldTombstone: 1, token.OrphanedLeaf: 1})
	})
}

func TestANewerFormatIsRefusedAndNotWrittenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newer := func(d *memstore.Driver, name string) {
			d.Set(name, bytes.Replace(d.Dump()[name], []byte(`"format":1`), []byte(`"format":2`), 1))
		}
		for what, damage := range map[string]func(d *memstore.Driver){
			"the root": func(d *memstore.Driver) { newer(d, codec.RootName) },
			"a leaf":   func(d *memstore.Driver) { newer(d, leafOf("00")) },
			"a leaf of a lost root": func(d *memstore.Driver) {
				newer(d, leafOf("00"))
				d.Remove(codec.RootName)
			},
			"a record of a lost root": func(d *memstore.Driver) {
				newer(d, codec.NameOf(codec.RefOf("chosen")))
				d.Remove(codec.RootName)
			},
		} {
			d := memstore.NewDriver()
			splitIndex(t, d)
			if err := open(t, d).SaveToken(t.Context(), tok("#chosen", "U1", "R1")); err != nil {
				t.Fatal(err)
			}
			damage(d)
			unchanged(t, d)
			for _, rebuild := range []bool{false, true} {
				_, err := open(t, d).Repair(t.Context(), token.RepairOptions{Rebuild: rebuild})
				corrupt(t, what, err)
				if !strings.Contains(fmt.Sprint(err), "newer") {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
	})
}

// A store that removed a tombstone knows that it is gone, and does not wait for a newer
// answer.
func TestARecordWhoseTombstoneWasRemovedIsNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		s := open(t, d)
		id := idOf(t, d, "U2")
		for _, id := range []string{id, idOf(t, d, "R3")} {
			advance(25 * time.Hour)
			if err := s.DeleteToken(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if _, there := d.Dump()[codec.NameOf(id)]; there {
			t.Fatal("the tombstone was not removed: what is this test about?")
		}
		began := time.Now()
		wantErr(t, second(s.FindTokenByID(t.Context(), id)), token.ErrNotFound)
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestNumberOfCallsOfARepair(t *testing.T) {
	run := func(t *testing.T, d *memstore.Driver, opts token.RepairOptions) *counter {
		t.Helper()
		c := count(d)
		if _, err := open(t, d).Repair(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, dry := range []bool{true, false} {
		run(t, stocked(t), token.RepairOptions{DryRun: dry}).want(t, "a repair of what is well", "names, get index, get 5, get index")
	}
	d := stocked(t)
	dropKey(t, d, "user", "U1")
	// The record and its leaf to be sure, then the gain: the record, its keys, the claim, the
	// record.
	run(t, d, token.RepairOptions{}).want(t, "a repair of a missing entry",
		"names, get index, get 5, get index, get token, get index, get token, get index, put index, put token")
	d = stocked(t)
	addEntry(t, d, "user", "U9", codec.Entry{Ref: codec.RefOf("chosen")})
	run(t, d, token.RepairOptions{}).want(t, "a repair of a dead entry", "names, get index, get 5, get index, get token, get index, put index")
	// The root and the records, the root shut and opened, and all once more.
	run(t, stocked(t), token.RepairOptions{Rebuild: true}).want(t, "a rebuild",
		"names, get index, get index, get 5, get index, put index, put index, names, get index, get 5, get index")
}
