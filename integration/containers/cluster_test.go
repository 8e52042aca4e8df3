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

// How long a node is away: longer than it takes to elect another leader, as a rule.
const away = 6 * time.Second

// settled is how long a cluster is left alone that is whole again. Vault's nodes make connections to
// each other one after the other: one that is frozen or cut off while it makes one to a second node
// keeps that from hearing a third one for up to 30 seconds, and there may be no leader for so
// long. After this time they have made them, as a rule.
const settled = 3 * time.Second

// election is how long it may take at most, if that happens all the same.
const election = time.Minute

// clusterSoak is how long the workers work at least: so long that there is time for each fault
// although an election takes half a minute.
const clusterSoak = 90 * time.Second

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
	t.Log("seed ", seed)
	crew := startCrew(t, on, v, seed, max(*flagSoak, clusterSoak))
	m := &trouble{crew: crew, faults: map[string]int{}}
	m.ofCluster(t, crew.left()-4*time.Second)
	row := crew.judged(t, "Vault, three nodes", m)
	t.Attr("cluster", row.String())
	kinds := []string{"worker killed"}
	for _, f := range clusterFaults() {
		kinds = append(kinds, f.name)
	}
	m.enough(t, row, 8, clusterSoak, kinds)
}

// A clusterFault goes wrong with the leader, a follower, or both.
type clusterFault struct {
	name             string
	lasts            time.Duration
	leader, follower bool
	begin, end       func(*server, context.Context) error
}

// elects reports whether it takes the leader away from a cluster that can go on without it, so
// that another node must become active.
func (f clusterFault) elects() bool { return f.leader && !f.follower }

func clusterFaults() []clusterFault {
	return []clusterFault{
		{"leader killed", away, true, false, (*server).Kill, (*server).Again},
		{"leader paused", away, true, false, (*server).Pause, (*server).Resume},
		{"leader cut off", away, true, false, (*server).Cut, (*server).Mend},
		{"follower cut off", away, false, true, (*server).Cut, (*server).Mend},
		{"majority lost", away / 2, true, true, (*server).Kill, (*server).Again},
	}
}

// ofCluster lets one thing after the other go wrong until the time is over. While the leader is away, a
// worker is killed, too.
func (m *trouble) ofCluster(t *testing.T, length time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	ends, _ := ctx.Deadline()
	draw := rand.New(rand.NewPCG(uint64(m.crew.seed), 0))
	faults := clusterFaults()
	// A lost majority comes last: a cluster takes longest to get over it.
	for f := range deal(draw, faults, len(faults)-1) {
		leader, followers, err := m.crew.service.settle(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			t.Fatal(err)
		case time.Until(ends) < f.lasts:
			wait(ctx, time.Second) // and a shorter one may do
			continue
		}
		t.Logf("%v: %s, the leader is %s", (length - time.Until(ends)).Round(time.Millisecond), f.name, leader.name)
		err = m.let(ctx, fault{f.name, f.lasts, func(ctx context.Context, draw *rand.Rand) error {
			return m.inCluster(ctx, t, f, leader, followers[draw.IntN(len(followers))], draw)
		}}, draw)
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
	}
}

// inCluster lets something go wrong with a cluster that is whole.
func (m *trouble) inCluster(ctx context.Context, t *testing.T, f clusterFault, leader, follower *server, draw *rand.Rand) error {
	var hit []*server
	if f.leader {
		hit = append(hit, leader)
	}
	if f.follower {
		hit = append(hit, follower)
	}
	each := func(do func(*server, context.Context) error) error {
		for _, s := range hit {
			if err := do(s, ctx); err != nil {
				return err
			}
		}
		return nil
	}
	began := time.Now()
	if err := each(f.begin); err != nil {
		return err
	}
	if f.elects() {
		wait(ctx, time.Duration(draw.Int64N(int64(away/2))))
		if err := m.crew.replace(ctx, draw.IntN(seats)); err != nil {
			return err
		}
		m.happened("worker killed")
		next, err := m.crew.service.another(ctx, leader, began)
		if err != nil {
			return err
		}
		_, when := next.last()
		t.Logf("after %v the leader is %s", when.Sub(began).Round(time.Millisecond), next.name)
	}
	if f.leader && f.follower {
		// One node alone answers nothing.
		felt := m.feel(judge.Fault{Name: f.name})
		wait(ctx, f.lasts)
		felt()
	}
	wait(ctx, f.lasts-time.Since(began))
	return each(f.end)
}

// another waits until a node other than one says that it has become active since a time.
func (s *service) another(ctx context.Context, than *server, since time.Time) (*server, error) {
	ctx, cancel := context.WithTimeout(ctx, election)
	defer cancel()
	for {
		for _, one := range s.servers {
			if said, when := one.last(); one != than && active(said) && when.After(since) {
				return one, nil
			}
		}
		if !wait(ctx, 50*time.Millisecond) {
			return nil, fmt.Errorf("no other node than %s became active within %v: %s", than.name, election, s.states())
		}
	}
}

func (s *server) last() (status, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said, s.when
}

// whole waits until one server is active and all others are its standbys, for a minute at
// most, and returns them.
func (s *service) whole(ctx context.Context) (leader *server, followers []*server, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		leader, followers = nil, nil
		for _, one := range s.servers {
			switch said, _ := one.last(); said.State {
			case "active":
				leader = one
			case "standby":
				followers = append(followers, one)
			default: // it starts, or is sealed
			}
		}
		if leader != nil && len(followers) == len(s.servers)-1 {
			return leader, followers, nil
		}
		if !wait(ctx, 50*time.Millisecond) {
			return nil, nil, fmt.Errorf("the service is not whole within a minute: %s", s.states())
		}
	}
}

// settle waits until the service is whole and stays so for a while, under one leader.
func (s *service) settle(ctx context.Context) (leader *server, followers []*server, err error) {
	for {
		before, _, err := s.whole(ctx)
		if err != nil {
			return nil, nil, err
		}
		wait(ctx, settled)
		leader, followers, err = s.whole(ctx)
		if err != nil || leader == before {
			return leader, followers, err
		}
	}
}

// states says what each server said last.
func (s *service) states() string {
	var all []string
	for _, one := range s.servers {
		said, when := one.last()
		all = append(all, fmt.Sprintf("%s %q for %v", one.name, said.State, time.Since(when).Round(time.Millisecond)))
	}
	return strings.Join(all, ", ")
}
