package drivertest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// patience is how long a read may stay stale before the test gives up.
const patience = 10 * time.Second

// A bench is a driver under test and what the tests do with it again and again.
type bench struct {
	t     *testing.T
	suite Suite
	bare  driver.Driver // for the hooks
	d     driver.Driver // for the tests: each answer is checked
}

func newBench(t *testing.T, s Suite) *bench {
	bare := s.New(t)
	return &bench{t: t, suite: s, bare: bare, d: watch(t, bare)}
}

// other returns a bench on the same service under the prefix with a suffix; an
// empty one makes a second client.
func (b *bench) other(suffix string) *bench {
	b.t.Helper()
	bare := b.suite.Other(b.t, b.bare, suffix)
	return &bench{t: b.t, suite: b.suite, bare: bare, d: watch(b.t, bare)}
}

// put writes and returns the revision; it must succeed.
func (b *bench) put(name string, value []byte, prev driver.Revision) driver.Revision {
	b.t.Helper()
	rev, err := b.d.Put(b.t.Context(), name, value, prev)
	if err != nil {
		b.t.Fatalf("Put(%s): %v", name, err)
	}
	if rev == driver.Absent {
		b.t.Fatalf("Put(%s): the revision is that of absence", name)
	}
	return rev
}

// refused is a Put that must fail with an error.
func (b *bench) refused(name string, value []byte, prev driver.Revision, want error) {
	b.t.Helper()
	if _, err := b.d.Put(b.t.Context(), name, value, prev); !errors.Is(err, want) {
		b.t.Fatalf("Put(%s): error %v, want %v", name, err, want)
	}
}

func (b *bench) delete(name string) {
	b.t.Helper()
	if err := b.d.Delete(b.t.Context(), name); err != nil {
		b.t.Fatalf("Delete(%s): %v", name, err)
	}
}

// get reads one secret, whatever the answer.
func (b *bench) get(how driver.Freshness, name string) driver.Item {
	b.t.Helper()
	items, err := b.d.Get(b.t.Context(), how, driver.Item{Name: name})
	if err != nil {
		b.t.Fatalf("Get(%s): %v", name, err)
	}
	return items[0]
}

// eventually waits until reads are current enough for ok to hold.
func (b *bench) eventually(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(patience); !ok(); b.suite.Settle(b.t, b.bare) {
		if time.Now().After(end) {
			b.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// settled waits until reads of a secret give rev, or absence, and returns it.
func (b *bench) settled(name string, rev driver.Revision) driver.Item {
	b.t.Helper()
	var item driver.Item
	b.eventually("a read of "+name+" is current", func() bool {
		item = b.get(driver.Fresh, name)
		return item.Err == nil && item.Revision == rev
	})
	return item
}

// stands makes sure that value is the newest of a secret and rev its revision,
// also where reads may be stale: a successor can replace it. The successor then
// is the newest.
func (b *bench) stands(name string, value []byte, rev driver.Revision) driver.Revision {
	b.t.Helper()
	if diff := cmp.Diff(string(value), string(b.settled(name, rev).Value)); diff != "" {
		b.t.Fatalf("Get(%s) gives another value than was put (-want +got):\n%s", name, diff)
	}
	return b.put(name, after(b.t, value), rev)
}

// missing makes sure that there is no secret of a name, also where reads may be
// stale: it can be created. It then exists.
func (b *bench) missing(name string) {
	b.t.Helper()
	b.settled(name, driver.Absent)
	b.put(name, first(b.t), driver.Absent)
}

// gone waits until reads of a deleted secret say so, in one of the two ways.
func (b *bench) gone(name string) {
	b.t.Helper()
	b.eventually("a read of "+name+" does not find it", func() bool {
		item := b.get(driver.Fresh, name)
		if b.d.Limits().DeletedNameRests > 0 {
			return errors.Is(item.Err, driver.ErrDeleted)
		}
		return item.Err == nil && item.Revision == driver.Absent
	})
}

// names lists; the order says nothing, so it is sorted.
func (b *bench) names() []string {
	b.t.Helper()
	names := []string{}
	for name, err := range b.d.Names(b.t.Context()) {
		if err != nil {
			b.t.Fatalf("Names: %v", err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// lists waits until Names yields what it should.
func (b *bench) lists(want ...string) {
	b.t.Helper()
	var got []string
	slices.Sort(want)
	end := time.Now().Add(patience)
	for {
		if got = b.names(); slices.Equal(got, want) {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("Names (-want +got):\n%s", cmp.Diff(want, got))
		}
		b.suite.Settle(b.t, b.bare)
	}
}

func named(names ...string) []driver.Item {
	items := make([]driver.Item, len(names))
	for i, name := range names {
		items[i].Name = name
	}
	return items
}
