// Package authserver is an OAuth server in the process, for the programs under examples and their tests. Its
// refresh tokens can be used once. Who uses one again is taken for a thief: all that came of
// the login is revoked, as RFC 9700 advises (section 4.14.2).
package authserver

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// The client that the server knows.
const (
	ClientID     = "my-client"
	ClientSecret = "a-client-secret"
)

// A Server issues tokens, and serves an API that takes them. Make one with [New], and
// close it. It is safe for concurrent use.
type Server struct {
	URL   string
	Close func()

	mu       sync.Mutex
	lifetime time.Duration
	logins   map[string]*login    // by each code, refresh token and access token that came of it
	expires  map[string]time.Time // access tokens
	requests int
	spent    int
	reused   int
}

// A login is what a user agreed to.
type login struct {
	user    string
	good    string // the code or refresh token that is to come next
	revoked bool
}

// New starts a server whose access tokens live for an hour.
func New() *Server {
	s := &Server{lifetime: time.Hour, logins: map[string]*login{}, expires: map[string]time.Time{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("GET /api", s.api)
	srv := httptest.NewServer(mux)
	s.URL, s.Close = srv.URL, srv.Close
	return s
}

// Config returns the client's config, without its secret.
func (s *Server) Config() *oauth2.Config {
	return &oauth2.Config{ClientID: ClientID, Endpoint: oauth2.Endpoint{TokenURL: s.URL + "/token", AuthStyle: oauth2.AuthStyleInHeader}}
}

// API is the URL of the API. It greets the user whose access token it gets.
func (s *Server) API() string { return s.URL + "/api" }

// Approve returns the code that a browser brings after a user has agreed.
func (s *Server) Approve(user string) (code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &login{user: user, good: "code-" + rand.Text()}
	s.logins[l.good] = l
	return l.good
}

// SetLifetime sets for how long the access tokens live that are issued from now on.
func (s *Server) SetLifetime(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime = d
}

// RevokeAccess revokes all access tokens.
func (s *Server) RevokeAccess() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.expires)
}

// Revoke revokes all that a user ever agreed to.
func (s *Server) Revoke(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.logins {
		l.revoked = l.revoked || l.user == user
	}
}

// Count returns how often tokens were asked for, how many refresh tokens were spent, and how often
// a spent one came again.
func (s *Server) Count() (requests, spent, reused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests, s.spent, s.reused
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	id, secret, inHeader := r.BasicAuth()
	if !inHeader {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if id != ClientID || secret != ClientSecret {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	presented := r.PostFormValue("code") + r.PostFormValue("refresh_token")
	l := s.logins[presented]
	switch {
	case l == nil || l.revoked:
		refuse(w, http.StatusBadRequest, "invalid_grant")
		return
	case presented != l.good:
		s.reused++
		l.revoked = true
		refuse(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	if r.PostFormValue("refresh_token") != "" {
		s.spent++
	}
	access := "access-" + rand.Text()
	l.good = "refresh-" + rand.Text()
	s.logins[l.good], s.logins[access], s.expires[access] = l, l, time.Now().Add(s.lifetime)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // to a client that is gone: it is not known whether it got there, as on any network
		"access_token": access, "refresh_token": l.good, "token_type": "Bearer", "expires_in": int(s.lifetime.Seconds()),
	})
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":%q}`, code)
}

func (s *Server) api(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	access, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if l := s.logins[access]; l == nil || l.revoked || !time.Now().Before(s.expires[access]) {
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	fmt.Fprintf(w, "hello %s", s.logins[access].user)
}
