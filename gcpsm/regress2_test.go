package gcpsm_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// Mistakes that were made once, with what a log holds and while requests fail. What each
// test says was so before.

// A Put wrote a void version above that of another program, went on from there, and
// destroyed what the other program had stored.
func TestRegressAVersionOfAnotherProgramIsLeftAlone(t *testing.T) {
	t.Run("Absent", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *service) {
			if err := s.add(t, "a key of another program"); err != nil {
				t.Fatal(err)
			}
			d := s.driver(t, unpaced())
			s.ResetCalls()
			for range 2 {
				if _, err := d.Put(t.Context(), "a", first(t), driver.Absent); !errors.Is(err, driver.ErrCorrupt) || outcome(t, err) {
					t.Errorf("error %v, want %v", err, driver.ErrCorrupt)
				}
			}
			if n := s.CountCalls()["AddSecretVersion"]; n > 0 {
				t.Errorf("%d adds to a secret that existed", n)
			}
			s.remain(t, 1)
		})
	})
	t.Run("a version that the driver remembers", func(t *testing.T) {
		bubble(t, func(t *testing.T, s *service) {
			d := s.driver(t, unpaced())
			value := first(t)
			rev := put(t, d, "a", value, driver.Absent)
			if err := s.add(t, "a key of another program"); err != nil {
				t.Fatal(err)
			}
			s.ResetCalls()
			if _, err := d.Put(t.Context(), "a", after(t, value), rev); !errors.Is(err, driver.ErrCorrupt) || outcome(t, err) {
				t.Errorf("error %v, want %v", err, driver.ErrCorrupt)
			}
			if counts := s.CountCalls(); counts["DestroySecretVersion"] > 0 || counts["AddSecretVersion"] > 1 {
				t.Errorf("requests %v", counts)
			}
			if active := s.active("a"); len(active) < 2 || active[0] != 1 || active[1] != 2 {
				t.Errorf("the versions %v are active, want 1 and 2 at least", active)
			}
		})
	})
}

// A Put that found the secret in existence, and could not look what it holds, added a
// version all the same.
func TestRegressWhoCannotLookDoesNotAdd(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		value := first(t)
		rev := put(t, s.driver(t, unpaced()), "a", value, driver.Absent)
		s.ResetCalls()
		blind := s.fault(0, gcpsmtest.FailBefore(codes.Unavailable, ""), "AccessSecretVersion")
		free := time.AfterFunc(30*time.Second, blind.Remove)
		defer free.Stop()
		if _, err := aside(t, s.driver(t, unpaced()), first(t), driver.Absent)(); !errors.Is(err, driver.ErrConflict) && !errors.Is(err, driver.ErrUnavailable) || outcome(t, err) {
			t.Errorf("error %v, want %v or %v", err, driver.ErrConflict, driver.ErrUnavailable)
		}
		if n := s.CountCalls()["AddSecretVersion"]; n > 0 {
			t.Errorf("%d adds", n)
		}
		blind.Remove()
		s.stands(t, "a", value, rev)
	})
}

// A write that waited for a gap took it for burnt though it could not read it for all
// that time, and won over one that had been acknowledged.
func TestRegressAGapIsNotBurntUnseen(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		a, b := s.driver(t, unpaced()), s.driver(t, unpaced())
		value := first(t)
		rev := put(t, a, "a", value, driver.Absent)
		get(t, b, "a")
		release := make(chan struct{})
		held := s.fault(1, gcpsmtest.HoldNumber(release), "AddSecretVersion")
		theirs := after(t, value)
		rival := aside(t, a, theirs, rev)
		reaches(t, held)
		wrote := s.fault(1, gcpsmtest.Action{}, "AddSecretVersion")
		mine := aside(t, b, after(t, value), rev)
		reaches(t, wrote)
		pass(500 * time.Millisecond)
		cut := s.fault(0, gcpsmtest.Hang(), "AccessSecretVersion")
		pass(time.Second)
		close(release)
		now, err := rival()
		if err != nil {
			t.Fatal(err)
		}
		pass(90 * time.Second)
		cut.Remove()
		if _, err := mine(); !errors.Is(err, driver.ErrConflict) || outcome(t, err) {
			t.Errorf("error %v, want %v", err, driver.ErrConflict)
		}
		s.stands(t, "a", theirs, now)
	})
}

// The age of a gap began anew with each number above it that was seen, so that no write
// got over two burnt numbers.
func TestRegressTwoBurntNumbers(t *testing.T) {
	for _, burnt := range []int{2, 3} {
		synctest.Test(t, func(t *testing.T) {
			s := virtual(t)
			store := s.paced(t, parent, nil)
			id := save(t, store, 1)[0]
			s.fault(burnt, gcpsmtest.BurnNumber(), "AddSecretVersion")
			began := time.Now()
			for saveAccess(t.Context(), store, id, "new") != nil {
				if time.Since(began) > 5*time.Minute {
					t.Fatalf("%d burnt numbers: no save in five minutes", burnt)
				}
			}
			if got, err := s.paced(t, parent, nil).FindTokenByID(t.Context(), id); err != nil || got.AccessToken.Reveal() != "new" {
				t.Errorf("%d burnt numbers: it is %v (%v)", burnt, got, err)
			}
		})
	}
}

// Processes that end before a gap is a minute old took each for the first to see it, and
// none ever wrote the record again. The create time of the version above tells them.
func TestRegressShortLivedProcessesGetOverABurntNumber(t *testing.T) {
	for _, burnt := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			s := virtual(t)
			id := save(t, s.paced(t, parent, nil), 1)[0]
			s.fault(burnt, gcpsmtest.BurnNumber(), "AddSecretVersion")
			began := time.Now()
			for {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				err := saveAccess(ctx, s.paced(t, parent, nil), id, "new")
				cancel()
				took := time.Since(began)
				if err != nil && took < 13*time.Minute {
					continue
				}
				if err != nil || took < 10*time.Minute {
					t.Errorf("%d burnt numbers: error %v after %v, want a save after 10 to 13 minutes", burnt, err, took)
				}
				break
			}
			if got, err := s.paced(t, parent, nil).FindTokenByID(t.Context(), id); err != nil || got.AccessToken.Reveal() != "new" {
				t.Errorf("%d burnt numbers: it is %v (%v)", burnt, got, err)
			}
		})
	}
}

// A process that read the next number as missing, which is burnt, never looked above it
// again: it read the old token for ever, or, once that was destroyed, nothing but
// ErrCorrupt.
func TestRegressReadsPassABurntNumber(t *testing.T) {
	for _, lag := range []time.Duration{0, time.Hour} {
		for _, stays := range []bool{false, true} {
			t.Run(fmt.Sprint("lag ", lag, ", the old version stays: ", stays), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := virtual(t, gcpsmtest.WithLag(lag))
					a, b := s.paced(t, parent, nil), s.paced(t, parent, nil)
					id := save(t, a, 1)[0]
					pass(2 * time.Hour)
					if _, err := b.FindTokenByID(t.Context(), id); err != nil {
						t.Fatal(err)
					}
					s.fault(1, gcpsmtest.BurnNumber(), "AddSecretVersion")
					if stays {
						s.fault(0, gcpsmtest.FailBefore(codes.InvalidArgument, ""), "DestroySecretVersion")
					}
					for try := 0; saveAccess(t.Context(), a, id, "new") != nil; try++ {
						if try == 5 {
							t.Fatal("it cannot be saved")
						}
					}
					// What is destroyed says that there is more, also before `latest` does. Who holds the
					// old value and has just read it takes the burnt number for the next one, for five
					// minutes.
					for what, store := range map[string]*token.Store{"who read it before": b, "who knows nothing": s.paced(t, parent, nil)} {
						if got, err := store.FindTokenByID(t.Context(), id); !stays && (err != nil || store != b && got.AccessToken.Reveal() != "new") {
							t.Errorf("at once, %s finds %v (%v)", what, got, err)
						}
					}
					pass(lag + 6*time.Minute)
					for what, store := range map[string]*token.Store{"who read it before": b, "who knows nothing": s.paced(t, parent, nil)} {
						if got, err := store.FindTokenByID(t.Context(), id); err != nil || got.AccessToken.Reveal() != "new" {
							t.Errorf("%s finds %v (%v)", what, got, err)
						}
						if list, err := store.GetTokens(t.Context()); err != nil || len(list) != 1 {
							t.Errorf("%s lists %d tokens (%v)", what, len(list), err)
						}
						if err := saveAccess(t.Context(), store, id, "new"); err != nil {
							t.Errorf("%s saves: %v", what, err)
						}
					}
				})
			})
		}
	}
}

// Reads and writes gave up after three tries, within parts of a second: less than a
// connection takes to be made anew.
func TestRegressThreeSecondsOfTroubleAreOutlasted(t *testing.T) {
	for _, method := range []string{"AccessSecretVersion", "AddSecretVersion", "CreateSecret", "DeleteSecret", "ListSecrets"} {
		t.Run(method, func(t *testing.T) {
			for range 10 { // pauses are random
				bubble(t, func(t *testing.T, s *service) {
					d := s.driver(t, unpaced())
					value := first(t)
					rev := put(t, d, "a", value, driver.Absent)
					trouble := s.fault(0, gcpsmtest.FailBefore(codes.Unavailable, ""), method)
					end := time.AfterFunc(3*time.Second, trouble.Remove)
					defer end.Stop()
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					if err := calls(t, d, after(t, value), rev)[method](ctx); err != nil {
						t.Errorf("%s: %v", method, err)
					}
				})
			}
		})
	}
}

// While reads failed, each try added another version: hundreds in some minutes.
func TestRegressALostAnswerWhileReadsFailAddsLittle(t *testing.T) {
	both(t, "", func(t *testing.T, s *service, d *gcpsm.Driver, value []byte, prev driver.Revision) {
		blind := s.fault(0, gcpsmtest.FailBefore(codes.Unavailable, ""), "AccessSecretVersion")
		s.fault(1, gcpsmtest.LoseAnswer(), "AddSecretVersion")
		if _, err := aside(t, d, value, prev)(); !outcome(t, err) {
			t.Errorf("error %v, want %v", err, driver.ErrOutcomeUnknown)
		}
		if n := s.CountCalls()["AddSecretVersion"]; n > 3 {
			t.Errorf("%d adds", n)
		}
		blind.Remove()
		s.stands(t, "a", value, put(t, d, "a", value, prev))
	})
}

// A secret that was just created, and is not known everywhere for a while, was an
// error, or made the write create and add in a loop.
func TestRegressANewSecretIsWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		d := s.driver(t, unpaced())
		unknown := s.fault(0, gcpsmtest.FailBefore(codes.NotFound, "Secret [a] not found."), "AddSecretVersion")
		known := time.AfterFunc(30*time.Second, unknown.Remove)
		defer known.Stop()
		began := time.Now()
		value := first(t)
		rev := put(t, d, "a", value, driver.Absent)
		if took := time.Since(began); took < 30*time.Second || took > 35*time.Second {
			t.Errorf("it took %v", took)
		}
		if n := s.CountCalls()["AddSecretVersion"]; n > 150 {
			t.Errorf("%d adds", n)
		}
		s.remain(t, 1)
		s.stands(t, "a", value, rev)
	})
	bubble(t, func(t *testing.T, s *service) {
		d := s.driver(t, unpaced())
		s.fault(0, gcpsmtest.FailBefore(codes.NotFound, "Secret [a] not found."), "AddSecretVersion")
		if _, err := aside(t, d, first(t), driver.Absent)(); !errors.Is(err, driver.ErrUnavailable) || outcome(t, err) {
			t.Errorf("error %v, want %v", err, driver.ErrUnavailable)
		}
	})
}

// A wire is an HTTP transport without a network, to a front; if it is cut, nobody takes a
// connection.
type wire struct {
	front front
	cut   atomic.Bool
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.cut.Load() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	rec := httptest.NewRecorder()
	w.front.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// A connection that was refused over HTTP counted as a request that may have been
// applied: the write went on until its deadline, and its outcome was unknown.
func TestRegressARefusedConnectionByHTTPIsUnavailable(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		w := &wire{front: front{s.sdk(t)}}
		client, err := secretmanager.NewRESTClient(t.Context(), option.WithEndpoint("http://service.test"), option.WithHTTPClient(&http.Client{Transport: w}))
		if err != nil {
			t.Fatal(err)
		}
		d := driverOn(t, client)
		value := first(t)
		rev := put(t, d, "a", value, driver.Absent)
		w.cut.Store(true)
		for what, prev := range map[string]driver.Revision{"a": rev, "b": driver.Absent} {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			_, err := d.Put(ctx, what, after(t, value), prev)
			cancel()
			if took := time.Since(began); !errors.Is(err, driver.ErrUnavailable) || outcome(t, err) || took > 20*time.Second {
				t.Errorf("%s: error %v after %v, want %v within seconds", what, err, took, driver.ErrUnavailable)
			}
		}
		w.cut.Store(false)
		value = after(t, value)
		s.stands(t, "a", value, put(t, d, "a", value, rev))
	})
}

// A process that had been idle overwrote a secret that was deleted and created again,
// if its number was the same. Within five minutes of its last read it still can: see
// docs/gcp.md.
func TestRegressAnIdleWriterDoesNotWinInAnotherLife(t *testing.T) {
	for _, n := range []int{1, 3} {
		for _, idle := range []time.Duration{5 * time.Minute, 30 * 24 * time.Hour} {
			bubble(t, func(t *testing.T, s *service) {
				a, b := s.driver(t, unpaced()), s.driver(t, unpaced())
				pile(t, a, "a", n)
				old := get(t, a, "a")
				if err := b.Delete(t.Context(), "a"); err != nil {
					t.Fatal(err)
				}
				pile(t, b, "a", n)
				now := get(t, b, "a")
				pass(idle)
				if _, err := a.Put(t.Context(), "a", after(t, old.Value), old.Revision); !errors.Is(err, driver.ErrConflict) || outcome(t, err) {
					t.Errorf("error %v, want %v", err, driver.ErrConflict)
				}
				s.stands(t, "a", now.Value, now.Revision)
			})
		}
	}
}
