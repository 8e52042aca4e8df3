package vault_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/vaultnode"
	"github.com/tokenkeep/tokenkeep/internal/history"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

var rounds = flag.Int("failover.rounds", 2, "how often the active node steps down, is sealed and is stopped")

// Three nodes lose their leader again and again, in each of the ways that operators know,
// while clients save. Some clients have the address of one node, the others that of a load
// balancer.
func TestClientsGoOnByThemselvesWhenTheActiveNodeIsTakenAway(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	cluster, err := vaultnode.StartCluster(ctx, 3, t.TempDir(), serverLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, cluster) })
	active, err := cluster.Active(ctx)
	if err != nil {
		t.Fatal(err)
	}
	root, err := cluster.Client(active)
	if err != nil {
		t.Fatal(err)
	}
	mountKV(t, root, "tokens", map[string]any{"max_versions": 1})
	balancer, seed := balance(t, cluster), history.Seeds()[0]
	// Vault answers what it has begun before it goes. A crash would not, and who is in
	// between may send anew what it did not answer.
	draw := rand.New(rand.NewPCG(seed, 0))
	for _, do := range []func(*proxy, http.ResponseWriter, *http.Request){loseAnswer, twice} {
		balancer.inject(&fault{matches: operations("PUT data"), times: -1, chance: 0.1, draw: draw, do: do})
	}
	urls := []string{balancer.url}
	for i := range cluster.Len() {
		urls = append(urls, cluster.URL(i))
	}
	open := func(i int, prefix string) (*token.Store, error) {
		client, err := vaultnode.NewClient(urls[max(0, i%8-4)])
		if err != nil {
			return nil, err
		}
		client.SetToken(cluster.RootToken)
		return vaultstore.New(client, "tokens", prefix, nil)
	}

	savers := &savers{acked: make([]int, 8)}
	trouble := newTrouble(cluster, savers, *rounds)
	var wg sync.WaitGroup
	for i := range savers.acked {
		store, err := open(i, "savers")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { savers.save(ctx, t, i, store, trouble.over) })
	}
	wg.Go(func() { trouble.make(ctx, t) })
	// At the same time others write down what they see, so that it can be explained.
	t.Run("and what they saw is linearizable", func(t *testing.T) {
		const ops = 240
		var n atomic.Int32
		history.Run(t, history.Plan{
			Seed: seed, Clients: 4, Stores: 4, Users: 2, Ops: ops,
			Open: func(*history.Process) (*token.Store, error) {
				return open(2*int(n.Add(1))-1, "histories")
			},
			// They keep step with the trouble, so that each part of it meets some of them.
			Meanwhile: func(ended int) { trouble.await(ctx, ended*trouble.planned/ops-1) },
			Settle:    func() { trouble.await(ctx, trouble.planned) },
		})
	})
	wg.Wait()
	store, err := open(0, "savers")
	if err != nil {
		t.Fatal(err)
	}
	savers.judge(ctx, t, store)
	t.Attr("failover", savers.report(trouble.planned))
}

// Savers are clients that save, and what they were told.
type savers struct {
	mu       sync.Mutex
	acked    []int // by client: its saves that were acknowledged
	unknown  int   // outcomes that stayed unknown
	refused  int   // saves that said that nothing was written, and were made again
	last     time.Time
	longest  time.Duration // between two acknowledgements, whoever had them
	slowest  time.Duration // of a save
	cause    string        // what happened at the longest
	trouble  string        // what was made last
	attempts map[string]int
	applied  map[string]int // user and client: the last number that was acknowledged
}

const savedUsers = 3

func of(user, client int) string { return fmt.Sprint("user-", user, " client-", client) }

// save saves until it is over. Each save raises a counter that all clients share, and
// leaves the client's own number; both have to be there when the record is seen again.
func (s *savers) save(ctx context.Context, t *testing.T, client int, store *token.Store, over <-chan struct{}) {
	mine := fmt.Sprint("client-", client)
	for n := 1; ; n++ {
		select {
		case <-over:
			return
		default:
		}
		u := n % savedUsers
		began := time.Now()
		err := s.saveOnce(ctx, store, u, client, mine, n)
		switch {
		case err == nil:
			s.acknowledged(u, client, n, time.Since(began))
		case errors.Is(err, token.ErrOutcomeUnknown):
			s.count(&s.unknown)
		case errors.Is(err, token.ErrUnavailable):
			s.count(&s.refused)
		default:
			t.Errorf("client %d: %v", client, err)
			return
		}
	}
}

func (s *savers) saveOnce(ctx context.Context, store *token.Store, u, client int, mine string, n int) error {
	record := user(u)
	if err := store.SaveToken(ctx, record); err != nil {
		return err
	}
	return store.UpdateToken(ctx, record.ID, func(t *token.OAuthToken) error {
		if err := s.compare(t, u, client, mine); err != nil {
			return err
		}
		s.attempt(u, client, n)
		if t.Extra == nil {
			t.Extra = map[string]token.Secret{}
		}
		t.Extra[mine] = token.NewSecret(strconv.Itoa(n))
		t.Extra["saves"] = token.NewSecret(strconv.Itoa(number(t, "saves") + 1))
		return nil
	})
}

func number(t *token.OAuthToken, name string) int {
	n, _ := strconv.Atoi(t.Extra[name].Reveal())
	return n
}

// compare says what is wrong with a record that a client sees again.
func (s *savers) compare(t *token.OAuthToken, u, client int, mine string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch n, key := number(t, mine), of(u, client); {
	case n < s.applied[key]:
		return fmt.Errorf("save %d of client %d was acknowledged, and the record has its save %d", s.applied[key], client, n)
	case n > s.attempts[key]:
		return fmt.Errorf("the record has a save %d of client %d, which it has not made", n, client)
	}
	return nil
}

func (s *savers) attempt(u, client, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.attempts == nil {
		s.attempts, s.applied = map[string]int{}, map[string]int{}
	}
	s.attempts[of(u, client)] = n
}

func (s *savers) acknowledged(u, client, n int, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked[client]++
	s.applied[of(u, client)] = n
	now := time.Now()
	if pause := now.Sub(s.last); !s.last.IsZero() && pause > s.longest {
		s.longest, s.cause = pause, s.trouble
	}
	s.last, s.slowest = now, max(s.slowest, took)
}

func (s *savers) count(n *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

// made notes what is made now.
func (s *savers) made(trouble string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = trouble
}

// counts returns how many saves of each client were acknowledged.
func (s *savers) counts() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int(nil), s.acked...)
}

// judge looks at what is there when all is over.
func (s *savers) judge(ctx context.Context, t *testing.T, store *token.Store) {
	t.Helper()
	all, err := store.GetTokens(ctx)
	if err != nil || len(all) != savedUsers {
		t.Fatalf("%d records of %d users, %v", len(all), savedUsers, err)
	}
	total, acked := 0, 0
	for u := range savedUsers {
		record, err := store.FindToken(ctx, &token.OAuthToken{UserSignature: user(u).UserSignature})
		if err != nil {
			t.Fatal(err)
		}
		byRefresh, err := store.FindToken(ctx, &token.OAuthToken{RefreshToken: user(u).RefreshToken})
		if err != nil || byRefresh.ID != record.ID {
			t.Errorf("the refresh token of user %d finds another record, or none: %v", u, err)
		}
		for client := range s.acked {
			if err := s.compare(record, u, client, fmt.Sprint("client-", client)); err != nil {
				t.Errorf("user %d: %v", u, err)
			}
		}
		total += number(record, "saves")
	}
	for _, n := range s.acked {
		acked += n
	}
	// Nothing was lost, and nothing applied twice.
	if total < acked || total > acked+s.unknown {
		t.Errorf("%d saves were acknowledged and %d are unknown, and the records have %d", acked, s.unknown, total)
	}
}

func (s *savers) report(troubles int) string {
	acked := 0
	for _, n := range s.acked {
		acked += n
	}
	return fmt.Sprintf("8 clients, leader taken away %d times: %d saves acknowledged, %d unknown, %d refused; "+
		"longest pause of all clients %.1f s (%s), slowest save %.1f s",
		troubles, acked, s.unknown, s.refused, s.longest.Seconds(), s.cause, s.slowest.Seconds())
}
