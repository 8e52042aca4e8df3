package refresh_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/refresh/oauthserver"
	"github.com/tokenkeep/tokenkeep/integration/refresh/service"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource"
)

// For each user, something else goes wrong with the first refresh.
func TestAnAnswerThatIsLostCostsALoginAndOneThatSaysNoCostsATime(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	troubles := map[string]oauthserver.Trouble{
		users[0]: {Lost: true},
		users[1]: {After: 3 * timeout},
		users[2]: {Busy: true},
		users[3]: {After: timeout / 4},
	}
	var mu sync.Mutex
	s := newScene(t, service.Vault, timeout, oauthserver.Options{Lifetime: lifetime, Trouble: func(r oauthserver.Request) oauthserver.Trouble {
		mu.Lock()
		defer mu.Unlock()
		trouble := troubles[r.User]
		delete(troubles, r.User)
		return trouble
	}})
	s.loginAll(0)
	stores := make([]map[string]*token.Store, 2)
	for i := range stores {
		var err error
		if stores[i], err = s.open(); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct {
		what          string
		reauth        bool
		least, atMost time.Duration
	}{
		{"the connection broke after the effect", true, s.lease(), s.lease() + 5*time.Second},
		{"the answer came after the timeout", true, s.lease(), s.lease() + 5*time.Second},
		{"the server was busy", false, s.lease(), s.lease() + 5*time.Second},
		{"the answer was late", false, 0, s.lease()},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			s, user := *s, users[i]
			s.T = t
			before, _ := s.record(user)
			var all sync.WaitGroup
			for _, store := range stores {
				source := s.source(store[user], user, timeout)
				all.Go(func() {
					began := time.Now()
					reauth, err := next(t, source, before.AccessToken.Reveal())
					took := time.Since(began)
					if err != nil || reauth != c.reauth || took < c.least || took > c.atMost {
						t.Errorf("after %v: log in again: %v, %v", took, reauth, err)
					}
				})
			}
			all.Wait()
			family, generation, _ := s.server.Family(before.RefreshToken.Reveal())
			if family.Revoked != c.reauth || family.Generations[generation].Accepted != 1 {
				t.Errorf("the refresh token was accepted %d times; revoked: %v", family.Generations[generation].Accepted, family.Revoked)
			}
			if _, state := s.record(user); (state.Reauth == tokensource.Interrupted) != c.reauth {
				t.Errorf("the record says %+v", state)
			}
			if c.reauth {
				s.login(user)
			}
			if tok, err := s.sources[user].TokenContext(t.Context()); err != nil || s.use(tok.AccessToken) != user {
				t.Errorf("in the end: %v", err)
			}
			s.isNewest(user)
		})
	}
}

// next asks until it gets another token, or is told that the user has to log in.
func next(t *testing.T, source *tokensource.Source, before string) (reauth bool, err error) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		tok, err := source.TokenContext(t.Context())
		switch {
		case errors.Is(err, tokensource.ErrNeedsReauth):
			return true, nil
		case err != nil && !errors.Is(err, tokensource.ErrProvider):
			return false, err
		case err == nil && tok.AccessToken != before:
			return false, nil
		}
		select {
		case <-t.Context().Done():
			return false, t.Context().Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return false, errors.New("nothing came in a minute")
}
