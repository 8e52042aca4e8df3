package drivertest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

var promisesOfPut = []promise{
	{"Put creates a secret only if there is none", putCreates},
	{"Put replaces the current revision and no other", putReplaces},
	{"Put replaces nothing where there is nothing", putReplacesAbsent},
	{"Two revisions of one name differ, also when it was deleted between them", putRevisions},
	{"A Put that is repeated does nothing and returns the same revision", putRepeated},
	{"A Put that another process repeats does nothing and returns the same revision", putRepeatedByOther},
	{"A Put that is repeated after others wrote changes nothing", putRepeatedLater},
	{"A value of exactly the largest size is stored, one byte more is too large and not written", putLargest},
	{"Names of 1 and of 80 bytes, of letters, digits and hyphens, can be used", putNames},
	{"A refused Put is not taken for a conflict and writes nothing", putDenied},
	{"Put leaves what it was given alone", putKeepsArgument},
}

func putCreates(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	b.refused("a", first(t), driver.Absent, driver.ErrConflict)
	b.other("").refused("a", first(t), driver.Absent, driver.ErrConflict)
	b.stands("a", value, rev)
}

func putReplaces(t *testing.T, b *bench) {
	value := first(t)
	revs := []driver.Revision{b.put("a", value, driver.Absent)}
	for range 4 {
		value = after(t, value)
		rev := b.put("a", value, revs[len(revs)-1])
		for _, old := range revs {
			b.refused("a", after(t, value), old, driver.ErrConflict)
		}
		revs = append(revs, rev)
	}
	b.refused("a", first(t), driver.Absent, driver.ErrConflict)
	b.stands("a", value, revs[len(revs)-1])
}

func putReplacesAbsent(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	b.refused("b", after(t, value), rev, driver.ErrConflict)
	b.missing("b")
}

func putRevisions(t *testing.T, b *bench) {
	seen := map[driver.Revision]bool{}
	for range 3 { // lives
		value := first(t)
		rev := driver.Absent
		for range 3 {
			next, err := b.d.Put(t.Context(), "a", value, rev)
			if b.d.Limits().DeletedNameRests > 0 && errors.Is(err, driver.ErrDeleted) && rev == driver.Absent {
				return // there is no second life
			}
			if err != nil {
				t.Fatal(err)
			}
			if rev = next; seen[rev] {
				t.Fatalf("two writes have the revision %q", rev)
			}
			seen[rev] = true
			value = after(t, value)
		}
		b.delete("a")
	}
}

func putRepeated(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	for prev, round := driver.Absent, 0; round < 3; round++ {
		for range 3 {
			if again := b.put("a", value, prev); again != rev {
				t.Errorf("the revision of a repeated write is %q, want %q", again, rev)
			}
		}
		prev, value = rev, after(t, value)
		rev = b.put("a", value, prev)
	}
	b.stands("a", value, rev)
}

func putRepeatedByOther(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	if again := b.other("").put("a", value, driver.Absent); again != rev {
		t.Errorf("the revision of a repeated creation is %q, want %q", again, rev)
	}
	prev, value := rev, after(t, value)
	rev = b.put("a", value, prev)
	if again := b.other("").put("a", value, prev); again != rev {
		t.Errorf("the revision of a repeated write is %q, want %q", again, rev)
	}
	b.stands("a", value, rev)
}

func putRepeatedLater(t *testing.T, b *bench) {
	type write struct {
		value     []byte
		prev, rev driver.Revision
	}
	var writes []write
	value, rev := first(t), driver.Absent
	for range 4 {
		w := write{value: value, prev: rev}
		w.rev = b.put("a", value, rev)
		for _, old := range writes {
			again, err := b.d.Put(t.Context(), "a", old.value, old.prev)
			if !errors.Is(err, driver.ErrConflict) && (err != nil || again != old.rev) {
				t.Fatalf("a write repeated after others: revision %q, error %v; want %q or %v",
					again, err, old.rev, driver.ErrConflict)
			}
		}
		writes = append(writes, w)
		rev = w.rev
		value = after(t, value)
	}
	b.stands("a", writes[len(writes)-1].value, rev)
}

func putLargest(t *testing.T, b *bench) {
	most := b.d.Limits().Value
	b.refused("a", sized(t, most+1), driver.Absent, driver.ErrTooLarge)
	value := sized(t, most)
	rev := b.put("a", value, driver.Absent)
	b.refused("a", sized(t, most+1), rev, driver.ErrTooLarge)
	if got := b.settled("a", rev).Value; string(got) != string(value) {
		t.Fatalf("a value of %d bytes came back as another of %d", most, len(got))
	}
	b.put("a", first(t), rev)
}

func putNames(t *testing.T, b *bench) {
	names := []string{
		"a", "0", "a-b", "a--b", "0-0",
		strings.Repeat("n", 80),
		strings.Repeat("0123456789", 8),
		"n" + strings.Repeat("-", 78) + "n",
		// A service that addresses secrets by a name and a random end of six
		// characters must not mix these two up.
		"token-abcdef", "token",
	}
	values := map[string][]byte{}
	for _, name := range names {
		values[name] = first(t)
		b.put(name, values[name], driver.Absent)
	}
	b.getAll(names, values)
	b.lists(names...)
}

func putDenied(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	b.suite.Deny(t, b.bare, true)
	defer b.suite.Deny(t, b.bare, false)
	b.refused("a", after(t, value), rev, driver.ErrPermission)
	b.refused("b", first(t), driver.Absent, driver.ErrPermission)
	b.suite.Deny(t, b.bare, false)
	b.stands("a", value, rev)
	b.missing("b")
}

func putKeepsArgument(t *testing.T, b *bench) {
	value := first(t)
	given := fmt.Append(nil, string(value))
	rev := b.put("a", given, driver.Absent)
	if string(given) != string(value) {
		t.Fatal("Put changed the value that it was given")
	}
	clear(given)
	b.stands("a", value, rev)
}
