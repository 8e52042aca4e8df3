package drivertest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

var promisesOfNames = []promise{
	{"Names of an empty prefix yields nothing", namesNone},
	{"Names yields each name once", namesOnce},
	{"Names leaves out what was deleted", namesDeleted},
	{"Names leaves out what cannot be a name of the contract", namesForeign},
	{"Names yields a corrupt secret too", namesCorrupt},
	{"Names can be stopped early", namesStopped},
	{"Names yields an error with an empty name, and stops", namesDenied},
	{"A driver touches nothing outside its prefix", prefixes},
}

func namesNone(_ *testing.T, b *bench) { b.lists() }

func namesOnce(t *testing.T, b *bench) {
	values := map[string][]byte{}
	for i := range 45 {
		name := fmt.Sprintf("name-%d", i)
		values[name] = first(t)
		rev := b.put(name, values[name], driver.Absent)
		if i%5 == 0 { // more than one version is no more than one name
			b.put(name, after(t, values[name]), rev)
		}
	}
	b.lists(keys(values)...)
	b.other("").lists(keys(values)...)
}

func namesDeleted(t *testing.T, b *bench) {
	for _, name := range []string{"a", "b", "c"} {
		b.put(name, first(t), driver.Absent)
	}
	b.lists("a", "b", "c")
	b.delete("b")
	b.lists("a", "c")
}

func namesForeign(t *testing.T, b *bench) {
	b.suite.Damage(t, b.bare, "Not_Ours")
	b.put("a", first(t), driver.Absent)
	b.lists("a")
}

func namesCorrupt(t *testing.T, b *bench) {
	b.put("a", first(t), driver.Absent)
	b.suite.Damage(t, b.bare, "a")
	b.lists("a")
}

func namesStopped(t *testing.T, b *bench) {
	for i := range 5 {
		b.put(fmt.Sprintf("a%d", i), first(t), driver.Absent)
	}
	b.lists("a0", "a1", "a2", "a3", "a4")
	for stop := range 5 {
		seen := 0
		for _, err := range b.d.Names(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if seen++; seen > stop {
				break
			}
		}
		if seen != stop+1 {
			t.Errorf("stopped after %d names, want %d", seen, stop+1)
		}
	}
}

func namesDenied(t *testing.T, b *bench) {
	b.put("a", first(t), driver.Absent)
	b.lists("a")
	b.suite.Deny(t, b.bare, true)
	defer b.suite.Deny(t, b.bare, false)
	yields := 0
	for name, err := range b.d.Names(t.Context()) {
		if yields++; name != "" || !errors.Is(err, driver.ErrPermission) {
			t.Errorf("Names yields %q, error %v; want no name and %v", name, err, driver.ErrPermission)
		}
	}
	if yields != 1 {
		t.Errorf("a refused Names yields %d times, want once", yields)
	}
}

func prefixes(t *testing.T, b *bench) {
	benches := []*bench{b}
	for _, suffix := range []string{"2", "-2", "-a", "/2", "/a"} {
		benches = append(benches, b.other(suffix))
	}
	// The names are such that a prefix and a name can be read in two ways.
	names := []string{"a", "2-a", "a-2", "2"}
	values := make([]map[string][]byte, len(benches))
	for i, bench := range benches {
		values[i] = map[string][]byte{}
		for _, name := range names {
			values[i][name] = first(t)
			bench.put(name, values[i][name], driver.Absent)
		}
	}
	for i, bench := range benches {
		bench.getAll(names, values[i])
		bench.lists(names...)
	}
	for _, name := range names {
		b.delete(name)
	}
	b.lists()
	for i, bench := range benches[1:] {
		bench.getAll(names, values[i+1])
		bench.lists(names...)
	}
}

func keys(values map[string][]byte) []string { return slices.Sorted(maps.Keys(values)) }
