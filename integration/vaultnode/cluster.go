package vaultnode

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/api"
)

// A Cluster is some nodes with one log, or one node that keeps everything in memory. What
// one of its methods does to a node must not overlap with what another does to that node,
// nor may two wait at once for what the nodes are.
type Cluster struct {
	// RootToken is good for everything.
	RootToken string

	key     string // unseals
	configs []Config
	nodes   []*Node       // nil: stopped
	askers  []*api.Client // who ask a node for its health; nil: nobody yet
}

// StartOne starts one node in memory, unsealed and active.
func StartOne(ctx context.Context, log hclog.Logger) (*Cluster, error) {
	return StartSmall(ctx, 0, log)
}

// StartSmall starts one node as StartOne does, whose storage takes so many bytes in an
// entry.
func StartSmall(ctx context.Context, maxEntry int, log hclog.Logger) (*Cluster, error) {
	return start(ctx, []Config{{ID: "node-0", Address: "127.0.0.1:0", MaxEntry: maxEntry, Log: log}})
}

// StartCluster starts n nodes with Raft storage below a folder. They are unsealed, one is
// active, and all have a vote.
func StartCluster(ctx context.Context, n int, dir string, log hclog.Logger) (*Cluster, error) {
	configs := make([]Config, n)
	for i := range configs {
		host := loopback()
		c := Config{ID: fmt.Sprint("node-", i), Dir: filepath.Join(dir, fmt.Sprint("node-", i)), Log: log}
		var err error
		if c.Address, err = free(host); err != nil {
			return nil, err
		}
		if c.ClusterAddress, err = free(host); err != nil {
			return nil, err
		}
		configs[i] = c
	}
	return start(ctx, configs)
}

// loopback returns an address of this machine that nothing else is likely to use, where
// there are such: a stopped node must find its ports free when it starts again, and those
// of 127.0.0.1 are also handed out to connections.
func loopback() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	part := func() int { return 1 + rand.IntN(254) } //nolint:gosec // no secret
	return fmt.Sprintf("127.%d.%d.%d", part(), part(), part())
}

func free(host string) (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0")) //nolint:noctx // on loopback, at once
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// start starts the nodes and makes a cluster of them.
func start(ctx context.Context, configs []Config) (*Cluster, error) {
	c := &Cluster{configs: configs, nodes: make([]*Node, len(configs)), askers: make([]*api.Client, len(configs))}
	for i := range configs {
		if err := c.join(ctx, i); err != nil {
			return nil, errors.Join(fmt.Errorf("node %d: %w", i, err), c.Stop())
		}
	}
	if err := c.Ready(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// join starts a node for the first time.
func (c *Cluster) join(ctx context.Context, i int) (err error) {
	if c.nodes[i], err = Start(c.configs[i]); err != nil {
		return err
	}
	client, err := c.nodes[i].Client()
	if err != nil {
		return err
	}
	if i > 0 {
		_, err := client.Sys().RaftJoinWithContext(ctx, &api.RaftJoinRequest{LeaderAPIAddr: c.nodes[0].URL})
		return errors.Join(err, c.Unseal(ctx, i))
	}
	out, err := client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return err
	}
	c.RootToken, c.key = out.RootToken, out.Keys[0]
	if err := c.Unseal(ctx, i); err != nil {
		return err
	}
	_, err = c.Active(ctx)
	return err
}

// Len is how many nodes there are.
func (c *Cluster) Len() int { return len(c.nodes) }

// URL returns where a node serves, or served before it was stopped.
func (c *Cluster) URL(i int) string { return "http://" + c.address(i) }

func (c *Cluster) address(i int) string {
	if c.nodes[i] != nil {
		return c.nodes[i].URL[len("http://"):]
	}
	return c.configs[i].Address
}

// Client returns a client of a node with the root token. It makes no retries.
func (c *Cluster) Client(i int) (*api.Client, error) {
	client, err := NewClient(c.URL(i))
	if err != nil {
		return nil, err
	}
	client.SetToken(c.RootToken)
	return client, nil
}

// Unseal gives a node its key.
func (c *Cluster) Unseal(ctx context.Context, i int) error {
	client, err := c.Client(i)
	if err != nil {
		return err
	}
	_, err = client.Sys().UnsealWithContext(ctx, c.key)
	return err
}

// Seal seals a node.
func (c *Cluster) Seal(ctx context.Context, i int) error {
	client, err := c.Client(i)
	if err != nil {
		return err
	}
	return client.Sys().SealWithContext(ctx)
}

// StepDown makes the active node a standby.
func (c *Cluster) StepDown(ctx context.Context, i int) error {
	client, err := c.Client(i)
	if err != nil {
		return err
	}
	return client.Sys().StepDownWithContext(ctx)
}

// StopNode stops a node. It can be started again.
func (c *Cluster) StopNode(i int) error {
	n := c.nodes[i]
	c.nodes[i] = nil
	return n.Stop()
}

// StartNode starts a node again, where and with what it had, and unseals it.
func (c *Cluster) StartNode(ctx context.Context, i int) (err error) {
	if c.nodes[i], err = Start(c.configs[i]); err != nil {
		return err
	}
	return c.Unseal(ctx, i)
}

// Stop stops all nodes.
func (c *Cluster) Stop() error {
	var errs []error
	for i, n := range c.nodes {
		if n != nil {
			errs = append(errs, c.StopNode(i))
		}
	}
	return errors.Join(errs...)
}

// Active waits for a node that is active, and returns which.
func (c *Cluster) Active(ctx context.Context) (int, error) {
	active := -1
	err := c.wait(ctx, "a node that is active", func() bool {
		for i := range c.nodes {
			if h := c.health(ctx, i); h != nil && h.Initialized && !h.Sealed && !h.Standby {
				active = i
			}
		}
		return active >= 0
	})
	return active, err
}

// Ready waits until one node is active, and the others are its standbys and have the log.
func (c *Cluster) Ready(ctx context.Context) error {
	return c.wait(ctx, "a cluster that is whole", func() bool {
		standbys, active := 0, -1
		for i := range c.nodes {
			switch h := c.health(ctx, i); {
			case h == nil || h.Sealed || !h.Initialized:
				return false
			case h.Standby:
				standbys++
			default:
				active = i
			}
		}
		return active >= 0 && standbys == len(c.nodes)-1 && (standbys == 0 || c.voting(ctx, active))
	})
}

// voting reports whether all nodes have a vote.
func (c *Cluster) voting(ctx context.Context, active int) bool {
	client, err := c.Client(active)
	if err != nil {
		return false
	}
	state, err := client.Sys().RaftAutopilotStateWithContext(ctx)
	return err == nil && state != nil && len(state.Voters) == len(c.nodes)
}

func (c *Cluster) health(ctx context.Context, i int) *api.HealthResponse {
	if c.nodes[i] == nil {
		return nil
	}
	if c.askers[i] == nil { // one for all times: each has connections of its own
		client, err := NewClient(c.URL(i))
		if err != nil {
			return nil
		}
		c.askers[i] = client
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	h, err := c.askers[i].Sys().HealthWithContext(ctx)
	if err != nil {
		return nil
	}
	return h
}

// wait asks again and again until something is so, for a minute at most.
func (c *Cluster) wait(ctx context.Context, what string, so func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("no %s within a minute", what))
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !so() {
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
