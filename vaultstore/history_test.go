package vaultstore_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/history"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// A disturbance is what goes wrong in a history.
type disturbance struct {
	service *service
	faults  []*vaultstoretest.Injection

	mu   sync.Mutex
	held []func() // what lets held requests go, the oldest first
	over bool
}

// disturb lets requests of all kinds go wrong until calm is called.
func disturb(s *service, seed uint64) *disturbance {
	d := &disturbance{service: s}
	writes := []string{"PUT data", "PUT destroy", "DELETE metadata"}
	inject := func(chance float64, do vaultstoretest.Action, operations ...string) {
		seed++
		d.faults = append(d.faults, s.Inject(vaultstoretest.Fault{Operations: operations, Chance: chance, Seed: seed, Do: do}))
	}
	inject(0.02, vaultstoretest.FailBefore(http.StatusServiceUnavailable, saysSealed))
	inject(0.01, vaultstoretest.FailBefore(http.StatusInternalServerError, saysNoLeader))
	inject(0.01, vaultstoretest.Throttle())
	inject(0.01, vaultstoretest.LoseRequest())
	inject(0.01, vaultstoretest.FailBefore(http.StatusBadRequest, saysMismatch), "PUT data")
	inject(0.03, vaultstoretest.FailAfter(http.StatusBadGateway, "slow"), writes...)
	inject(0.01, vaultstoretest.FailAfter(http.StatusInternalServerError, saysLostOffice), writes...)
	inject(0.01, vaultstoretest.FailAfter(http.StatusServiceUnavailable, saysNoActive), writes...)
	inject(0.02, vaultstoretest.LoseAnswer(), writes...)
	inject(0.02, vaultstoretest.RedirectAfter(), writes...)
	inject(0.04, vaultstoretest.Duplicate(), writes...)
	return d
}

// meanwhile holds a write back now and then, and lets the one before go, whether its
// caller has given up or not.
func (d *disturbance) meanwhile(ended int) {
	if ended%6 != 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	for len(d.held) > 0 {
		d.release()
	}
	free := make(chan struct{})
	in := d.service.fault(1, vaultstoretest.Hold(free), "PUT data")
	d.held = append(d.held, func() { in.Remove(); close(free) })
}

// release lets the oldest request go that is held.
func (d *disturbance) release() {
	d.held[0]()
	d.held = d.held[1:]
}

// calm ends all faults and lets all requests go.
func (d *disturbance) calm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.faults {
		f.Remove()
	}
	for len(d.held) > 0 {
		d.release()
	}
	d.over = true
}

// The histories run in bubbles, where waits take no time.
func TestHistories(t *testing.T) {
	t.Parallel()
	const (
		hurry    = 500 * time.Millisecond // of callers that give up often
		patience = 20 * time.Second       // of those that do so when nothing else helps
	)
	stale := vaultstoretest.WithStaleness(3, 2)
	for _, plan := range []struct {
		name     string
		users    int
		versions int
		timeout  time.Duration
		double   []vaultstoretest.Option
		fixed    []uint64
	}{
		{"are linearizable under faults", 2, 10, hurry, nil, []uint64{1, 2, 3}},
		{"are linearizable under faults where the mount keeps one version", 2, 1, hurry, nil, []uint64{4, 5}},
		{"are linearizable under faults on one record", 1, 10, hurry, nil, []uint64{6, 7}},
		{"are linearizable under faults of which callers await the end", 2, 10, patience, nil, []uint64{8, 9}},
		{"are linearizable under faults where reads are stale", 2, 10, patience, []vaultstoretest.Option{stale}, []uint64{10, 11}},
	} {
		t.Run(plan.name, func(t *testing.T) {
			if underRace {
				plan.fixed = nil // the fresh seed is enough
			}
			for _, seed := range history.Seeds(plan.fixed...) {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
					t.Parallel()
					bubble(t, func(t *testing.T, s *service) {
						s.SetMountConfig(mount, plan.versions, false, 0)
						d := disturb(s, seed)
						history.Run(t, history.Plan{
							Seed:    seed,
							Clients: 8,
							Stores:  4,
							Users:   plan.users,
							Ops:     160,
							Timeout: plan.timeout,
							// Then only what is written is put in order.
							StaleReads: len(plan.double) > 0,
							Open: func(*history.Process) (*token.Store, error) {
								return vaultstore.New(s.sdk(t), mount, prefix, nil)
							},
							Meanwhile: d.meanwhile,
							Settle: func() {
								d.calm()
								synctest.Wait()
								s.Settle()
							},
						})
					}, plan.double...)
				})
			}
		})
	}
}
