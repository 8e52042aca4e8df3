package vaultstoretest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"
)

// A lag says how far a performance standby is behind.
type lag struct {
	writes uint64
	time   time.Duration
	draw   *rand.Rand // nil: always as much as writes says
	floor  uint64     // it has seen this
}

// SetLag makes the node, while it is a [PerformanceStandby], as many writes late,
// until it is told otherwise: its reads do not see the last n writes.
func (s *Server) SetLag(writes int) {
	s.setLag(lag{writes: uint64(max(writes, 0))})
}

// SetTimeLag makes the node, while it is a [PerformanceStandby], d late by the
// server's clock.
func (s *Server) SetTimeLag(d time.Duration) { s.setLag(lag{time: d}) }

func (s *Server) setLag(l lag) {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	if l.writes == 0 && l.time == 0 {
		l.floor = s.core.store.index
	}
	s.lag = l
	s.core.retain()
}

// retain keeps as much of the past as the nodes need.
func (c *core) retain() {
	c.store.keep = retention{}
	for _, node := range c.nodes {
		c.store.keep.writes = max(c.store.keep.writes, node.lag.writes)
		c.store.keep.time = max(c.store.keep.time, node.lag.time)
	}
}

// Settle lets everything written so far be seen by every node from now on, as if
// they had had time to catch up. Later writes can be missed again.
func (s *Server) Settle() {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	for _, node := range s.core.nodes {
		node.lag.floor = s.core.store.index
	}
}

// seen is the newest write that the node knows of.
func (s *Server) seen() uint64 {
	st := s.core.store
	if s.state != PerformanceStandby {
		return st.index
	}
	index, late := st.index, s.lag.writes
	if s.lag.draw != nil {
		late = s.lag.draw.Uint64N(late + 1)
	}
	index -= min(index, late)
	if s.lag.time > 0 {
		index = min(index, st.reached(s.core.now().Add(-s.lag.time)))
	}
	return max(index, s.lag.floor)
}

// Headers about consistency.
//
// https://developer.hashicorp.com/vault/docs/enterprise/consistency
const (
	indexHeader        = "X-Vault-Index"
	inconsistentHeader = "X-Vault-Inconsistent"
	forwardHeader      = "X-Vault-Forward"
)

// wantsForward tells whether a request asks to be served by the active node.
func (s *Server) wantsForward(h http.Header) (bool, error) {
	if value := h.Get(forwardHeader); value != "" {
		if !s.headerForwarding {
			return false, fmt.Errorf("forwarding via header %s disabled in configuration", forwardHeader)
		}
		return value == "active-node", nil
	}
	if h.Get(inconsistentHeader) != "forward-active-node" {
		return false, nil
	}
	if !s.headerForwarding {
		return false, fmt.Errorf("forwarding via header %s=%s disabled in configuration", inconsistentHeader, "forward-active-node")
	}
	return s.misses(h, s.seen()), nil
}

// misses tells whether a request requires more than the node has seen.
func (s *Server) misses(h http.Header, seen uint64) bool {
	if !s.core.enterprise {
		return false
	}
	for _, header := range h.Values(indexHeader) {
		state, err := api.ParseReplicationState(header, []byte(s.core.id))
		if err == nil && state.ClusterID == s.core.id && state.LocalIndex > seen {
			return true
		}
	}
	return false
}

// indexState is the value of the header that tells a client what it wrote.
func (c *core) indexState() string {
	state := fmt.Sprintf("v1:%s:%d:0", c.id, c.store.index)
	sum := hmac.New(sha256.New, []byte(c.id))
	sum.Write([]byte(state))
	return base64.StdEncoding.EncodeToString([]byte(state + ":" + hex.EncodeToString(sum.Sum(nil))))
}
