package vaultstoretest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RootToken is the token that may do everything and never expires.
const RootToken = "hvs.vaultstoretest-root"

// maxLeaseTTL is Vault's default for both the usual and the longest life of tokens:
// 32 days.
const maxLeaseTTL = 32 * 24 * time.Hour

// A Token says what token to make.
type Token struct {
	// Policies are names, see [Server.SetPolicy]. Each token also has the policy
	// "default", with which it may look itself up, renew and revoke itself.
	Policies []string
	// TTL is how long the token lives if it is not renewed; 0 means Vault's 32
	// days.
	TTL time.Duration
	// MaxTTL is how long it lives however often it is renewed; 0 means 32 days.
	MaxTTL time.Duration
	// Period makes the token renewable for ever, by that much.
	Period time.Duration
	// Fixed tokens cannot be renewed.
	Fixed bool
	// Batch makes a batch token, which cannot be renewed either.
	Batch bool
	// Uses is how many requests the token is good for; 0 means any number.
	Uses int
	// Namespace is where the token lives. It may do something there and below.
	Namespace string
}

// A token is one that exists. It belongs to the state that the nodes of a cluster
// share.
type token struct {
	id, accessor         string
	displayName, path    string
	policies             []string
	meta                 map[string]string
	entityID             string
	batch, renewable     bool
	ttl, explicit, limit time.Duration // limit is what its role allows
	again                time.Duration // what a renewal gives that asks for nothing
	period               time.Duration
	issued, expires      time.Time // expires is zero for root
	renewed              time.Time
	uses                 int // 0: any number, -1: none left
	usesAtFirst          int
	space                *space
}

// NewToken makes a token as an operator does, and returns its id.
func (s *Server) NewToken(t Token) string {
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	te := &token{
		displayName: "token",
		path:        "auth/token/create",
		policies:    withDefault(t.Policies),
		ttl:         t.TTL,
		explicit:    t.MaxTTL,
		period:      t.Period,
		batch:       t.Batch,
		renewable:   !t.Fixed && !t.Batch,
		uses:        t.Uses,
		space:       c.namespace(t.Namespace),
	}
	if t.Period > 0 {
		te.ttl = t.Period
	}
	c.issue(te)
	return te.id
}

// RevokeToken ends a token. It returns false if there is none.
func (s *Server) RevokeToken(id string) bool {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	ok := s.core.tokens[id] != nil
	delete(s.core.tokens, id)
	return ok
}

// SetPolicy makes or replaces a policy of the root namespace. Tokens that have it
// obey it from now on. It panics if Vault would not accept the policy.
func (s *Server) SetPolicy(name string, p Policy) { s.SetNamespacePolicy("", name, p) }

// SetNamespacePolicy is SetPolicy in another namespace.
func (s *Server) SetNamespacePolicy(namespace, name string, p Policy) {
	if err := p.check(); err != nil {
		panic("vaultstoretest: " + err.Error())
	}
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	s.core.namespace(namespace).policies[name] = slices.Clone(p)
}

func withDefault(policies []string) []string {
	policies = append([]string{"default"}, policies...)
	slices.Sort(policies)
	return slices.Compact(policies)
}

// issue completes a token and keeps it.
func (c *core) issue(t *token) {
	now := c.now()
	longest := maxLeaseTTL
	for _, limit := range []time.Duration{t.explicit, t.limit} {
		if limit > 0 && t.period == 0 {
			longest = min(longest, limit)
		}
	}
	if t.ttl <= 0 {
		t.ttl = maxLeaseTTL
	}
	t.ttl = min(t.ttl, longest)
	t.again, t.usesAtFirst = t.ttl, t.uses
	t.issued, t.expires = now, now.Add(t.ttl)
	t.accessor = strings.ReplaceAll(randomUUID(), "-", "")[:24]
	kind := "hvs."
	if t.batch {
		kind, t.accessor = "hvb.", ""
	}
	t.id = kind + base64.RawURLEncoding.EncodeToString([]byte(randomUUID()))
	c.tokens[t.id] = t
}

// lookup returns the token, nil if there is none or it has expired.
func (c *core) lookup(id string) *token {
	t := c.tokens[id]
	if t == nil || t.uses < 0 || !t.expires.IsZero() && !c.now().Before(t.expires) {
		return nil
	}
	return t
}

// acl puts together what a token may do.
func (t *token) acl() *acl {
	if slices.Equal(t.policies, []string{"root"}) {
		return &acl{root: true}
	}
	policies := []Policy{}
	for _, name := range t.policies {
		p, ok := t.space.policies[name]
		if !ok && name == "default" {
			p = defaultPolicy
		}
		policies = append(policies, p)
	}
	return newACL(policies, t.space.path)
}

// clientID is what tokens without an entity are counted by.
//
// sdk/logical/token.go, CreateClientID
func (t *token) clientID() string {
	if t.entityID != "" {
		return t.entityID
	}
	sum := sha256.Sum256([]byte(strings.Join(t.policies, "\x7f") + "\x00" + t.space.id))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (t *token) kind() string {
	if t.batch {
		return "batch"
	}
	return "service"
}

// ttlAt is how much of its life is left, in seconds.
func (t *token) ttlAt(now time.Time) int64 {
	return int64(t.expires.Sub(now.Round(time.Second)).Seconds())
}

// lookupSelf serves GET auth/token/lookup-self.
//
// vault/token_store.go, handleLookup
func (t *token) lookupSelf(now time.Time) *response {
	data := map[string]any{
		"id":               t.id,
		"accessor":         t.accessor,
		"policies":         t.policies,
		"path":             t.path,
		"meta":             t.meta,
		"display_name":     t.displayName,
		"num_uses":         t.uses,
		"orphan":           true,
		"creation_time":    t.issued.Unix(),
		"creation_ttl":     int64(t.ttl.Seconds()),
		"expire_time":      nil,
		"ttl":              0,
		"explicit_max_ttl": int64(t.explicit.Seconds()),
		"entity_id":        t.entityID,
		"type":             t.kind(),
	}
	if t.space.path != "" {
		data["namespace_path"] = t.space.path
	}
	if t.period > 0 {
		data["period"] = int64(t.period.Seconds())
	}
	if !t.renewed.IsZero() {
		data["last_renewal_time"] = t.renewed.Unix()
		data["last_renewal"] = t.renewed
	}
	if !t.expires.IsZero() {
		data["expire_time"] = t.expires
		data["ttl"] = t.ttlAt(now)
		data["renewable"] = t.renewable
		data["issue_time"] = t.issued
	}
	return &response{data: data, mountType: "token"}
}

// auth is what a login or a renewal says about a token.
func (t *token) auth(ttl time.Duration) *httpAuth {
	return &httpAuth{
		ClientToken:   t.id,
		Accessor:      t.accessor,
		Policies:      t.policies,
		TokenPolicies: t.policies,
		Metadata:      t.meta,
		LeaseDuration: int(ttl.Seconds()),
		Renewable:     t.renewable,
		EntityID:      t.entityID,
		TokenType:     t.kind(),
		Orphan:        true,
		NumUses:       t.usesAtFirst,
	}
}

// renew serves PUT auth/token/renew-self.
//
// vault/expiration.go, RenewToken, and sdk/framework/lease.go, CalculateTTL
func (t *token) renew(increment time.Duration, now time.Time) (*response, error) {
	switch {
	case t.uses < 0: // this was the last
		return errorResponse("token not found"), errInvalidRequest
	case t.batch:
		return errorResponse("batch tokens cannot be renewed"), nil
	case t.expires.IsZero(): // root
		return errorResponse("invalid lease ID"), errInvalidRequest
	case !t.renewable:
		return errorResponse("lease is not renewable"), errInvalidRequest
	}
	second := now.Truncate(time.Second)
	longest := maxLeaseTTL
	for _, limit := range []time.Duration{t.explicit, t.limit} {
		if limit > 0 {
			longest = min(longest, limit)
		}
	}
	resp := &response{mountType: "token"}
	ttl, end := t.again, t.issued.Truncate(time.Second).Add(longest)
	switch {
	case t.period > 0:
		ttl = min(t.period, longest)
		if t.explicit == 0 {
			end = time.Time{}
		}
	case increment > 0:
		ttl = increment
	}
	if !end.IsZero() {
		left := end.Sub(second)
		if left <= 0 {
			return nil, fmt.Errorf("past the max TTL, cannot renew")
		}
		if left < ttl {
			resp.warn(fmt.Sprintf("TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly",
				humanDuration(ttl), humanDuration(left)))
			ttl = left
		}
	}
	t.expires, t.renewed = now.Add(ttl), now
	if strings.HasPrefix(t.path, "auth/token/") {
		t.again = ttl // a role says it anew each time
	}
	resp.auth = t.auth(ttl)
	return resp, nil
}

// humanDuration prints a duration without what is zero.
func humanDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if i := strings.Index(s, "h0m"); i > 0 {
		s = s[:i+1] + s[i+3:]
	}
	return s
}
