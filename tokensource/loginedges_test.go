package tokensource_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
	"github.com/tokenkeep/tokenkeep/tokensource"
	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// A revocation that failed keeps nobody from refreshing, also without leases.
func TestUnleasedAfterARevocationThatFailed(t *testing.T) {
	inWorld(t, provider.Reusable, time.Hour, func(t *testing.T, w *world) {
		p := w.process(unleased)
		p.onRequest = func(int) answer { return answer{status: 503, body: "down"} }
		if err := p.source.Revoke(t.Context()); !errors.Is(err, tokensource.ErrProvider) {
			t.Fatal(err)
		}
		p.onRequest = nil
		elapse(2 * time.Hour)
		for i := range 3 {
			if got, err := ask(p, 3*time.Minute); err != nil {
				t.Errorf("call %d: %q, %v", i, got, err)
			}
			elapse(2 * time.Hour)
		}
	})
}

// Revoke revokes what is not stored yet, too.
func TestRevokeOfTokensThatAreNotStored(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		storeDiesAfterRedemption(p)
		if _, err := p.source.Token(); !errors.Is(err, tokensource.ErrNotPersisted) {
			t.Fatal(err)
		}
		p.setFault(nil)
		p.onRequest = nil
		if err := p.source.Revoke(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(w.server.live) != 0 {
			t.Errorf("good still: %v", w.server.live)
		}
	})
}

// A user who logs in while the old tokens are revoked stays logged in.
func TestRevokeWhileTheUserLogsIn(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		p, other := w.process(), w.process()
		p.onRequest = func(int) answer {
			return answer{after: func() {
				if _, err := other.source.Exchange(t.Context(), "code"); err != nil {
					t.Error(err)
				}
			}}
		}
		err := p.source.Revoke(t.Context())
		_, found := other.store.FindToken(t.Context(), who())
		if errors.Is(found, token.ErrNotFound) && len(w.server.live) > 0 {
			t.Errorf("Revoke: %v; there is no record, and the provider takes %v", err, w.server.live)
		}
	})
}

// A revocation whose caller is gone still deletes the record.
func TestRevokeWhoseCallerIsGone(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		p := w.process()
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		p.setFault(func(_ int, c memstore.Call) memstore.Fault {
			if c.Op == memstore.OpPut {
				if n++; n == 2 { // the deletion
					cancel()
					return memstore.Fault{Before: driver.ErrUnavailable}
				}
			}
			return memstore.Fault{}
		})
		err := p.source.Revoke(ctx)
		elapse(time.Minute)
		if _, found := w.process().store.FindToken(t.Context(), who()); !errors.Is(found, token.ErrNotFound) {
			t.Errorf("Revoke: %v; it was revoked: %v; the record is there", err, !w.server.live[refresh])
		}
	})
}

// A login is saved in the record that the source is for, however that is named.
func TestExchangeSavesInTheRecordThatTheSourceIsFor(t *testing.T) {
	for name, named := range map[string]*token.OAuthToken{
		"by refresh token": {RefreshToken: token.NewSecret(refresh)},
		"by access token":  {AccessToken: token.NewSecret("access-canary-0")},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
				p := w.processFor(named)
				p.token()
				if _, err := p.source.Exchange(t.Context(), "code"); err != nil {
					t.Fatal(err)
				}
				all, err := p.store.GetTokens(t.Context())
				if err != nil || len(all) != 1 || w.record().GrantToken.Reveal() != "code" {
					t.Errorf("%d records, the one of the user has grant %q", len(all), w.record().GrantToken.Reveal())
				}
			})
		})
	}
}

// A login with a token that never expires does not keep the expiry of the token before it.
func TestALoginWithoutLifetimeOverAnExpiredRecord(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		p.onRequest = func(int) answer {
			return answer{change: func(m map[string]any) { delete(m, "expires_in"); delete(m, "refresh_token") }}
		}
		tok, err := p.source.Exchange(t.Context(), "code")
		if err != nil || tok == nil {
			t.Fatalf("got %v, %v", tok, err)
		}
		other := w.process()
		got, err := ask(other, time.Minute)
		if got != "access-canary-1" || other.requests > 0 || !w.record().Expiry.IsZero() {
			t.Errorf("another process: %q, %v, %d requests; the record expires %v", got, err, other.requests, w.record().Expiry)
		}
	})
}

// To try Exchange again after ErrNotPersisted does not send the code again.
func TestExchangeAgainAfterErrNotPersisted(t *testing.T) {
	empty(t, func(t *testing.T, w *world) {
		p := w.process()
		storeDiesAfterRedemption(p)
		if _, err := p.source.Exchange(t.Context(), "code"); !errors.Is(err, tokensource.ErrNotPersisted) {
			t.Fatal(err)
		}
		p.setFault(nil)
		p.onRequest = nil
		elapse(time.Minute)
		if tok, err := p.source.Exchange(t.Context(), "code"); err != nil {
			t.Errorf("got %v, %v; %d requests", tok, err, p.requests)
		}
	})
}

// Processes that start with one grant token all get what one of them exchanged it for.
func TestTwoProcessesExchangeOneCode(t *testing.T) {
	empty(t, func(t *testing.T, w *world) {
		var wait sync.WaitGroup
		for range 3 {
			p := w.process()
			wait.Go(func() {
				if tok, err := p.source.Exchange(t.Context(), "code"); err != nil {
					t.Errorf("got %v, %v", tok, err)
				}
			})
		}
		wait.Wait()
	})
}

// A login that is stored late is newer than a refresh of the login before it.
func TestALateLoginIsNewerThanARefreshOfTheOldOne(t *testing.T) {
	inWorld(t, provider.SingleUse, 30*time.Minute, func(t *testing.T, w *world) {
		p, other := w.process(), w.process()
		storeDiesAfterRedemption(p)
		if _, err := p.source.Exchange(t.Context(), "code"); !errors.Is(err, tokensource.ErrNotPersisted) {
			t.Fatal(err)
		}
		elapse(30 * time.Minute)
		if got := other.token(); got != "access-canary-2" {
			t.Fatal(got)
		}
		p.setFault(nil)
		p.onRequest = nil
		p.token()
		if got := w.record().GrantToken.Reveal(); got != "code" {
			t.Errorf("the login is lost: the record has the grant %q and %s", got, w.record().RefreshToken.Reveal())
		}
	})
}

// What a provider says beside the tokens, and is to be kept, is found in the token, as JSON if it is no text.
func TestExtraOfALogin(t *testing.T) {
	empty(t, func(t *testing.T, w *world) {
		p := w.process(func(o *tokensource.Options) { o.Provider.Extra = []string{"authed_user"} })
		p.onRequest = func(int) answer {
			return answer{change: func(m map[string]any) {
				m["authed_user"] = map[string]any{"access_token": "xoxp-1", "refresh_token": "xoxe-1-1"}
			}}
		}
		tok, err := p.source.Exchange(t.Context(), "code")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := tok.Extra("authed_user"), `{"access_token":"xoxp-1","refresh_token":"xoxe-1-1"}`; got != want {
			t.Errorf("got %v", got)
		}
	})
}

// A login whose caller is gone is stored.
func TestExchangeWhoseCallerIsGone(t *testing.T) {
	empty(t, func(t *testing.T, w *world) {
		p := w.process()
		ctx, cancel := context.WithCancel(t.Context())
		p.onRequest = func(int) answer { return answer{after: cancel} }
		_, _ = p.source.Exchange(ctx, "code")
		elapse(time.Minute)
		if got, err := ask(w.process(), time.Minute); err != nil {
			t.Errorf("%q, %v; the provider takes %v", got, err, w.server.live)
		}
	})
}

// A revocation that the provider refused gives the lease back.
func TestARevocationThatFailedGivesTheLeaseBack(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		p.onRequest = func(int) answer { return answer{status: 401, body: `{"error":"invalid_client"}`} }
		if err := p.source.Revoke(t.Context()); !errors.Is(err, tokensource.ErrProvider) {
			t.Fatal(err)
		}
		p.onRequest = nil
		if got, err := ask(p, 10*time.Second); err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// A login with something too large beside its tokens is stored without it.
func TestALoginThatIsTooLarge(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		p := w.process()
		p.onRequest = func(int) answer {
			return answer{change: func(m map[string]any) { m["id_token"] = strings.Repeat("x", 100_000) }}
		}
		if tok, err := p.source.Exchange(t.Context(), "code"); err != nil || tok.AccessToken != "access-canary-1" {
			t.Errorf("got %v, %v", tok, err)
		}
		if got := w.record().RefreshToken.Reveal(); got != "refresh-canary-1" {
			t.Errorf("the record has %s", got)
		}
	})
}

// A record that holds a grant token and nothing else gets what that was exchanged for.
func TestExchangeOfTheGrantTokenThatARecordHolds(t *testing.T) {
	empty(t, func(t *testing.T, w *world) {
		p := w.process()
		r := who()
		r.ClientID, r.GrantToken = "client", token.NewSecret("code")
		if err := p.store.SaveToken(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		w.id = r.ID
		tok, err := p.source.Exchange(t.Context(), "code")
		if err != nil || tok == nil {
			t.Errorf("got %v, %v", tok, err)
		}
		if got := w.record().RefreshToken.Reveal(); got != "refresh-canary-1" {
			t.Errorf("the code was sent %d times, and the record has the refresh token %q", p.requests, got)
		}
	})
}

// A login that is dropped, while an earlier one waits to be stored, blocks nobody.
func TestALoginThatIsDroppedWhileAnotherWaits(t *testing.T) {
	watchdog := time.AfterFunc(15*time.Second, func() { panic("deadlock: saveOne, look, saveLogin, saveOne") })
	defer watchdog.Stop()
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		p, other := w.process(), w.process()
		storeDiesAfterRedemption(p)
		if _, err := p.source.Exchange(t.Context(), "code-1"); !errors.Is(err, tokensource.ErrNotPersisted) {
			t.Fatal(err)
		}
		elapse(time.Minute)
		p.setFault(nil)
		p.onRequest = func(int) answer {
			return answer{after: func() {
				if _, err := other.source.Exchange(t.Context(), "code-3"); err != nil {
					t.Error(err)
				}
			}}
		}
		if tok, err := p.source.Exchange(t.Context(), "code-2"); err != nil {
			t.Errorf("got %v, %v", tok, err)
		}
	})
}

// Revoke stores, and revokes, what another source of the process could not store.
func TestRevokeByAnotherSourceOfTokensThatAreNotStored(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		storeDiesAfterRedemption(p)
		if _, err := p.source.Token(); !errors.Is(err, tokensource.ErrNotPersisted) {
			t.Fatal(err)
		}
		p.setFault(nil)
		p.onRequest = nil
		elapse(time.Minute)
		s, err := tokensource.New(p.store, conf(), who(), &tokensource.Options{Provider: w.server.description(), HTTPClient: &http.Client{Transport: p}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Revoke(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(w.server.live) != 0 {
			t.Errorf("Revoke says it is done, and good still are %v", w.server.live)
		}
	})
}

// A login of another client does not replace the tokens of a record.
func TestALoginOfAnotherClientThanTheRecords(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		p := w.process()
		c := conf()
		c.ClientID = "another-client"
		s, err := tokensource.New(p.store, c, &token.OAuthToken{ID: w.id}, &tokensource.Options{Provider: w.server.description(), HTTPClient: &http.Client{Transport: p}})
		if err != nil {
			t.Fatal(err)
		}
		p.onRequest = func(int) answer {
			return answer{status: 200, body: `{"access_token":"a","token_type":"Bearer","expires_in":3600,"refresh_token":"r-of-another-client"}`}
		}
		_, err = s.Exchange(t.Context(), "code")
		if r := w.record(); r.RefreshToken.Reveal() != refresh {
			t.Errorf("Exchange: %v; the record of client %q has %s", err, r.ClientID, r.RefreshToken.Reveal())
		}
	})
}

// A source whose client is the one that the record names can log in again.
func TestALoginOfTheClientThatTheRecordNames(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		p := w.process()
		if err := p.store.UpdateToken(t.Context(), w.id, func(r *token.OAuthToken) error { r.ClientSecret = token.NewSecret(secret); return nil }); err != nil {
			t.Fatal(err)
		}
		c := conf()
		c.ClientID, c.ClientSecret = "", ""
		s, err := tokensource.New(p.store, c, who(), &tokensource.Options{Provider: w.server.description(), HTTPClient: &http.Client{Transport: p}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Token(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Exchange(t.Context(), "code"); err != nil {
			t.Error(err)
		}
	})
}

// A login that could not be stored at once, and whose record was deleted meanwhile, is stored as one is whose
// record was deleted before the first try.
func TestALoginWhoseRecordWasDeletedBetweenTwoTries(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		p, other := w.process(), w.process()
		n := 0
		p.setFault(func(_ int, c memstore.Call) memstore.Fault {
			if c.Op == memstore.OpPut {
				if n++; n == 1 {
					if err := other.store.DeleteToken(t.Context(), w.id); err != nil {
						t.Error(err)
					}
					return memstore.Fault{Before: driver.ErrUnavailable}
				}
			}
			return memstore.Fault{}
		})
		began := time.Now()
		_, err := p.source.Exchange(t.Context(), "code")
		took := time.Since(began)
		elapse(time.Minute)
		if got, later := ask(p, time.Minute); later != nil {
			t.Errorf("Exchange: %v after %v; later: %q, %v; the provider takes %v", err, took, got, later, w.server.live)
		}
	})
}

// A login that was stored takes the place of an earlier one that waits to be stored.
func TestALoginAfterOneThatWaits(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		p := w.process()
		storeDiesAfterRedemption(p)
		if _, err := p.source.Exchange(t.Context(), "code-1"); !errors.Is(err, tokensource.ErrNotPersisted) {
			t.Fatal(err)
		}
		p.setFault(nil)
		p.onRequest = nil
		tok, err := p.source.Exchange(t.Context(), "code-2")
		if err != nil {
			t.Fatal(err)
		}
		p.source.Reject(tok)
		if got, err := ask(p, 20*time.Second); got != "access-canary-3" {
			t.Errorf("%q, %v", got, err)
		}
	})
}
