package awssm_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/internal/history"
	"github.com/tokenkeep/tokenkeep/token"
)

// disturb lets requests of all kinds go wrong until calm is called. Release lets
// requests arrive whose callers have given up.
func disturb(srv *awssmtest.Server, seed uint64) (release, calm func()) {
	writes := []string{"CreateSecret", "PutSecretValue", "DeleteSecret"}
	var faults []*awssmtest.Injection
	inject := func(chance float64, do awssmtest.Action, operations ...string) {
		seed++
		faults = append(faults, srv.Inject(awssmtest.Fault{Operations: operations, Chance: chance, Seed: seed, Do: do}))
	}
	inject(0.03, awssmtest.FailBefore(awssmtest.InternalServiceError()))
	inject(0.01, awssmtest.FailBefore(awssmtest.BadGateway()))
	inject(0.03, awssmtest.Throttle())
	inject(0.02, awssmtest.LoseRequest())
	inject(0.03, awssmtest.FailAfter(awssmtest.InternalServiceError()), writes...)
	inject(0.04, awssmtest.LoseAnswer(), writes...)
	inject(0.04, awssmtest.Duplicate(), writes...)
	late := make(chan struct{})
	held := srv.Inject(awssmtest.Fault{Operations: writes, Chance: 0.01, Seed: seed, Do: awssmtest.Hold(late)})
	var released atomic.Bool
	release = func() {
		if !released.Swap(true) {
			held.Remove()
			close(late)
		}
	}
	return release, func() {
		for _, f := range faults {
			f.Remove()
		}
		release()
	}
}

func TestHistories(t *testing.T) {
	for _, plan := range []struct {
		name         string
		users, stale int
		fixed        []uint64
		options      awssm.Options
	}{
		{"are linearizable under faults", 2, 0, []uint64{1, 2}, awssm.Options{}},
		{"are linearizable under faults when deletions are forced", 2, 0, []uint64{3}, awssm.Options{ForceDelete: true}},
		{"lose no write under faults and stale reads", 3, 2, []uint64{4, 5}, awssm.Options{}},
	} {
		t.Run(plan.name, func(t *testing.T) {
			for _, seed := range history.Seeds(plan.fixed...) {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
					t.Parallel() // they wait, most of the time
					options := []awssmtest.Option{awssmtest.WithoutVersionQuota()}
					if plan.stale > 0 {
						options = append(options, awssmtest.WithStaleness(seed, plan.stale))
					}
					s := start(t, options...)
					release, calm := disturb(s.Server, seed)
					const ops = 120
					history.Run(t, history.Plan{
						Seed:       seed,
						Clients:    8,
						Stores:     4,
						Users:      plan.users,
						Ops:        ops,
						Timeout:    200 * time.Millisecond,
						StaleReads: plan.stale > 0,
						Open: func(*history.Process) (*token.Store, error) {
							return awssm.New(s.sdk(t), prefix, &plan.options)
						},
						Meanwhile: func(ended int) {
							if ended == ops/2 {
								release()
							}
						},
						Settle: func() {
							calm()
							s.await()
							s.Settle()
						},
					})
				})
			}
		})
	}
}
