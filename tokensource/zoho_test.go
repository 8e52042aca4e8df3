package tokensource_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
	"github.com/tokenkeep/tokenkeep/tokensource"
	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// This file is the whole way of a token of Zoho, with the preset for it: from the grant token on, in several processes, until
// it is revoked.

// A zohoServer answers as accounts.zoho.eu does: the refresh token stays, one gets ten access tokens for it in
// ten minutes, and errors come with status 200, all but one. It lives in virtual time, without a socket.
type zohoServer struct {
	mu       sync.Mutex
	codes    map[string]string // grant tokens that are good, and whose they are
	grants   map[string]*zohoGrant
	access   map[string]string // whose an access token is
	issued   int
	requests int // since they were asked for last
}

// A zohoGrant is a refresh token.
type zohoGrant struct {
	user   string
	window time.Time // when the first of the tokens that count was issued
	issued int       // since then
}

const (
	zohoURL = "https://accounts.zoho.example"
	zohoBob = "bob@example.com:60001"
)

func newZoho() *zohoServer {
	return &zohoServer{codes: map[string]string{}, grants: map[string]*zohoGrant{}, access: map[string]string{}}
}

// RoundTrip is the network.
func (z *zohoServer) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	z.ServeHTTP(w, r)
	return w.Result(), nil
}

func (z *zohoServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.requests++
	say := func(status int, format string, args ...any) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, format, args...)
	}
	form := r.PostFormValue
	switch {
	case r.URL.Path == "/oauth/v2/token/revoke":
		delete(z.grants, form("token"))
		say(http.StatusOK, `{"status":"success"}`)
	case form("client_id") != "1000.CLIENT" || form("client_secret") != "zoho-secret":
		say(http.StatusOK, `{"error":"invalid_client"}`)
	case form("grant_type") == "authorization_code":
		user := z.codes[form("code")]
		delete(z.codes, form("code"))
		if user == "" {
			say(http.StatusOK, `{"error":"invalid_code"}`)
			return
		}
		access, refresh := z.issue(user), fmt.Sprint("1000.refresh-", z.issued)
		z.grants[refresh] = &zohoGrant{user: user, window: time.Now(), issued: 1}
		say(http.StatusOK, `{"access_token":%q,"refresh_token":%q,"api_domain":"https://www.zohoapis.eu","token_type":"Bearer","expires_in":3600}`, access, refresh)
	default:
		g := z.grants[form("refresh_token")]
		if g == nil {
			say(http.StatusOK, `{"error":"invalid_code"}`)
			return
		}
		if time.Since(g.window) > 10*time.Minute {
			g.window, g.issued = time.Now(), 0
		}
		if g.issued++; g.issued > 10 {
			say(http.StatusBadRequest, `{"error_description":"You have made too many requests continuously. Please try again after some time.","error":"Access Denied","status":"failure"}`)
			return
		}
		say(http.StatusOK, `{"access_token":%q,"api_domain":"https://www.zohoapis.eu","token_type":"Bearer","expires_in":3600}`, z.issue(g.user))
	}
}

// issue returns an access token. The caller holds mu.
func (z *zohoServer) issue(user string) string {
	z.issued++
	tok := fmt.Sprint("1000.access-", z.issued)
	z.access[tok] = user
	return tok
}

// consent does what Bob does in a browser.
func (z *zohoServer) consent() (code string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	code = fmt.Sprint("1000.grant-", z.issued)
	z.codes[code] = zohoBob
	return code
}

// withdraw revokes all, as Bob can at accounts.zoho.eu.
func (z *zohoServer) withdraw() {
	z.mu.Lock()
	defer z.mu.Unlock()
	clear(z.grants)
}

// asked is how many requests came since it was called last.
func (z *zohoServer) asked() (n int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	n, z.requests = z.requests, 0
	return n
}

// A zohoApp is one process of an application.
type zohoApp struct {
	t      *testing.T
	store  *token.Store
	source *tokensource.Source
}

func bob() *token.OAuthToken {
	return &token.OAuthToken{UserSignature: token.UserSignature{Name: zohoBob}}
}

// inZoho runs a test in virtual time with a server and several processes that share a secret manager.
func inZoho(t *testing.T, processes int, f func(z *zohoServer, apps []*zohoApp)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		z, memory := newZoho(), memstore.NewDriver()
		var apps []*zohoApp
		for range processes {
			apps = append(apps, newZohoApp(t, z, memory, bob()))
		}
		f(z, apps)
	})
}

func newZohoApp(t *testing.T, z *zohoServer, memory *memstore.Driver, who *token.OAuthToken) *zohoApp {
	t.Helper()
	store, err := token.NewStore(memory.Under(""), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := provider.Zoho(provider.ZohoEU)
	if err != nil {
		t.Fatal(err)
	}
	p.Endpoint.TokenURL, p.RevokeURL = zohoURL+"/oauth/v2/token", zohoURL+"/oauth/v2/token/revoke"
	conf := &oauth2.Config{ClientID: "1000.CLIENT", ClientSecret: "zoho-secret", RedirectURL: "https://app.example/callback"}
	source, err := tokensource.New(store, conf, who, &tokensource.Options{Provider: p, HTTPClient: &http.Client{Transport: z}})
	if err != nil {
		t.Fatal(err)
	}
	return &zohoApp{t, store, source}
}

// token returns the access token, which has to be a good one.
func (a *zohoApp) token(z *zohoServer) string {
	a.t.Helper()
	tok, err := a.source.TokenContext(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	if z.access[tok.AccessToken] != zohoBob || tok.Extra("api_domain") != "https://www.zohoapis.eu" || !tok.Valid() {
		a.t.Errorf("it is %+v", tok)
	}
	return tok.AccessToken
}

// found is the record as it is found by its user.
func (a *zohoApp) found() *token.OAuthToken {
	a.t.Helper()
	t, err := a.store.FindToken(a.t.Context(), bob())
	if err != nil {
		a.t.Fatal(err)
	}
	return t
}

func (a *zohoApp) sleep(d time.Duration) {
	if err := pause(a.t.Context(), d); err != nil {
		a.t.Fatal(err)
	}
}

func TestATokenOfZohoFromTheGrantTokenToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z, memory := newZoho(), memstore.NewDriver()
		one, other := newZohoApp(t, z, memory, bob()), newZohoApp(t, z, memory, bob())

		// The grant token is exchanged, and what came of it is saved.
		code := z.consent()
		tok, err := one.source.Exchange(t.Context(), code)
		if err != nil || tok.RefreshToken != "" || tok.Extra("api_domain") != "https://www.zohoapis.eu" {
			t.Fatalf("exchanged: %+v, %v", tok, err)
		}
		first := one.token(z)

		// Another process finds it by the user, and asks Zoho nothing.
		z.asked()
		rec := other.found()
		if rec.ClientID != "1000.CLIENT" || !rec.ClientSecret.IsZero() || rec.GrantToken.Reveal() != code || rec.RefreshToken.IsZero() || rec.AccessToken.Reveal() != first ||
			rec.APIDomain != "https://www.zohoapis.eu" || rec.RedirectURL != "https://app.example/callback" || time.Until(rec.Expiry) != time.Hour {
			t.Errorf("the record is %+v", rec)
		}
		if got := other.token(z); got != first || z.asked() > 0 {
			t.Errorf("another process has %s", got)
		}

		// A restart that is configured with the grant token finds the record by it, though it is spent.
		restarted := newZohoApp(t, z, memory, &token.OAuthToken{GrantToken: token.NewSecret(code), ClientSecret: token.NewSecret("zoho-secret")})
		if tok, err := restarted.source.Exchange(t.Context(), code); err != nil || tok.AccessToken != first {
			t.Errorf("a restart with the same grant token: %v, %v", tok, err)
		}
		if got := restarted.token(z); got != first || z.asked() > 0 {
			t.Errorf("a restart has %s", got)
		}

		// Before the hour is over one process refreshes it. The refresh token stays, since the
		// answer has none.
		one.sleep(59 * time.Minute)
		second := other.token(z)
		now := one.found()
		if second == first || z.asked() != 1 || now.ID != rec.ID || now.AccessToken.Reveal() != second || !now.RefreshToken.Equal(rec.RefreshToken) ||
			now.APIDomain != rec.APIDomain || time.Until(now.Expiry) != time.Hour {
			t.Errorf("after an hour the record is %+v", now)
		}
		if one.token(z) != second || restarted.token(z) != second || z.asked() > 0 {
			t.Error("the other processes have not found it")
		}

		// After a night in which nobody asked, too.
		one.sleep(9 * time.Hour)
		third := restarted.token(z)
		if third == second || one.token(z) != third || other.token(z) != third || z.asked() != 1 {
			t.Error("after a night it was not refreshed once")
		}

		// It is revoked at Zoho, and the record is gone.
		if err := one.source.Revoke(t.Context()); err != nil || len(z.grants) > 0 {
			t.Errorf("revoked: %v, %d left", err, len(z.grants))
		}
		z.asked()
		if _, err := other.store.FindToken(t.Context(), bob()); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("the record of what is revoked: %v", err)
		}
		other.sleep(time.Hour)
		if _, err := other.source.Token(); !errors.Is(err, token.ErrNotFound) || z.asked() > 0 {
			t.Errorf("another process: %v", err)
		}

		// Bob comes back.
		if _, err := one.source.Exchange(t.Context(), z.consent()); err != nil {
			t.Fatal(err)
		}
		other.sleep(time.Minute)
		if got := other.token(z); got != one.token(z) {
			t.Errorf("after the next login another process has %s", got)
		}
	})
}

func TestAllProcessesLeaveZohoAloneWhenItDeniesAccess(t *testing.T) {
	inZoho(t, 5, func(z *zohoServer, apps []*zohoApp) {
		one := apps[0]
		if _, err := one.source.Exchange(one.t.Context(), z.consent()); err != nil {
			one.t.Fatal(err)
		}
		for _, a := range apps {
			a.token(z)
		}
		z.asked()
		// Something refuses each access token, so that the app asks for ten in a moment.
		err := rejectAll(one)
		var e *tokensource.ProviderError
		if !errors.As(err, &e) || e.Kind != provider.Later || e.Code != "Access Denied" || errors.Is(err, tokensource.ErrNeedsReauth) {
			one.t.Errorf("the eleventh: %v", err)
		}
		if n := z.asked(); n != 10 {
			one.t.Errorf("it took %d requests", n)
		}
		// Those that have a token go on with it, and those that have none do not ask.
		for minute := range 9 {
			for i, a := range apps {
				if i > 2 {
					a.token(z)
					continue
				}
				if err := rejectAll(a); !errors.Is(err, tokensource.ErrProvider) {
					a.t.Errorf("minute %d, process %d: %v", minute, i, err)
				}
			}
			one.sleep(time.Minute)
		}
		if n := z.asked(); n > 0 {
			one.t.Errorf("%d requests in the ten minutes", n)
		}
		one.sleep(90 * time.Second)
		for _, a := range apps {
			a.token(z)
		}
		if n := z.asked(); n != 1 {
			one.t.Errorf("%d requests after them", n)
		}
	})
}

// rejectAll rejects each token that there is, and returns why there is none any more.
func rejectAll(a *zohoApp) error {
	for {
		tok, err := a.source.TokenContext(a.t.Context())
		if err != nil {
			return err
		}
		a.source.Reject(tok)
	}
}

func TestZohoTellsErrorsWithStatus200(t *testing.T) {
	t.Run("a grant token that is spent", func(t *testing.T) {
		inZoho(t, 1, func(z *zohoServer, apps []*zohoApp) {
			_, err := apps[0].source.Exchange(apps[0].t.Context(), "1000.spent")
			var e *tokensource.ProviderError
			if !errors.As(err, &e) || e.Status != http.StatusOK || e.Code != "invalid_code" || strings.Contains(err.Error(), "spent") {
				apps[0].t.Errorf("got %v", err)
			}
			if _, err := apps[0].store.FindToken(apps[0].t.Context(), bob()); !errors.Is(err, token.ErrNotFound) {
				apps[0].t.Errorf("saved: %v", err)
			}
		})
	})
	t.Run("a refresh token that the user revoked, until he logs in again", func(t *testing.T) {
		inZoho(t, 2, func(z *zohoServer, apps []*zohoApp) {
			one, other := apps[0], apps[1]
			if _, err := one.source.Exchange(one.t.Context(), z.consent()); err != nil {
				one.t.Fatal(err)
			}
			other.token(z)
			z.withdraw()
			one.sleep(time.Hour)
			z.asked()
			for _, a := range apps {
				var e *tokensource.ReauthError
				if _, err := a.source.Token(); !errors.As(err, &e) || e.Cause != tokensource.Refused {
					a.t.Errorf("got %v", err)
				}
			}
			if st, err := tokensource.StateOf(other.found()); err != nil || st.Reauth != tokensource.Refused || z.asked() != 1 {
				other.t.Errorf("the record says %+v, %v", st, err)
			}
			if _, err := one.source.Exchange(one.t.Context(), z.consent()); err != nil {
				one.t.Fatal(err)
			}
			other.sleep(time.Minute)
			if got := other.token(z); got != one.token(z) {
				other.t.Errorf("after the login another process has %s", got)
			}
		})
	})
}
