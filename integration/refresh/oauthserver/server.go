// Package oauthserver is a real OAuth server for tests: github.com/ory/fosite, on a socket of the
// loopback. Its refresh tokens are good for one use, and one that comes again revokes
// all that descends from the same login: that is fosite's work, and not written here. What is,
// is the counting ([Ledger]) and the trouble that a network makes ([Trouble]).
//
// Access tokens live for whole seconds and a half, so that fosite, which rounds, always tells the whole ones.
package oauthserver

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/integration/refresh/oauthserver/client"
)

// Options say what a server is like.
type Options struct {
	// Lifetime is that of access tokens, in whole seconds.
	Lifetime time.Duration
	// TakesAccess: a refresh takes the access token before it away, as fosite's memory and Ory Hydra
	// have it. Otherwise it lives to its end, as with most servers.
	TakesAccess bool
	// Trouble decides what happens to a request for tokens; nil: nothing. It is called on many
	// goroutines.
	Trouble func(Request) Trouble
}

// A Request is one for a refresh, before anything was done about it.
type Request struct {
	User string // "" if the refresh token is none of this server's
	By   string // the User-Agent of who asks
}

// Trouble is what happens to a request. The zero value: it is answered at once.
type Trouble struct {
	Busy   bool          // it is answered with 503, and has no effect
	Before time.Duration // how long it takes to have its effect
	Drops  bool          // a request has no effect if its client has left before it
	After  time.Duration // how long it takes from then on to be answered
	Lost   bool          // the connection breaks in place of an answer
}

// A Server is an OAuth server. It is safe for concurrent use.
type Server struct {
	*Ledger
	URL string

	options Options
	secret  string
	oauth   fosite.OAuth2Provider
	http    *httptest.Server
	turn    sync.Mutex // held by who uses fosite's memory, which has no transactions
}

// New starts a server. Close it.
func New(o Options) (*Server, error) {
	s := &Server{Ledger: newLedger(), options: o, secret: rand.Text()}
	memory := newMemory(o.TakesAccess)
	memory.Clients[client.ID] = &fosite.DefaultClient{
		ID: client.ID, Secret: []byte(s.secret), RedirectURIs: []string{client.Callback}, Scopes: []string{"offline"},
		ResponseTypes: []string{"code"}, GrantTypes: []string{"authorization_code", "refresh_token"},
	}
	config := &fosite.Config{
		AccessTokenLifespan: o.Lifetime + time.Second/2,
		GlobalSecret:        []byte(rand.Text() + rand.Text()),
		ClientSecretsHasher: plain{},
	}
	s.oauth = compose.Compose(config, memory, compose.NewOAuth2HMACStrategy(config),
		compose.OAuth2AuthorizeExplicitFactory, compose.OAuth2RefreshTokenGrantFactory,
		compose.OAuth2TokenIntrospectionFactory, compose.OAuth2TokenRevocationFactory)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /auth", s.authorize)
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("POST /revoke", s.revoke)
	mux.HandleFunc("GET /resource", s.resource)
	s.http = httptest.NewServer(mux)
	s.URL = s.http.URL
	return s, nil
}

// plain compares the client's secret, which is random. bcrypt's least is a tenth of a second under the race detector on a
// busy machine, in which all others wait.
type plain struct{}

// Compare compares.
func (plain) Compare(_ context.Context, stored, given []byte) error {
	if subtle.ConstantTimeCompare(stored, given) != 1 {
		return errors.New("another secret")
	}
	return nil
}

// Hash returns what is stored.
func (plain) Hash(_ context.Context, secret []byte) ([]byte, error) { return secret, nil }

// Close stops the server.
func (s *Server) Close() { s.http.Close() }

// Config is that of its one client.
func (s *Server) Config() *oauth2.Config { return client.Config(s.URL, s.secret) }

// Secret is the client's.
func (s *Server) Secret() string { return s.secret }

// Login does what a user does in a browser, who consents at once. It returns the authorization code.
func (s *Server) Login(ctx context.Context, user string) (code string, err error) {
	to := s.Config().AuthCodeURL(rand.Text(), oauth2.SetAuthURLParam("login_hint", user))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, to, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultTransport.RoundTrip(r) // which follows no redirects
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	back, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		return "", err
	}
	if code = back.Query().Get("code"); code == "" {
		return "", fmt.Errorf("status %d, and no code but %q", resp.StatusCode, back.Query().Get("error_description"))
	}
	return code, nil
}

func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	request, err := s.oauth.NewAuthorizeRequest(ctx, r)
	if err != nil {
		s.oauth.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	request.GrantScope("offline")
	response, err := s.oauth.NewAuthorizeResponse(ctx, request, &fosite.DefaultSession{Subject: r.URL.Query().Get("login_hint")})
	if err != nil {
		s.oauth.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	s.oauth.WriteAuthorizeResponse(ctx, w, request, response)
}

// token answers requests for tokens. What was begun is done to its end, also if the client has
// left: it takes effect then without anybody who hears of it.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	spent := r.PostFormValue("refresh_token")
	s.asked(spent)
	var trouble Trouble
	if spent != "" && s.options.Trouble != nil {
		trouble = s.options.Trouble(Request{User: s.UserOf(spent), By: r.UserAgent()})
	}
	if trouble.Busy {
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	pause(trouble.Before)
	if trouble.Drops && r.Context().Err() != nil {
		s.drop()
		return
	}
	ctx := context.WithoutCancel(r.Context())
	s.turn.Lock()
	request, err := s.oauth.NewAccessRequest(ctx, r, &fosite.DefaultSession{})
	var response fosite.AccessResponder
	if err == nil {
		response, err = s.oauth.NewAccessResponse(ctx, request)
	}
	if err == nil {
		next, _ := response.GetExtra("refresh_token").(string)
		s.issued(request.GetID(), request.GetSession().GetSubject(), r.UserAgent(), spent, next)
	} else if spent != "" {
		s.refused(spent, err)
	}
	s.turn.Unlock()
	pause(trouble.After)
	switch {
	case trouble.Lost:
		panic(http.ErrAbortHandler) // which breaks the connection
	case err != nil:
		s.oauth.WriteAccessError(ctx, w, request, err)
	default:
		s.oauth.WriteAccessResponse(ctx, w, request, response)
	}
}

func pause(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.oauth.WriteRevocationResponse(r.Context(), w, s.oauth.NewRevocationRequest(r.Context(), r))
}

// What the resource server says of an access token that it refuses.
const (
	Expired = "expired"
	Unknown = "unknown" // never issued, or revoked
)

// resource is what access tokens are for: it says whose one is.
func (s *Server) resource(w http.ResponseWriter, r *http.Request) {
	// Introspection looks for refresh tokens too, and fosite's memory revokes them under another lock.
	s.turn.Lock()
	_, request, err := s.oauth.IntrospectToken(r.Context(), fosite.AccessTokenFromRequest(r), fosite.AccessToken, &fosite.DefaultSession{})
	s.turn.Unlock()
	switch {
	case errors.Is(err, fosite.ErrTokenExpired):
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, Expired)
	case err != nil:
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, Unknown)
	default:
		fmt.Fprint(w, request.GetSession().GetSubject()) //nolint:gosec // a name, for a program
	}
}
