package gcpsm_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	secretmanagerpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// What becomes of the versions that a write replaced, or that came too late. Google
// charges for each that is not destroyed.

// active returns the numbers of the versions of a secret that are not destroyed.
func (s *service) active(name string) []int64 {
	numbers := []int64{}
	for _, v := range s.Versions(secretOf(prefix, name)) {
		if v.State != secretmanagerpb.SecretVersion_DESTROYED {
			numbers = append(numbers, v.Number)
		}
	}
	return numbers
}

// remain makes sure which versions of the secret a are active.
func (s *service) remain(t testing.TB, want ...int64) {
	t.Helper()
	if got := s.active("a"); !slices.Equal(got, want) {
		t.Errorf("the versions %v are active, want %v", got, want)
	}
}

func TestVersionsThatWereReplacedAreDestroyed(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		drivers := []*gcpsm.Driver{s.driver(t, unpaced()), s.driver(t, unpaced()), s.driver(t, unpaced())}
		for i := range int64(20) {
			pile(t, drivers[i%3], "a", 1)
			s.remain(t, i+1)
		}
	})
}

// A loser destroys nothing, neither its own version nor any other; the next winner does.
func TestVersionsThatCameTooLateAreDestroyedByTheNextWinner(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		winner, next := s.driver(t, unpaced()), s.driver(t, unpaced())
		pile(t, winner, "a", 1)
		base := get(t, winner, "a")
		losers := []*gcpsm.Driver{s.driver(t, unpaced()), s.driver(t, unpaced()), s.driver(t, unpaced())}
		for _, l := range losers {
			get(t, l, "a")
		}
		pile(t, winner, "a", 1)
		s.ResetCalls()
		for _, l := range losers {
			if _, err := aside(t, l, after(t, base.Value), base.Revision)(); !errors.Is(err, driver.ErrConflict) {
				t.Errorf("error %v, want %v", err, driver.ErrConflict)
			}
		}
		if n := s.CountCalls()["DestroySecretVersion"]; n != 0 {
			t.Errorf("losers destroyed %d versions", n)
		}
		s.remain(t, 2, 3, 4, 5)
		pile(t, next, "a", 1)
		s.remain(t, 6)
	})
}

// In a race, the newest version is never destroyed, and neither is the head: whatever
// is destroyed, a version above it is valid.
func TestVersionsInARace(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		opts := unpaced()
		var drivers []*gcpsm.Driver
		for range 6 {
			client, err := s.Client(t.Context(), option.WithGRPCDialOption(grpc.WithUnaryInterceptor(
				func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
					err := call(ctx, method, req, reply, cc, opts...)
					if _, number, ok := s.Value(secretOf(prefix, "a")); number > 0 && !ok {
						t.Errorf("the newest version, %d, is destroyed", number)
					}
					return err
				})))
			if err != nil {
				t.Fatal(err)
			}
			d, err := gcpsm.NewDriver(client, parent, prefix, opts)
			if err != nil {
				t.Fatal(err)
			}
			drivers = append(drivers, d)
		}
		for i, do := range []gcpsmtest.Action{gcpsmtest.LoseAnswer(), gcpsmtest.LoseRequest(), gcpsmtest.Duplicate()} {
			s.Inject(gcpsmtest.Fault{Methods: []string{"AddSecretVersion"}, Chance: 0.03, Seed: uint64(i), Do: do})
		}
		const each = 12
		var unknown atomic.Int64
		pile(t, drivers[0], "a", 1)
		var wg sync.WaitGroup
		for _, d := range drivers {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				for won := 0; won < each; {
					items, err := d.Get(ctx, driver.Any, driver.Item{Name: "a"})
					if err != nil || items[0].Err != nil {
						t.Errorf("Get: %v, %v", err, items)
						return
					}
					switch _, err := d.Put(ctx, "a", after(t, items[0].Value), items[0].Revision); {
					case err == nil:
						won++
					case errors.Is(err, driver.ErrOutcomeUnknown): // its answer was lost, and a whole history was written since
						unknown.Add(1)
					case !errors.Is(err, driver.ErrConflict):
						t.Errorf("Put: %v", err)
						return
					}
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		r, err := codec.DecodeRecord(get(t, s.driver(t, nil), "a").Value)
		if err != nil {
			t.Fatal(err)
		}
		if least := int64(6*each + 1); r.Seq < least || r.Seq > least+unknown.Load() {
			t.Errorf("the secret was written %d times, want %d, and %d that are not known", r.Seq, least, unknown.Load())
		}
		pile(t, drivers[0], "a", 32)
		s.remain(t, s.active("a")[len(s.active("a"))-1])
	})
}

// A process that dies between a write and what it has to destroy leaves a version.
// It is destroyed at the latest sixteen writes later, whoever writes.
func TestVersionsThatADeadProcessLeftAreSwept(t *testing.T) {
	for what, do := range map[string]gcpsmtest.Action{
		"the requests are lost": gcpsmtest.LoseRequest(), "the service hangs": gcpsmtest.Hang(), "it is busy": gcpsmtest.FailBefore(codes.Unavailable, ""),
	} {
		for _, late := range []bool{false, true} { // Some of the numbers are of writes that came too late.
			t.Run(fmt.Sprintf("%s, late writes: %v", what, late), func(t *testing.T) {
				bubble(t, func(t *testing.T, s *service) {
					for round := range 4 {
						dead, other := s.driver(t, unpaced()), s.driver(t, unpaced())
						pile(t, other, "a", 1)
						get(t, dead, "a")
						fault := s.fault(0, do, "DestroySecretVersion")
						pile(t, dead, "a", 1)
						fault.Remove()
						left := s.active("a")
						for range 16 {
							if n := s.active("a"); late && (n[len(n)-1]+1)%16 == 0 {
								if err := s.add(t, `{"seen":0,"tokenkeep":{}}`); err != nil {
									t.Fatal(err)
								}
							}
							pile(t, other, "a", 1)
						}
						if got := s.active("a"); len(got) > 1 {
							t.Errorf("round %d: the versions %v are active, after %v sixteen writes before", round, got, left)
						}
					}
				})
			})
		}
	}
}

// A sweep leaves alone what it must: the newest, and what is to be destroyed already.
func TestVersionsAreDisabledForATimeIfTheOptionsSaySo(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		opts := unpaced()
		opts.VersionDestroyTTL = 48 * time.Hour
		d := s.driver(t, opts)
		pile(t, d, "a", 33)
		states := func() (enabled, disabled, destroyed int) {
			for _, v := range s.Versions(secretOf(prefix, "a")) {
				switch v.State {
				case secretmanagerpb.SecretVersion_ENABLED:
					enabled++
				case secretmanagerpb.SecretVersion_DISABLED:
					disabled++
				default:
					destroyed++
				}
			}
			return
		}
		if e, d, gone := states(); e != 1 || d != 32 || gone != 0 {
			t.Errorf("%d enabled, %d disabled, %d destroyed", e, d, gone)
		}
		if n := s.CountCalls()["DestroySecretVersion"]; n != 32 {
			t.Errorf("%d destructions for 32 versions", n)
		}
		item := get(t, s.driver(t, opts), "a")
		pass(48 * time.Hour)
		if e, d, gone := states(); e != 1 || d != 0 || gone != 32 {
			t.Errorf("two days later: %d enabled, %d disabled, %d destroyed", e, d, gone)
		}
		s.stands(t, "a", item.Value, item.Revision)
	})
}

// A store that may not destroy says so as soon as it would write again: else it would
// keep every token that it rotated, and pay for it.
func TestVersionsThatMayNotBeDestroyedAreToldOf(t *testing.T) {
	const right = "secretmanager.versions.destroy"
	var granted atomic.Bool
	bubble(t, func(t *testing.T, s *service) {
		d := s.driver(t, unpaced())
		value := first(t)
		rev := put(t, d, "a", value, driver.Absent)
		next := after(t, value)
		rev = put(t, d, "a", next, rev)
		for range 2 {
			_, err := d.Put(t.Context(), "a", after(t, next), rev)
			if !errors.Is(err, driver.ErrPermission) || !strings.Contains(err.Error(), right) {
				t.Errorf("error %v, want %v that names %s", err, driver.ErrPermission, right)
			}
			quiet(t, err)
		}
		if _, err := d.Put(t.Context(), "b", first(t), driver.Absent); err != nil {
			t.Errorf("another secret: %v", err)
		}
		s.remain(t, 1, 2)
		s.stands(t, "a", next, rev) // reading works

		granted.Store(true)
		value = after(t, next)
		s.stands(t, "a", value, put(t, d, "a", value, rev))
		s.remain(t, 3)
	}, gcpsmtest.WithPolicy(func(permission, _ string) bool { return permission != right || granted.Load() }))
}

// A right that is missing for the list of versions is not missed.
func TestVersionsAreDestroyedWithoutTheRightToListThem(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		d := s.driver(t, unpaced())
		pile(t, d, "a", 40)
		s.remain(t, 40)
	}, gcpsmtest.WithPolicy(func(permission, _ string) bool { return permission != "secretmanager.versions.list" }))
}

// A token that is refreshed a thousand times, by three processes in turn.
func TestVersionsOfATokenThatIsSavedOftenAreFew(t *testing.T) {
	for _, c := range []struct {
		failing     float64
		saves, most int
	}{{0, 100, 2}, {0.05, 1000, 3}} {
		t.Run(fmt.Sprintf("%v of the destructions fail", c.failing), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				var most atomic.Int64
				watch := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
					err := call(ctx, method, req, reply, cc, opts...)
					for _, name := range s.Names() {
						most.Store(max(most.Load(), int64(s.Active(name))))
					}
					return err
				}
				if c.failing > 0 {
					for i, do := range []gcpsmtest.Action{gcpsmtest.FailBefore(codes.Unavailable, ""), gcpsmtest.LoseRequest(), gcpsmtest.Throttle()} {
						s.Inject(gcpsmtest.Fault{Methods: []string{"DestroySecretVersion"}, Chance: c.failing / 3, Seed: uint64(i), Do: do})
					}
				}
				var stores []*token.Store
				for range 3 {
					client, err := s.Client(t.Context(), option.WithGRPCDialOption(grpc.WithUnaryInterceptor(watch)))
					if err != nil {
						t.Fatal(err)
					}
					store, err := gcpsm.New(client, parent, prefix, nil)
					if err != nil {
						t.Fatal(err)
					}
					stores = append(stores, store)
				}
				tok := &token.OAuthToken{UserSignature: token.UserSignature{Name: "user"}, RefreshToken: token.NewSecret("refresh")}
				for i := range c.saves {
					tok.AccessToken = token.NewSecret(fmt.Sprint("access-", i))
					if err := stores[i/50%3].SaveToken(t.Context(), tok); err != nil {
						t.Fatal(err)
					}
				}
				if n := int(most.Load()); n > c.most {
					t.Errorf("a secret had %d active versions at a time, want %d at most", n, c.most)
				}
				for _, name := range s.Names() {
					if n := s.Active(name); n > 2 {
						t.Errorf("%s has %d active versions in the end", name, n)
					}
				}
			}, gcpsmtest.WithQuotas(gcpsmtest.Quotas{}))
		})
	}
}
