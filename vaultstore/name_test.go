package vaultstore_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// wrong makes sure that both constructors refuse their arguments with a text, or, if the
// text is empty, take them.
func wrong(t *testing.T, s *service, mount, prefix, text string) {
	t.Helper()
	if text != "" {
		text = "vaultstore: invalid: " + text
	}
	_, err := vaultstore.New(s.sdk(t), mount, prefix, nil)
	_, driverErr := vaultstore.NewDriver(s.sdk(t), mount, prefix, &vaultstore.Options{})
	for _, err := range []error{err, driverErr} {
		switch {
		case text == "" && err != nil:
			t.Errorf("%q, %q: error %v", mount, prefix, err)
		case text != "" && (!errors.Is(err, token.ErrInvalid) || err.Error() != text):
			t.Errorf("%q, %q: error %v, want %s", mount, prefix, err, text)
		}
	}
}

func TestMountsAndPrefixes(t *testing.T) {
	s := start(t)
	for what, longest := range map[string]int{"mount": 200, "prefix": 400} {
		at := func(i int) string {
			return fmt.Sprintf("the %s has a character at byte %d that is none of A-Z a-z 0-9 / _ . -", what, i)
		}
		for _, c := range []struct{ path, wrong string }{
			{"app", ""},
			{"a", ""},
			{"-", ""},
			{"7", ""},
			{"prod/crm/oauth-2", ""},
			{"A_z-0.b", ""},
			{"a./b", ""},
			{strings.Repeat("p", longest), ""},
			{"", "the " + what + " is empty"},
			{"/app", "the " + what + " begins with a slash"},
			{"app/", "the " + what + " ends with a slash"},
			{"/", "the " + what + " begins with a slash"},
			{"app//oauth", "the " + what + " has two slashes in a row"},
			{".", "the " + what + " has a part that begins with a dot"},
			{"..", "the " + what + " has a part that begins with a dot"},
			{"app/../oauth", "the " + what + " has a part that begins with a dot"},
			{"app/.hidden", "the " + what + " has a part that begins with a dot"},
			{strings.Repeat("p", longest+1), fmt.Sprintf("the %s has %d characters, more than %d", what, longest+1, longest)},
			{"my app", at(2)},
			{"app!", at(3)},
			{"app+1", at(3)},
			{"app*", at(3)},
			{"app%2f", at(3)},
			{"app?x", at(3)},
			{"app#x", at(3)},
			{"app\n", at(3)},
			{"é", at(0)},
			{"app\xff", at(3)},
		} {
			if what == "mount" {
				wrong(t, s, c.path, "app", c.wrong)
			} else {
				wrong(t, s, "secret", c.path, c.wrong)
			}
		}
	}
	if _, err := vaultstore.New(nil, mount, prefix, nil); !errors.Is(err, token.ErrInvalid) {
		t.Errorf("a nil client: error %v, want %v", err, token.ErrInvalid)
	}
	if got := s.called(); len(got) != 0 {
		t.Errorf("the constructors make requests: %q", got)
	}
}

// Every character that a prefix may have, and mounts with slashes, work; neighbours do
// not see each other.
func TestNeighbours(t *testing.T) {
	s := start(t, vaultstoretest.WithMount("teams/a.b/kv_2", 2))
	prefixes := []string{"app", "app-2", "app/sub", "app.x", "App", "app_", strings.Repeat("p", 400)}
	for i, prefix := range prefixes {
		d, err := vaultstore.NewDriver(s.sdk(t), "teams/a.b/kv_2", prefix, nil)
		if err != nil {
			t.Fatal(err)
		}
		put(t, d, fmt.Sprint("a", i), first(t), driver.Absent)
	}
	for i, prefix := range prefixes {
		d, err := vaultstore.NewDriver(s.sdk(t), "teams/a.b/kv_2", prefix, nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for name, err := range d.Names(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
		if want := []string{fmt.Sprint("a", i)}; !slices.Equal(names, want) {
			t.Errorf("%s has the names %q, want %q", prefix, names, want)
		}
	}
}

// A revision that no driver of this kind made is a conflict, and makes no request.
func TestRevisionsOfOthers(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	for _, rev := range []driver.Revision{"x", "1", ".", "0.ab", "-1.ab", "1a.b", "99999999999999999999.ab", "é"} {
		if _, err := d.Put(t.Context(), "a", first(t), rev); !errors.Is(err, driver.ErrConflict) {
			t.Errorf("%q: error %v, want %v", rev, err, driver.ErrConflict)
		}
	}
	if got := s.called(); len(got) != 0 {
		t.Errorf("requests %q, want none", got)
	}
}
