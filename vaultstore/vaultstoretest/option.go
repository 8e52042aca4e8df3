package vaultstoretest

import (
	"math/rand/v2"
	"strings"
	"time"
)

// An Option changes what [NewServer] and [NewCluster] make. Without options a server
// is Vault's community edition: active, unsealed, with KV version 2 at "secret/",
// without rate limits, on the real clock.
type Option struct {
	core func(*core)   // for the state that nodes share
	node func(*Server) // for each node
}

// WithClock makes now the server's clock. Dates, tokens and limits follow it; see
// [Clock] for one to set. It is called from many goroutines and must not call the
// server.
func WithClock(now func() time.Time) Option {
	return Option{core: func(c *core) { c.now = now }}
}

// WithMount mounts KV of a version, 1 or 2, at a path. With [WithNamespaces] before
// it, the path may begin with a namespace. "secret" can be replaced.
func WithMount(path string, version int) Option {
	return Option{core: func(c *core) {
		sp, rest := c.split(strings.Trim(path, "/") + "/")
		sp.mount(rest, version)
	}}
}

// WithoutMount removes a mount, such as "secret".
func WithoutMount(path string) Option {
	return Option{core: func(c *core) {
		sp, rest := c.split(strings.Trim(path, "/") + "/")
		delete(sp.mounts, rest)
	}}
}

// WithEnterprise turns on what only Vault Enterprise has: answers to writes carry
// the header X-Vault-Index, and requests that require a state that the node has not
// seen are answered with 412.
func WithEnterprise() Option {
	return Option{core: func(c *core) { c.enterprise = true }}
}

// WithNamespaces is [WithEnterprise] with namespaces besides the root: separate
// mounts, policies and values, chosen by the header X-Vault-Namespace or at the
// beginning of the path. Each has KV version 2 at "secret/". Without this option the
// header means nothing, as in the community edition.
func WithNamespaces(names ...string) Option {
	return Option{core: func(c *core) {
		c.enterprise = true
		for _, name := range names {
			path := strings.Trim(name, "/") + "/"
			c.spaces[path] = newSpace(path)
			c.spaces[path].mount("secret", 2)
		}
	}}
}

// WithStaleness makes the server, or all nodes of a cluster but the active one,
// [WithEnterprise] and a [PerformanceStandby] that is between 0 and maxWrites writes
// behind, drawn anew for each request: like a load balancer in front of several. A
// write that looks wrong in the old state is refused, one that looks right is
// forwarded and decided on the newest. The draws are those of the seed, so that
// requests sent one after the other see the same states in every run.
// [Server.Settle] ends the staleness of everything written so far.
func WithStaleness(seed uint64, maxWrites int) Option {
	return Option{
		core: func(c *core) { c.enterprise = true },
		node: func(s *Server) {
			s.lag = lag{writes: uint64(max(maxWrites, 0)), draw: rand.New(rand.NewPCG(seed, 0))}
			s.state, s.resting = PerformanceStandby, PerformanceStandby
		},
	}
}

// WithHeaderForwarding allows the headers X-Vault-Forward and X-Vault-Inconsistent,
// with which a client has its request forwarded to the active node. They are refused
// otherwise, with HTTP 400, as Vault does if its configuration does not allow them.
func WithHeaderForwarding() Option {
	return Option{node: func(s *Server) { s.headerForwarding = true }}
}

// WithoutJSONLimits accepts any JSON, as Vault did before 1.16.25, 1.18.14, 1.19.9
// and 1.20.3: long strings, many members, members that are named twice.
func WithoutJSONLimits() Option {
	return Option{node: func(s *Server) { s.jsonLimits = false }}
}

// WithRateLimit refuses requests beyond so many per second with HTTP 429. Seconds
// are those of the server's clock; each node counts for itself.
func WithRateLimit(perSecond int) Option {
	return Option{node: func(s *Server) { s.rate = &rateLimit{most: perSecond} }}
}
