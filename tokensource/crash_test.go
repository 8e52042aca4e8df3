package tokensource_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
	"github.com/tokenkeep/tokenkeep/tokensource"
	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// This file lets one process fail at each step of a refresh, in each way, while another one wants
// a token too, and looks at what is left.

// A mishap is what happens to the process that fails, once.
type mishap struct {
	name string
	// store is what happens at a call to the store, or request at one to the provider. They may
	// kill the process, or let it stand still.
	store   func(v *victim, c memstore.Call) memstore.Fault
	request func(v *victim) answer
	// harmless: nothing is lost by it, whatever the provider is like.
	harmless bool
}

// long is how long a process stands still: longer than a lease.
const long = 45 * time.Second

var storeMishaps = []mishap{
	{name: "dies before", store: func(v *victim, _ memstore.Call) memstore.Fault { v.die(); return memstore.Fault{} }},
	{name: "dies after", store: func(v *victim, _ memstore.Call) memstore.Fault {
		v.dead.Store(true) // at the next call
		return memstore.Fault{After: driver.ErrOutcomeUnknown}
	}},
	{name: "is refused", harmless: true, store: func(*victim, memstore.Call) memstore.Fault {
		return memstore.Fault{Before: driver.ErrUnavailable}
	}},
	{name: "never hears", harmless: true, store: func(_ *victim, c memstore.Call) memstore.Fault {
		if c.Op != memstore.OpPut {
			return memstore.Fault{Before: driver.ErrUnavailable}
		}
		return memstore.Fault{After: driver.ErrOutcomeUnknown}
	}},
	{name: "stands still", store: func(*victim, memstore.Call) memstore.Fault {
		elapse(long)
		return memstore.Fault{}
	}},
	{name: "stands still after", store: func(v *victim, _ memstore.Call) memstore.Fault {
		v.late.Store(true) // before the next call
		return memstore.Fault{}
	}},
}

var requestMishaps = []mishap{
	{name: "dies before it is sent", request: func(v *victim) answer { return answer{before: v.die, lostBefore: true} }},
	{name: "dies before the answer", request: func(v *victim) answer { return answer{after: v.die} }},
	{name: "stands still before the answer", request: func(*victim) answer { return answer{after: func() { elapse(long) }} }},
	{name: "is lost", request: func(*victim) answer { return answer{lostBefore: true} }},
	{name: "is answered, and the answer is lost", request: func(*victim) answer { return answer{lostAfter: true} }},
	{name: "hangs", request: func(*victim) answer { return answer{hangs: true} }},
	{name: "hangs after it took effect", request: func(*victim) answer { return answer{hangs: true, lostAfter: true} }},
	{name: "meets an error of the server", request: func(*victim) answer { return answer{status: 503, body: "down"} }},
	{name: "meets a limit", harmless: true, request: func(*victim) answer { return answer{status: 429, body: "{}"} }},
	{name: "is refused", harmless: true, request: func(*victim) answer { return answer{status: 401, body: `{"error":"invalid_client"}`} }},
}

// A victim is the process that fails.
type victim struct {
	*process
	over chan struct{} // closed when the world ends
	dead atomic.Bool
	late atomic.Bool
}

// die stops the process for ever.
func (v *victim) die() {
	v.dead.Store(true)
	<-v.over
}

func victimOf(p *process, m mishap, at int) *victim {
	v := &victim{process: p, over: make(chan struct{})}
	p.setFault(func(n int, c memstore.Call) memstore.Fault {
		switch {
		case v.dead.Load():
			<-v.over
			return memstore.Fault{Before: driver.ErrUnavailable}
		case v.late.CompareAndSwap(true, false):
			elapse(long)
		}
		if n == at && m.store != nil {
			return m.store(v, c)
		}
		return memstore.Fault{}
	})
	p.onRequest = func(n int) answer {
		if v.dead.Load() {
			<-v.over
			return answer{lostBefore: true}
		}
		if n == at && m.request != nil {
			return m.request(v)
		}
		return answer{}
	}
	return v
}

// rotations are the kinds of servers.
var rotations = map[string]func() (*oauthServer, bool){
	"single-use": func() (*oauthServer, bool) { return newServer(provider.SingleUse), false },
	"leeway": func() (*oauthServer, bool) {
		s := newServer(provider.Leeway)
		s.grace = 20 * time.Second
		return s, false
	},
	"reusable":           func() (*oauthServer, bool) { return newServer(provider.Reusable), false },
	"reusable, unleased": func() (*oauthServer, bool) { return newServer(provider.Reusable), true },
}

// A process fails at any step of a refresh, in any way, and another one that wants a token too gets one,
// unless the provider has revoked all since a token that was spent was never stored. Then the record
// says so, and a login mends it.
func TestARefreshThatFailsAtAnyStep(t *testing.T) {
	for name, newServer := range rotations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs, reauths := 0, 0
			for _, wait := range []time.Duration{0, 30 * time.Millisecond, 150 * time.Millisecond, 400 * time.Millisecond, 33 * time.Second} {
				for _, left := range []time.Duration{-time.Minute, 3 * time.Minute} {
					for _, m := range append(storeMishaps, requestMishaps...) {
						for at := 1; ; at++ {
							happened, reauth := true, false
							synctest.Test(t, func(t *testing.T) {
								server, unleased := newServer()
								happened, reauth = failOnce(t, newWorld(t, server, left), unleased, m, at, wait)
							})
							if t.Failed() {
								t.Fatalf("the first one %s at its call %d; it expires in %v; the other one comes after %v", m.name, at, left, wait)
							}
							if !happened {
								break
							}
							runs++
							if reauth {
								reauths++
							}
						}
					}
				}
			}
			t.Logf("%d runs, in %d of them the user had to log in again", runs, reauths)
			if (reauths > 0) != (name == "single-use" || name == "leeway") {
				t.Errorf("%d logins", reauths)
			}
		})
	}
}

// failOnce lets a process fail at a call, and another one come after some time. It reports whether the process
// got that far, and whether the user had to log in again.
func failOnce(t *testing.T, w *world, unleased bool, m mishap, at int, wait time.Duration) (happened, reauth bool) {
	set := func(o *tokensource.Options) { o.Provider.Unleased = unleased }
	v, other, third := victimOf(w.process(set), m, at), w.process(set), w.process(set)
	defer func() {
		close(v.over)
		elapse(5 * time.Minute) // until what is left of the dead gives up
	}()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = v.source.TokenContext(t.Context())
	}()
	elapse(wait)

	// The other one gets a token, or is told that the user has to log in again. As long as its
	// own is good it does not wait for another; when it is not, it waits for a lease at most, and
	// then there are errors of the provider that it is told.
	tell := func(p *process, patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for {
			tok, err := p.source.TokenContext(ctx)
			if err == nil && tok.RefreshToken != "" {
				t.Error("a refresh token was handed out")
			}
			if err == nil || ctx.Err() != nil || errors.Is(err, tokensource.ErrNeedsReauth) {
				return err
			}
			_ = pause(ctx, 5*time.Second)
		}
	}
	err := tell(other, 3*time.Minute)
	v.mu.Lock()
	happened = v.calls >= at && m.store != nil || v.requests >= at && m.request != nil
	v.mu.Unlock()
	// Everybody who is alive comes to an end, and the tokens expire.
	select {
	case <-done:
	case <-time.After(5 * time.Minute): // it died
	}
	elapse(65 * time.Minute)
	for _, p := range []*process{other, third} {
		if again := tell(p, 3*time.Minute); again != nil {
			err = again
		}
	}
	if errors.Is(err, tokensource.ErrNeedsReauth) {
		reauth = true
		w.checkReauth(m)
		if _, err = other.source.Exchange(t.Context(), "code"); err != nil {
			t.Errorf("after a login: %v", err)
		}
		elapse(time.Minute)
		for _, p := range []*process{other, third} {
			if err := tell(p, time.Minute); err != nil {
				t.Errorf("after a login: %v", err)
			}
		}
	} else if err != nil {
		t.Errorf("no token: %v", err)
	}
	w.checkEnd(t)
	return happened, reauth
}

// checkReauth makes sure that a user had to log in again for a reason, and that the record
// tells it.
func (w *world) checkReauth(m mishap) {
	if w.server.rotation == provider.Reusable || m.harmless {
		w.t.Errorf("the user has to log in again")
	}
	if st := w.state(); st.Reauth != tokensource.Interrupted {
		w.t.Errorf("the record says %q", st.Reauth)
	}
	if w.server.accepted() == 0 || w.record().RefreshToken.Reveal() != refresh {
		w.t.Error("nothing was spent without being stored")
	}
}

// checkEnd makes sure that the record holds tokens that are good, and that nothing was spent twice.
func (w *world) checkEnd(t testing.TB) {
	rec := w.record()
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	if w.server.revoked || !w.server.live[rec.RefreshToken.Reveal()] {
		t.Errorf("the refresh token of the record is dead; %v", w.server.log)
	}
	if w.server.rotation == provider.SingleUse {
		for name, n := range w.server.used {
			if n > 1 {
				t.Errorf("%s was accepted %d times", name, n)
			}
		}
	}
	if !rec.Expiry.After(time.Now()) {
		t.Errorf("the record's token expired %v ago", time.Since(rec.Expiry))
	}
}
