package gcpsm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	secretmanagerpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token"
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
	if err == nil {
		return
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		_, _ = fmt.Fprintf(&out, verb, err)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).ErrorContext(t.Context(), "failed", slog.Any("err", err))
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		out.WriteString(e.Error())
	}
	if strings.Contains(out.String(), canary) {
		t.Errorf("%s: the canary came out: %s", what, out.String())
	}
}

// Each request but the first ones is answered with an error that repeats it, and in the
// end the operation fails with that.
func TestTheCanaryComesOutOfNothing(t *testing.T) {
	for _, code := range []codes.Code{
		codes.Unavailable, codes.Internal, codes.DeadlineExceeded, codes.Aborted, codes.ResourceExhausted, codes.PermissionDenied,
		codes.Unauthenticated, codes.InvalidArgument, codes.FailedPrecondition, codes.NotFound, codes.AlreadyExists, codes.Code(99),
	} {
		for _, skip := range []int{0, 1, 2} {
			if underRace && skip != 1 {
				continue
			}
			t.Run(fmt.Sprintf("%v after %d requests", code, skip), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := virtual(t)
					store := s.store(t)
					first := canaryToken(1)
					if err := store.SaveTokens(t.Context(), []*token.OAuthToken{first, canaryToken(2)}); err != nil {
						t.Fatal(err)
					}
					for name, do := range canaryOperations(first.ID) {
						for times := range 2 { // once, and for ever
							in := s.Inject(gcpsmtest.Fault{Skip: skip, Times: 1 - times, Do: gcpsmtest.EchoBody(code)})
							neverPrinted(t, name, do(t.Context(), s.store(t)))
							in.Remove()
						}
					}
					for _, name := range s.Names() {
						if strings.Contains(name, "canary") {
							t.Errorf("a secret is called %s", name)
						}
					}
				})
			})
		}
	}
}

// canaryOperations are all methods, with the canary in all arguments. Those that
// delete come last in no order: what they deleted is inserted again.
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
		"a miss": func(ctx context.Context, s *token.Store) error {
			_, err := s.FindToken(ctx, canaryToken(9))
			return err
		},
		"SaveToken": func(ctx context.Context, s *token.Store) error {
			c := canaryToken(1)
			c.AccessToken = token.NewSecret(canary + "later")
			return s.SaveToken(ctx, c)
		},
		"an insert": func(ctx context.Context, s *token.Store) error { return s.SaveToken(ctx, canaryToken(3)) },
		"a rotation": func(ctx context.Context, s *token.Store) error {
			c := canaryToken(1)
			c.RefreshToken = token.NewSecret(canary)
			return s.SaveToken(ctx, c)
		},
		"what is too large": func(ctx context.Context, s *token.Store) error {
			c := canaryToken(1)
			c.AccessToken = token.NewSecret(strings.Repeat(canary, 5000))
			return s.SaveToken(ctx, c)
		},
		"UpdateToken": func(ctx context.Context, s *token.Store) error {
			return s.UpdateToken(ctx, id, func(t *token.OAuthToken) error { t.APIDomain = canary; return nil })
		},
		"GetTokens": func(ctx context.Context, s *token.Store) error {
			_, err := s.GetTokens(ctx)
			return err
		},
		"DeleteToken":  func(ctx context.Context, s *token.Store) error { return s.DeleteToken(ctx, id) },
		"DeleteTokens": func(ctx context.Context, s *token.Store) error { return s.DeleteTokens(ctx) },
	}
}

// What the service shows to those who may list secrets, but not read them: names,
// labels and annotations.
func TestTheCanaryIsInNothingThatIsListed(t *testing.T) {
	s := start(t)
	opts := unpaced()
	opts.Labels, opts.Annotations = map[string]string{"team": "crm"}, map[string]string{"note": "tokens"}
	store, err := gcpsm.New(s.sdk(t), parent, prefix, opts)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := store.SaveToken(t.Context(), canaryToken(n)); err != nil {
			t.Fatal(err)
		}
	}
	shown := 0
	for secret, err := range s.sdk(t).ListSecrets(t.Context(), &secretmanagerpb.ListSecretsRequest{Parent: parent}).All() {
		if err != nil {
			t.Fatal(err)
		}
		shown++
		if text := secret.String(); strings.Contains(text, canary) {
			t.Errorf("a list shows the canary: %s", text)
		}
	}
	if shown != 4 {
		t.Errorf("%d secrets are listed", shown)
	}
}
