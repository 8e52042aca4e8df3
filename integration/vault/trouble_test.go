package vault_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/vaultnode"
)

// A trouble takes the active node away, again and again: it steps down, is sealed, and is
// stopped, and comes back each time.
type trouble struct {
	cluster *vaultnode.Cluster
	savers  *savers
	planned int

	over chan struct{} // closed at the end
	mu   sync.Mutex
	done int
	more chan struct{} // closed and replaced when done grows
}

func newTrouble(c *vaultnode.Cluster, s *savers, rounds int) *trouble {
	return &trouble{cluster: c, savers: s, planned: rounds * len(ways), over: make(chan struct{}), more: make(chan struct{})}
}

// ways are how a leader is taken away, and how it comes back.
var ways = []struct {
	name        string
	away, again func(ctx context.Context, c *vaultnode.Cluster, i int) error
}{
	{
		"it stepped down",
		func(ctx context.Context, c *vaultnode.Cluster, i int) error { return c.StepDown(ctx, i) },
		func(context.Context, *vaultnode.Cluster, int) error { return nil },
	},
	{
		"it was sealed",
		func(ctx context.Context, c *vaultnode.Cluster, i int) error { return c.Seal(ctx, i) },
		func(ctx context.Context, c *vaultnode.Cluster, i int) error { return c.Unseal(ctx, i) },
	},
	{
		"it was stopped",
		func(_ context.Context, c *vaultnode.Cluster, i int) error { return c.StopNode(i) },
		func(ctx context.Context, c *vaultnode.Cluster, i int) error { return c.StartNode(ctx, i) },
	},
}

// make makes the trouble. It goes on when the clients do.
func (tr *trouble) make(ctx context.Context, t *testing.T) {
	defer close(tr.over)
	// Whatever happens, those who wait for the trouble do not wait for ever.
	defer tr.made(tr.planned)
	all := []int{0, 1, 2, 3, 4, 5, 6, 7}
	for n := range tr.planned {
		way := ways[n%len(ways)]
		active, err := tr.cluster.Active(ctx)
		if err != nil {
			t.Error(err)
			return
		}
		tr.savers.made(way.name)
		if err := way.away(ctx, tr.cluster, active); err != nil {
			t.Errorf("trouble %d, %s: %v", n, way.name, err)
			return
		}
		// The clients of the balancer need nobody's help.
		if !tr.served(ctx, t, all[:4], way.name) {
			return
		}
		if err := way.again(ctx, tr.cluster, active); err != nil {
			t.Errorf("trouble %d, after %s: %v", n, way.name, err)
			return
		}
		if err := tr.cluster.Ready(ctx); err != nil {
			t.Errorf("trouble %d, after %s: %v", n, way.name, err)
			return
		}
		if !tr.served(ctx, t, all, "the cluster is whole after "+way.name) {
			return
		}
		tr.made(n + 1)
	}
}

// served waits until each of some clients has had a save acknowledged from now on.
func (tr *trouble) served(ctx context.Context, t *testing.T, clients []int, when string) bool {
	before := tr.savers.counts()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for _, client := range clients {
		for tr.savers.counts()[client] <= before[client] {
			select {
			case <-again.C:
			case <-ctx.Done():
				t.Errorf("%s: client %d did not save anything for three minutes", when, client)
				return false
			}
		}
	}
	return true
}

func (tr *trouble) made(n int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.done = n
	close(tr.more)
	tr.more = make(chan struct{})
}

// await waits until so much of the trouble was made.
func (tr *trouble) await(ctx context.Context, n int) {
	for {
		tr.mu.Lock()
		enough, more := tr.done >= n, tr.more
		tr.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

// balance starts a load balancer in front of a cluster: it sends requests to the nodes in
// turns, and not to those that say that they are sealed, or nothing.
func balance(t testing.TB, c *vaultnode.Cluster) *proxy {
	t.Helper()
	urls := make([]*url.URL, c.Len())
	for i := range urls {
		u, err := url.Parse(c.URL(i))
		if err != nil {
			t.Fatal(err)
		}
		urls[i] = u
	}
	var good atomic.Pointer[[]*url.URL]
	good.Store(&urls)
	ctx := t.Context()
	var wg sync.WaitGroup
	wg.Go(func() {
		again := time.NewTicker(100 * time.Millisecond)
		defer again.Stop()
		for {
			select {
			case <-again.C:
				var serving []*url.URL
				for _, u := range urls {
					if healthy(ctx, u) {
						serving = append(serving, u)
					}
				}
				if len(serving) > 0 {
					good.Store(&serving)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(wg.Wait)
	var turn atomic.Uint32
	return frontOf(t, func() *url.URL {
		list := *good.Load()
		return list[int(turn.Add(1))%len(list)]
	})
}

// healthy asks a node what load balancers ask it.
//
// https://developer.hashicorp.com/vault/api-docs/system/health
func healthy(ctx context.Context, node *url.URL) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprint(node, "/v1/sys/health?standbyok=true"), nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
