package memstore_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/drivertest"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

func TestDriver(t *testing.T) {
	t.Run("strongly consistent", func(t *testing.T) {
		conformance(t, func(*service) {})
	})
	t.Run("reads are stale until time passes", func(t *testing.T) {
		conformance(t, func(s *service) { s.stale = true })
	})
	t.Run("deleted names rest", func(t *testing.T) {
		conformance(t, func(s *service) {
			s.root.SetLimits(driver.Limits{DeletedNameRests: 7 * 24 * time.Hour})
		})
	})
}

// conformance runs the suite on memories that setup has prepared.
func conformance(t *testing.T, setup func(*service)) {
	var mu sync.Mutex
	services := map[driver.Driver]*service{}
	of := func(d driver.Driver) *service {
		mu.Lock()
		defer mu.Unlock()
		return services[d]
	}
	join := func(s *service, prefix string) driver.Driver {
		d := s.root.Under(prefix)
		d.OnCall(s.onCall)
		if s.stale {
			d.Stale(func(_ context.Context, r memstore.Read) int { return s.behind(prefix, r) })
		}
		mu.Lock()
		defer mu.Unlock()
		services[d] = s
		s.prefix[d] = prefix
		return d
	}
	drivertest.Suite{
		New: func(*testing.T) driver.Driver {
			s := &service{
				root:    memstore.NewDriver(),
				prefix:  map[driver.Driver]string{},
				visible: map[string]int{},
				newest:  map[string]int{},
			}
			setup(s)
			return join(s, "p")
		},
		Other: func(_ *testing.T, d driver.Driver, suffix string) driver.Driver {
			return join(of(d), of(d).prefix[d]+suffix)
		},
		Settle: func(_ *testing.T, d driver.Driver) { of(d).settle() },
		LoseAnswers: func(_ *testing.T, d driver.Driver, n int) {
			of(d).set(func(s *service) { s.lose = n })
		},
		FailRequests: func(_ *testing.T, d driver.Driver, n int) {
			of(d).set(func(s *service) { s.fail = n })
		},
		Deny: func(_ *testing.T, d driver.Driver, denied bool) {
			of(d).set(func(s *service) { s.denied = denied })
		},
		Damage: func(_ *testing.T, d driver.Driver, name string) {
			d.(*memstore.Driver).Set(name, []byte{0xff, 0xfe})
		},
		HoldWrite: func(_ *testing.T, d driver.Driver) (<-chan struct{}, func()) {
			held := make(chan struct{})
			of(d).set(func(s *service) { s.held = held })
			return held, d.(*memstore.Driver).Deliver
		},
	}.Run(t)
}

// A service is a memory in trouble: the hooks of the drivers of one test.
type service struct {
	root  *memstore.Driver
	stale bool

	mu              sync.Mutex
	prefix          map[driver.Driver]string
	lose, fail      int
	denied          bool
	held            chan struct{}
	visible, newest map[string]int // states that reads may see, and that there are
}

func (s *service) set(change func(*service)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *service) onCall(_ context.Context, c memstore.Call) memstore.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.denied:
		return memstore.Fault{Before: fmt.Errorf("%w: no policy", driver.ErrPermission)}
	case s.fail > 0:
		s.fail--
		return memstore.Fault{Before: fmt.Errorf("%w: 503", driver.ErrUnavailable)}
	case c.Op == memstore.OpPut && s.held != nil:
		close(s.held)
		s.held = nil
		return memstore.Fault{Late: true}
	case (c.Op == memstore.OpPut || c.Op == memstore.OpDelete) && s.lose > 0:
		s.lose--
		return memstore.Fault{Lost: true}
	}
	return memstore.Fault{}
}

// behind hides what was written since settle.
func (s *service) behind(prefix string, r memstore.Read) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := prefix + " " + r.Name
	s.newest[name] = r.Writes
	return r.Writes - s.visible[name]
}

func (s *service) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.visible, s.newest)
}
