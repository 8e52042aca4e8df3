package gcpsm_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/drivertest"
)

func TestDriver(t *testing.T) {
	t.Run("global secrets", func(t *testing.T) {
		t.Parallel()
		conformance(t, parent, unpaced())
	})
	t.Run("regional secrets whose versions are destroyed a day later, and aliases, lists and metadata that are late", func(t *testing.T) {
		t.Parallel()
		opts := unpaced()
		opts.VersionDestroyTTL = 24 * time.Hour
		conformance(t, parent+"/locations/europe-west3", opts, gcpsmtest.WithLocation("europe-west3"), gcpsmtest.WithLag(5*time.Minute))
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
	mu         sync.Mutex
	lose, fail *gcpsmtest.Injection
}

// order replaces a fault that was ordered before.
func (f *faults) order(s *service, old **gcpsmtest.Injection, n int, do gcpsmtest.Action, methods ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *old != nil {
		(*old).Remove()
		*old = nil
	}
	if n > 0 {
		*old = s.fault(n, do, methods...)
	}
}

// conformance runs the suite.
func conformance(t *testing.T, parent string, opts *gcpsm.Options, double ...gcpsmtest.Option) {
	var mu sync.Mutex
	members := map[driver.Driver]member{}
	of := func(d driver.Driver) member {
		mu.Lock()
		defer mu.Unlock()
		return members[d]
	}
	join := func(t *testing.T, m member) driver.Driver {
		d, err := gcpsm.NewDriver(m.service.sdk(t), parent, m.prefix, opts)
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
			return join(t, member{start(t, double...), "p", &faults{}})
		},
		Other: func(t *testing.T, d driver.Driver, suffix string) driver.Driver {
			m := of(d)
			m.prefix += suffix
			return join(t, m)
		},
		Settle: func(_ *testing.T, d driver.Driver) { of(d).service.clock.Advance(time.Minute) },
		LoseAnswers: func(_ *testing.T, d driver.Driver, n int) {
			m := of(d)
			m.faults.order(m.service, &m.faults.lose, n, gcpsmtest.LoseAnswer(), "CreateSecret", "AddSecretVersion", "DeleteSecret")
		},
		FailRequests: func(_ *testing.T, d driver.Driver, n int) {
			m := of(d)
			m.faults.order(m.service, &m.faults.fail, n, gcpsmtest.EchoBody(codes.Unavailable))
		},
		Deny: func(_ *testing.T, d driver.Driver, denied bool) { of(d).service.denied.Store(denied) },
		Damage: func(t *testing.T, d driver.Driver, name string) {
			if _, err := of(d).service.SetValue(parent+"/secrets/"+strings.ReplaceAll(of(d).prefix, "/", "__")+"__"+name, "\xff\xfe"); err != nil {
				t.Fatal(err)
			}
		},
		HoldWrite: func(t *testing.T, d driver.Driver) (<-chan struct{}, func()) {
			s := of(d).service
			free, held := make(chan struct{}), make(chan struct{})
			hold := s.fault(1, gcpsmtest.Hold(free), "AddSecretVersion")
			go func() {
				if hold.Await(t.Context(), 1) == nil {
					close(held)
				}
			}()
			return held, func() {
				close(free)
				s.Settle()
			}
		},
	}.Run(t)
}
