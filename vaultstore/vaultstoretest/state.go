package vaultstoretest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// A State is what a node is or what has become of it. It can be changed at run time,
// see [Server.SetState].
type State int

const (
	// Active nodes serve everything.
	Active State = iota
	// Standby nodes forward requests to the active node and pass on its answer, or
	// redirect, see [Server.SetRedirect].
	Standby
	// PerformanceStandby nodes, of the enterprise edition, answer reads by
	// themselves, from a state that may be old, and forward writes.
	PerformanceStandby
	// RecoverySecondary nodes belong to a disaster recovery cluster and serve
	// nothing but their health.
	RecoverySecondary
	// Sealed nodes answer 503 and "Vault is sealed".
	Sealed
	// Uninitialized nodes do too; their health is 501.
	Uninitialized
	// Overloaded nodes answer 503 and "overloaded, try again later".
	Overloaded
)

// SetState changes what the node is. A server that stands alone forwards, as a
// standby, to an active node that nobody sees. In a [Cluster], only one node can be
// active: the one that was becomes a standby.
func (s *Server) SetState(state State) {
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state == state {
		return
	}
	s.state = state
	switch {
	case state == Active:
		if c.active != nil && c.active != s {
			c.active.state = c.active.resting
		}
		c.active, c.activeAt = s, c.now()
	case c.active == s:
		c.active = nil
	}
}

// State returns what the node is.
func (s *Server) State() State {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	return s.state
}

// SetLeaderless makes a standby know no active node, as while one is elected: it
// answers 500 and "local node not active but active cluster node not found".
func (s *Server) SetLeaderless(leaderless bool) {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	s.leaderless = leaderless
}

// SetRedirect makes a standby redirect to another server, with HTTP 307, instead of
// forwarding, as standbys do whose connection to the active node is broken. In a
// [Cluster] "active" means the active node, wherever that is. Empty ends it.
func (s *Server) SetRedirect(url string) {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	s.redirect = url
}

// SetUpgrade changes the state of a mount, see [Upgrade]. It panics if there is no
// such mount.
func (s *Server) SetUpgrade(mount string, u Upgrade) {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	sp, path := s.core.split(strings.Trim(mount, "/") + "/")
	m := sp.mounts[path]
	if m == nil {
		panic(fmt.Sprintf("vaultstoretest: no mount %q", mount))
	}
	m.upgrade = u
}

// clustered tells whether there are other nodes, or may be.
func (s *Server) clustered() bool {
	return len(s.core.nodes) > 1 || s.state == Standby || s.state == PerformanceStandby
}

// leaderURL is where the active node listens, empty if nobody knows.
func (s *Server) leaderURL() string {
	switch {
	case s.leaderless:
		return ""
	case s.redirect != "" && s.redirect != "active":
		return s.redirect
	case s.core.active != nil:
		return s.core.active.URL
	}
	return ""
}

// A place is where a request is to be served.
type place struct {
	status   int   // with err: the request is refused
	err      error // may be nil with a status
	redirect bool
	local    bool // on a performance standby: reads only
}

// place decides what a node does with a request. The caller holds mu.
//
// http/handler.go, handleRequestForwarding and forwardBasedOnHeaders
func (s *Server) place(h http.Header) place {
	forward, err := s.wantsForward(h)
	switch {
	case err != nil:
		return place{status: http.StatusBadRequest, err: err}
	case s.state == Sealed || s.state == Uninitialized:
		return place{status: http.StatusServiceUnavailable, err: errSealed}
	case s.state == Overloaded:
		return place{status: http.StatusServiceUnavailable, err: errOverloaded}
	case s.state == RecoverySecondary:
		return place{status: http.StatusBadRequest, err: errDisabledPath}
	case s.state == Active:
		return place{}
	case s.state == PerformanceStandby && !forward:
		return place{local: true}
	}
	return s.placeForward(h)
}

// placeForward is where a request goes that this node cannot serve.
func (s *Server) placeForward(h http.Header) place {
	alone := len(s.core.nodes) == 1
	if s.leaderless || !alone && s.core.active == nil {
		return place{status: http.StatusInternalServerError, err: errors.New("local node not active but active cluster node not found")}
	}
	if s.redirect != "" || h.Get("X-Vault-No-Request-Forwarding") != "" {
		return place{redirect: true}
	}
	return place{}
}

// respondStandby redirects to the active node.
//
// http/handler.go, respondStandby
func (s *Server) respondStandby(w http.ResponseWriter, r *http.Request, url string) {
	if url == "" {
		respondError(w, http.StatusServiceUnavailable, errors.New("no active Vault instance found"))
		return
	}
	target := *r.URL
	target.RawPath = ""
	target.Scheme, target.Host, _ = strings.Cut(url, "://")
	target.Host = strings.TrimSuffix(target.Host, "/")
	w.Header().Set("Location", target.String())
	w.WriteHeader(http.StatusTemporaryRedirect)
}
