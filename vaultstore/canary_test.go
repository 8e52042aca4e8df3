package vaultstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// canaryToken has the canary in every secret, and in the user's name.
func canaryToken(n int) *token.OAuthToken {
	c := func(field string) token.Secret { return token.NewSecret(fmt.Sprint(canary, field, n)) }
	return &token.OAuthToken{
		UserSignature: token.UserSignature{Name: fmt.Sprint(canary, "user", n)},
		ClientID:      "client", ClientSecret: c("secret"), GrantToken: c("grant"), RefreshToken: c("refresh"), AccessToken: c("access"),
		RedirectURL: canary, Extra: map[string]token.Secret{"id_token": c("extra")},
	}
}

// neverPrinted fails the test if the canary comes out of anything that an error prints.
func neverPrinted(t *testing.T, what string, err error) {
	t.Helper()
	silent(t, err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(e.Error(), canary) {
			t.Errorf("%s: the canary came out: %v", what, e)
		}
	}
}

// Each request but the first ones is answered with an error that repeats it, and in the
// end the operation fails with that.
func TestTheCanaryComesOutOfNothing(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404, 405, 408, 412, 413, 429, 472, 473, 500, 502, 503, 599} {
		for _, skip := range []int{0, 1, 2} {
			if underRace && (skip != 1 || status%5 != 0) {
				continue
			}
			t.Run(fmt.Sprintf("%d after %d requests", status, skip), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, s *service) {
					store := s.store(t)
					first := canaryToken(1)
					if err := store.SaveTokens(t.Context(), []*token.OAuthToken{first, canaryToken(2)}); err != nil {
						t.Fatal(err)
					}
					operations := canaryOperations(first.ID)
					for _, name := range slices.Sorted(maps.Keys(operations)) {
						for times := range 2 { // once, and for ever
							in := s.Inject(vaultstoretest.Fault{Skip: skip, Times: 1 - times, Do: vaultstoretest.EchoBody(status)})
							ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
							neverPrinted(t, name, operations[name](ctx, s.store(t)))
							cancel()
							in.Remove()
						}
					}
					for _, name := range s.Names(mount) {
						if strings.Contains(name, "canary") {
							t.Errorf("a secret is called %s", name)
						}
					}
					for _, c := range s.Calls() {
						if strings.Contains(c.Path, "canary") {
							t.Errorf("a path is %s", c.Path)
						}
					}
				})
			})
		}
	}
}

// canaryOperations are all methods, with the canary in all arguments.
func canaryOperations(id string) map[string]func(context.Context, *token.Store) error {
	return map[string]func(context.Context, *token.Store) error{
		"FindTokenByID": func(ctx context.Context, s *token.Store) error {
			_, err := s.FindTokenByID(ctx, id)
			return err
		},
		"FindToken": func(ctx context.Context, s *token.Store) error {
			_, err := s.FindToken(ctx, canaryToken(1))
			return err
		},
		"FindToken, a miss": func(ctx context.Context, s *token.Store) error {
			_, err := s.FindToken(ctx, canaryToken(9))
			return err
		},
		"SaveToken": func(ctx context.Context, s *token.Store) error {
			c := canaryToken(1)
			c.AccessToken = token.NewSecret(canary + "later")
			return s.SaveToken(ctx, c)
		},
		"SaveToken, an insert": func(ctx context.Context, s *token.Store) error { return s.SaveToken(ctx, canaryToken(3)) },
		"SaveToken, a rotation": func(ctx context.Context, s *token.Store) error {
			c := canaryToken(1)
			c.RefreshToken = token.NewSecret(canary)
			return s.SaveToken(ctx, c)
		},
		"SaveToken, too large": func(ctx context.Context, s *token.Store) error {
			c := canaryToken(1)
			c.AccessToken = token.NewSecret(strings.Repeat(canary, 20000))
			return s.SaveToken(ctx, c)
		},
		"UpdateToken": func(ctx context.Context, s *token.Store) error {
			return s.UpdateToken(ctx, id, func(t *token.OAuthToken) error { t.APIDomain = canary; return nil })
		},
		"GetTokens": func(ctx context.Context, s *token.Store) error {
			_, err := s.GetTokens(ctx)
			return err
		},
		// What they delete comes last.
		"delete one":  func(ctx context.Context, s *token.Store) error { return s.DeleteToken(ctx, id) },
		"delete them": func(ctx context.Context, s *token.Store) error { return s.DeleteTokens(ctx) },
	}
}
