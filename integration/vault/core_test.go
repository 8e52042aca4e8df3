package vault_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/vaultnode"
	"github.com/tokenkeep/tokenkeep/internal/history"
	"github.com/tokenkeep/tokenkeep/internal/stories"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/drivertest"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

const (
	grantsAll = `path "*" { capabilities = ["create", "read", "update", "delete", "list"] }`
	denies    = `path "*" { capabilities = ["deny"] }`
)

// The suite that every driver passes, with the faults before a real Vault and its rights
// taken away by its own policies.
func TestDriverOnARealVault(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name              string
		versions, retries int
	}{
		{"the mount keeps ten versions", 10, 0},
		{"the mount keeps one version", 1, 0},
		{"the client makes retries of its own", 10, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			startCore(t).conforms(t, c.versions, c.retries)
		})
	}
}

// A member is what the hooks know of a driver.
type member struct {
	proxy               *proxy
	mount, prefix, name string // name is that of its policy
	token               string
	faults              *ordered
}

// ordered is what the hooks ordered last.
type ordered struct {
	mu               sync.Mutex
	endLose, endFail func()
}

func (m member) order(end *func(), n int, f *fault) {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	if *end != nil {
		(*end)()
	}
	f.times = n
	*end = m.proxy.inject(f)
}

func (c *core) conforms(t *testing.T, versions, retries int) {
	var mu sync.Mutex
	members := map[driver.Driver]member{}
	of := func(d driver.Driver) member {
		mu.Lock()
		defer mu.Unlock()
		return members[d]
	}
	join := func(t *testing.T, m member) driver.Driver {
		client, err := vaultnode.NewClient(m.proxy.url)
		if err != nil {
			t.Fatal(err)
		}
		client.SetToken(m.token)
		client.SetMaxRetries(retries)
		client.SetMinRetryWait(time.Millisecond)
		client.SetMaxRetryWait(5 * time.Millisecond)
		d, err := vaultstore.NewDriver(client, m.mount, m.prefix, nil)
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
			// A proxy of its own: tests run side by side, and faults are a proxy's.
			m := member{proxy: front(t, c.URL(0)), mount: c.mount(t, versions), prefix: "p", faults: &ordered{}}
			m.name = m.mount
			c.policy(t, m.name, grantsAll)
			m.token = c.token(t, m.name)
			return join(t, m)
		},
		Other: func(t *testing.T, d driver.Driver, suffix string) driver.Driver {
			m := of(d)
			m.prefix += suffix
			return join(t, m)
		},
		Settle: func(*testing.T, driver.Driver) {}, // reads and lists are current
		LoseAnswers: func(_ *testing.T, d driver.Driver, n int) {
			m := of(d)
			m.order(&m.faults.endLose, n, &fault{matches: operations("PUT data", "DELETE metadata"), do: loseAnswer})
		},
		FailRequests: func(_ *testing.T, d driver.Driver, n int) {
			m := of(d)
			m.order(&m.faults.endFail, n, &fault{do: refuse(http.StatusServiceUnavailable)})
		},
		Deny: func(t *testing.T, d driver.Driver, denied bool) {
			rules := grantsAll
			if denied {
				rules = denies
			}
			c.policy(t, of(d).name, rules)
		},
		Damage: func(t *testing.T, d driver.Driver, name string) {
			m := of(d)
			if _, err := c.root(t).KVv2(m.mount).Put(t.Context(), m.prefix+"/"+name, map[string]any{"by": "hand"}); err != nil {
				t.Fatal(err)
			}
		},
		HoldWrite: func(_ *testing.T, d driver.Driver) (<-chan struct{}, func()) {
			held, free, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
			of(d).proxy.inject(&fault{matches: operations("PUT data"), times: 1, do: func(p *proxy, w http.ResponseWriter, r *http.Request) {
				defer close(done)
				close(held)
				<-free
				loseAnswer(p, w, r)
			}})
			return held, func() { close(free); <-done }
		},
	}.Run(t)
}

func TestStoriesOnARealVault(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	mount := c.mount(t, 1)
	round := 0
	stories.Run(t, func(t *testing.T) stories.Service {
		round++
		at := fmt.Sprint("stories/", round)
		return stories.Service{
			Open:      func() *token.Store { return c.open(t, mount, at) },
			Neighbour: func() *token.Store { return c.open(t, mount, at+"-2") },
		}
	})
}

func TestStormsOfOneNewUserLeaveOneRecordEachInARealVault(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	mount := c.mount(t, 1)
	stories.Storms(t, 20, func(round int) func() (*token.Store, error) {
		client := c.client(t, c.RootToken)
		return func() (*token.Store, error) {
			return vaultstore.New(client, mount, fmt.Sprint("storm/", round), nil)
		}
	})
}

// Requests and answers are lost, fail and arrive twice on their way to a real Vault.
func TestHistoriesOnARealVaultAreLinearizableUnderFaults(t *testing.T) {
	t.Parallel()
	for _, seed := range history.Seeds(1) {
		for _, versions := range []int{1, 10} {
			t.Run(fmt.Sprintf("seed %d, %d versions", seed, versions), func(t *testing.T) {
				t.Parallel()
				c := startCore(t)
				mount := c.mount(t, versions)
				calm := c.disturb(seed)
				history.Run(t, history.Plan{
					Seed: seed, Clients: 8, Stores: 4, Users: 2, Ops: 240, Timeout: 20 * time.Second,
					Open: func(*history.Process) (*token.Store, error) {
						return vaultstore.New(c.client(t, c.RootToken), mount, "histories", nil)
					},
					Settle: calm,
				})
			})
		}
	}
}

// disturb lets requests go wrong until the function that it returns is called.
func (c *core) disturb(seed uint64) (calm func()) {
	var ends []func()
	inject := func(chance float64, do func(*proxy, http.ResponseWriter, *http.Request), which func(*http.Request) bool) {
		seed++
		ends = append(ends, c.proxy.inject(&fault{
			matches: which, times: -1, chance: chance, do: do,
			draw: rand.New(rand.NewPCG(seed, 0)),
		}))
	}
	inject(0.02, refuse(http.StatusServiceUnavailable), nil)
	inject(0.02, loseRequest, nil)
	inject(0.03, loseAnswer, isWrite)
	inject(0.03, badGateway, isWrite)
	inject(0.04, twice, isWrite)
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// A server is initialised, unsealed and active when it starts; its one client of the
// proxy sees it as it is.
func TestANodeServes(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	h, err := c.client(t, "").Sys().HealthWithContext(context.WithoutCancel(t.Context()))
	if err != nil || !h.Initialized || h.Sealed || h.Standby {
		t.Errorf("%+v, %v", h, err)
	}
}
