package vaultstore_test

import (
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/drivertest"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

func TestDriver(t *testing.T) {
	t.Parallel()
	alone := func(t *testing.T) *service { return start(t) }
	t.Run("the mount keeps ten versions", func(t *testing.T) {
		t.Parallel()
		conformance(t, 10, 0, alone)
	})
	t.Run("the mount keeps one version", func(t *testing.T) {
		if underRace {
			t.Skip("the others meet the same races")
		}
		t.Parallel()
		conformance(t, 1, 0, alone)
	})
	t.Run("the client makes retries of its own", func(t *testing.T) {
		t.Parallel()
		conformance(t, 10, 2, alone)
	})
	t.Run("reads are stale", func(t *testing.T) {
		if underRace {
			t.Skip("the others meet the same races")
		}
		t.Parallel()
		conformance(t, 10, 0, func(t *testing.T) *service { return start(t, vaultstoretest.WithStaleness(1, 1)) })
	})
	t.Run("a standby redirects", func(t *testing.T) {
		t.Parallel()
		conformance(t, 10, 0, func(t *testing.T) *service { return startCluster(t) })
	})
}

// A member is what the hooks know of a driver.
type member struct {
	service *service
	prefix  string
	// The faults that the hooks ordered are the service's.
	faults *faults
}

type faults struct {
	mu               sync.Mutex
	lose, fail, deny *vaultstoretest.Injection
}

// order replaces a fault that was ordered before.
func (f *faults) order(s *service, old **vaultstoretest.Injection, n int, do vaultstoretest.Action, operations ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *old != nil {
		(*old).Remove()
		*old = nil
	}
	if n > 0 {
		*old = s.fault(n, do, operations...)
	}
}

// conformance runs the suite.
func conformance(t *testing.T, versions, retries int, start func(*testing.T) *service) {
	var mu sync.Mutex
	members := map[driver.Driver]member{}
	of := func(d driver.Driver) member {
		mu.Lock()
		defer mu.Unlock()
		return members[d]
	}
	join := func(t *testing.T, m member) driver.Driver {
		client := m.service.sdk(t)
		client.SetMaxRetries(retries)
		client.SetMinRetryWait(time.Millisecond)
		client.SetMaxRetryWait(5 * time.Millisecond)
		d, err := vaultstore.NewDriver(client, mount, m.prefix, nil)
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		members[d] = m
		return d
	}
	drivertest.Suite{
		New: func(t *testing.T) driver.Driver {
			s := start(t)
			s.SetMountConfig(mount, versions, false, 0)
			return join(t, member{s, "p", &faults{}})
		},
		Other: func(t *testing.T, d driver.Driver, suffix string) driver.Driver {
			m := of(d)
			m.prefix += suffix
			return join(t, m)
		},
		Settle: func(_ *testing.T, d driver.Driver) { of(d).service.Settle() },
		LoseAnswers: func(_ *testing.T, d driver.Driver, n int) {
			m := of(d)
			m.faults.order(m.service, &m.faults.lose, n, vaultstoretest.LoseAnswer(), "PUT data", "DELETE metadata")
		},
		FailRequests: func(_ *testing.T, d driver.Driver, n int) {
			m := of(d)
			m.faults.order(m.service, &m.faults.fail, n, vaultstoretest.EchoBody(503))
		},
		Deny: func(_ *testing.T, d driver.Driver, denied bool) {
			m, n := of(d), 0
			if denied {
				n = 1 << 30
			}
			m.faults.order(m.service, &m.faults.deny, n, vaultstoretest.FailBefore(403, "1 error occurred:\n\t* permission denied\n\n"))
		},
		Damage: func(t *testing.T, d driver.Driver, name string) {
			if _, err := of(d).service.SetValue(mount+"/"+of(d).prefix+"/"+name, map[string]any{"by": "hand"}); err != nil {
				t.Fatal(err)
			}
		},
		HoldWrite: func(t *testing.T, d driver.Driver) (<-chan struct{}, func()) {
			s := of(d).service
			free, held := make(chan struct{}), make(chan struct{})
			hold := s.fault(1, vaultstoretest.Hold(free), "PUT data")
			go func() {
				if hold.Await(t.Context(), 1) == nil {
					close(held)
				}
			}()
			return held, func() {
				close(free)
				if err := s.Idle(t.Context()); err != nil {
					t.Error(err)
				}
			}
		},
	}.Run(t)
}
