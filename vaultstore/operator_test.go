package vaultstore_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// What people do by hand. docs/vault.md says what is good for.

// hand is an operator at the command line, who works on the secret a.
type hand struct {
	t testing.TB
	s *service
}

func (h hand) write(endpoint string, data map[string]any) {
	h.t.Helper()
	path := strings.Replace(at("a"), mount, mount+"/"+endpoint, 1)
	if _, err := h.s.sdk(h.t).Logical().WriteWithContext(h.t.Context(), path, data); err != nil {
		h.t.Fatal(err)
	}
}

func (h hand) remove(n ...int)   { h.write("delete", map[string]any{"versions": n}) }
func (h hand) undelete(n ...int) { h.write("undelete", map[string]any{"versions": n}) }
func (h hand) destroy(n ...int)  { h.write("destroy", map[string]any{"versions": n}) }
func (h hand) purge()            { h.s.Purge(at("a")) }

func (h hand) edit(data map[string]any) {
	h.t.Helper()
	if _, err := h.s.SetValue(at("a"), data); err != nil {
		h.t.Fatal(err)
	}
}

// corrupt makes sure that the secret a is, with a part of the text.
func corrupt(t testing.TB, d driver.Driver, part string) {
	t.Helper()
	got := get(t, d, "a")
	if !errors.Is(got.Err, driver.ErrCorrupt) || got.Revision != driver.Absent || got.Value != nil {
		t.Errorf("the secret is %d bytes at %q, error %v, want %v", len(got.Value), got.Revision, got.Err, driver.ErrCorrupt)
		return
	}
	says(t, "Get", got.Err, driver.ErrCorrupt, part)
}

func TestTheNewestVersionThatIsDeletedByHand(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	h := hand{t, s}
	h.remove(1)
	corrupt(t, d, "version 1 is deleted, by hand or by delete_version_after: undelete it")
	if _, err := d.Put(t.Context(), "a", first(t), driver.Absent); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("a creation: error %v, want %v", err, driver.ErrConflict)
	}
	h.undelete(1)
	s.stands(t, "a", value, rev)
	put(t, d, "a", after(t, value), rev)
}

func TestTheNewestVersionThatIsDestroyedByHand(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	put(t, d, "a", first(t), driver.Absent)
	hand{t, s}.destroy(1)
	corrupt(t, d, "version 1 is destroyed, and is the newest")
	if err := d.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	put(t, d, "a", first(t), driver.Absent)
}

func TestAValueThatIsEditedByHand(t *testing.T) {
	for what, data := range map[string]map[string]any{
		"another member": {"password": "x"}, "nothing": {}, "no object": {"value": "text"}, "no text": {"value": 7},
		"an object": {"value": map[string]any{"a": 1}}, "an empty text": {"value": ""},
	} {
		t.Run(what, func(t *testing.T) {
			s := start(t)
			d := s.driver(t, nil)
			value := first(t)
			rev := put(t, d, "a", value, driver.Absent)
			hand{t, s}.edit(data)
			corrupt(t, d, "its value was not written by tokenkeep")
			if _, err := d.Put(t.Context(), "a", after(t, value), rev); !errors.Is(err, driver.ErrConflict) {
				t.Errorf("error %v, want %v", err, driver.ErrConflict)
			}
		})
	}
}

// An old value that is put back by hand is a new version, and can be replaced.
func TestAValueThatIsPutBackByHand(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	put(t, d, "a", after(t, value), put(t, d, "a", value, driver.Absent))
	hand{t, s}.edit(map[string]any{"value": string(value)})
	got := get(t, d, "a")
	if got.Err != nil || string(got.Value) != string(value) {
		t.Fatalf("the value is not read: %v", got.Err)
	}
	put(t, d, "a", after(t, value), got.Revision)
}

func TestMetadataThatIsDeletedByHand(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	hand{t, s}.purge()
	if got := get(t, d, "a"); got.Err != nil || got.Revision != driver.Absent {
		t.Errorf("the secret is at %q, error %v", got.Revision, got.Err)
	}
	next := put(t, d, "a", first(t), driver.Absent)
	if next == rev {
		t.Error("two lives have one revision")
	}
}

// Keys, folders and names of others under the prefix are not the store's.
func TestForeignKeysUnderThePrefix(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	put(t, d, "a", first(t), driver.Absent)
	for _, name := range []string{"UPPER", "under_score", "folder/a", "folder/b/c", "-", "a.b", strings.Repeat("x", 81), "umläut"} {
		if _, err := s.SetValue(at(name), map[string]any{"by": "hand"}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for name, err := range d.Names(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if want := []string{"a"}; !slices.Equal(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
}

// Whatever operators do while a write is on its way, and however its request fares: it
// ends without a deadline, and tells the truth.
func TestPutEndsWhateverOperatorsDo(t *testing.T) {
	deeds := map[string]func(hand, int){
		"nothing":                         func(hand, int) {},
		"delete the newest version":       func(h hand, n int) { h.remove(n) },
		"destroy the newest version":      func(h hand, n int) { h.destroy(n) },
		"destroy all versions":            func(h hand, n int) { h.destroy(1, 2, 3, 4, n) },
		"delete the secret":               func(h hand, _ int) { h.purge() },
		"edit the value":                  func(h hand, _ int) { h.edit(map[string]any{"by": "hand"}) },
		"edit it and destroy the rest":    func(h hand, n int) { h.edit(map[string]any{"by": "hand"}); h.destroy(1, 2, 3, 4, n) },
		"edit it often":                   func(h hand, _ int) { many(30, func() { h.edit(map[string]any{"by": "hand"}) }) },
		"delete the secret and edit it":   func(h hand, _ int) { h.purge(); h.edit(map[string]any{"by": "hand"}) },
		"delete the secret and create it": func(h hand, _ int) { h.purge(); h.edit(map[string]any{"value": string(first(h.t))}) },
	}
	requests := map[string]vaultstoretest.Action{
		"answered": {}, "lost": vaultstoretest.LoseRequest(), "applied and lost": vaultstoretest.LoseAnswer(),
		"applied twice": vaultstoretest.Duplicate(), "applied and redirected": vaultstoretest.RedirectAfter(),
		"refused by a node that is behind": vaultstoretest.FailBefore(400, saysMismatch),
	}
	for deed, do := range deeds {
		for fate, action := range requests {
			both(t, deed+", "+fate, func(t *testing.T, s *service, d *vaultstore.Driver, value []byte, prev driver.Revision) {
				h := hand{t, s}
				// The deed is done after the first request, before anything else.
				release := make(chan struct{})
				if fate != "answered" {
					s.fault(1, action, "PUT data")
				}
				look := s.fault(1, vaultstoretest.Hold(release), "GET data")
				mine := aside(t, d, value, prev)
				watched := make(chan struct{})
				go func() {
					defer close(watched)
					if look.Await(t.Context(), 1) != nil {
						return
					}
					_, n := s.holds("a")
					if n > 0 {
						do(h, n)
					}
					close(release)
				}()
				began := time.Now()
				rev, err := mine()
				look.Remove()
				if took := time.Since(began); took > time.Minute {
					t.Errorf("it took %v", took)
				}
				applied := fate != "lost" && fate != "refused by a node that is behind"
				switch {
				case err == nil && rev == driver.Absent:
					t.Error("no error and no revision")
				case err == nil, errors.Is(err, driver.ErrOutcomeUnknown):
				case !errors.Is(err, driver.ErrConflict):
					t.Errorf("error %v", err)
				case fate == "applied twice" && deed != "nothing" && deed != "edit the value":
					// A refusal, and no trace of what was applied first.
				case applied && !strings.HasPrefix(deed, "delete the secret"):
					t.Errorf("%v, though it was applied", err)
				}
				silent(t, err)
			})
		}
	}
}

func many(n int, f func()) {
	for range n {
		f()
	}
}
