package drivertest

import (
	"errors"
	"testing"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// These are kept by a driver that is a driver.Cleaner. That it finds what was replaced, its
// own tests have to tell: a suite cannot make a driver leave something.
var promisesOfCleaner = []promise{
	{"A Cleaner leaves the newest value", cleanLeaves},
	{"A Cleaner finds nothing in a secret that does not exist", cleanAbsent},
	{"A Cleaner takes no name that is none of the contract", cleanInvalid},
	{"A Cleaner that is refused says so", cleanDenied},
}

// cleaner is the driver, if it is one.
func (b *bench) cleaner() driver.Cleaner {
	c, _ := b.bare.(driver.Cleaner)
	return c
}

func cleanLeaves(t *testing.T, b *bench) {
	c := b.cleaner()
	if c == nil {
		return
	}
	value := first(t)
	rev := b.put("a", value, driver.Absent)
	for range 3 {
		value = after(t, value)
		rev = b.put("a", value, rev)
		for _, dry := range []bool{true, false} {
			if _, err := c.Clean(t.Context(), "a", dry); err != nil {
				t.Errorf("Clean: %v", err)
			}
		}
	}
	b.stands("a", value, rev)
}

func cleanAbsent(t *testing.T, b *bench) {
	c := b.cleaner()
	if c == nil {
		return
	}
	if old, err := c.Clean(t.Context(), "none", false); old != 0 || err != nil {
		t.Errorf("Clean of what does not exist: %d, %v", old, err)
	}
	b.missing("none")
}

func cleanInvalid(t *testing.T, b *bench) {
	c := b.cleaner()
	if c == nil {
		return
	}
	for _, name := range []string{"", "No", "a/b", "-a"} {
		if _, err := c.Clean(t.Context(), name, true); !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("Clean of %q: error %v, want %v", name, err, driver.ErrInvalid)
		}
	}
}

func cleanDenied(t *testing.T, b *bench) {
	c := b.cleaner()
	if c == nil {
		return
	}
	b.put("a", first(t), driver.Absent)
	b.suite.Deny(t, b.bare, true)
	defer b.suite.Deny(t, b.bare, false)
	if _, err := c.Clean(t.Context(), "a", true); !errors.Is(err, driver.ErrPermission) {
		t.Errorf("Clean: error %v, want %v", err, driver.ErrPermission)
	}
}
