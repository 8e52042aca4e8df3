package drivertest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

var promisesOfGet = []promise{
	{"Get of nothing returns nothing", getNothing},
	{"Get gives a value as it was put, with the revision that Put returned", getAsPut},
	{"Get gives one item for each name, in the order of the names", getInOrder},
	{"Get reads more names than go into one request", getMany},
	{"A secret that does not exist is absent and no error", getAbsent},
	{"A refused Get is an error and never absence", getDenied},
	{"A failed Get is an error and never absence", getFailed},
	{"A Get that failed works again when the service does", getRecovers},
	{"A secret that no Put can have written is corrupt, and only that one", getCorrupt},
	{"A Get for somebody who has the current item gives that item", getHaveCurrent},
	{"A fresh Get for somebody who has an old item gives the new one", getHaveOld},
	{"A fresh Get for somebody who has a deleted item gives none", getHaveDeleted},
}

func getNothing(t *testing.T, b *bench) {
	for _, how := range []driver.Freshness{driver.Any, driver.Fresh, driver.Lax} {
		if items, err := b.d.Get(t.Context(), how); err != nil || len(items) != 0 {
			t.Errorf("Get of no names: %d items, error %v", len(items), err)
		}
	}
}

func getAsPut(t *testing.T, b *bench) {
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	for _, how := range []driver.Freshness{driver.Any, driver.Fresh, driver.Lax} {
		b.eventually("a read gives what was put", func() bool {
			item := b.get(how, "a")
			if item.Revision != driver.Absent && string(item.Value) != string(value) {
				t.Fatalf("Get gives another value than was put")
			}
			return item.Revision == rev
		})
	}
}

func getInOrder(t *testing.T, b *bench) {
	values := map[string][]byte{"a": first(t), "b": first(t), "c": first(t), "d": nil, "e": nil}
	for name, value := range values {
		if value != nil {
			b.settled(name, b.put(name, value, driver.Absent))
		}
	}
	for _, order := range []string{"abcde", "edcba", "dbeca", "c", "ec"} {
		b.getAll(strings.Split(order, ""), values)
	}
}

// getAll waits until one Get gives all values, nil for a secret that is absent.
func (b *bench) getAll(names []string, values map[string][]byte) {
	b.t.Helper()
	b.eventually("one Get gives all values", func() bool {
		items, err := b.d.Get(b.t.Context(), driver.Any, named(names...)...)
		if err != nil {
			b.t.Fatal(err)
		}
		for i, name := range names {
			if string(items[i].Value) != string(values[name]) {
				return false
			}
		}
		return true
	})
}

func getMany(t *testing.T, b *bench) {
	const many = 45
	values := map[string][]byte{}
	var names []string
	for i := range many {
		name := fmt.Sprintf("many-%d", i)
		names = append(names, name)
		if i%7 == 3 {
			continue // absent
		}
		values[name] = first(t)
		b.put(name, values[name], driver.Absent)
	}
	b.getAll(names, values)
}

func getAbsent(t *testing.T, b *bench) {
	for _, how := range []driver.Freshness{driver.Any, driver.Fresh, driver.Lax} {
		if diff := cmp.Diff(driver.Item{Name: "none"}, b.get(how, "none")); diff != "" {
			t.Errorf("the item of an absent secret (-want +got):\n%s", diff)
		}
	}
}

func getDenied(t *testing.T, b *bench) {
	b.settled("a", b.put("a", first(t), driver.Absent))
	b.suite.Deny(t, b.bare, true)
	defer b.suite.Deny(t, b.bare, false)
	for _, how := range []driver.Freshness{driver.Any, driver.Fresh, driver.Lax} {
		for _, names := range [][]string{{"a"}, {"none"}, {"a", "none"}} {
			items, err := b.d.Get(t.Context(), how, named(names...)...)
			if err != nil && !errors.Is(err, driver.ErrPermission) {
				t.Errorf("Get: error %v, want %v", err, driver.ErrPermission)
			}
			for _, item := range items {
				if !errors.Is(item.Err, driver.ErrPermission) {
					t.Errorf("Get: the item %s has the error %v, want %v", item.Name, item.Err, driver.ErrPermission)
				}
			}
		}
	}
}

func getFailed(t *testing.T, b *bench) {
	b.settled("a", b.put("a", first(t), driver.Absent))
	b.suite.FailRequests(t, b.bare, forever)
	defer b.suite.FailRequests(t, b.bare, 0)
	for _, how := range []driver.Freshness{driver.Any, driver.Fresh, driver.Lax} {
		ctx, cancel := briefly(t)
		if items, err := b.d.Get(ctx, how, named("a", "none")...); err == nil {
			t.Errorf("Get from a service that answers nothing: %+v", items)
		}
		cancel()
	}
}

func getRecovers(t *testing.T, b *bench) {
	value := first(t)
	b.settled("a", b.put("a", value, driver.Absent))
	b.suite.FailRequests(t, b.bare, 1)
	defer b.suite.FailRequests(t, b.bare, 0)
	b.eventually("Get works again", func() bool {
		items, err := b.d.Get(t.Context(), driver.Fresh, named("a")...)
		if err != nil && !errors.Is(err, driver.ErrUnavailable) {
			t.Fatalf("Get: error %v, want %v or none", err, driver.ErrUnavailable)
		}
		return err == nil && string(items[0].Value) == string(value)
	})
}

func getCorrupt(t *testing.T, b *bench) {
	good := first(t)
	b.put("bad", first(t), driver.Absent)
	b.put("good", good, driver.Absent)
	b.suite.Damage(t, b.bare, "bad")
	for _, how := range []driver.Freshness{driver.Any, driver.Fresh, driver.Lax} {
		b.eventually("the damaged secret is found out", func() bool {
			items, err := b.d.Get(t.Context(), how, named("bad", "good", "none")...)
			if err != nil {
				t.Fatal(err)
			}
			if items[1].Err != nil || items[2].Err != nil {
				t.Fatalf("one damaged secret makes others fail: %v, %v", items[1].Err, items[2].Err)
			}
			return errors.Is(items[0].Err, driver.ErrCorrupt) && string(items[1].Value) == string(good) &&
				items[2].Revision == driver.Absent
		})
	}
}

func getHaveCurrent(t *testing.T, b *bench) {
	value := first(t)
	have := b.settled("a", b.put("a", value, driver.Absent))
	for _, how := range []driver.Freshness{driver.Any, driver.Fresh, driver.Lax} {
		b.eventually("the item is current", func() bool {
			items, err := b.d.Get(t.Context(), how, have, driver.Item{Name: "none"})
			if err != nil {
				t.Fatal(err)
			}
			return cmp.Equal(items[0], have) && items[1].Revision == driver.Absent
		})
	}
}

func getHaveOld(t *testing.T, b *bench) {
	old := first(t)
	have := b.settled("a", b.put("a", old, driver.Absent))
	value, rev := old, have.Revision
	for range 3 { // by another process
		value = after(t, value)
		rev = b.other("").put("a", value, rev)
	}
	b.eventually("the new item is given", func() bool {
		items, err := b.d.Get(t.Context(), driver.Fresh, have)
		if err != nil {
			t.Fatal(err)
		}
		return items[0].Revision == rev && string(items[0].Value) == string(value)
	})
}

func getHaveDeleted(t *testing.T, b *bench) {
	have := b.settled("a", b.put("a", first(t), driver.Absent))
	b.other("").delete("a")
	b.eventually("the item is gone", func() bool {
		items, err := b.d.Get(t.Context(), driver.Fresh, have)
		if err != nil {
			t.Fatal(err)
		}
		return items[0].Value == nil
	})
}
