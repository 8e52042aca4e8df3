package tokensource_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
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

// inWorld runs a test in virtual time, in a world with one record that expires after left.
func inWorld(t *testing.T, rotation provider.Rotation, left time.Duration, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t, newServer(rotation), left)) })
}

func TestNumberOfCallsToTheStore(t *testing.T) {
	for name, c := range map[string]struct {
		rotation     provider.Rotation
		unleased     bool
		cold, next   int
		writes, wake int
	}{
		// Cold: the index and the record; next: the record; then the lease, and the new tokens. A refresh
		// token that is new is claimed in the index before.
		"single-use":         {provider.SingleUse, false, 2, 4, 3, 1},
		"reusable":           {provider.Reusable, false, 2, 3, 2, 1},
		"reusable, unleased": {provider.Reusable, true, 2, 2, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, c.rotation, time.Hour, func(t *testing.T, w *world) {
				p := w.process(func(o *tokensource.Options) { o.Provider.Unleased = c.unleased })
				p.token()
				if calls, writes := p.counted(); calls != c.cold || writes != 0 {
					t.Errorf("cold: %d calls, %d writes", calls, writes)
				}
				for range 100 {
					p.token()
				}
				if calls, _ := p.counted(); calls != 0 {
					t.Errorf("warm: %d calls", calls)
				}
				elapse(55 * time.Minute) // in the window
				if got := p.token(); got != "access-canary-1" {
					t.Error(got)
				}
				if calls, writes := p.counted(); calls != c.next || writes != c.writes {
					t.Errorf("refresh: %d calls, %d writes, want %d and %d", calls, writes, c.next, c.writes)
				}
				other := w.process()
				other.token()
				other.counted()
				elapse(55 * time.Minute)
				p.token()
				other.token()
				if calls, writes := other.counted(); calls != c.wake || writes != 0 {
					t.Errorf("another process's refresh: %d calls, %d writes", calls, writes)
				}
			})
		})
	}
}

// In the window, one process refreshes, and the others go on with the token that they have, and do not wait.
func TestInTheWindowNobodyWaits(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		w.server.takes = 4 * time.Second
		all := make([]*process, 20)
		for i := range all {
			all[i] = w.process()
			all[i].token()
		}
		elapse(time.Hour - 6*time.Minute) // all of them are due
		var wait sync.WaitGroup
		var mu sync.Mutex
		slow := 0
		for _, p := range all {
			wait.Go(func() {
				began := time.Now()
				p.token()
				if time.Since(began) > time.Second {
					mu.Lock()
					defer mu.Unlock()
					slow++
				}
			})
		}
		wait.Wait()
		if slow != 1 {
			t.Errorf("%d processes waited", slow)
		}
		elapse(10 * time.Second)
		for _, p := range all {
			if got := p.token(); got != "access-canary-1" {
				t.Errorf("later: %s", got)
			}
		}
		if n := w.server.accepted(); n != 1 {
			t.Errorf("%d refreshes", n)
		}
	})
}

// Processes that go on for a day refresh a token once for each of its lifetimes, each at a moment of its
// own.
func TestADayOfManyProcessesTakesOneRefreshForEachLifetime(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		const processes, hours = 20, 24
		sum := 0
		var wait sync.WaitGroup
		all := make([]*process, processes)
		for i := range all {
			all[i] = w.process()
			wait.Go(func() {
				for end := time.Now().Add(hours * time.Hour); time.Now().Before(end); elapse(7 * time.Second) {
					all[i].token()
				}
			})
		}
		wait.Wait()
		for _, p := range all {
			calls, _ := p.counted()
			sum += calls
		}
		n := w.server.accepted()
		t.Logf("%d refreshes in %d hours, %.2f calls of each process for each", n, hours, float64(sum)/float64(processes*n))
		if n < hours || n > hours*7/5 { // a window is up to twelve minutes before the end
			t.Errorf("%d refreshes in %d hours", n, hours)
		}
		if st := w.state(); int(st.Generation) != n {
			t.Errorf("generation %d after %d refreshes", st.Generation, n)
		}
	})
}

// All sources of one process and one record make one refresh, and one call of it is what all of them wait for.
func TestOneFlightForEachRecordOfAProcess(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		second, err := tokensource.New(p.store, conf(), who(), &tokensource.Options{Provider: w.server.description(), HTTPClient: &http.Client{Transport: p}})
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		for _, s := range []*tokensource.Source{p.source, second} {
			for range 50 {
				wait.Go(func() {
					if tok, err := s.Token(); err != nil || tok.AccessToken != "access-canary-1" {
						t.Errorf("%v, %v", tok, err)
					}
				})
			}
		}
		wait.Wait()
		if n := w.server.accepted(); n != 1 {
			t.Errorf("%d refreshes", n)
		}
		if calls, writes := p.counted(); calls > 10 || writes != 3 {
			t.Errorf("%d calls, %d writes", calls, writes)
		}
	})
}

// A call that is given up does not take along those that wait with it, nor a refresh that was begun.
func TestACallThatIsGivenUpLeavesTheRefreshToOthers(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		ctx, cancel := context.WithTimeout(t.Context(), 350*time.Millisecond)
		defer cancel()
		_, err := p.source.TokenContext(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		elapse(2 * time.Second)
		if st := w.state(); st.Generation != 1 || st.Holder != "" {
			t.Errorf("the refresh was not ended: %+v", st)
		}
		if got := p.token(); got != "access-canary-1" {
			t.Error(got)
		}
		if n := w.server.accepted(); n != 1 {
			t.Errorf("%d refreshes", n)
		}
	})
}

func TestWhatAProviderMayAnswer(t *testing.T) {
	reusable := func(w *world) { w.server.rotation = provider.Reusable }
	for name, c := range map[string]struct {
		answer answer
		set    func(*world)
		kind   provider.Kind
		code   string
		// after is when the next attempt succeeds.
		after time.Duration
		// expired: the token came, but is of no use.
		expired bool
	}{
		"it hangs":                             {answer: answer{hangs: true}, after: 40 * time.Second},
		"it hangs, and tokens can be reused":   {answer: answer{hangs: true}, set: reusable, after: 2 * time.Second},
		"an error with status 200":             {answer: answer{status: 200, body: `{"error":"invalid_client"}`}, kind: provider.Misconfigured, code: "invalid_client", after: 40 * time.Second},
		"an error that is none of OAuth":       {answer: answer{status: 200, body: `{"ok":false}`}, after: 40 * time.Second},
		"a page of a proxy":                    {answer: answer{status: 502, body: "<html>"}, after: 40 * time.Second},
		"a redirect":                           {answer: answer{status: http.StatusTemporaryRedirect, location: "https://provider.example/new"}, kind: provider.Misconfigured, after: 40 * time.Second},
		"too many requests":                    {answer: answer{status: 429, body: `{}`}, kind: provider.Later, after: 40 * time.Second},
		"the client is not known":              {answer: answer{status: 401, body: `{"error":"invalid_client"}`}, kind: provider.Misconfigured, code: "invalid_client", after: 40 * time.Second},
		"a code that holds the refresh token":  {answer: answer{status: 400, body: `{"error":"unknown refresh-canary-0"}`}, after: 40 * time.Second},
		"a token that expired before it came":  {answer: answer{change: func(m map[string]any) { m["expires_in"] = -5 }}, expired: true, after: 2 * time.Second},
		"tokens that are none, with a success": {answer: answer{status: 200, body: `{"access_token":""}`}, after: 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
				if c.set != nil {
					c.set(w)
				}
				p := w.process()
				p.onRequest = func(n int) answer {
					if n <= 1 || n == 2 && c.answer.hangs && c.set != nil {
						return c.answer
					}
					return answer{}
				}
				tok, err := p.source.Token()
				var e *tokensource.ProviderError
				if tok != nil || !errors.Is(err, tokensource.ErrProvider) || !errors.As(err, &e) {
					t.Fatalf("got %v, %v", tok, err)
				}
				if e.Kind != c.kind || e.Code != c.code || strings.Contains(err.Error(), "canary") {
					t.Errorf("got %v, kind %v, code %q", err, e.Kind, e.Code)
				}
				if c.expired != (w.state().Generation == 1) {
					t.Errorf("generation %d", w.state().Generation)
				}
				elapse(c.after)
				p.token()
				if errors.Is(err, tokensource.ErrNeedsReauth) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestAnswersThatAreUnusual(t *testing.T) {
	t.Run("no refresh token keeps the one that there is", func(t *testing.T) {
		inWorld(t, provider.Reusable, -time.Minute, func(t *testing.T, w *world) {
			w.process().token()
			if got := w.record(); got.RefreshToken.Reveal() != refresh || got.AccessToken.Reveal() != "access-canary-1" {
				t.Error("the record has other tokens")
			}
		})
	})
	t.Run("a lifetime that is shorter than the window", func(t *testing.T) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			w.server.lifetime = 20 * time.Second
			p := w.process()
			for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); elapse(time.Second) {
				tok, err := p.source.Token()
				if err != nil || !tok.Expiry.After(time.Now()) {
					t.Fatalf("%v, %v", tok, err)
				}
			}
			if n := w.server.accepted(); n < 30 || n > 61 {
				t.Errorf("%d refreshes of a token that lives 20 seconds in 10 minutes", n)
			}
		})
	})
	t.Run("no lifetime takes the provider's", func(t *testing.T) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			p := w.process(func(o *tokensource.Options) { o.Provider.Lifetime = 2 * time.Hour })
			p.onRequest = func(int) answer { return answer{change: func(m map[string]any) { delete(m, "expires_in") }} }
			p.token()
			if left := time.Until(w.record().Expiry); left < 119*time.Minute || left > 2*time.Hour {
				t.Errorf("it expires in %v", left)
			}
		})
	})
	t.Run("no lifetime at all is a token that is never due", func(t *testing.T) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			p := w.process()
			p.onRequest = func(int) answer { return answer{change: func(m map[string]any) { delete(m, "expires_in") }} }
			p.token()
			elapse(100 * time.Hour)
			p.token()
			if n := w.server.accepted(); n != 1 || !w.record().Expiry.IsZero() {
				t.Errorf("%d refreshes, expiry %v", n, w.record().Expiry)
			}
		})
	})
	t.Run("what else it says is kept", func(t *testing.T) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			p := w.process(func(o *tokensource.Options) { o.Provider.Extra = []string{"shop"} })
			p.onRequest = func(int) answer {
				return answer{change: func(m map[string]any) { m["api_domain"], m["shop"] = "https://api.example", "blue" }}
			}
			tok, err := p.source.Token()
			if err != nil {
				t.Fatal(err)
			}
			rec := w.record()
			if rec.APIDomain != "https://api.example" || rec.Extra["shop"].Reveal() != "blue" || rec.Extra["id_token"].Reveal() != "id-canary-1" || len(rec.Scopes) != 2 {
				t.Errorf("the record has %v, %v, %v", rec.APIDomain, rec.Extra, rec.Scopes)
			}
			if tok.Extra("id_token") != "id-canary-1" || tok.Extra("api_domain") != "https://api.example" || tok.Extra(tokensource.StateName) != nil || tok.RefreshToken != "" {
				t.Error("the token has other extras")
			}
		})
	})
}

// A refusal is believed once nobody has stored other tokens; then the record says why, and a new login
// makes it good.
func TestARefusedRefreshTokenNeedsALogin(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		w.server.revoked = true
		p, other := w.process(), w.process()
		_, err := p.source.Token()
		var e *tokensource.ReauthError
		if !errors.Is(err, tokensource.ErrNeedsReauth) || !errors.As(err, &e) || e.Cause != tokensource.Refused || e.ID != w.id || !errors.Is(err, tokensource.ErrProvider) {
			t.Errorf("got %v", err)
		}
		if st := w.state(); st.Reauth != tokensource.Refused || st.ReauthMillis != time.Now().UnixMilli() && st.ReauthMillis == 0 {
			t.Errorf("the record says %+v", st)
		}
		requests := p.requests
		if _, err := other.source.Token(); !errors.Is(err, tokensource.ErrNeedsReauth) || other.requests != 0 {
			t.Errorf("another process: %v, %d requests", err, other.requests)
		}
		if _, err := p.source.Token(); !errors.Is(err, tokensource.ErrNeedsReauth) || p.requests != requests {
			t.Errorf("again: %v", err)
		}
		if w.record().RefreshToken.Reveal() != refresh {
			t.Error("the record lost its refresh token")
		}
		if _, err := other.source.Exchange(t.Context(), "code"); err != nil {
			t.Fatal(err)
		}
		elapse(time.Minute)
		p.token()
		other.token()
		if st := w.state(); st.Reauth != "" {
			t.Errorf("the record still says %q", st.Reauth)
		}
	})
}

func TestARecordThatChangesDuringARefresh(t *testing.T) {
	// during changes the record while the provider is asked.
	during := func(t *testing.T, change func(*token.Store, string)) (w *world, tok *oauth2.Token, err error) {
		synctest.Test(t, func(t *testing.T) {
			w = newWorld(t, newServer(provider.SingleUse), -time.Minute)
			p := w.process()
			p.onRequest = func(int) answer {
				return answer{after: func() {
					s, err := token.NewStore(w.memory, nil)
					if err != nil {
						t.Fatal(err)
					}
					change(s, w.id)
				}}
			}
			tok, err = p.source.Token()
		})
		return w, tok, err
	}
	login := &token.OAuthToken{
		UserSignature: token.UserSignature{Name: user}, ClientID: "client",
		RefreshToken: token.NewSecret("login-canary"), AccessToken: token.NewSecret("new-login"), Expiry: time.Now().Add(100 * 365 * 24 * time.Hour),
	}
	ctx := context.WithoutCancel(t.Context()) // which has no channel that the bubbles could share
	t.Run("the provider refuses, since the user logged in again: the refusal counts for nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, newServer(provider.SingleUse), -time.Minute)
			p := w.process()
			p.onRequest = func(int) answer {
				return answer{status: 400, body: `{"error":"invalid_grant"}`, before: func() {
					again := *login
					if err := w.process().store.SaveToken(ctx, &again); err != nil {
						t.Error(err)
					}
				}}
			}
			if tok, err := p.source.Token(); err != nil || tok.AccessToken != "new-login" || w.state().Reauth != "" {
				t.Errorf("got %v, %v", tok, err)
			}
		})
	})
	t.Run("it was deleted: there is no token", func(t *testing.T) {
		_, tok, err := during(t, func(s *token.Store, id string) {
			if err := s.DeleteToken(ctx, id); err != nil {
				t.Error(err)
			}
		})
		if tok != nil || !errors.Is(err, token.ErrNotFound) {
			t.Errorf("got %v, %v", tok, err)
		}
	})
	t.Run("the user logged in again: the login's tokens win", func(t *testing.T) {
		w, tok, err := during(t, func(s *token.Store, _ string) {
			again := *login
			if err := s.SaveToken(ctx, &again); err != nil {
				t.Error(err)
			}
		})
		if err != nil || tok.AccessToken != "new-login" || w.record().RefreshToken.Reveal() != "login-canary" {
			t.Errorf("got %v, %v", tok, err)
		}
	})
	t.Run("it was deleted, and the user logged in again", func(t *testing.T) {
		_, tok, err := during(t, func(s *token.Store, id string) {
			again := *login
			if err := errors.Join(s.DeleteToken(ctx, id), s.SaveToken(ctx, &again)); err != nil {
				t.Error(err)
			}
		})
		if err != nil || tok.AccessToken != "new-login" {
			t.Errorf("got %v, %v", tok, err)
		}
	})
	t.Run("somebody saved something else: both are kept", func(t *testing.T) {
		w, tok, err := during(t, func(s *token.Store, id string) {
			if err := s.SaveToken(ctx, &token.OAuthToken{ID: id, APIDomain: "https://saved.example"}); err != nil {
				t.Error(err)
			}
		})
		if err != nil || tok.AccessToken != "access-canary-1" || w.record().APIDomain != "https://saved.example" {
			t.Errorf("got %v, %v", tok, err)
		}
	})
}

// A lease of a machine whose clock is an hour wrong lapses after as long as any other.
func TestALeaseOfAMachineWhoseClockIsWrong(t *testing.T) {
	for name, wrong := range map[string]time.Duration{"ahead": time.Hour, "behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
				w.leave(tokensource.State{Holder: "dead", IntentMillis: time.Now().Add(wrong).UnixMilli(), LeaseMillis: 30_000})
				p := w.process()
				began := time.Now()
				p.token()
				if took := time.Since(began); took < 30*time.Second || took > 33*time.Second {
					t.Errorf("taken over after %v", took)
				}
			})
		})
	}
	t.Run("it is left for a day, and whoever comes does not live long", func(t *testing.T) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			w.leave(tokensource.State{Holder: "dead", IntentMillis: time.Now().UnixMilli(), LeaseMillis: 30_000})
			elapse(24 * time.Hour)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if _, err := w.process().source.TokenContext(ctx); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("short calls of one process see it lapse together", func(t *testing.T) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			w.leave(tokensource.State{Holder: "dead", IntentMillis: time.Now().UnixMilli(), LeaseMillis: 30_000})
			p := w.process()
			var err error
			for began := time.Now(); time.Since(began) < 35*time.Second; {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				_, err = p.source.TokenContext(ctx)
				cancel()
				elapse(time.Second)
			}
			if err != nil {
				t.Error(err)
			}
		})
	})
}

// A lease that took so long to be written that the answer would not come within it is not used, and need not lapse.
func TestALeaseThatCameLateIsNotUsed(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		p.setFault(func(_ int, c memstore.Call) memstore.Fault {
			if c.Op == memstore.OpPut {
				elapse(13 * time.Second)
			}
			return memstore.Fault{}
		})
		if _, err := p.source.Token(); !errors.Is(err, token.ErrUnavailable) || p.requests != 0 {
			t.Errorf("got %v, and %d requests", err, p.requests)
		}
		p.setFault(nil)
		elapse(2 * time.Second)
		began := time.Now()
		p.token()
		if took := time.Since(began); took > 2*time.Second || w.server.accepted() != 1 {
			t.Errorf("%v, %d refreshes", took, w.server.accepted())
		}
	})
}

// Who waited for a lease to lapse finds the new token soon after it is stored.
func TestWhoWaitsForALeaseToLapse(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		w.leave(tokensource.State{Holder: "dead", IntentMillis: time.Now().UnixMilli(), LeaseMillis: 30_000})
		began := time.Now()
		var wait sync.WaitGroup
		for range 20 {
			p := w.process()
			wait.Go(func() {
				p.token()
				if took := time.Since(began); took > 33*time.Second {
					t.Errorf("after %v", took)
				}
			})
		}
		wait.Wait()
	})
}

// leave writes a state into the record, as a process does that then dies.
func (w *world) leave(st tokensource.State) {
	w.t.Helper()
	s, err := token.NewStore(w.memory, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := s.UpdateToken(w.t.Context(), w.id, func(t *token.OAuthToken) error { return tokensource.PutState(t, st) }); err != nil {
		w.t.Fatal(err)
	}
}

// A provider that counts too many requests is left alone by all processes.
func TestAThrottledProviderIsLeftAloneByAll(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p, other := w.process(), w.process()
		p.onRequest = func(n int) answer {
			if n == 1 {
				return answer{status: 429, body: "{}"}
			}
			return answer{}
		}
		if _, err := p.source.Token(); !errors.Is(err, tokensource.ErrProvider) {
			t.Errorf("got %v", err)
		}
		var e *tokensource.ProviderError
		if _, err := other.source.Token(); !errors.As(err, &e) || e.Kind != provider.Later || other.requests != 0 {
			t.Errorf("another process: %v, %d requests", err, other.requests)
		}
		elapse(31 * time.Second)
		other.token()
		p.token()
		if n := w.server.accepted(); n != 1 {
			t.Errorf("%d refreshes", n)
		}
	})
	t.Run("a clock that is wrong does not keep it alone for long", func(t *testing.T) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			w.leave(tokensource.State{RetryMillis: time.Now().Add(time.Hour).UnixMilli()})
			w.process().token()
		})
	})
}

// Nothing is spent unless the record can be written.
func TestNothingIsSpentUnlessTheRecordCanBeWritten(t *testing.T) {
	for name, refused := range map[string]error{"no permission": driver.ErrPermission, "no quota": driver.ErrQuota, "an outage": driver.ErrUnavailable} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
				p := w.process()
				p.setFault(func(_ int, c memstore.Call) memstore.Fault {
					if c.Op == memstore.OpPut {
						return memstore.Fault{Before: refused}
					}
					return memstore.Fault{}
				})
				if _, err := p.source.Token(); !errors.Is(err, refused) {
					t.Errorf("got %v", err)
				}
				if p.requests != 0 {
					t.Error("the provider was asked")
				}
				p.setFault(nil)
				elapse(2 * time.Second)
				p.token()
			})
		})
	}
}

// New tokens that cannot be stored are returned, kept, and stored when the store is there again.
func TestNewTokensThatCannotBeStored(t *testing.T) {
	fail := func(p *process) {
		p.onRequest = func(int) answer {
			return answer{after: func() {
				p.setFault(func(int, memstore.Call) memstore.Fault { return memstore.Fault{Before: driver.ErrUnavailable} })
			}}
		}
	}
	t.Run("by a later call", func(t *testing.T) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			p := w.process()
			fail(p)
			tok, err := p.source.Token()
			if tok == nil || tok.AccessToken != "access-canary-1" || !errors.Is(err, tokensource.ErrNotPersisted) || !errors.Is(err, token.ErrUnavailable) {
				t.Fatalf("got %v, %v", tok, err)
			}
			if tok.RefreshToken != "" {
				t.Error("it holds the refresh token")
			}
			// The source of the next request is another one.
			again, err := tokensource.New(p.store, conf(), who(), &tokensource.Options{Provider: w.server.description(), HTTPClient: &http.Client{Transport: p}})
			if err != nil {
				t.Fatal(err)
			}
			elapse(time.Minute)
			p.setFault(nil)
			for _, s := range []*tokensource.Source{again, p.source} {
				if tok, err := s.Token(); err != nil || tok.AccessToken != "access-canary-1" {
					t.Errorf("got %v, %v", tok, err)
				}
			}
			if w.record().RefreshToken.Reveal() != "refresh-canary-1" || w.server.accepted() != 1 {
				t.Error("the new tokens are not in the record")
			}
		})
	})
	t.Run("by Flush", func(t *testing.T) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			p := w.process()
			if err := p.source.Flush(t.Context()); err != nil {
				t.Errorf("with nothing to store: %v", err)
			}
			fail(p)
			if _, err := p.source.Token(); !errors.Is(err, tokensource.ErrNotPersisted) {
				t.Fatalf("got %v", err)
			}
			if err := p.source.Flush(t.Context()); !errors.Is(err, tokensource.ErrNotPersisted) {
				t.Errorf("while the store is away: %v", err)
			}
			p.setFault(nil)
			if err := p.source.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			if w.record().RefreshToken.Reveal() != "refresh-canary-1" {
				t.Error("the new tokens are not in the record")
			}
		})
	})
	t.Run("after another process was refused: they are the good ones", func(t *testing.T) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			p, other := w.process(), w.process()
			fail(p)
			if _, err := p.source.Token(); !errors.Is(err, tokensource.ErrNotPersisted) {
				t.Fatalf("got %v", err)
			}
			// A server that refuses a spent token, and leaves the others alone.
			other.onRequest = func(int) answer { return answer{status: 400, body: `{"error":"invalid_grant"}`} }
			if _, err := other.source.Token(); !errors.Is(err, tokensource.ErrNeedsReauth) || w.state().Reauth != tokensource.Interrupted {
				t.Errorf("another process: %v", err)
			}
			p.setFault(nil)
			elapse(30 * time.Second)
			p.token()
			elapse(30 * time.Second)
			other.token()
			if st := w.state(); st.Reauth != "" || w.record().RefreshToken.Reveal() != "refresh-canary-1" {
				t.Errorf("the record says %+v", st)
			}
		})
	})
	t.Run("a resource server gets them all the same", func(t *testing.T) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			p := w.process()
			fail(p)
			got := ""
			below := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				got = r.Header.Get("Authorization")
				return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
			})}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := p.source.Client(context.WithValue(t.Context(), oauth2.HTTPClient, below)).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if got != "Bearer access-canary-1" {
				t.Errorf("got %q", got)
			}
		})
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Reject makes the next call refresh, unless another process has refreshed since.
func TestARejectedTokenIsRefreshed(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		p, other := w.process(), w.process()
		tok, err := p.source.Token()
		if err != nil {
			t.Fatal(err)
		}
		other.token()
		p.source.Reject(tok)
		if got := p.token(); got != "access-canary-1" {
			t.Error(got)
		}
		other.source.Reject(tok)
		other.source.Reject(nil)
		if got := other.token(); got != "access-canary-1" || w.server.accepted() != 1 {
			t.Errorf("%s, %d refreshes", got, w.server.accepted())
		}
	})
}

// A store that is away does no harm while the token is good.
func TestAStoreThatIsAwayDoesNoHarmWhileTheTokenIsGood(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		p := w.process()
		p.token()
		p.setFault(func(int, memstore.Call) memstore.Fault { return memstore.Fault{Before: driver.ErrUnavailable} })
		for end := time.Now().Add(59*time.Minute + 45*time.Second); time.Now().Before(end); elapse(10 * time.Second) {
			p.token()
		}
		elapse(time.Minute)
		if _, err := p.source.Token(); !errors.Is(err, token.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}
