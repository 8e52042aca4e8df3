package gcpsm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// What becomes of a secret that is deleted by hand, with what processes remember of
// it. Its numbers begin anew if it is created again.

// reads returns what a driver reads that hands in what it read before.
func reads(t testing.TB, d driver.Driver, how driver.Freshness, have driver.Item) driver.Item {
	t.Helper()
	items, err := d.Get(t.Context(), how, have)
	if err != nil {
		t.Fatal(err)
	}
	return items[0]
}

func TestOperatorDeletesASecretThatADriverRemembers(t *testing.T) {
	operated(t, 3, func(t *testing.T, s *service, d *gcpsm.Driver, _ hand, value []byte, rev driver.Revision) {
		have := driver.Item{Name: "a", Revision: rev, Value: value}
		writer, asked := s.driver(t, unpaced()), s.driver(t, unpaced())
		for _, d := range []driver.Driver{writer, asked} {
			get(t, d, "a")
		}
		s.Purge(secretOf(prefix, "a"))

		if got := reads(t, asked, driver.Fresh, have); got.Revision != driver.Absent || got.Err != nil {
			t.Errorf("a fresh read: %q (%v), want absent", got.Revision, got.Err)
		}
		if got := reads(t, asked, driver.Any, have); got.Revision != driver.Absent || got.Err != nil {
			t.Errorf("a read after that: %q (%v), want absent", got.Revision, got.Err)
		}
		if _, err := aside(t, writer, after(t, value), rev)(); !errors.Is(err, driver.ErrConflict) {
			t.Errorf("a write: error %v, want %v", err, driver.ErrConflict)
		}
		if names := s.Names(); len(names) != 0 {
			t.Errorf("there are %v", names)
		}
		for _, how := range []driver.Freshness{driver.Any, driver.Lax} {
			if got := reads(t, writer, how, driver.Item{Name: "a"}); got.Revision != driver.Absent || got.Err != nil {
				t.Errorf("a read of one who has nothing: %q (%v), want absent", got.Revision, got.Err)
			}
		}
		pass(5 * time.Minute)
		if got := reads(t, d, driver.Any, have); got.Revision != driver.Absent || got.Err != nil {
			t.Errorf("five minutes later: %q (%v), want absent", got.Revision, got.Err)
		}
		next := first(t)
		s.stands(t, "a", next, put(t, d, "a", next, driver.Absent))
	})
}

func TestOperatorDeletesASecretThatAStoreRemembers(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		open := func() *token.Store {
			store, err := gcpsm.New(s.sdk(t), parent, prefix, unpaced())
			if err != nil {
				t.Fatal(err)
			}
			return store
		}
		tok := func(access string) *token.OAuthToken {
			return &token.OAuthToken{
				ID: "id", UserSignature: token.UserSignature{Name: "user"}, RefreshToken: token.NewSecret("refresh"), AccessToken: token.NewSecret(access),
			}
		}
		reader, writer := open(), open()
		for _, store := range []*token.Store{reader, writer} {
			if err := store.SaveToken(t.Context(), tok("one")); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range s.Names() {
			if value, _, _ := s.Value(name); strings.Contains(value, `"token"`) {
				s.Purge(name)
			}
		}
		pass(5 * time.Minute)
		if got, err := reader.FindTokenByID(t.Context(), "id"); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("five minutes later it is found: %v, %v", got, err)
		}
		// Who tries to replace it finds that somebody came before, and looks for what that
		// one wrote, for another five minutes.
		if err := writer.SaveToken(t.Context(), tok("two")); err != nil {
			if !errors.Is(err, token.ErrUnavailable) || errors.Is(err, token.ErrOutcomeUnknown) {
				t.Errorf("it cannot be saved again: error %v, want %v", err, token.ErrUnavailable)
			}
			pass(5 * time.Minute)
			if err := writer.SaveToken(t.Context(), tok("two")); err != nil {
				t.Errorf("it cannot be saved again: %v", err)
			}
		}
		for _, store := range []*token.Store{reader, writer, open()} {
			if got, err := store.FindTokenByID(t.Context(), "id"); err != nil || got.AccessToken.Reveal() != "two" {
				t.Errorf("saved again, it is %v (%v)", got, err)
			}
		}
	})
}

// A process that remembers more versions than a secret has now neither overwrites nor
// loses anything, nor does it stay blind.
func TestOperatorCreatesASecretAnew(t *testing.T) {
	for _, c := range []struct{ valid, void, anew int }{
		{4, 0, 1}, {4, 0, 3}, {4, 0, 5}, {4, 0, 7}, {3, 2, 1}, {3, 2, 3}, {3, 2, 4}, {3, 2, 6}, {1, 4, 1}, {1, 4, 3},
	} {
		for begin := range 4 {
			t.Run(fmt.Sprintf("%d versions and %d void ones, now %d, order of reads %d", c.valid, c.void, c.anew, begin), func(t *testing.T) {
				operated(t, c.valid, func(t *testing.T, s *service, d *gcpsm.Driver, h hand, value []byte, rev driver.Revision) {
					for range c.void {
						h.add(`{"seen":77,"tokenkeep":{}}`)
					}
					if got := get(t, d, "a"); got.Revision != rev { // now it knows
						t.Fatalf("it reads as %q (%v)", got.Revision, got.Err)
					}
					s.Purge(secretOf(prefix, "a"))
					other := s.driver(t, unpaced())
					pile(t, other, "a", c.anew)
					top := get(t, other, "a")
					for i := range 3 * min(begin, 1) { // none, or all in some order
						how := []driver.Freshness{driver.Lax, driver.Any, driver.Fresh}[(begin+i)%3]
						if got := reads(t, d, how, driver.Item{Name: "a"}); got.Revision != top.Revision || string(got.Value) != string(top.Value) {
							t.Errorf("freshness %v: it reads as %q (%v), want %q", how, got.Revision, got.Err, top.Revision)
						}
					}
					if got, err := aside(t, d, after(t, value), rev)(); !errors.Is(err, driver.ErrConflict) {
						t.Errorf("a write over what was deleted: %q (%v), want %v", got, err, driver.ErrConflict)
					}
					s.stands(t, "a", top.Value, top.Revision)
					next := after(t, top.Value)
					s.stands(t, "a", next, put(t, d, "a", next, top.Revision))
				})
			})
		}
	}
}

// The revisions of two lives differ, though their numbers do not.
func TestOperatorGivesASecretTwoLives(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		d, other := s.driver(t, unpaced()), s.driver(t, unpaced())
		old := first(t)
		rev := put(t, d, "a", old, driver.Absent)
		if err := d.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Put(t.Context(), "a", after(t, old), rev); !errors.Is(err, driver.ErrConflict) {
			t.Errorf("a write over what was deleted: error %v, want %v", err, driver.ErrConflict)
		}
		value := first(t)
		now := put(t, d, "a", value, driver.Absent)
		if now == rev {
			t.Error("two lives have one revision")
		}
		for _, d := range []driver.Driver{d, other} {
			if _, err := d.Put(t.Context(), "a", after(t, old), rev); !errors.Is(err, driver.ErrConflict) {
				t.Errorf("a write over the first life: error %v, want %v", err, driver.ErrConflict)
			}
			if got := reads(t, d, driver.Any, driver.Item{Name: "a", Revision: rev, Value: old}); got.Revision != now || string(got.Value) != string(value) {
				t.Errorf("it reads as %q, want %q", got.Revision, now)
			}
		}
		s.stands(t, "a", value, now)
	})
}
