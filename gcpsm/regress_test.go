package gcpsm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	secretmanagerpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// Mistakes that were made once, under load and with destructions. What each test says was
// so before.

// charged returns how many versions are active in all secrets.
func (s *service) charged() (n int) {
	for _, name := range s.Names() {
		n += s.Active(name)
	}
	return n
}

// readable returns how many versions that can be read hold a text.
func (s *service) readable(text string) (n int) {
	for _, name := range s.Names() {
		for _, v := range s.Versions(name) {
			if v.State == secretmanagerpb.SecretVersion_ENABLED && strings.Contains(string(v.Payload), text) {
				n++
			}
		}
	}
	return n
}

// atOnce calls f n times at once, and returns how many of the calls failed.
func atOnce(n int, f func(i int) error) (failed int) {
	var (
		wg  sync.WaitGroup
		bad atomic.Int64
	)
	for i := range n {
		wg.Go(func() {
			if f(i) != nil {
				bad.Add(1)
			}
		})
	}
	wg.Wait()
	return int(bad.Load())
}

// saveAccess saves a new access token.
func saveAccess(ctx context.Context, store *token.Store, id, access string) error {
	return store.SaveToken(ctx, &token.OAuthToken{ID: id, AccessToken: token.NewSecret(access)})
}

// The goroutines of one process used up the quota of a record against each other: next
// to no save succeeded, and a save long after them waited for the slots that they had
// booked.
func TestRegressGoroutinesOfOneProcessShareARecord(t *testing.T) {
	for what, saves := range map[string]func(context.Context, *token.Store, string, string) error{
		"UpdateToken": func(ctx context.Context, store *token.Store, id, access string) error {
			return store.UpdateToken(ctx, id, func(u *token.OAuthToken) error {
				u.AccessToken = token.NewSecret(access)
				return nil
			})
		},
		"SaveToken by ID": saveAccess,
	} {
		for name, opts := range map[string]*gcpsm.Options{"": nil, ", without a pace": unpaced()} {
			t.Run(what+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := limited(t)
					store := s.paced(t, parent, opts)
					id := save(t, store, 1)[0]
					s.ResetCalls()
					const goroutines, each = 30, 4
					var failed atomic.Int64
					atOnce(goroutines, func(i int) error {
						for n := range each {
							if err := saves(t.Context(), store, id, fmt.Sprint("access-", i, "-", n)); err != nil {
								failed.Add(1)
							}
						}
						return nil
					})
					adds := s.CountCalls()["AddSecretVersion"] - s.refusals()
					saved := goroutines*each - int(failed.Load())
					if saved < goroutines*each*3/4 {
						t.Errorf("%d of %d saves succeeded", saved, goroutines*each)
					}
					if adds > saved+2 {
						t.Errorf("%d adds for %d saves", adds, saved)
					}
					began := time.Now()
					if err := saveAccess(t.Context(), store, id, "last"); err != nil || time.Since(began) > 15*time.Second {
						t.Errorf("a save of one alone: %v after %v", err, time.Since(began))
					}
				})
			})
		}
	}
}

// Each Put that gave up kept the slot that it had booked for its add, so that those
// that came later waited for minutes.
func TestRegressPutsThatGaveUpBlockNobody(t *testing.T) {
	for what, others := range map[string]func(func(int) error) int{
		"at once": func(f func(int) error) int { return atOnce(200, f) },
		"one after the other": func(f func(int) error) (failed int) {
			for i := range 200 {
				if f(i) != nil {
					failed++
				}
			}
			return failed
		},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				d := s.driver(t, nil)
				value := first(t)
				rev := put(t, d, "a", value, driver.Absent)
				failed := others(func(int) error {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
					defer cancel()
					_, err := d.Put(ctx, "a", after(t, value), rev)
					return err
				})
				if failed < 199 {
					t.Fatalf("%d Puts failed, want all but one", failed)
				}
				item := get(t, d, "a")
				began := time.Now()
				put(t, d, "a", after(t, item.Value), item.Revision)
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("the next Put took %v", took)
				}
			})
		})
	}
}

// Destructions were dropped as soon as the project's quota was used up: most of the
// versions that were replaced, and of the tokens that were deleted, stayed readable.
func TestRegressNothingReplacedStaysUnderLoad(t *testing.T) {
	const n = 100
	later := func(t *testing.T, s *service, store *token.Store, want int) {
		for i := range 10 {
			if s.charged() == want {
				return
			}
			pass(time.Minute)
			if err := store.SaveToken(t.Context(), &token.OAuthToken{
				UserSignature: token.UserSignature{Name: "user-0"}, AccessToken: token.NewSecret(fmt.Sprint("later-", i)),
			}); err != nil {
				t.Fatal(err)
			}
		}
		t.Errorf("%d versions are active after later writes, want %d", s.charged(), want)
	}
	t.Run("replaced", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := limited(t)
			store := s.paced(t, parent, nil)
			ids := save(t, store, n)
			before := s.charged()
			pass(10 * time.Minute)
			if failed := atOnce(n, func(i int) error {
				return saveAccess(t.Context(), store, ids[i], fmt.Sprint("fresh-", i))
			}); failed > 0 {
				t.Errorf("%d of %d saves failed", failed, n)
			}
			later(t, s, store, before)
			if left := s.readable(`"access-`); left > 0 {
				t.Errorf("%d access tokens that were replaced can be read", left)
			}
		})
	})
	t.Run("deleted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := limited(t)
			store := s.paced(t, parent, nil)
			ids := save(t, store, n)
			before := s.charged()
			pass(10 * time.Minute)
			if failed := atOnce(n-1, func(i int) error { return store.DeleteToken(t.Context(), ids[i+1]) }); failed > 0 {
				t.Errorf("%d of %d deletions failed", failed, n-1)
			}
			later(t, s, store, before)
			if left := s.readable("refresh-"); left != 1 {
				t.Errorf("%d refresh tokens can be read, want 1", left)
			}
		})
	})
}

// A version that could not be destroyed was forgotten: of a token that was deleted, it
// could be read for ever.
func TestRegressWhatCouldNotBeDestroyedIsDestroyedLater(t *testing.T) {
	for what, do := range map[string]gcpsmtest.Action{
		"trouble": gcpsmtest.FailBefore(codes.Unavailable, ""), "a quota": gcpsmtest.Throttle(), "no answer": gcpsmtest.Hang(),
		"another refusal": gcpsmtest.FailBefore(codes.InvalidArgument, ""),
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := virtual(t)
				store := s.paced(t, parent, nil)
				id := save(t, store, 2)[1]
				fails := s.fault(0, do, "DestroySecretVersion")
				began := time.Now()
				if err := store.DeleteToken(t.Context(), id); err != nil || time.Since(began) > 5*time.Second {
					t.Fatalf("the deletion: %v after %v", err, time.Since(began))
				}
				if s.readable("refresh-1") == 0 {
					t.Fatal("nothing was left to destroy")
				}
				fails.Remove()
				pass(time.Minute)
				if err := store.SaveToken(t.Context(), user(7)); err != nil {
					t.Fatal(err)
				}
				if s.readable("refresh-1") > 0 {
					t.Error("the token that was deleted can be read after a later write")
				}
				if got, want := s.charged(), len(s.Names()); got != want {
					t.Errorf("%d versions are active, want %d", got, want)
				}
			})
		})
	}
}

// Each insert waited for the destruction of the index version that it had replaced:
// while DestroySecretVersion hung, inserts failed.
func TestRegressDestructionsThatHangStopNoInserts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := virtual(t, gcpsmtest.WithLatency(latency))
		store := s.paced(t, parent, nil)
		save(t, store, 1)
		hangs := s.fault(0, gcpsmtest.Hang(), "DestroySecretVersion")
		if failed := atOnce(30, func(i int) error { return store.SaveToken(t.Context(), user(100+i)) }); failed > 0 {
			t.Errorf("%d of 30 inserts failed", failed)
		}
		hangs.Remove()
		pass(time.Minute)
		if err := store.SaveToken(t.Context(), user(7)); err != nil {
			t.Fatal(err)
		}
		if got, want := s.charged(), len(s.Names()); got != want {
			t.Errorf("%d versions are active after a later write, want %d", got, want)
		}
	})
}

// What a driver had still to destroy was a number: in a secret that was deleted and
// created again, that is another version, and can be the newest.
func TestRegressWhatIsToBeDestroyedIsNotOfAnotherLife(t *testing.T) {
	for lives := 1; lives <= 3; lives++ {
		for _, same := range []bool{false, true} {
			t.Run(fmt.Sprint(lives, " versions, the same secret ", same), func(t *testing.T) {
				operated(t, 3, func(t *testing.T, s *service, d *gcpsm.Driver, _ hand, _ []byte, _ driver.Revision) {
					s.Purge(secretOf(prefix, "a")) // the driver remembers 1 and 2
					other := s.driver(t, unpaced())
					pile(t, other, "a", lives)
					top := get(t, other, "a")
					if same {
						pass(5 * time.Minute)
						item := get(t, d, "a")
						top.Value = after(t, item.Value)
						top.Revision = put(t, d, "a", top.Value, item.Revision)
					}
					pile(t, d, "b", 1)
					pile(t, d, "b", 1)
					s.stands(t, "a", top.Value, top.Revision)
					if n := s.Active(secretOf(prefix, "a")); n != 1 {
						t.Errorf("%d versions are active, want 1", n)
					}
				})
			})
		}
	}
}

// A refusal to destroy a version of a secret that is not there any more was held
// against the writes of all others.
func TestRegressARefusalToDestroyIsOfOneSecret(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		d := s.driver(t, unpaced())
		value := first(t)
		rev := put(t, d, "a", value, driver.Absent)
		s.fault(1, gcpsmtest.FailBefore(codes.PermissionDenied, ""), "DestroySecretVersion")
		put(t, d, "a", after(t, value), rev)
		if err := d.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		value = first(t)
		rev = put(t, d, "b", value, driver.Absent)
		put(t, d, "b", after(t, value), rev)
	}, gcpsmtest.WithGrantsOnSecrets())
	bubble(t, func(t *testing.T, s *service) { // nor while it is there
		d := s.driver(t, unpaced())
		s.Inject(gcpsmtest.Fault{
			Methods: []string{"DestroySecretVersion"}, Secret: func(id string) bool { return strings.HasSuffix(id, "__a") },
			Do: gcpsmtest.FailBefore(codes.PermissionDenied, ""),
		})
		pile(t, d, "a", 2)
		pile(t, d, "b", 2)
	})
}

// A write that could not come to its turn before its deadline waited until the deadline.
func TestRegressAWriteWithTooLittleTimeReturnsAtOnce(t *testing.T) {
	for what, p := range map[string]gcpsm.Pace{
		"of the project": {SecretAdds: -1, ProjectWrites: 2}, "of one secret": {SecretAdds: 1, ProjectWrites: -1},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				d := s.driver(t, &gcpsm.Options{Pace: p})
				value := first(t)
				rev := put(t, d, "a", value, driver.Absent)
				s.ResetCalls()
				ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
				defer cancel()
				began := time.Now()
				_, err := d.Put(ctx, "a", after(t, value), rev)
				if took := time.Since(began); !errors.Is(err, driver.ErrQuota) || outcome(t, err) || took > 0 {
					t.Errorf("error %v after %v, want %v at once", err, took, driver.ErrQuota)
				}
				if calls := s.called(); len(calls) > 0 {
					t.Errorf("requests %v", calls)
				}
				s.stands(t, "a", value, rev)
			})
		})
	}
}
