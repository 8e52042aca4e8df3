package tokensource_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
	"github.com/tokenkeep/tokenkeep/tokensource"
	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// This file is a world in which sources are tested: processes that share a store in memory and an
// OAuth server. There are no sockets in it, so that it can live in virtual time.

const (
	user    = "ana@example.com"
	refresh = "refresh-canary-0"
	secret  = "secret-canary"
	latency = 20 * time.Millisecond // of a call to the store
)

// An oauthServer issues tokens as servers do.
type oauthServer struct {
	rotation provider.Rotation
	grace    time.Duration
	lifetime time.Duration
	takes    time.Duration // for a request, half of it on either side of its effect

	mu      sync.Mutex
	issued  int
	live    map[string]bool      // refresh tokens that are good
	spent   map[string]time.Time // when the others were used first
	used    map[string]int       // how often each was accepted
	access  map[string]time.Time // when access tokens expire
	revoked bool                 // all tokens: a spent one came again
	log     []string
}

// An answer is what happens to a request.
type answer struct {
	lostBefore, lostAfter bool   // the connection breaks before or after it took effect
	hangs                 bool   // nothing ever comes; with lostAfter, it took effect
	before, after         func() // called before and after it takes effect
	status                int    // of body, which is answered in place of tokens
	body                  string
	location              string               // of a redirect
	change                func(map[string]any) // of the tokens in the answer
}

func newServer(rotation provider.Rotation) *oauthServer {
	return &oauthServer{
		rotation: rotation, lifetime: time.Hour, takes: 300 * time.Millisecond,
		live: map[string]bool{refresh: true}, spent: map[string]time.Time{}, used: map[string]int{},
		access: map[string]time.Time{"access-canary-0": time.Now().Add(time.Hour)},
	}
}

var errBroken = errors.New("connection reset by peer")

// serve answers a request after the time that it takes, network included, or as a says.
func (s *oauthServer) serve(r *http.Request, a answer) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	if err := pause(r.Context(), s.takes/2); err != nil {
		return nil, err
	}
	if a.before != nil {
		a.before()
	}
	if a.lostBefore {
		return nil, errBroken
	}
	status, out := a.status, []byte(a.body)
	if status == 0 && !(a.hangs && !a.lostAfter) {
		status, out = s.answer(r, form, a.change)
	}
	if a.after != nil {
		a.after()
	}
	if a.hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if err := pause(r.Context(), s.takes/2); err != nil {
		return nil, err
	}
	if a.lostAfter {
		return nil, errBroken
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}, "Location": {a.location}},
		Body: io.NopCloser(bytes.NewReader(out)), Request: r,
	}, nil
}

func (s *oauthServer) answer(r *http.Request, form url.Values, change func(map[string]any)) (int, []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refuse := func(code string) (int, []byte) {
		s.log = append(s.log, code)
		return http.StatusBadRequest, fmt.Appendf(nil, `{"error":%q,"error_description":"%s"}`, code, form.Encode())
	}
	if id, pass, ok := r.BasicAuth(); !ok || id != "client" || pass != secret {
		return refuse("invalid_client")
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/revoke"):
		delete(s.live, form.Get("token"))
		s.log = append(s.log, "revoked")
		return http.StatusOK, nil
	case form.Get("grant_type") == "authorization_code":
		code := form.Get("code")
		if !strings.HasPrefix(code, "code") || code == "code-canary" || s.used[code] > 0 {
			return refuse("invalid_grant")
		}
		s.used[code]++
		if s.revoked { // a login begins a family of its own
			s.revoked = false
			clear(s.live)
			clear(s.spent)
		}
		return s.issue("", change)
	}
	t := form.Get("refresh_token")
	at, again := s.spent[t]
	switch {
	case s.revoked, !s.live[t] && !again:
		return refuse("invalid_grant")
	case again && (s.rotation != provider.Leeway || time.Since(at) > s.grace):
		s.revoked = true
		s.log = append(s.log, "reuse")
		return refuse("invalid_grant")
	}
	s.used[t]++
	return s.issue(t, change)
}

// issue issues tokens for a refresh token. The caller holds mu.
func (s *oauthServer) issue(t string, change func(map[string]any)) (int, []byte) {
	s.issued++
	out := map[string]any{
		"access_token": fmt.Sprint("access-canary-", s.issued), "token_type": "Bearer", "expires_in": int(s.lifetime.Seconds()),
		"id_token": fmt.Sprint("id-canary-", s.issued), "scope": "one two",
	}
	if t == "" || s.rotation != provider.Reusable {
		next := fmt.Sprint("refresh-canary-", s.issued)
		out["refresh_token"] = next
		s.live[next] = true
		if t != "" {
			delete(s.live, t)
			if s.spent[t].IsZero() {
				s.spent[t] = time.Now()
			}
		}
	}
	s.access[out["access_token"].(string)] = time.Now().Add(s.lifetime)
	s.log = append(s.log, "issued")
	if change != nil {
		change(out)
	}
	body, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return http.StatusOK, body
}

// accepted returns how often refresh tokens were accepted, in all.
func (s *oauthServer) accepted() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t, times := range s.used {
		if !strings.HasPrefix(t, "code") {
			n += times
		}
	}
	return n
}

func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// A world is what processes share.
type world struct {
	t      testing.TB
	memory *memstore.Driver
	server *oauthServer
	id     string
}

// A process has a store of its own, and a source.
type process struct {
	*world
	store  *token.Store
	source *tokensource.Source
	said   *bytes.Buffer

	mu     sync.Mutex
	calls  int
	writes int
	fault  func(n int, c memstore.Call) memstore.Fault

	requests  int
	onRequest func(n int) answer // what happens to the process's own requests to the server
}

// newWorld has one record, whose access token expires after left.
func newWorld(t testing.TB, server *oauthServer, left time.Duration) *world {
	t.Helper()
	w := &world{t: t, memory: memstore.NewDriver(), server: server}
	s, err := token.NewStore(w.memory, nil)
	if err != nil {
		t.Fatal(err)
	}
	tok := &token.OAuthToken{
		UserSignature: token.UserSignature{Name: user}, ClientID: "client",
		RefreshToken: token.NewSecret(refresh), AccessToken: token.NewSecret("access-canary-0"), Expiry: time.Now().Add(left),
	}
	if err := s.SaveToken(t.Context(), tok); err != nil {
		t.Fatal(err)
	}
	w.id = tok.ID
	return w
}

// who names the record.
func who() *token.OAuthToken {
	return &token.OAuthToken{UserSignature: token.UserSignature{Name: user}}
}

func conf() *oauth2.Config {
	return &oauth2.Config{ClientID: "client", ClientSecret: secret, Endpoint: oauth2.Endpoint{
		TokenURL: "https://provider.example/token", AuthStyle: oauth2.AuthStyleInHeader,
	}}
}

// description is what the server is told to be.
func (s *oauthServer) description() provider.Provider {
	return provider.Provider{Name: "example", Rotation: s.rotation, Grace: s.grace, RevokeURL: "https://provider.example/revoke"}
}

// process starts a process. change may change its options.
func (w *world) process(change ...func(*tokensource.Options)) *process {
	w.t.Helper()
	return w.processFor(who(), change...)
}

// processFor starts a process that names the record in its own way.
func (w *world) processFor(who *token.OAuthToken, change ...func(*tokensource.Options)) *process {
	w.t.Helper()
	p := &process{world: w, said: &bytes.Buffer{}}
	view := w.memory.Under("")
	view.OnCall(p.onCall)
	var err error
	if p.store, err = token.NewStore(view, nil); err != nil {
		w.t.Fatal(err)
	}
	o := tokensource.Options{
		Provider: w.server.description(), HTTPClient: &http.Client{Transport: p},
		Logger: slog.New(slog.NewTextHandler(&locked{w: p.said}, nil)),
	}
	for _, f := range change {
		f(&o)
	}
	if p.source, err = tokensource.New(p.store, conf(), who, &o); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// RoundTrip sends the requests of a process, unless something is wrong with the next one.
func (p *process) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.requests++
	n, onRequest := p.requests, p.onRequest
	p.mu.Unlock()
	var a answer
	if onRequest != nil {
		a = onRequest(n)
	}
	return p.server.serve(r, a)
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func (p *process) onCall(ctx context.Context, c memstore.Call) memstore.Fault {
	p.mu.Lock()
	p.calls++
	if c.Op == memstore.OpPut {
		p.writes++
	}
	n, fault := p.calls, p.fault
	p.mu.Unlock()
	if err := pause(ctx, latency); err != nil {
		return memstore.Fault{Before: driver.ErrUnavailable}
	}
	if fault != nil {
		return fault(n, c)
	}
	return memstore.Fault{}
}

// counted returns the calls since it was asked last.
func (p *process) counted() (calls, writes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls, writes = p.calls, p.writes
	p.calls, p.writes = 0, 0
	return calls, writes
}

func (p *process) setFault(f func(n int, c memstore.Call) memstore.Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls, p.writes, p.fault = 0, 0, f
}

// token returns the access token, and fails the test if there is none.
func (p *process) token() string {
	p.t.Helper()
	tok, err := p.source.TokenContext(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return tok.AccessToken
}

// record reads the record, past all processes.
func (w *world) record() *token.OAuthToken {
	w.t.Helper()
	s, err := token.NewStore(w.memory, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	t, err := s.FindTokenByID(context.Background(), w.id)
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

func (w *world) state() tokensource.State {
	w.t.Helper()
	st, err := tokensource.StateOf(w.record())
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}
