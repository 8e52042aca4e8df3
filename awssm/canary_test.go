package awssm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
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

func TestTheCanaryComesOutOfNothing(t *testing.T) {
	echoes := map[string]awssmtest.Error{
		"a 503":                 {Status: 503, Code: "ServiceUnavailable", Message: "you sent: "},
		"a throttling":          {Status: 400, Code: "ThrottlingException", Message: "you sent: "},
		"a refusal":             {Status: 400, Code: "AccessDeniedException", Message: "you sent: "},
		"an invalid request":    {Status: 400, Code: "InvalidRequestException", Message: "you sent: "},
		"an invalid parameter":  {Status: 400, Code: "InvalidParameterException", Message: "you sent: "},
		"a quota":               {Status: 400, Code: "LimitExceededException", Message: "you sent: "},
		"a key that is lost":    {Status: 400, Code: "EncryptionFailure", Message: "you sent: "},
		"a code that is a body": {Status: 400, Code: canary, Message: "you sent: "},
	}
	for fault, echo := range echoes {
		for _, skip := range []int{0, 1, 2} {
			t.Run(fmt.Sprintf("%s after %d requests", fault, skip), func(t *testing.T) {
				s := start(t)
				store, err := awssm.New(s.sdk(t, noRetries), prefix, nil)
				if err != nil {
					t.Fatal(err)
				}
				first := canaryToken(1)
				if err := store.SaveTokens(t.Context(), []*token.OAuthToken{first, canaryToken(2)}); err != nil {
					t.Fatal(err)
				}
				for name, do := range canaryOperations(first.ID) {
					store, err := awssm.New(s.sdk(t, noRetries), prefix, &awssm.Options{Store: token.Options{}})
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithCancel(t.Context())
					in := s.Inject(awssmtest.Fault{Skip: skip, Times: 1, Do: awssmtest.EchoBody(echo)})
					neverPrinted(t, name, do(ctx, store))
					in.Remove()
					cancel()
				}
				for _, name := range s.Names() {
					if strings.Contains(name, "canary") {
						t.Errorf("a secret is called %s", name)
					}
				}
			})
		}
	}
}

func noRetries(o *secretsmanager.Options) { o.RetryMaxAttempts = 1 }

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
// descriptions and tags.
func TestTheCanaryIsInNoDescriptionAndNoTag(t *testing.T) {
	s := start(t)
	store, err := awssm.New(s.sdk(t), prefix, &awssm.Options{Tags: map[string]string{"team": "crm"}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := store.SaveToken(t.Context(), canaryToken(n)); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := s.sdk(t).ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{})
	if err != nil || len(listed.SecretList) != 4 {
		t.Fatalf("%d secrets: %v", len(listed.SecretList), err)
	}
	for _, secret := range listed.SecretList {
		text := *secret.Name + *secret.Description
		for _, tag := range secret.Tags {
			text += *tag.Key + *tag.Value
		}
		if strings.Contains(text, canary) {
			t.Errorf("a list shows the canary: %s", text)
		}
	}
}
