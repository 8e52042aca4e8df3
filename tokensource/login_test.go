package tokensource_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
	"github.com/tokenkeep/tokenkeep/tokensource"
	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// empty is a world without a record.
func empty(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, &world{t: t, memory: memstore.NewDriver(), server: newServer(provider.SingleUse)})
	})
}

func TestAFirstLogin(t *testing.T) {
	empty(t, func(t *testing.T, w *world) {
		p, other := w.process(), w.process()
		if _, err := p.source.Token(); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("before it: %v", err)
		}
		tok, err := p.source.Exchange(t.Context(), "code")
		if err != nil || tok.AccessToken != "access-canary-1" || tok.RefreshToken != "" {
			t.Fatalf("got %v, %v", tok, err)
		}
		if got := p.token(); got != "access-canary-1" {
			t.Error(got)
		}
		if got := other.token(); got != "access-canary-1" {
			t.Errorf("another process: %s", got)
		}
		rec, err := p.store.FindToken(t.Context(), who())
		if err != nil {
			t.Fatal(err)
		}
		if rec.GrantToken.Reveal() != "code" || rec.ClientID != "client" || !rec.ClientSecret.IsZero() || rec.RefreshToken.Reveal() != "refresh-canary-1" {
			t.Errorf("the record is %+v", rec)
		}
		// A restart with a code that was used before.
		p.counted()
		tok, err = w.process().source.Exchange(t.Context(), "code")
		if err != nil || tok.AccessToken != "access-canary-1" || len(w.server.log) != 1 {
			t.Errorf("the same code again: %v, %v; %v", tok, err, w.server.log)
		}
		elapse(time.Hour)
		if got := other.token(); got != "access-canary-2" {
			t.Errorf("after an hour: %s", got)
		}
	})
}

func TestALoginThatFails(t *testing.T) {
	t.Run("no code", func(t *testing.T) {
		empty(t, func(t *testing.T, w *world) {
			if _, err := w.process().source.Exchange(t.Context(), ""); !errors.Is(err, token.ErrInvalid) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("a code that the provider does not know", func(t *testing.T) {
		empty(t, func(t *testing.T, w *world) {
			_, err := w.process().source.Exchange(t.Context(), "code-canary")
			var e *tokensource.ProviderError
			if !errors.As(err, &e) || e.Code != "invalid_grant" || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("its save was applied after all, and another process has refreshed since", func(t *testing.T) {
		inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
			p, other := w.process(), w.process()
			p.onRequest = func(int) answer {
				return answer{after: func() {
					p.setFault(func(_ int, c memstore.Call) memstore.Fault {
						if c.Op == memstore.OpPut && strings.HasPrefix(c.Names[0], "token") {
							return memstore.Fault{After: driver.ErrOutcomeUnknown}
						}
						if w.record().GrantToken.Reveal() == "code" { // it is stored
							return memstore.Fault{Before: driver.ErrUnavailable}
						}
						return memstore.Fault{}
					})
				}}
			}
			if _, err := p.source.Exchange(t.Context(), "code"); !errors.Is(err, tokensource.ErrNotPersisted) {
				t.Fatalf("got %v", err)
			}
			elapse(time.Hour)
			if got := other.token(); got != "access-canary-2" {
				t.Fatal(got)
			}
			p.setFault(nil)
			p.onRequest = nil
			if got := p.token(); got != "access-canary-2" {
				t.Error(got)
			}
			elapse(time.Hour)
			if got := p.token(); got != "access-canary-3" || w.server.revocations() != 0 {
				t.Errorf("%s, %v", got, w.server.log)
			}
		})
	})
	t.Run("the user has logged in elsewhere since", func(t *testing.T) {
		inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
			p, other := w.process(), w.process()
			p.onRequest = func(int) answer {
				return answer{after: func() {
					p.setFault(func(int, memstore.Call) memstore.Fault { return memstore.Fault{Before: driver.ErrUnavailable} })
				}}
			}
			if _, err := p.source.Exchange(t.Context(), "code"); !errors.Is(err, tokensource.ErrNotPersisted) {
				t.Fatalf("got %v", err)
			}
			if _, err := other.source.Exchange(t.Context(), "code-2"); err != nil {
				t.Fatal(err)
			}
			p.setFault(nil)
			elapse(time.Minute)
			if got := p.token(); got != "access-canary-2" || w.record().GrantToken.Reveal() != "code-2" {
				t.Errorf("%s, %s", got, w.record().GrantToken.Reveal())
			}
		})
	})
	t.Run("the record was deleted since", func(t *testing.T) {
		inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
			p, other := w.process(), w.process()
			p.onRequest = func(int) answer {
				return answer{after: func() {
					p.setFault(func(int, memstore.Call) memstore.Fault { return memstore.Fault{Before: driver.ErrUnavailable} })
				}}
			}
			if _, err := p.source.Exchange(t.Context(), "code"); !errors.Is(err, tokensource.ErrNotPersisted) {
				t.Fatalf("got %v", err)
			}
			if err := other.store.DeleteToken(t.Context(), w.id); err != nil {
				t.Fatal(err)
			}
			p.setFault(nil)
			elapse(time.Minute)
			for range 2 {
				if tok, err := p.source.Token(); !errors.Is(err, token.ErrNotFound) {
					t.Errorf("got %v, %v", tok, err)
				}
			}
		})
	})
	t.Run("a store that is away keeps the tokens for later", func(t *testing.T) {
		empty(t, func(t *testing.T, w *world) {
			p := w.process()
			p.onRequest = func(int) answer {
				return answer{after: func() {
					p.setFault(func(int, memstore.Call) memstore.Fault { return memstore.Fault{Before: driver.ErrUnavailable} })
				}}
			}
			tok, err := p.source.Exchange(t.Context(), "code")
			if !errors.Is(err, tokensource.ErrNotPersisted) || tok == nil {
				t.Fatalf("got %v, %v", tok, err)
			}
			if tok, err := p.source.Token(); !errors.Is(err, tokensource.ErrNotPersisted) || tok == nil {
				t.Errorf("the next call: %v, %v", tok, err)
			}
			if err := p.source.Flush(t.Context()); !errors.Is(err, tokensource.ErrNotPersisted) {
				t.Errorf("a flush while the store is away: %v", err)
			}
			p.setFault(nil)
			elapse(time.Minute)
			p.token()
			if err := p.source.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			if got := w.process().token(); got != "access-canary-1" {
				t.Errorf("another process: %s", got)
			}
		})
	})
}

func TestRevoke(t *testing.T) {
	t.Run("revokes at the provider and deletes the record", func(t *testing.T) {
		inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
			p := w.process()
			p.token()
			if err := p.source.Revoke(t.Context()); err != nil {
				t.Fatal(err)
			}
			if w.server.live[refresh] {
				t.Error("the refresh token is good still")
			}
			if _, err := p.source.Token(); !errors.Is(err, token.ErrNotFound) {
				t.Errorf("afterwards: %v", err)
			}
			if err := p.source.Revoke(t.Context()); !errors.Is(err, token.ErrNotFound) {
				t.Errorf("again: %v", err)
			}
		})
	})
	t.Run("waits for a refresh, and revokes what came of it", func(t *testing.T) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			p, other := w.process(), w.process()
			go func() { _, _ = p.source.Token() }()
			elapse(350 * time.Millisecond)
			if err := other.source.Revoke(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(w.server.live) != 0 || w.server.accepted() != 1 {
				t.Errorf("live: %d, accepted %d", len(w.server.live), w.server.accepted())
			}
		})
	})
	t.Run("leaves the record if the provider does not", func(t *testing.T) {
		inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
			p := w.process()
			p.onRequest = func(int) answer { return answer{status: 503, body: "down"} }
			if err := p.source.Revoke(t.Context()); !errors.Is(err, tokensource.ErrProvider) {
				t.Errorf("got %v", err)
			}
			p.onRequest = nil
			w.record()
			elapse(time.Minute)
			p.token()
		})
	})
	t.Run("takes a token that is not known for revoked", func(t *testing.T) {
		inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
			p := w.process()
			p.onRequest = func(int) answer { return answer{status: 400, body: `{"error":"invalid_token"}`} }
			if err := p.source.Revoke(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("says so if the provider cannot", func(t *testing.T) {
		inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
			p := w.process(func(o *tokensource.Options) { o.Provider.RevokeURL = "" })
			if err := p.source.Revoke(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("got %v", err)
			}
			w.record()
		})
	})
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	store, err := memstore.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		store *token.Store
		conf  *oauth2.Config
		who   *token.OAuthToken
		opts  *tokensource.Options
	}{
		"no store":          {nil, conf(), who(), nil},
		"no config":         {store, nil, who(), nil},
		"no record":         {store, conf(), nil, nil},
		"no name":           {store, conf(), &token.OAuthToken{ClientID: "client"}, nil},
		"no token URL":      {store, &oauth2.Config{ClientID: "client"}, who(), nil},
		"a negative time":   {store, conf(), who(), &tokensource.Options{Timeout: -1}},
		"too little time":   {store, conf(), who(), &tokensource.Options{Timeout: time.Millisecond}},
		"too much time":     {store, conf(), who(), &tokensource.Options{Timeout: time.Hour}},
		"unleased rotation": {store, conf(), who(), &tokensource.Options{Provider: provider.Provider{Unleased: true}}},
		"a negative grace":  {store, conf(), who(), &tokensource.Options{Provider: provider.Provider{Grace: -1}}},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := tokensource.New(c.store, c.conf, c.who, c.opts); s != nil || !errors.Is(err, token.ErrInvalid) {
				t.Errorf("got %v, %v", s, err)
			}
		})
	}
	t.Run("but takes what the provider says of the endpoint", func(t *testing.T) {
		p := provider.Provider{Endpoint: oauth2.Endpoint{TokenURL: "https://provider.example/token"}}
		if _, err := tokensource.New(store, &oauth2.Config{ClientID: "client"}, who(), &tokensource.Options{Provider: p}); err != nil {
			t.Error(err)
		}
	})
}

// A record may be named in each way in which a store finds it, and its client may be its own.
func TestARecordIsNamedAsForFindToken(t *testing.T) {
	for name, named := range map[string]*token.OAuthToken{
		"by user":          {UserSignature: token.UserSignature{Name: user}},
		"by refresh token": {RefreshToken: token.NewSecret(refresh)},
		"by access token":  {AccessToken: token.NewSecret("access-canary-0")},
		"by user, with an old refresh token": {
			UserSignature: token.UserSignature{Name: user}, RefreshToken: token.NewSecret("refresh-canary-old"), AccessToken: token.NewSecret("old"), Expiry: time.Now().Add(1e6 * time.Hour),
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
				p := w.processFor(named)
				if got := p.token(); got != "access-canary-1" {
					t.Error(got)
				}
				elapse(2 * time.Hour)
				if got := p.token(); got != "access-canary-2" {
					t.Error(got)
				}
			})
		})
	}
	t.Run("the client is the record's if the config names none", func(t *testing.T) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			p := w.process()
			if err := p.store.SaveToken(t.Context(), &token.OAuthToken{ID: w.id, ClientSecret: token.NewSecret(secret)}); err != nil {
				t.Fatal(err)
			}
			c := conf()
			c.ClientID, c.ClientSecret = "", ""
			s, err := tokensource.New(p.store, c, who(), &tokensource.Options{Provider: w.server.description(), HTTPClient: &http.Client{Transport: p}})
			if err != nil {
				t.Fatal(err)
			}
			if tok, err := s.Token(); err != nil || tok.AccessToken != "access-canary-1" {
				t.Errorf("got %v, %v", tok, err)
			}
		})
	})
	t.Run("a record without a refresh token is good until it expires", func(t *testing.T) {
		empty(t, func(t *testing.T, w *world) {
			p := w.process()
			tok := who()
			tok.AccessToken, tok.Expiry = token.NewSecret("access-canary-x"), time.Now().Add(time.Hour)
			if err := p.store.SaveToken(t.Context(), tok); err != nil {
				t.Fatal(err)
			}
			elapse(59 * time.Minute)
			p.token()
			elapse(time.Minute)
			var e *tokensource.ReauthError
			if _, err := p.source.Token(); !errors.As(err, &e) || e.Cause != tokensource.NoRefreshToken {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("what somebody wrote over the state is told", func(t *testing.T) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			p := w.process()
			if err := p.store.UpdateToken(t.Context(), w.id, func(o *token.OAuthToken) error {
				o.Extra = map[string]token.Secret{tokensource.StateName: token.NewSecret("canary{")}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if _, err := p.source.Token(); !errors.Is(err, token.ErrCorrupt) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v", err)
			}
		})
	})
}

// Client authorizes each request with the token of the moment.
func TestClient(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		var got []string
		below := &http.Client{Timeout: time.Minute, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			got = append(got, r.Header.Get("Authorization"))
			return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
		})}
		client := w.process().source.Client(context.WithValue(t.Context(), oauth2.HTTPClient, below))
		if client.Timeout != time.Minute {
			t.Errorf("the client's timeout is %v", client.Timeout)
		}
		get := func(ctx context.Context) error {
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.example/", strings.NewReader("body"))
			if err != nil {
				return err
			}
			resp, err := client.Do(r)
			if err != nil {
				return err
			}
			return resp.Body.Close()
		}
		if err := get(t.Context()); err != nil {
			t.Fatal(err)
		}
		elapse(2 * time.Hour)
		if err := get(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || got[0] != "Bearer access-canary-0" || got[1] != "Bearer access-canary-1" {
			t.Errorf("got %v", got)
		}
		w.server.revoked = true
		elapse(2 * time.Hour)
		if err := get(t.Context()); !errors.Is(err, tokensource.ErrNeedsReauth) {
			t.Errorf("got %v", err)
		}
	})
}
