package vaultstore_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// What the store does about delete_version_after, which lets records vanish: that of the
// mount, and that of a single secret.

const (
	mountVanishes  = "delete_version_after of the mount is set"
	secretVanishes = "delete_version_after of the secret is set"
	eitherVanishes = "delete_version_after of the mount or of the secret is set"
	mendsSecret    = "vault kv metadata put -mount=MOUNT -delete-version-after=0s PREFIX/NAME"
)

// lives sets how long versions of the secret a live, as vault kv metadata put does.
func (h hand) lives(after string) {
	h.t.Helper()
	h.write("metadata", map[string]any{"delete_version_after": after})
}

// vanishes reports whether the newest version of a secret has a time to vanish.
func (s *service) vanishes(t testing.TB, name string) bool {
	t.Helper()
	versions := s.Versions(at(name))
	if len(versions) == 0 {
		t.Fatalf("there is no secret %s", name)
	}
	return !versions[len(versions)-1].Deleted.IsZero()
}

// A writer writes the secret a again and again.
type writer struct {
	t     testing.TB
	s     *service
	d     *vaultstore.Driver
	value []byte
	rev   driver.Revision
}

// writer returns one that has written once.
func (s *service) writer(t testing.TB, d *vaultstore.Driver) *writer {
	t.Helper()
	w := &writer{t: t, s: s, d: d, value: first(t)}
	w.rev = put(t, d, "a", w.value, driver.Absent)
	return w
}

func (w *writer) put() error {
	value := after(w.t, w.value)
	rev, err := w.d.Put(w.t.Context(), "a", value, w.rev)
	if err == nil {
		w.value, w.rev = value, rev
	}
	return err
}

// works writes, and makes sure that what it wrote stays.
func (w *writer) works() {
	w.t.Helper()
	if err := w.put(); err != nil {
		w.t.Errorf("Put: %v", err)
	}
	if w.s.vanishes(w.t, "a") {
		w.t.Error("what was written vanishes")
	}
}

// finds writes, and makes sure that it stands and that what it wrote vanishes.
func (w *writer) finds() {
	w.t.Helper()
	if err := w.put(); err != nil {
		w.t.Fatalf("Put: %v", err)
	}
	if !w.s.vanishes(w.t, "a") {
		w.t.Fatal("what was written stays")
	}
	w.s.stands(w.t, "a", w.value, w.rev)
}

func (w *writer) refused(part string) {
	w.t.Helper()
	says(w.t, "Put", w.put(), driver.ErrInvalid, part)
}

// without returns a driver whose token may do all but read some settings.
func (s *service) without(t testing.TB, operations ...string) *vaultstore.Driver {
	t.Helper()
	for _, operation := range operations {
		s.fault(0, vaultstoretest.FailBefore(403, saysDenied), operation)
	}
	return s.driver(t, nil)
}

// A setting that comes later is found out by the first write that it concerns, which
// stands, and named at the next; once it is gone, writes go on.
func TestDeleteVersionAfterOfTheMountThatIsSetLater(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		w := s.writer(t, s.driver(t, nil))
		put(t, w.d, "b", first(t), driver.Absent)
		s.SetMountConfig(mount, 0, false, time.Hour)
		w.finds()
		get(t, w.d, "b") // what stays says nothing of what is written next
		_, err := w.d.Put(t.Context(), "c", first(t), driver.Absent)
		says(t, "Put of another secret", err, driver.ErrInvalid, mountVanishes)
		w.refused(mountVanishes)
		s.SetMountConfig(mount, 0, false, 0)
		w.works()
		s.ResetCalls()
		w.works()
		if got, want := s.called(), []string{"PUT data", "PUT destroy"}; !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
	})
}

func TestDeleteVersionAfterOfASecret(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		w := s.writer(t, s.driver(t, nil))
		hand{t, s}.lives("1h")
		w.finds()
		put(t, w.d, "b", first(t), driver.Absent) // others go on
		for range 3 {
			w.refused(secretVanishes)
			w.refused(mendsSecret)
		}
		hand{t, s}.lives("0s")
		w.works()
		s.ResetCalls()
		w.works()
		get(t, w.d, "a")
		put(t, w.d, "c", first(t), driver.Absent)
		if got, want := s.called(), []string{"PUT data", "PUT destroy", "GET data", "PUT data"}; !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
	})
}

// A mount that is set while a secret of its own is under suspicion is found out with that.
func TestDeleteVersionAfterOfASecretAndThenOfTheMount(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		w := s.writer(t, s.driver(t, nil))
		hand{t, s}.lives("1h")
		w.finds()
		put(t, w.d, "b", first(t), driver.Absent)
		s.SetMountConfig(mount, 0, false, 2*time.Hour)
		w.refused(mountVanishes)
		_, err := w.d.Put(t.Context(), "c", first(t), driver.Absent)
		says(t, "Put of another secret", err, driver.ErrInvalid, mountVanishes)
		s.SetMountConfig(mount, 0, false, 0)
		w.refused(secretVanishes)
		hand{t, s}.lives("0s")
		w.works()
	})
}

// A read from the past, when versions stayed, takes no suspicion away.
func TestDeleteVersionAfterAndAReadFromThePast(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		w := s.writer(t, s.without(t, "GET metadata"))
		hand{t, s}.lives("1h")
		s.SetTimeLag(10 * time.Second)
		pass(time.Minute)
		w.finds()
		s.SetState(vaultstoretest.PerformanceStandby)
		if got := get(t, w.d, "a"); got.Revision == w.rev {
			t.Fatal("the read is current")
		}
		w.refused(secretVanishes)
	}, vaultstoretest.WithEnterprise())
}

// Where a setting may not be read, the writes that follow are refused for a minute. The one
// after that finds out whether somebody mended it.
func TestDeleteVersionAfterThatMayNotBeRead(t *testing.T) {
	for _, c := range []struct {
		what    string
		hidden  []string
		ofMount bool
		part    string
	}{
		{"the secret's, and the mount's may be", []string{"GET metadata"}, false, secretVanishes},
		{"the mount's, and the secret's may be", []string{"GET config"}, true, mountVanishes},
		{"the mount's, but the secret's is it", []string{"GET config"}, false, secretVanishes},
		{"neither, and it is the mount's", []string{"GET config", "GET metadata"}, true, eitherVanishes},
		{"neither, and it is the secret's", []string{"GET config", "GET metadata"}, false, eitherVanishes},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				w := s.writer(t, s.without(t, c.hidden...))
				set := func(after time.Duration) {
					if c.ofMount {
						s.SetMountConfig(mount, 0, false, after)
					} else {
						hand{t, s}.lives(after.String())
					}
				}
				set(time.Hour)
				for range 2 {
					w.finds()
					get(t, w.d, "a") // who wrote it knows more than who reads it
					pass(10 * time.Minute)
					for range 5 {
						w.refused(c.part)
						pass(10 * time.Second)
					}
					pass(10 * time.Second)
				}
				w.finds()
				w.refused(c.part)
				set(0)
				w.refused("if that was done, a write will tell in a minute")
				pass(time.Minute)
				w.works()
				s.ResetCalls()
				w.works()
				if got, want := s.called(), []string{"PUT data", "PUT destroy"}; !slices.Equal(got, want) {
					t.Errorf("requests %q, want %q", got, want)
				}
			})
		})
	}
}

// A process that reads a version that vanishes looks before it writes: if the setting is
// gone, its write is the cure, and if nobody may look, its write finds out.
func TestAVersionThatVanishesAndWasRead(t *testing.T) {
	for _, c := range []struct {
		what    string
		hidden  []string
		ofMount bool
		mended  bool
		part    string // of the refusal
	}{
		{what: "the mount's setting", ofMount: true, part: mountVanishes},
		{what: "the secret's setting", part: secretVanishes},
		{what: "the mount's setting that was mended", ofMount: true, mended: true},
		{what: "the secret's setting that was mended", mended: true},
		{what: "the mount's setting that may not be read", hidden: []string{"GET config"}, ofMount: true},
		{what: "the secret's setting that may not be read", hidden: []string{"GET metadata"}},
		{what: "a mended setting that may not be read", hidden: []string{"GET metadata", "GET config"}, mended: true},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				before := s.writer(t, s.driver(t, nil))
				set := func(after time.Duration) {
					if c.ofMount {
						s.SetMountConfig(mount, 0, false, after)
					} else {
						hand{t, s}.lives(after.String())
					}
				}
				set(time.Hour)
				before.finds()
				if c.mended {
					set(0)
				}
				w := &writer{t: t, s: s, d: s.without(t, c.hidden...), value: before.value, rev: before.rev}
				get(t, w.d, "a")
				switch {
				case c.part != "":
					w.refused(c.part)
					get(t, w.d, "a")
					w.refused(c.part)
					set(0)
					w.works()
				case c.mended:
					w.works()
				default:
					w.finds()
					w.refused("delete_version_after")
				}
			})
		})
	}
}

// A mount that turns it off for all secrets makes a secret's own setting harmless.
func TestDeleteVersionAfterThatTheMountTurnsOff(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		w := s.writer(t, s.driver(t, nil))
		hand{t, s}.lives("1h")
		w.finds()
		w.refused(secretVanishes)
		s.SetMountConfig(mount, 0, false, -time.Second)
		w.works()
		s.ResetCalls()
		w.works()
		if got, want := s.called(), []string{"PUT data", "PUT destroy"}; !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
	})
}

// After the setting is gone, undelete takes the time from a version that has it.
func TestAVersionThatVanishesAndIsUndeleted(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		w := s.writer(t, s.driver(t, nil))
		hand{t, s}.lives("1h")
		w.finds()
		hand{t, s}.lives("0s")
		hand{t, s}.undelete(2)
		if s.vanishes(t, "a") {
			t.Fatal("it vanishes still")
		}
		get(t, w.d, "a")
		put(t, w.d, "b", first(t), driver.Absent) // looks at the mount
		s.ResetCalls()
		w.works()
		if got, want := s.called(), []string{"PUT data", "PUT destroy"}; !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
	})
}

// A write whose answer was lost learns it from the version that it looks for.
func TestDeleteVersionAfterThatIsFoundByLooking(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		w := s.writer(t, s.driver(t, nil))
		hand{t, s}.lives("1h")
		s.fault(1, vaultstoretest.LoseAnswer(), "PUT data")
		w.finds()
		w.refused(secretVanishes)
	})
}

// Trouble while the settings are looked at is no answer: nothing is written, and the next
// write looks again.
func TestSettingsThatCannotBeReadJustNow(t *testing.T) {
	for _, operation := range []string{"GET config", "GET metadata"} {
		bubble(t, func(t *testing.T, s *service) {
			w := s.writer(t, s.driver(t, nil))
			hand{t, s}.lives("1h")
			w.finds()
			put(t, w.d, "b", first(t), driver.Absent) // looks at the mount
			hand{t, s}.lives("0s")
			trouble := s.fault(0, vaultstoretest.EchoBody(502), operation)
			if err := w.put(); !errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrOutcomeUnknown) {
				t.Errorf("%s: error %v, want %v", operation, err, driver.ErrUnavailable)
			}
			trouble.Remove()
			w.works()
		})
	}
}

// A secret that was deleted while it was under suspicion is a new one.
func TestASecretThatVanishedIsANewOne(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		w := s.writer(t, s.driver(t, nil))
		hand{t, s}.lives("1h")
		w.finds()
		hand{t, s}.purge()
		w.value = first(t)
		w.rev = put(t, w.d, "a", w.value, driver.Absent)
		w.works()
	})
}
