package vaultstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// outages are states in which Vault serves nothing, and surely applies nothing.
var outages = map[string]func(*service, bool){
	"sealed":           func(s *service, on bool) { s.state(on, vaultstoretest.Sealed) },
	"uninitialized":    func(s *service, on bool) { s.state(on, vaultstoretest.Uninitialized) },
	"overloaded":       func(s *service, on bool) { s.state(on, vaultstoretest.Overloaded) },
	"the DR secondary": func(s *service, on bool) { s.state(on, vaultstoretest.RecoverySecondary) },
	"without a leader": func(s *service, on bool) { s.state(on, vaultstoretest.Standby); s.SetLeaderless(on) },
	"upgrading": func(s *service, on bool) {
		u := vaultstoretest.Upgraded
		if on {
			u = vaultstoretest.Upgrading
		}
		s.SetUpgrade(mount, u)
	},
}

func (s *service) state(on bool, state vaultstoretest.State) {
	if !on {
		state = vaultstoretest.Active
	}
	s.SetState(state)
}

func TestAnOutageOfAWhileIsWaitedOut(t *testing.T) {
	for what, turn := range outages {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				d := s.warm(t)
				put(t, d, "a", first(t), driver.Absent)
				for method, call := range calls(t, d) {
					turn(s, true)
					time.AfterFunc(20*time.Second, func() { turn(s, false) })
					began := time.Now()
					if err := call(t.Context()); err != nil && method != "DELETE metadata" {
						t.Errorf("%s: %v", method, err)
					}
					if took := time.Since(began); took < 20*time.Second || took > 22*time.Second {
						t.Errorf("%s took %v", method, took)
					}
				}
			})
		})
	}
}

// Whoever waits has a limit, also without a deadline: nothing was written.
func TestAnOutageForGoodIsUnavailable(t *testing.T) {
	for what, turn := range outages {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				d := s.warm(t)
				put(t, d, "a", first(t), driver.Absent)
				turn(s, true)
				for method, call := range calls(t, d) {
					began := time.Now()
					err := call(t.Context())
					if !errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrOutcomeUnknown) {
						t.Errorf("%s: error %v, want %v", method, err, driver.ErrUnavailable)
					}
					if took := time.Since(began); took < 30*time.Second || took > 32*time.Second {
						t.Errorf("%s took %v", method, took)
					}
					silent(t, err)
				}
			})
		})
	}
}

// A quota that others use up is waited for as long, and named.
func TestAQuotaForGoodIsAQuota(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		d := s.warm(t)
		put(t, d, "a", first(t), driver.Absent)
		s.fault(0, vaultstoretest.Throttle())
		for method, call := range calls(t, d) {
			if err := call(t.Context()); !errors.Is(err, driver.ErrQuota) || errors.Is(err, driver.ErrOutcomeUnknown) {
				t.Errorf("%s: error %v, want %v", method, err, driver.ErrQuota)
			}
		}
	})
}

// A write whose answer was lost before is settled for as long as the caller waits.
func TestAnOutageAfterALostAnswer(t *testing.T) {
	for what, turn := range outages {
		if what == "upgrading" {
			continue // reads stop with it, and the rest is the same
		}
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				d := s.warm(t)
				value := first(t)
				rev := put(t, d, "a", value, driver.Absent)
				next := after(t, value)
				// The answer of the next write is lost, and the outage is there before anybody looks.
				lose := func() {
					off := make(chan struct{})
					s.fault(1, vaultstoretest.LoseAnswer(), "PUT data")
					look := s.fault(1, vaultstoretest.Hold(off), "GET data")
					go func() {
						reaches(t, look)
						turn(s, true)
						close(off)
					}()
				}

				lose()
				time.AfterFunc(time.Minute, func() { turn(s, false) })
				rev, err := d.Put(t.Context(), "a", next, rev)
				if err != nil {
					t.Fatal(err)
				}
				s.stands(t, "a", next, rev)

				lose()
				s.fault(0, vaultstoretest.LoseRequest(), "GET data")
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				_, err = d.Put(ctx, "a", after(t, next), rev)
				if !errors.Is(err, driver.ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v, want %v and %v", err, driver.ErrOutcomeUnknown, context.DeadlineExceeded)
				}
				if ctx.Err() == nil {
					t.Error("it gave up before its context ended")
				}
			})
		})
	}
}

// However the nodes disagree: a write that was refused and nothing else ends.
func TestAMismatchForGoodIsUnavailable(t *testing.T) {
	both(t, "every write is a mismatch", func(t *testing.T, s *service, d *vaultstore.Driver, value []byte, prev driver.Revision) {
		s.fault(0, vaultstoretest.FailBefore(400, saysMismatch), "PUT data")
		_, err := d.Put(t.Context(), "a", value, prev)
		if !errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrOutcomeUnknown) {
			t.Errorf("error %v, want %v", err, driver.ErrUnavailable)
		}
	})
}

// A policy that lets writes through and no reads: a write that may be there is unknown
// after half a minute, and the text says what is missing.
func TestAPlaceThatMayNotBeRead(t *testing.T) {
	for what, do := range map[string]vaultstoretest.Action{
		"after a mismatch": vaultstoretest.FailBefore(400, saysMismatch), "after a lost answer": vaultstoretest.LoseAnswer(),
	} {
		both(t, what, func(t *testing.T, s *service, d *vaultstore.Driver, value []byte, prev driver.Revision) {
			s.fault(1, do, "PUT data")
			s.fault(0, vaultstoretest.EchoBody(403), "GET data")
			if what == "after a mismatch" {
				s.fault(0, do, "PUT data")
			}
			_, err := d.Put(t.Context(), "a", value, prev)
			says(t, "Put", err, driver.ErrOutcomeUnknown, "docs/vault.md has the least policy")
		})
	}
}

// A write that something on the way sent twice was answered with a mismatch, and its place
// could not be read in time: it may be there.
func TestAMismatchThatNothingExplainsIsUnknown(t *testing.T) {
	both(t, "its caller gives up", func(t *testing.T, s *service, d *vaultstore.Driver, value []byte, prev driver.Revision) {
		s.fault(1, vaultstoretest.Duplicate(), "PUT data")
		s.fault(0, vaultstoretest.Hang(), "GET data")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := d.Put(ctx, "a", value, prev)
		if !errors.Is(err, driver.ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want %v and %v", err, driver.ErrOutcomeUnknown, context.DeadlineExceeded)
		}
	})
}

// A client that makes retries of its own, at a Vault that is sealed for good.
func TestAnOutageForGoodWithTheClientsRetries(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		client := s.sdk(t)
		client.SetMaxRetries(2)
		d, err := vaultstore.NewDriver(client, mount, prefix, nil)
		if err != nil {
			t.Fatal(err)
		}
		rev := put(t, d, "a", first(t), driver.Absent)
		s.SetState(vaultstoretest.Sealed)
		began := time.Now()
		_, err = d.Put(t.Context(), "a", first(t), rev)
		// What was answered to the first two requests, only the client knows.
		if !errors.Is(err, driver.ErrOutcomeUnknown) || time.Since(began) > time.Minute {
			t.Errorf("error %v after %v", err, time.Since(began))
		}
	})
}

// A read that has to be current waits for the node that is asked, and a write too.
func TestANodeThatIsBehindIsWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		d := s.warm(t)
		s.SetTimeLag(10 * time.Second)
		value := first(t)
		rev := put(t, d, "a", value, driver.Absent)
		s.SetState(vaultstoretest.PerformanceStandby)
		if got := get(t, d, "a"); got.Revision != driver.Absent {
			t.Errorf("an ordinary read is at %q", got.Revision)
		}
		began := time.Now()
		items, err := d.Get(t.Context(), driver.Fresh, driver.Item{Name: "a"})
		if err != nil || items[0].Revision != rev || time.Since(began) < 10*time.Second {
			t.Errorf("a fresh read after %v: %v, error %v", time.Since(began), items, err)
		}
		value = after(t, value)
		rev = put(t, d, "a", value, rev)
		value = after(t, value)
		put(t, d, "a", value, rev)
	}, vaultstoretest.WithEnterprise())
}

// A state that no node reaches, such as one from before a restore, is forgotten.
func TestAStateThatNoNodeReachesIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		d := s.warm(t)
		s.SetTimeLag(time.Hour)
		put(t, d, "a", first(t), driver.Absent)
		s.SetState(vaultstoretest.PerformanceStandby)
		for i, want := range []time.Duration{15 * time.Second, 0} {
			began := time.Now()
			if _, err := d.Get(t.Context(), driver.Fresh, driver.Item{Name: "a"}); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took < want || took > want+time.Second {
				t.Errorf("read %d took %v, want %v", i, took, want)
			}
		}
	}, vaultstoretest.WithEnterprise())
}
