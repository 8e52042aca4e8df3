package vault_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/tokenkeep/tokenkeep/token"
)

// canaryToken has the canary in every secret, in the user's name and in what else a
// caller may fill.
func canaryToken(n int) *token.OAuthToken {
	c := func(field string) token.Secret { return token.NewSecret(fmt.Sprint(canary, field, n)) }
	return &token.OAuthToken{
		UserSignature: token.UserSignature{Name: fmt.Sprint(canary, "user", n)},
		ClientID:      "client", ClientSecret: c("secret"), GrantToken: c("grant"), RefreshToken: c("refresh"), AccessToken: c("access"),
		RedirectURL: fmt.Sprint("https://example.com/", canary), Extra: map[string]token.Secret{"id_token": c("extra")},
	}
}

// A method is one of a store, on the records of seed.
type method struct {
	name string
	do   func(context.Context, *token.Store) error
	// writes: it is one that does; inserts: it creates a secret.
	writes, inserts bool
}

// seed saves the tokens 1 and 2, and returns their ids.
func seed(t testing.TB, store *token.Store) []string {
	t.Helper()
	tokens := []*token.OAuthToken{canaryToken(1), canaryToken(2)}
	if err := store.SaveTokens(t.Context(), tokens); err != nil {
		t.Fatal(err)
	}
	return []string{tokens[0].ID, tokens[1].ID}
}

// methods are all methods of a store, in an order in which each finds what it needs.
func methods(ids []string) []method {
	find := func(q *token.OAuthToken) func(context.Context, *token.Store) error {
		return func(ctx context.Context, s *token.Store) error { _, err := s.FindToken(ctx, q); return err }
	}
	save := func(change func(*token.OAuthToken)) func(context.Context, *token.Store) error {
		return func(ctx context.Context, s *token.Store) error {
			c := canaryToken(1)
			change(c)
			return s.SaveToken(ctx, c)
		}
	}
	return []method{
		{name: "FindTokenByID", do: func(ctx context.Context, s *token.Store) error {
			_, err := s.FindTokenByID(ctx, ids[0])
			return err
		}},
		{name: "FindToken by user", do: find(&token.OAuthToken{UserSignature: canaryToken(1).UserSignature})},
		{name: "FindToken by refresh token", do: find(&token.OAuthToken{RefreshToken: canaryToken(1).RefreshToken})},
		{name: "FindToken by grant token", do: find(&token.OAuthToken{GrantToken: canaryToken(1).GrantToken})},
		{name: "FindToken by access token", do: find(&token.OAuthToken{AccessToken: canaryToken(1).AccessToken})},
		{name: "GetTokens", do: func(ctx context.Context, s *token.Store) error { _, err := s.GetTokens(ctx); return err }},
		{name: "All", do: func(ctx context.Context, s *token.Store) error {
			for _, err := range s.All(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{name: "SaveToken, an update", writes: true, do: save(func(c *token.OAuthToken) { c.AccessToken = token.NewSecret(canary + "later") })},
		{name: "SaveToken, a rotation", writes: true, do: save(func(c *token.OAuthToken) { c.RefreshToken = token.NewSecret(canary + "rotated") })},
		{name: "SaveToken, an insert", writes: true, inserts: true, do: func(ctx context.Context, s *token.Store) error {
			return s.SaveToken(ctx, canaryToken(3))
		}},
		{name: "SaveToken, an id of the caller's", writes: true, inserts: true, do: func(ctx context.Context, s *token.Store) error {
			c := canaryToken(4)
			c.ID = "chosen"
			return s.SaveToken(ctx, c)
		}},
		{name: "SaveTokens", writes: true, inserts: true, do: func(ctx context.Context, s *token.Store) error {
			return s.SaveTokens(ctx, []*token.OAuthToken{canaryToken(5), canaryToken(6)})
		}},
		{name: "UpdateToken", writes: true, do: func(ctx context.Context, s *token.Store) error {
			return s.UpdateToken(ctx, ids[0], func(t *token.OAuthToken) error { t.APIDomain = canary; return nil })
		}},
		{name: "DeleteToken", writes: true, do: func(ctx context.Context, s *token.Store) error { return s.DeleteToken(ctx, ids[1]) }},
		{name: "DeleteTokens", writes: true, do: func(ctx context.Context, s *token.Store) error { return s.DeleteTokens(ctx) }},
	}
}

// called is the one of the methods that has a name.
func called(ids []string, name string) method {
	for _, m := range methods(ids) {
		if m.name == name {
			return m
		}
	}
	panic("there is no method " + name)
}

// deletes is DeleteToken for an id.
func deletes(id string) method {
	return method{name: "DeleteToken", do: func(ctx context.Context, s *token.Store) error { return s.DeleteToken(ctx, id) }}
}

// A watch counts what is answered, such as "PUT data: 403".
type watch struct {
	http.Handler

	mu      sync.Mutex
	answers map[string]int
}

// watched lets a watch see what the server behind a proxy answers.
func watched(p *proxy) *watch {
	w := &watch{Handler: p.forward, answers: map[string]int{}}
	p.forward = w
	return w
}

func (w *watch) ServeHTTP(answer http.ResponseWriter, r *http.Request) {
	what := operation(r)
	a := &answered{ResponseWriter: answer, status: http.StatusOK}
	w.Handler.ServeHTTP(a, r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[fmt.Sprint(what, ": ", a.status)]++
}

type answered struct {
	http.ResponseWriter
	status int
}

func (a *answered) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// counted returns what was answered since the last time.
func (w *watch) counted() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	answers := w.answers
	w.answers = map[string]int{}
	return answers
}

// refused returns the requests that were refused for a right since the last time.
func (w *watch) refused() []string {
	var names []string
	for name := range w.counted() {
		if what, ok := strings.CutSuffix(name, ": 403"); ok {
			names = append(names, what)
		}
	}
	return names
}
