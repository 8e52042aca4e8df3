package vault_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// What both have mounted: which version of KV, and where.
var compareMounts = []struct {
	path    string
	version int
}{{"kv", 2}, {"deep/kv", 2}, {"one", 1}}

// A pair is a real core and a double that have been through the same.
type pair struct {
	core   *core
	drawer *drawer                         // of the policies and tokens
	wrap   func(http.Handler) http.Handler // puts something before the double; nil: nothing

	listening     *httptest.Server // the double
	vault, double *side
}

// startPair starts both.
func startPair(t testing.TB, d *drawer, wrap func(http.Handler) http.Handler) *pair {
	t.Helper()
	p := &pair{core: startCore(t), drawer: d, wrap: wrap}
	for name, rules := range d.policies {
		p.core.policy(t, name, rules)
	}
	// The paths that depend on who has the policy are not in the double's. With them, Vault
	// reads the policy anew at each request, and takes much longer.
	rules, err := p.core.root(t).Sys().GetPolicyWithContext(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	p.core.policy(t, "default", regexp.MustCompile(`(?s)path "[^"]*\{\{.*?\}\}" \{.*?\n\}`).ReplaceAllString(rules, ""))
	p.fresh(t)
	t.Cleanup(func() { p.close() })
	return p
}

// fresh lets both begin anew: with empty mounts and new tokens.
func (p *pair) fresh(t testing.TB) {
	t.Helper()
	if p.listening != nil {
		p.close()
	}
	root := p.core.root(t)
	opts := []vaultstoretest.Option{vaultstoretest.WithoutMount("secret")}
	for _, m := range compareMounts {
		if err := root.Sys().UnmountWithContext(t.Context(), m.path); err != nil {
			t.Fatal(err)
		}
		if m.version == 2 {
			mountKV(t, root, m.path, map[string]any{"max_versions": 0})
		} else if err := root.Sys().MountWithContext(t.Context(), m.path, &api.MountInput{
			Type: "kv", Options: map[string]string{"version": "1"},
		}); err != nil {
			t.Fatal(err)
		}
		opts = append(opts, vaultstoretest.WithMount(m.path, m.version))
	}
	srv := vaultstoretest.NewHandler(opts...)
	var handler http.Handler = srv
	if p.wrap != nil {
		handler = p.wrap(srv)
	}
	p.listening = httptest.NewServer(handler)
	srv.URL = p.listening.URL
	p.vault, p.double = newSide(p.core.URL(0)), newSide(srv.URL)
	p.vault.know("root", p.core.RootToken)
	p.double.know("root", vaultstoretest.RootToken)
	p.enrol(t, root, srv)
}

// enrol makes the tokens, and two roles to log in with.
func (p *pair) enrol(t testing.TB, root *api.Client, srv *vaultstoretest.Server) {
	t.Helper()
	for name, rules := range p.drawer.policies {
		srv.SetPolicy(name, vaultstoretest.MustPolicy(rules))
	}
	for name, token := range p.drawer.tokens() {
		renewable := !token.Fixed
		in := &api.TokenCreateRequest{
			Policies: token.Policies, NoParent: true, Renewable: &renewable, NumUses: token.Uses,
			TTL: token.TTL.String(), ExplicitMaxTTL: token.MaxTTL.String(), Period: token.Period.String(),
		}
		if token.Batch {
			in = &api.TokenCreateRequest{Policies: token.Policies, NoParent: true, Type: "batch", TTL: token.TTL.String()}
		}
		made, err := root.Auth().Token().CreateWithContext(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		p.vault.know(name, made.Auth.ClientToken)
		p.double.know(name, srv.NewToken(token))
	}
	// With new roles nobody is locked out any more.
	if err := root.Sys().DisableAuthWithContext(t.Context(), "approle"); err != nil {
		t.Fatal(err)
	}
	if err := root.Sys().EnableAuthWithOptionsWithContext(t.Context(), "approle", &api.EnableAuthOptions{Type: "approle"}); err != nil {
		t.Fatal(err)
	}
	for _, role := range compareRoles {
		srv.SetAppRole(role)
		at := "auth/approle/role/" + role.Name
		for _, step := range []struct {
			path string
			data map[string]any
		}{
			{at, map[string]any{"token_policies": role.Policies, "token_ttl": role.TTL.String(), "token_max_ttl": role.MaxTTL.String()}},
			{at + "/role-id", map[string]any{"role_id": role.RoleID}},
			{at + "/custom-secret-id", map[string]any{"secret_id": role.SecretID}},
		} {
			if _, err := root.Logical().WriteWithContext(t.Context(), step.path, step.data); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (p *pair) close() {
	p.vault.close()
	p.double.close()
	p.listening.Close()
}

// A side is one of the two, at the other end of a connection: requests come one after
// the other.
type side struct {
	url    string
	tokens map[string]string // by their names
	names  map[string]string // by the tokens
	began  []time.Time       // when each request was sent
	conn   net.Conn          // nil: none yet, or it was closed
	in     *bufio.Reader
}

func newSide(url string) *side {
	return &side{url: url, tokens: map[string]string{}, names: map[string]string{}}
}

// know gives a token its name.
func (s *side) know(name, token string) { s.tokens[name], s.names[token] = token, name }

// send sends a request as it is. A token that has no name is sent as it is too.
func (s *side) send(t testing.TB, r request) answer {
	t.Helper()
	var body io.Reader = http.NoBody
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	out, err := http.NewRequestWithContext(t.Context(), r.method, s.url+r.target, body)
	if err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	token, known := s.tokens[r.token]
	if !known {
		token = r.token
	}
	if token != "" {
		out.Header.Set("X-Vault-Token", token)
	}
	for _, h := range r.headers {
		name, value, _ := strings.Cut(h, ": ")
		out.Header.Set(name, strings.ReplaceAll(value, "TOKEN", s.tokens["root"]))
	}
	s.began = append(s.began, time.Now())
	a, err := s.exchange(out)
	if err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	return a
}

// exchange is a round trip without the goroutines of an http.Client, which take long under
// the race detector, and without what it does again by itself.
func (s *side) exchange(out *http.Request) (answer, error) {
	if s.conn == nil {
		conn, err := (&net.Dialer{}).DialContext(out.Context(), "tcp", out.URL.Host)
		if err != nil {
			return answer{}, err
		}
		s.conn, s.in = conn, bufio.NewReader(conn)
	}
	if err := out.Write(s.conn); err != nil {
		return answer{}, err
	}
	in, err := http.ReadResponse(s.in, out)
	if err != nil {
		return answer{}, err
	}
	defer in.Body.Close()
	text, err := io.ReadAll(in.Body)
	if in.Close {
		s.close()
	}
	return answer{in.StatusCode, in.Header, string(text)}, err
}

func (s *side) close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.conn = nil
}
