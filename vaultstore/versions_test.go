package vaultstore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// What becomes of the versions that a write replaced: they hold the tokens of before.

// keepsOne makes sure that no version of a secret but the newest has a value.
func (s *service) keepsOne(t testing.TB, name string) {
	t.Helper()
	versions := s.Versions(at(name))
	for i, v := range versions {
		if last := i == len(versions)-1; (v.Data != nil) != last {
			t.Errorf("version %d of %s has a value: %v", v.Number, name, v.Data != nil)
		}
	}
}

func TestVersionsThatWereReplacedKeepNoTokens(t *testing.T) {
	for _, c := range []struct {
		keeps   int
		destroy int // how many requests 40 writes take for it
	}{{0, 39}, {10, 39}, {100, 39}, {1, 0}} {
		t.Run(fmt.Sprint("the mount keeps ", c.keeps), func(t *testing.T) {
			s := start(t)
			s.SetMountConfig(mount, c.keeps, false, 0)
			drivers := []*vaultstore.Driver{s.driver(t, nil), s.driver(t, nil), s.driver(t, nil)}
			for i := range 40 {
				pile(t, drivers[i%3], "a", 1)
				s.keepsOne(t, "a")
			}
			if got := s.CountCalls()["PUT destroy"]; got != c.destroy {
				t.Errorf("%d destructions, want %d", got, c.destroy)
			}
		})
	}
}

// A write names what it replaced and what others replaced before it. The first one of a
// process names some more, and every sixteenth version all that the mount may keep: for
// what a process left when it died. What it named once, a process does not name again.
func TestVersionsAreNamedOnce(t *testing.T) {
	for keeps, want := range map[int]map[int64]string{
		10: {2: "1", 3: "2", 4: "3", 5: "1-4", 6: "4-5", 7: "6", 16: "7-15", 17: "16", 18: "9-17", 20: "17-19", 32: "31"},
		60: {2: "1", 3: "2", 4: "3", 5: "1-4", 6: "4-5", 7: "6", 16: "1-15", 17: "16", 18: "2-17", 20: "17-19", 32: "31"},
	} {
		t.Run(fmt.Sprint("the mount keeps ", keeps), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				s.SetMountConfig(mount, keeps, false, 0)
				var mu sync.Mutex
				var named string
				spy := roundTrip(func(r *http.Request) (*http.Response, error) {
					if strings.Contains(r.URL.Path, "/destroy/") {
						body, _ := r.GetBody()
						var sent struct{ Versions []int64 }
						if text, err := io.ReadAll(body); err != nil || json.Unmarshal(text, &sent) != nil {
							t.Errorf("the body %s cannot be read", text)
						}
						mu.Lock()
						defer mu.Unlock()
						named = span(sent.Versions)
					}
					return s.transport.RoundTrip(r)
				})
				// The others write some versions, and a third one begins late.
				mine, other, third := s.behind(t, spy), s.behind(t, spy), s.behind(t, spy)
				writers := map[int64]*vaultstore.Driver{5: other, 18: third, 19: third}
				for n := range int64(32) {
					d := writers[n+1]
					if d == nil {
						d = mine
					}
					pile(t, d, "a", 1)
					mu.Lock()
					if w, ok := want[n+1]; ok && named != w {
						t.Errorf("the write of version %d names %s, want %s", n+1, named, w)
					}
					mu.Unlock()
				}
				s.keepsOne(t, "a")
			})
		})
	}
}

// span writes numbers that follow each other as the first and the last.
func span(numbers []int64) string {
	for i, n := range numbers {
		if n != numbers[0]+int64(i) {
			return fmt.Sprint(numbers)
		}
	}
	switch len(numbers) {
	case 0:
		return "nothing"
	case 1:
		return fmt.Sprint(numbers[0])
	}
	return fmt.Sprint(numbers[0], "-", numbers[len(numbers)-1])
}

// Processes that write once and die before they destroy leave a version each. The ones
// that follow destroy them, however many there are.
func TestVersionsThatDeadProcessesLeftAreDestroyed(t *testing.T) {
	for _, c := range []struct {
		keeps, dead int
		hidden      bool // the config may not be read
		writes      int  // how many it takes then, by a process each
	}{
		{keeps: 10, dead: 10, writes: 1},
		{keeps: 10, dead: 40, writes: 1},
		{keeps: 100, dead: 10, writes: 1},
		{keeps: 100, dead: 40, writes: 16},
		{keeps: 100, dead: 60, writes: 16, hidden: true},
		{keeps: 1000, dead: 80, writes: 16},
	} {
		t.Run(fmt.Sprintf("%d of them, where the mount keeps %d, hidden: %v", c.dead, c.keeps, c.hidden), func(t *testing.T) {
			s := start(t)
			s.SetMountConfig(mount, c.keeps, false, 0)
			if c.hidden {
				s.fault(0, vaultstoretest.FailBefore(403, saysDenied), "GET config")
			}
			gone := s.fault(0, vaultstoretest.FailBefore(403, saysDenied), "PUT destroy")
			for range c.dead {
				pile(t, s.driver(t, nil), "a", 1)
			}
			gone.Remove()
			for range c.writes {
				pile(t, s.driver(t, nil), "a", 1)
			}
			s.keepsOne(t, "a")
		})
	}
}

// What a process could not destroy it destroys with its next write of that secret, however
// often it failed.
func TestVersionsThatCouldNotBeDestroyedAreNotForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		s.SetMountConfig(mount, 100, false, 0)
		d := s.driver(t, nil)
		trouble := s.fault(0, vaultstoretest.EchoBody(502), "PUT destroy")
		pile(t, d, "a", 45)
		trouble.Remove()
		pile(t, d, "a", 1)
		s.keepsOne(t, "a")
	})
}

// A secret that nobody writes again, such as one whose token was deleted, keeps no token
// because of a destruction that failed.
func TestVersionsOfSecretsThatAreNotWrittenAgainAreDestroyed(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		d := s.driver(t, nil)
		trouble := s.fault(0, vaultstoretest.EchoBody(502), "PUT destroy")
		for i := range 10 {
			pile(t, d, fmt.Sprint("gone-", i), 2)
		}
		pile(t, d, "a", 1)
		trouble.Remove()
		pile(t, d, "a", 2) // each cleans a few
		for i := range 10 {
			s.keepsOne(t, fmt.Sprint("gone-", i))
		}
		s.ResetCalls()
		pile(t, d, "a", 1)
		if got, want := s.called(), []string{"GET data", "PUT data", "PUT destroy"}; !slices.Equal(got, want) {
			t.Errorf("when nothing is left a write makes requests %q, want %q", got, want)
		}
	})
}

// Rotated tokens that nobody may destroy are named, until somebody may.
func TestVersionsThatNobodyMayDestroyAreNamed(t *testing.T) {
	s := start(t)
	const rule = `path "secret/destroy/app/oauth/*" {
  capabilities = ["update"]
}`
	d := s.restricted(t, rule, "")
	// Ten goroutines find out at once, each for a secret of its own.
	var names []string
	var wg sync.WaitGroup
	for i := range 10 {
		names = append(names, fmt.Sprint("a-", i))
		put(t, d, names[i], first(t), driver.Absent)
	}
	for _, name := range names {
		item := get(t, d, name)
		wg.Go(func() {
			// Who comes late is refused already.
			if _, err := d.Put(t.Context(), name, after(t, item.Value), item.Revision); err != nil {
				says(t, "Put", err, driver.ErrPermission, "old versions hold old tokens")
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"a-3", "new"} {
		for range 2 {
			_, err := d.Put(t.Context(), name, first(t), driver.Absent)
			says(t, "Put", err, driver.ErrPermission, "old versions hold old tokens")
		}
	}
	s.SetPolicy("tokenkeep", vaultstoretest.MustPolicy(least))
	pile(t, d, "b", 3)
	for _, name := range append(names, "b") {
		s.keepsOne(t, name)
	}
}

// A write that lost destroys nothing, neither what won nor what that replaced.
func TestVersionsAreDestroyedByWhoWon(t *testing.T) {
	s := start(t)
	d, other := s.driver(t, nil), s.driver(t, nil)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	gone := s.fault(0, vaultstoretest.FailBefore(403, saysDenied), "PUT destroy")
	next := after(t, value)
	won := put(t, other, "a", next, rev)
	gone.Remove()
	s.ResetCalls()
	if _, err := d.Put(t.Context(), "a", after(t, value), rev); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("error %v, want %v", err, driver.ErrConflict)
	}
	s.stands(t, "a", next, won)
	if n := s.CountCalls()["PUT destroy"]; n != 0 {
		t.Errorf("who lost made %d destructions", n)
	}
	kept := []int{}
	for _, v := range s.Versions(at("a")) {
		if v.Data != nil {
			kept = append(kept, v.Number)
		}
	}
	if diff := cmp.Diff([]int{1, 2}, kept); diff != "" {
		t.Errorf("versions with a value (-want +got):\n%s", diff)
	}
}

// What is left of a secret that was deleted, and created again, is not taken for what was
// left of its first life: its newest version may have such a number.
func TestVersionsOfASecretThatBeganAnewStay(t *testing.T) {
	for what, trouble := range map[string]vaultstoretest.Action{
		"after trouble": vaultstoretest.EchoBody(502), "after a right was missing": vaultstoretest.FailBefore(403, saysDenied), "after no trouble": {},
	} {
		for _, versions := range []int{1, 4, 7} {
			t.Run(fmt.Sprint(what, ", ", versions, " versions later"), func(t *testing.T) {
				bubble(t, func(t *testing.T, s *service) {
					d := s.driver(t, nil)
					pile(t, d, "a", 4)
					pile(t, d, "b", 1)
					fault := s.fault(0, trouble, "PUT destroy")
					pile(t, d, "a", 1)
					fault.Remove()
					hand{t, s}.purge()
					pile(t, s.driver(t, nil), "a", versions)
					top := get(t, d, "a")
					pile(t, d, "b", 2)
					s.stands(t, "a", top.Value, top.Revision)
					pile(t, d, "a", 1)
					s.keepsOne(t, "a")
				})
			})
		}
	}
}

// Of a secret that the driver deleted nothing is left, and nobody is asked for it.
func TestVersionsOfASecretThatWasDeletedAreGone(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		d := s.driver(t, nil)
		trouble := s.fault(0, vaultstoretest.EchoBody(502), "PUT destroy")
		pile(t, d, "a", 3)
		if err := d.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		trouble.Remove()
		pile(t, d, "b", 1)
		s.ResetCalls()
		pile(t, d, "b", 1)
		if got, want := s.called(), []string{"GET data", "PUT data", "PUT destroy"}; !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
	})
}

// An operator who lets the mount keep one version instead has helped as well.
func TestVersionsThatNobodyMayDestroyAndTheMountDrops(t *testing.T) {
	s := start(t)
	s.fault(0, vaultstoretest.FailBefore(403, saysDenied), "PUT destroy")
	d := s.driver(t, nil)
	pile(t, d, "a", 2)
	_, err := d.Put(t.Context(), "b", first(t), driver.Absent)
	says(t, "Put", err, driver.ErrPermission, "or max_versions=1 in the mount's config")
	s.SetMountConfig(mount, 1, false, 0)
	pile(t, d, "a", 1)
	s.keepsOne(t, "a")
	s.ResetCalls()
	pile(t, d, "a", 1)
	if got, want := s.called(), []string{"GET data", "PUT data"}; !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
}
