package tokensource_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
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

// storeDiesAfterRedemption lets the store of p fail from the moment on at which the provider answers.
func storeDiesAfterRedemption(p *process) {
	p.onRequest = func(int) answer {
		return answer{after: func() {
			p.setFault(func(int, memstore.Call) memstore.Fault { return memstore.Fault{Before: driver.ErrUnavailable} })
		}}
	}
}

func ask(p *process, patience time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	tok, err := p.source.TokenContext(ctx)
	if tok == nil {
		return "", err
	}
	return tok.AccessToken, err
}

// unleased makes a process go without leases.
func unleased(o *tokensource.Options) {
	o.Provider.Rotation, o.Provider.Unleased = provider.Reusable, true
}

// A token that could not be stored and has expired is no token: a client sends nothing.
func TestClientWithAnUnsavedTokenThatExpired(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		p.onRequest = func(int) answer {
			return answer{after: func() {
				p.setFault(func(_ int, c memstore.Call) memstore.Fault {
					if c.Op == memstore.OpPut { // writing is not allowed any more
						return memstore.Fault{Before: driver.ErrPermission}
					}
					return memstore.Fault{}
				})
			}}
		}
		if _, err := p.source.Token(); !errors.Is(err, tokensource.ErrNotPersisted) {
			t.Fatal(err)
		}
		elapse(2 * time.Hour)
		defer func() {
			if r := recover(); r != nil {
				t.Errorf("it panics: %v", r)
			}
		}()
		below := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
		})}
		rt := p.source.Client(context.WithValue(t.Context(), oauth2.HTTPClient, below)).Transport
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/", http.NoBody)
		if resp, err := rt.RoundTrip(r); err == nil {
			_ = resp.Body.Close()
			t.Error("a request went out without a token")
		}
	})
}

// New tokens that could not be stored are stored when the one that took the lease over has died.
func TestNewTokensAreStoredAfterTheOneThatTookOverDied(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		storeDiesAfterRedemption(p)
		if _, err := p.source.Token(); !errors.Is(err, tokensource.ErrNotPersisted) {
			t.Fatal(err)
		}
		elapse(time.Minute)
		// Another one takes the lease over and dies before it sends anything.
		s, err := token.NewStore(w.memory, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.UpdateToken(t.Context(), w.id, func(r *token.OAuthToken) error {
			st, err := tokensource.StateOf(r)
			if err != nil {
				return err
			}
			st.Unresolved, st.Holder, st.IntentMillis, st.LeaseMillis = 1, "dead", time.Now().UnixMilli(), 30_000
			return tokensource.PutState(r, st)
		}); err != nil {
			t.Fatal(err)
		}
		p.setFault(nil)
		p.onRequest = nil
		var last error
		for end := time.Now().Add(3 * time.Hour); time.Now().Before(end); elapse(time.Minute) {
			_, last = ask(p, time.Minute)
		}
		if last != nil {
			t.Errorf("three hours later: %v", last)
		}
		if got := w.record().RefreshToken.Reveal(); got == refresh {
			t.Errorf("the record still has %s", got)
		}
	})
}

// A lease that a dead process left does not make a refusal go round and round without leases.
func TestUnleasedRefusalWithALeaseThatWasLeft(t *testing.T) {
	inWorld(t, provider.Reusable, -time.Minute, func(t *testing.T, w *world) {
		w.leave(tokensource.State{Holder: "dead", IntentMillis: time.Now().Add(-24 * time.Hour).UnixMilli(), LeaseMillis: 30_000})
		w.server.revoked = true
		p := w.process(unleased)
		_, err := ask(p, time.Minute)
		elapse(time.Minute)
		if !errors.Is(err, tokensource.ErrNeedsReauth) || p.requests > 2 {
			t.Errorf("%d requests within a minute, %v", p.requests, err)
		}
	})
}

// Without leases, too, the sources of one process make one refresh.
func TestOneFlightForEachRecordUnleased(t *testing.T) {
	inWorld(t, provider.Reusable, -time.Minute, func(t *testing.T, w *world) {
		p := w.process(unleased)
		var wait sync.WaitGroup
		for range 20 {
			o := tokensource.Options{Provider: w.server.description(), HTTPClient: &http.Client{Transport: p}}
			unleased(&o)
			s, err := tokensource.New(p.store, conf(), who(), &o)
			if err != nil {
				t.Fatal(err)
			}
			wait.Go(func() {
				if _, err := s.Token(); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if n := w.server.accepted(); n != 1 {
			t.Errorf("%d refreshes by one process", n)
		}
	})
}

// A call that is given up in the window returns the token that is good.
func TestACallThatIsGivenUpInTheWindowGetsTheGoodToken(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		p := w.process()
		p.token()
		elapse(55 * time.Minute)
		p.setFault(func(int, memstore.Call) memstore.Fault {
			elapse(20 * time.Second) // the store hangs
			return memstore.Fault{Before: driver.ErrUnavailable}
		})
		for range 3 {
			if got, err := ask(p, time.Second); err != nil {
				t.Errorf("%q, %v", got, err)
			}
		}
		p.setFault(nil)
		elapse(2 * time.Minute)
	})
}

// A provider that hangs is left alone for a moment while the token is good.
func TestAProviderThatHangsIsLeftAloneForAMoment(t *testing.T) {
	for name, set := range map[string]func(*tokensource.Options){"leased": func(*tokensource.Options) {}, "unleased": unleased} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, provider.Reusable, 3*time.Minute, func(t *testing.T, w *world) {
				p := w.process(set)
				p.onRequest = func(int) answer { return answer{hangs: true} }
				p.token()
				began := time.Now()
				p.token()
				if took := time.Since(began); took > 100*time.Millisecond {
					t.Errorf("the next call waits for %v", took)
				}
			})
		})
	}
}

// After an outage that is longer than a token lives, what was kept is stored, and refreshed.
func TestTokensStoredAfterTheyExpired(t *testing.T) {
	after := func(t *testing.T, f func(w *world, p *process)) {
		inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
			p := w.process()
			storeDiesAfterRedemption(p)
			if _, err := p.source.Token(); !errors.Is(err, tokensource.ErrNotPersisted) {
				t.Fatal(err)
			}
			elapse(2 * time.Hour)
			p.setFault(nil)
			p.onRequest = nil
			f(w, p)
		})
	}
	t.Run("Token", func(t *testing.T) {
		after(t, func(_ *world, p *process) {
			if got, err := ask(p, time.Minute); err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	})
	t.Run("Flush", func(t *testing.T) {
		after(t, func(w *world, p *process) {
			err := p.source.Flush(p.t.Context())
			if stored := w.record().RefreshToken.Reveal() == "refresh-canary-1"; stored != (err == nil) {
				t.Errorf("stored: %v, and Flush says %v", stored, err)
			}
		})
	})
}

// To reject an old token does not make a newer one good again that was rejected.
func TestRejectOfAnOldToken(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		p := w.process()
		old, _ := p.source.Token()
		p.source.Reject(old)
		newer, err := p.source.Token()
		if err != nil {
			t.Fatal(err)
		}
		p.source.Reject(newer)
		p.source.Reject(old) // a slow answer to a request with it
		if got := p.token(); got == newer.AccessToken {
			t.Errorf("%s again, which was rejected", got)
		}
	})
}

// A provider that issues the token again that was rejected is believed.
func TestRejectedAndIssuedAgain(t *testing.T) {
	inWorld(t, provider.Reusable, time.Hour, func(t *testing.T, w *world) {
		p := w.process()
		p.onRequest = func(int) answer {
			return answer{change: func(m map[string]any) { m["access_token"] = "access-canary-0" }}
		}
		tok, _ := p.source.Token()
		p.source.Reject(tok)
		failed := 0
		for range 10 {
			if _, err := ask(p, time.Minute); err != nil {
				failed++
			}
			elapse(time.Minute)
		}
		if failed > 1 || p.requests > 2 {
			t.Errorf("%d of 10 calls failed, %d requests", failed, p.requests)
		}
	})
}

// What is returned beside ErrNotPersisted has no refresh token in it.
func TestNoRefreshTokenInExtra(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		storeDiesAfterRedemption(p)
		tok, err := p.source.Token()
		if !errors.Is(err, tokensource.ErrNotPersisted) {
			t.Fatal(err)
		}
		if got := tok.Extra("refresh_token"); got != nil {
			t.Errorf("Extra has %v", got)
		}
		if s := fmt.Sprintf("%+v", tok); strings.Contains(s, "refresh-canary") {
			t.Error("its text has the refresh token")
		}
	})
}

// A token that could not be stored is not returned after it expired.
func TestAnUnsavedTokenIsNotReturnedAfterItExpired(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		w.server.lifetime = 20 * time.Second
		p := w.process()
		storeDiesAfterRedemption(p)
		for range 40 {
			tok, _ := p.source.Token()
			if tok != nil && time.Since(tok.Expiry) > 2*time.Second {
				t.Fatalf("it expired %v ago", time.Since(tok.Expiry))
			}
			elapse(time.Second)
		}
	})
}

// A record of another client is not refreshed.
func TestARecordOfAnotherClient(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		c := conf()
		c.ClientID = "another-client"
		s, err := tokensource.New(p.store, c, &token.OAuthToken{ID: w.id}, &tokensource.Options{Provider: w.server.description(), HTTPClient: &http.Client{Transport: p}})
		if err != nil {
			t.Fatal(err)
		}
		// RFC 6749, 5.2: invalid_grant if the refresh token was issued to another client.
		p.onRequest = func(int) answer { return answer{status: 400, body: `{"error":"invalid_grant"}`} }
		_, err = s.Token()
		if p.requests > 0 || w.state().Reauth != "" {
			t.Errorf("%d requests, the record says %q; %v", p.requests, w.state().Reauth, err)
		}
	})
}

// A redirect is not followed.
func TestARedirectIsNotFollowed(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process(func(o *tokensource.Options) {
			o.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "provider.example" {
					return &http.Response{StatusCode: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"https://evil.example/"}}, Body: http.NoBody, Request: r}, nil
				}
				_ = r.ParseForm()
				t.Errorf("%s gets %q", r.URL.Host, r.PostForm.Get("refresh_token"))
				return nil, errBroken
			})}
		})
		_, _ = ask(p, time.Minute)
	})
}

// An outage of the provider is told to all that wait, and not to the holder of the lease only.
func TestAnOutageOfTheProviderIsToldToAll(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		var wait sync.WaitGroup
		var mu sync.Mutex
		var longest time.Duration
		for range 20 {
			p := w.process()
			p.onRequest = func(int) answer { return answer{status: 503, body: "down"} }
			wait.Go(func() {
				began := time.Now()
				_, _ = p.source.Token()
				mu.Lock()
				defer mu.Unlock()
				longest = max(longest, time.Since(began))
			})
		}
		wait.Wait()
		if longest > 2*time.Minute {
			t.Errorf("a call without a deadline took %v", longest)
		}
	})
}

// A program that saves a record as it read it a moment ago does not take the lease away with it.
func TestASaveOfAnOldReadingDoesNotEndALease(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		w.leave(tokensource.State{Generation: 7, LifetimeMillis: 3600_000}) // as after any refresh
		p, other := w.process(), w.process()
		old := w.record()
		p.onRequest = func(int) answer {
			return answer{before: func() {
				s, err := token.NewStore(w.memory, nil)
				if err != nil {
					t.Error(err)
				}
				old.APIDomain = "https://api.example"
				if err := s.SaveToken(t.Context(), old); err != nil {
					t.Error(err)
				}
				elapse(2 * time.Second)
			}}
		}
		var wait sync.WaitGroup
		wait.Go(func() { _, _ = ask(p, time.Minute) })
		elapse(time.Second)
		wait.Go(func() { _, _ = ask(other, time.Minute) })
		wait.Wait()
		if other.requests > 0 || w.server.revoked {
			t.Errorf("spent by both: %v", w.server.log)
		}
	})
}

// That a user has to log in again is not believed from what a store remembers.
func TestReauthIsNotBelievedFromMemory(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		w.server.revoked = true
		p, other := w.process(), w.process()
		store, err := token.NewStore(w.memory.Under(""), &token.Options{MaxAge: 30 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		one := func() error {
			s, err := tokensource.New(store, conf(), who(), &tokensource.Options{Provider: w.server.description(), HTTPClient: &http.Client{Transport: p}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Token()
			return err
		}
		if err := one(); !errors.Is(err, tokensource.ErrNeedsReauth) {
			t.Fatal(err)
		}
		if _, err := other.source.Exchange(t.Context(), "code"); err != nil {
			t.Fatal(err)
		}
		elapse(time.Minute)
		if err := one(); err != nil {
			t.Error(err)
		}
	})
}

// A token of a machine whose clock is an hour ahead is not returned for longer than it lives.
func TestATokenOfAMachineWhoseClockIsAhead(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		s, err := token.NewStore(w.memory, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.UpdateToken(t.Context(), w.id, func(r *token.OAuthToken) error {
			r.Expiry = time.Now().Add(2 * time.Hour)
			return tokensource.PutState(r, tokensource.State{Generation: 1, Exchange: "x", LifetimeMillis: time.Hour.Milliseconds()})
		}); err != nil {
			t.Fatal(err)
		}
		p := w.process()
		for end := time.Now().Add(100 * time.Minute); time.Now().Before(end); elapse(time.Minute) {
			if got := p.token(); !w.server.good(got) {
				t.Fatalf("%s has expired", got)
			}
		}
	})
}

// Desks do not keep stores for ever.
func TestDesksDoNotKeepStores(t *testing.T) {
	inWorld(t, provider.SingleUse, 3*time.Minute, func(t *testing.T, w *world) {
		w.leave(tokensource.State{Holder: "dead", IntentMillis: time.Now().UnixMilli(), LeaseMillis: 30_000})
		before := tokensource.Desks()
		for range 100 { // each serves a request, with a store of its own
			w.process().token()
		}
		elapse(3 * time.Hour)
		w.process().token()
		if n := tokensource.Desks() - before; n > 1 {
			t.Errorf("%d desks are left", n)
		}
	})
}

// Leases of a process whose outcome is not known need not lapse for it, however many there are.
func TestTwoLeasesWhoseOutcomeIsNotKnown(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		puts := 0
		p.setFault(func(_ int, c memstore.Call) memstore.Fault {
			if c.Op != memstore.OpPut {
				return memstore.Fault{}
			}
			switch puts++; puts {
			case 1:
				return memstore.Fault{After: driver.ErrOutcomeUnknown}
			case 2:
				return memstore.Fault{Before: driver.ErrOutcomeUnknown}
			}
			return memstore.Fault{}
		})
		_, _ = p.source.Token()
		elapse(2 * time.Second)
		_, _ = p.source.Token()
		elapse(3 * time.Second)
		began := time.Now()
		p.token()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it waited %v for itself", took)
		}
	})
}

// What else a provider says is left out if it is too large, and the tokens are stored.
func TestTokensWithSomethingTooLargeBesideThem(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		p.onRequest = func(int) answer {
			return answer{change: func(m map[string]any) { m["id_token"] = strings.Repeat("x", 100_000) }}
		}
		_, err := ask(p, time.Minute)
		if got := w.record().RefreshToken.Reveal(); got != "refresh-canary-1" {
			t.Errorf("the record has %s; %v", got, err)
		}
	})
}

// In the window, a source does not wait for another one of its process.
func TestInTheWindowNobodyWaitsInOneProcess(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		w.server.takes = 4 * time.Second
		p := w.process()
		var all []*tokensource.Source
		for range 10 {
			s, err := tokensource.New(p.store, conf(), who(), &tokensource.Options{Provider: w.server.description(), HTTPClient: &http.Client{Transport: p}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Token(); err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		elapse(time.Hour - 5*time.Minute)
		var wait sync.WaitGroup
		var mu sync.Mutex
		slow := 0
		for _, s := range all {
			wait.Go(func() {
				began := time.Now()
				if _, err := s.Token(); err != nil {
					t.Error(err)
				}
				if time.Since(began) > time.Second {
					mu.Lock()
					defer mu.Unlock()
					slow++
				}
			})
		}
		wait.Wait()
		if slow != 1 {
			t.Errorf("%d of 10 sources waited", slow)
		}
	})
}

// Everything at once, for the race detector.
func TestSoup(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				for j := range 200 {
					tok, _ := ask(p, time.Duration(1+(i*j)%400)*time.Millisecond)
					switch (i + j) % 7 {
					case 0:
						p.source.Reject(&oauth2.Token{AccessToken: tok})
					case 1:
						_ = p.source.Flush(t.Context())
					case 2:
						if j%20 == 0 {
							_, _ = p.source.Exchange(t.Context(), fmt.Sprint("code-", i, "-", j))
						}
					case 3:
						if j%50 == 0 {
							_ = p.source.Revoke(t.Context())
						}
					}
				}
			})
		}
		wait.Wait()
		elapse(5 * time.Minute)
	})
}

// An Adapt that ends its goroutine leaves nobody waiting.
func TestGoexitInAdapt(t *testing.T) {
	inWorld(t, provider.Reusable, -time.Minute, func(t *testing.T, w *world) {
		p := w.process(func(o *tokensource.Options) {
			o.Provider.Adapt = func(*oauth2.Token) (*oauth2.Token, error) { runtime.Goexit(); return nil, nil }
		})
		done := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		go func() {
			defer close(done)
			_, _ = p.source.TokenContext(ctx)
		}()
		select {
		case <-done:
		case <-time.After(5 * time.Minute):
			t.Error("it waits for ever")
			cancel()
			<-done
		}
	})
}

// A token that is rejected while a flight is on is not returned again by it.
func TestRejectWhileAFlightIsOn(t *testing.T) {
	inWorld(t, provider.SingleUse, time.Hour, func(t *testing.T, w *world) {
		p := w.process()
		tok, err := p.source.Token()
		if err != nil {
			t.Fatal(err)
		}
		elapse(55 * time.Minute) // in the window
		p.onRequest = func(n int) answer {
			if n == 1 {
				return answer{before: func() { p.source.Reject(tok) }, status: 503, body: "down"}
			}
			return answer{}
		}
		go func() { _, _ = p.source.Token() }()
		elapse(5 * time.Second)
		if got, err := ask(p, time.Second); got == tok.AccessToken {
			t.Errorf("%s again, which was rejected; %v", got, err)
		}
		elapse(time.Minute)
	})
}

// A token that is not stored yet can be rejected.
func TestRejectOfATokenThatIsNotStored(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		p := w.process()
		storeDiesAfterRedemption(p)
		tok, err := p.source.Token()
		if !errors.Is(err, tokensource.ErrNotPersisted) {
			t.Fatal(err)
		}
		p.source.Reject(tok)
		p.setFault(nil)
		p.onRequest = nil
		elapse(time.Minute)
		if got, err := ask(p, time.Minute); got == tok.AccessToken {
			t.Errorf("%s again, which was rejected; %v", got, err)
		}
	})
}

// A lease whose holder died lapses for a process that asks seldom, and not for long, too.
func TestADeadLeaseAndAProcessThatAsksSeldom(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		w.leave(tokensource.State{Holder: "dead", IntentMillis: time.Now().UnixMilli(), LeaseMillis: 30_000})
		p := w.process()
		var last error
		n := 0
		for range 6 { // for an hour
			if _, last = ask(p, 10*time.Second); last == nil {
				break
			}
			n++
			elapse(10 * time.Minute)
		}
		if n > 1 {
			t.Errorf("%d calls failed in a row, 10 minutes apart: %v", n, last)
		}
	})
}

// What could not be stored is forgotten when its record is deleted.
func TestTheDeskOfADeletedRecord(t *testing.T) {
	inWorld(t, provider.SingleUse, -time.Minute, func(t *testing.T, w *world) {
		before := tokensource.Desks()
		p, other := w.process(), w.process()
		storeDiesAfterRedemption(p)
		if _, err := p.source.Token(); !errors.Is(err, tokensource.ErrNotPersisted) {
			t.Fatal(err)
		}
		if err := other.store.DeleteToken(t.Context(), w.id); err != nil {
			t.Fatal(err)
		}
		p.setFault(nil)
		p.onRequest = nil
		elapse(2 * time.Hour)
		if _, err := ask(p, time.Minute); !errors.Is(err, token.ErrNotFound) {
			t.Error(err)
		}
		elapse(2 * time.Hour)
		_, _ = ask(p, time.Minute)
		if n := tokensource.Desks() - before; n > 0 {
			t.Errorf("%d desks are left", n)
		}
	})
}
