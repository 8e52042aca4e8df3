package containers_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/judge"
	"github.com/tokenkeep/tokenkeep/integration/containers/stage"
)

// How long a node is away: longer than it takes to elect another leader.
const away = 6 * time.Second

// Four workers use a cluster of three Vault nodes while its leader is killed, paused and
// cut off, a follower is cut off, and two of the three are killed at once.
func TestWorkersKeepTheirPromisesWhileAVaultClusterFails(t *testing.T) {
	t.Parallel()
	on := newStage(t, stage.Worker, stage.VaultServer)
	v := startVault(t, on, 3)
	seed := *flagSeed
	if seed == 0 {
		seed = 1 + rand.Int64N(1<<31)
	}
	crew := startCrew(t, on, v, seed, *flagSoak)
	m := &trouble{crew: crew, faults: map[string]int{}}
	m.ofCluster(t, crew.left())
	run, err := crew.finish(t.Context())
	if err != nil {
		t.Error(err)
	}
	row := judge.Row{Service: "Vault, three nodes", Mode: on.Mode(), Ran: *flagSoak, Faults: m.faults, Verdict: judge.Judge(run)}
	t.Logf("seed %d\n%s\n%s", seed, judge.Head, row)
	t.Attr("cluster", row.String())
	report(t, row, seed)
}

// ofCluster lets one thing after the other go wrong until the time is over, each of them
// once at least.
func (m *trouble) ofCluster(t *testing.T, length time.Duration) {
	v := m.crew.service
	ctx := t.Context()
	ends := time.Now().Add(length)
	for n := 0; ; n++ {
		if err := v.whole(ctx); err != nil {
			t.Fatal(err)
		}
		leader, followers := v.roles()
		faults := []fault{
			{"leader killed", during(away, leader.Kill, leader.Again)},
			{"follower cut off", during(away, followers[0].Cut, followers[0].Mend)},
			{"majority lost", during(away/2, both(leader.Kill, followers[0].Kill), both(leader.Again, followers[0].Again))},
			{"leader cut off", during(away, leader.Cut, leader.Mend)},
			{"leader paused", during(away, leader.Pause, leader.Resume)},
		}
		if n >= len(faults) && time.Now().After(ends) {
			return
		}
		f := faults[n%len(faults)]
		t.Logf("%v: %s, the leader is %s", time.Since(ends.Add(-length)).Round(time.Millisecond), f.name, leader.name)
		if err := f.do(ctx); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		m.happened(f.name)
		wait(ctx, time.Second)
	}
}

func both(a, b func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := a(ctx); err != nil {
			return err
		}
		return b(ctx)
	}
}

// roles returns the node that said last that it is active, and the others.
func (s *service) roles() (leader *server, followers []*server) {
	for _, one := range s.servers {
		said, when := one.last()
		if said.State != "active" {
			continue
		}
		if leader == nil {
			leader = one
		} else if _, before := leader.last(); when.After(before) {
			leader = one
		}
	}
	for _, one := range s.servers {
		if one != leader {
			followers = append(followers, one)
		}
	}
	return leader, followers
}

func (s *server) last() (status, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said, s.when
}

// whole waits until one node is active and all others are its standbys, for a minute at
// most.
func (s *service) whole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		var states []string
		for _, one := range s.servers {
			said, _ := one.last()
			states = append(states, said.State)
		}
		all := strings.Join(states, " ")
		if strings.Count(all, "active") == 1 && strings.Count(all, "standby") == len(s.servers)-1 {
			return nil
		}
		if !wait(ctx, 50*time.Millisecond) {
			return fmt.Errorf("the cluster is not whole within a minute, but %q", all)
		}
	}
}
