package gcpsm_test

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	secretmanagerpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// What people do by hand, and what the service does of itself.

// hand is an operator at the console, who works on the secret a.
type hand struct {
	t testing.TB
	s *service
}

func (h hand) version(n int64) string { return fmt.Sprint(secretOf(prefix, "a"), "/versions/", n) }

func (h hand) done(_ any, err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h hand) destroy(n int64) {
	h.t.Helper()
	h.done(h.s.sdk(h.t).DestroySecretVersion(h.t.Context(), &secretmanagerpb.DestroySecretVersionRequest{Name: h.version(n)}))
}

func (h hand) disable(n int64) {
	h.t.Helper()
	h.done(h.s.sdk(h.t).DisableSecretVersion(h.t.Context(), &secretmanagerpb.DisableSecretVersionRequest{Name: h.version(n)}))
}

func (h hand) enable(n int64) {
	h.t.Helper()
	h.done(h.s.sdk(h.t).EnableSecretVersion(h.t.Context(), &secretmanagerpb.EnableSecretVersionRequest{Name: h.version(n)}))
}

func (h hand) add(payload string) {
	h.t.Helper()
	h.done(h.s.SetValue(secretOf(prefix, "a"), payload))
}

// operated runs a test of a secret that was written n times, the last time with value
// at rev, and whose versions are all there still.
func operated(t *testing.T, n int, f func(t *testing.T, s *service, d *gcpsm.Driver, h hand, value []byte, rev driver.Revision)) {
	t.Helper()
	bubble(t, func(t *testing.T, s *service) {
		d := s.driver(t, unpaced())
		keep := s.fault(0, gcpsmtest.FailBefore(codes.InvalidArgument, ""), "DestroySecretVersion")
		pile(t, d, "a", n)
		keep.Remove()
		item := get(t, d, "a")
		f(t, s, d, hand{t, s}, item.Value, item.Revision)
	})
}

// corrupt makes sure that nobody who knows nothing reads or writes the secret a, and
// that the error tells why.
func (s *service) corrupt(t testing.TB, why string) {
	t.Helper()
	d := s.driver(t, unpaced())
	for _, how := range []driver.Freshness{driver.Any, driver.Fresh, driver.Lax} {
		items, err := d.Get(t.Context(), how, driver.Item{Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		item := items[0]
		if !errors.Is(item.Err, driver.ErrCorrupt) || !strings.Contains(item.Err.Error(), why) || item.Value != nil || item.Revision != driver.Absent {
			t.Errorf("it reads as %d bytes at %q (%v), want %v: %s", len(item.Value), item.Revision, item.Err, driver.ErrCorrupt, why)
		}
		quiet(t, item.Err)
	}
	before := s.active("a")
	for _, prev := range []driver.Revision{driver.Absent, "1.ab"} {
		_, err := d.Put(t.Context(), "a", first(t), prev)
		if !errors.Is(err, driver.ErrCorrupt) && !errors.Is(err, driver.ErrConflict) || errors.Is(err, driver.ErrOutcomeUnknown) {
			t.Errorf("Put over it: error %v, want %v or %v", err, driver.ErrCorrupt, driver.ErrConflict)
		}
	}
	if got := s.active("a"); !slices.Equal(got[:len(before)], before) {
		t.Errorf("the versions %v are active, want %v", got, before)
	}
}

func TestOperatorDestroysTheNewestVersion(t *testing.T) {
	operated(t, 3, func(t *testing.T, s *service, d *gcpsm.Driver, h hand, value []byte, rev driver.Revision) {
		h.destroy(3)
		s.corrupt(t, "version 3 is destroyed")
		// A process that remembers what stood there writes it again, with its next write.
		value = after(t, value)
		s.stands(t, "a", value, put(t, d, "a", value, rev))
	})
}

func TestOperatorDisablesTheNewestVersion(t *testing.T) {
	operated(t, 3, func(t *testing.T, s *service, d *gcpsm.Driver, h hand, value []byte, rev driver.Revision) {
		h.disable(3)
		s.corrupt(t, "version 3 is disabled: enable it")
		h.enable(3)
		s.stands(t, "a", value, rev)
		value = after(t, value)
		s.stands(t, "a", value, put(t, d, "a", value, rev))
	})
}

func TestOperatorDestroysOrDisablesOldVersions(t *testing.T) {
	operated(t, 5, func(t *testing.T, s *service, d *gcpsm.Driver, h hand, value []byte, rev driver.Revision) {
		h.destroy(2)
		h.disable(3)
		h.destroy(4)
		s.stands(t, "a", value, rev)
		value = after(t, value)
		s.stands(t, "a", value, put(t, s.driver(t, unpaced()), "a", value, rev))
		value = after(t, value)
		put(t, d, "a", value, get(t, d, "a").Revision)
		pile(t, d, "a", 16)
		s.remain(t, 23)
	})
}

// A version that came too late is as good as gone. If somebody destroys it while it is
// above the head, nobody who knows nothing can tell that it was none.
func TestOperatorDestroysAVersionThatCameTooLate(t *testing.T) {
	operated(t, 2, func(t *testing.T, s *service, d *gcpsm.Driver, h hand, value []byte, rev driver.Revision) {
		for range 3 {
			h.add(`{"seen":0,"tokenkeep":{}}`)
		}
		s.stands(t, "a", value, rev)
		if got := get(t, d, "a"); got.Revision != rev { // d has seen all
			t.Errorf("it reads as %q (%v), want %q", got.Revision, got.Err, rev)
		}
		h.destroy(4)
		s.corrupt(t, "version 4 is destroyed")
		if got := get(t, d, "a"); got.Err != nil || got.Revision != rev {
			t.Errorf("to who saw it before, it reads as %q (%v), want %q", got.Revision, got.Err, rev)
		}
		value = after(t, value)
		s.stands(t, "a", value, put(t, d, "a", value, rev))
	})
}

func TestOperatorAddsAVersion(t *testing.T) {
	for what, payload := range map[string]string{
		"text": "hello", "an empty object": "{}", "binary": "\xff\xfe\x00", "JSON of something else": `{"password":"` + canary + `"}`,
		"a number that is none": `{"seen":"2","tokenkeep":{}}`, "a number with a zero before": `{"seen":03,"tokenkeep":{}}`,
		"a number that is too large": `{"seen":99999999999999999999,"tokenkeep":{}}`, "a negative number": `{"seen":-1,"tokenkeep":{}}`,
		"broken text": "{\"seen\":3,\"a\":\"\xff\"}", "a space": `{ "seen":3,"tokenkeep":{}}`,
	} {
		t.Run(what, func(t *testing.T) {
			operated(t, 3, func(t *testing.T, s *service, _ *gcpsm.Driver, h hand, value []byte, _ driver.Revision) {
				good, _, _ := s.Value(secretOf(prefix, "a"))
				h.add(payload)
				s.corrupt(t, "version 4 was not written by tokenkeep")
				// To destroy it is no way back; to add the last good payload with the number
				// of versions is.
				h.destroy(4)
				s.corrupt(t, "version 4 is destroyed")
				n := len(s.Versions(secretOf(prefix, "a")))
				h.add(strings.Replace(good, `{"seen":2,`, fmt.Sprintf(`{"seen":%d,`, n), 1))
				item := get(t, s.driver(t, unpaced()), "a")
				if string(item.Value) != string(value) || item.Err != nil {
					t.Errorf("it reads as %d bytes (%v), want those of before", len(item.Value), item.Err)
				}
				value = after(t, value)
				s.stands(t, "a", value, put(t, s.driver(t, unpaced()), "a", value, item.Revision))
			})
		})
	}
}

// A copy of an older payload says what that one said, and is void.
func TestOperatorAddsACopyOfAnOlderVersion(t *testing.T) {
	for old := range 3 {
		operated(t, 3, func(t *testing.T, s *service, d *gcpsm.Driver, h hand, value []byte, rev driver.Revision) {
			h.add(string(s.Versions(secretOf(prefix, "a"))[old].Payload))
			s.stands(t, "a", value, rev)
			if got := get(t, d, "a"); got.Revision != rev || got.Err != nil {
				t.Errorf("it reads as %q (%v), want %q", got.Revision, got.Err, rev)
			}
			value = after(t, value)
			s.stands(t, "a", value, put(t, s.driver(t, unpaced()), "a", value, rev))
		})
	}
}

func TestOperatorMakesASecretWithoutVersions(t *testing.T) {
	for what, payloads := range map[string][]string{
		"none at all": {}, "void ones only": {`{"seen":7,"tokenkeep":{}}`, `{"seen":0,"tokenkeep":{}}`, `{"seen":0,"tokenkeep":{}}`},
	} {
		for _, looks := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, read before: %v", what, looks), func(t *testing.T) {
				bubble(t, func(t *testing.T, s *service) {
					s.create(t)
					for _, p := range payloads {
						hand{t, s}.add(p)
					}
					d := s.driver(t, unpaced())
					if looks {
						if got := get(t, d, "a"); got.Revision != driver.Absent || got.Err != nil {
							t.Errorf("it reads as %q (%v), want absent", got.Revision, got.Err)
						}
					}
					value := first(t)
					s.stands(t, "a", value, put(t, d, "a", value, driver.Absent))
					if n := s.active("a"); len(n) != 1 {
						t.Errorf("the versions %v are active, want one", n)
					}
				})
			})
		}
	}
}

func TestOperatorDamage(t *testing.T) {
	operated(t, 3, func(t *testing.T, s *service, _ *gcpsm.Driver, _ hand, value []byte, rev driver.Revision) {
		for n := range 3 {
			damage := s.fault(n, gcpsmtest.Corrupt(), "AccessSecretVersion")
			if n > 0 {
				s.stands(t, "a", value, rev) // on the way: it is read again
			} else {
				s.corrupt(t, "the checksum of version 3 is wrong")
			}
			damage.Remove()
		}
		s.stands(t, "a", value, rev)
	})
}

// The right to read is missing, for what exists and what does not: never is it absent.
func TestOperatorTakesTheRightToRead(t *testing.T) {
	for what, opts := range map[string][]gcpsmtest.Option{"of the project": nil, "of each secret": {gcpsmtest.WithGrantsOnSecrets()}} {
		t.Run(what, func(t *testing.T) {
			var granted atomic.Bool
			granted.Store(true)
			bubble(t, func(t *testing.T, s *service) {
				d := s.driver(t, unpaced())
				put(t, d, "a", first(t), driver.Absent)
				granted.Store(false)
				for _, d := range []*gcpsm.Driver{d, s.driver(t, unpaced())} {
					for _, how := range []driver.Freshness{driver.Any, driver.Fresh, driver.Lax} {
						for _, name := range []string{"a", "b"} {
							if items, err := d.Get(t.Context(), how, driver.Item{Name: name}); !errors.Is(err, driver.ErrPermission) || items != nil {
								t.Errorf("%s: error %v, want %v", name, err, driver.ErrPermission)
							}
						}
						items, err := d.Get(t.Context(), how, driver.Item{Name: "a"}, driver.Item{Name: "b"})
						if err != nil || !errors.Is(items[0].Err, driver.ErrPermission) || !errors.Is(items[1].Err, driver.ErrPermission) {
							t.Errorf("both: error %v, items %v, want %v", err, items, driver.ErrPermission)
						}
					}
				}
				granted.Store(true)
				if items, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "b"}); what == "of each secret" {
					if !errors.Is(err, driver.ErrPermission) {
						t.Errorf("what does not exist: error %v, want %v", err, driver.ErrPermission)
					}
				} else if err != nil || items[0].Revision != driver.Absent || items[0].Err != nil {
					t.Errorf("what does not exist: error %v, items %v", err, items)
				}
			}, append(opts, gcpsmtest.WithPolicy(func(permission, _ string) bool {
				return permission != "secretmanager.versions.access" || granted.Load()
			}))...)
		})
	}
}

// The service says that there is no such project when it is asked to create or to list.
func TestOperatorNamesAProjectThatDoesNotExist(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		d := s.driver(t, unpaced())
		s.fault(0, gcpsmtest.FailBefore(codes.NotFound, "Project not found: "+canary), "CreateSecret", "ListSecrets")
		if _, err := d.Put(t.Context(), "a", first(t), driver.Absent); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "project") {
			t.Errorf("Put: error %v, want %v that tells of the project", err, driver.ErrInvalid)
		}
		for _, err := range d.Names(t.Context()) {
			if !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "project") {
				t.Errorf("Names: error %v, want %v that tells of the project", err, driver.ErrInvalid)
			}
			quiet(t, err)
		}
	})
}

func TestOperatorKeepsOtherSecretsBesideOurs(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		d := s.driver(t, unpaced())
		put(t, d, "a", first(t), driver.Absent)
		for _, id := range []string{
			"app__oauth", "app__oauth__", "app__oauth__B", "app__oauth__b_c", "app__oauth__b__c", "app__oauth__-b", "app__oauth__b-",
			"app__oauth-2__b", "xapp__oauth__b", "my-app__oauth__b", "app__oauth___b", "app__oauth__" + strings.Repeat("b", 81),
		} {
			if _, err := s.SetValue(parent+"/secrets/"+id, "other"); err != nil {
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
		if !slices.Equal(names, []string{"a"}) {
			t.Errorf("names %v, want a", names)
		}
	})
}

// However far latest is behind, it takes few reads to find the head.
func TestOperatorSeesLatestFarBehind(t *testing.T) {
	for _, seen := range []int{0, 1, 100, 399} { // what latest tells of
		t.Run(fmt.Sprint("latest is ", seen, " of 400"), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				h := hand{t, s}
				value := first(t)
				for n := range 400 {
					if n == seen {
						pass(6 * time.Hour)
					}
					if n == 399 {
						h.add(`{"seen":399,` + string(value[1:]))
						break
					}
					h.add(`{"seen":500,"tokenkeep":{}}`)
				}
				d := s.driver(t, unpaced())
				for _, how := range []driver.Freshness{driver.Any, driver.Fresh} {
					s.ResetCalls()
					items, err := d.Get(t.Context(), how, driver.Item{Name: "a"})
					if err != nil || items[0].Err != nil || string(items[0].Value) != string(value) {
						t.Fatalf("it reads as %v (%v)", items, err)
					}
					if n, most := len(s.Calls()), 4+2*bits.Len(uint(400-seen)); n > most {
						t.Errorf("%d requests, want %d at most", n, most)
					}
				}
				next := after(t, value)
				put(t, d, "a", next, get(t, d, "a").Revision)
			}, gcpsmtest.WithLag(5*time.Hour))
		})
	}
}
