package token_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// The canaries: one in each field that no error may show.
const bird = "canary-1f60b7"

func canary(field string) string { return bird + "-" + field }

// canaryToken has a canary in every secret, and in the user's name.
func canaryToken(n int) *token.OAuthToken {
	c := func(field string) token.Secret { return token.NewSecret(fmt.Sprint(canary(field), n)) }
	return &token.OAuthToken{
		UserSignature: token.UserSignature{Name: fmt.Sprint(canary("user"), n)},
		ClientID:      "client", ClientSecret: c("client-secret"), GrantToken: c("grant"), RefreshToken: c("refresh"), AccessToken: c("access"),
		Expiry: time.UnixMilli(1893456000000), RedirectURL: canary("redirect"), APIDomain: canary("domain"),
		Extra: map[string]token.Secret{"id_token": c("extra")},
	}
}

// silent fails the test if a canary comes out of anything that an error prints. The
// cause that a service's SDK gave is reached by errors.As only, and printed by nothing.
func silent(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var texts []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		texts = append(texts, fmt.Sprintf(verb, err))
	}
	var buf bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&buf, nil), slog.NewJSONHandler(&buf, nil)} {
		slog.New(handler).ErrorContext(t.Context(), "failed", slog.String("what", what), slog.Any("err", err))
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		texts = append(texts, e.Error())
	}
	for _, text := range append(texts, buf.String()) {
		if strings.Contains(text, bird) {
			t.Errorf("%s: a canary came out: %s", what, text)
		}
	}
}

// canaryOperations are all methods, with canaries in all arguments.
func canaryOperations(id string) map[string]func(context.Context, *token.Store) error {
	return map[string]func(context.Context, *token.Store) error{
		"FindTokenByID": func(ctx context.Context, s *token.Store) error { return second(s.FindTokenByID(ctx, id)) },
		"FindToken":     func(ctx context.Context, s *token.Store) error { return second(s.FindToken(ctx, canaryToken(1))) },
		"a miss":        func(ctx context.Context, s *token.Store) error { return second(s.FindToken(ctx, canaryToken(9))) },
		"a find by access token": func(ctx context.Context, s *token.Store) error {
			return second(s.FindToken(ctx, &token.OAuthToken{AccessToken: canaryToken(9).AccessToken}))
		},
		"SaveToken": func(ctx context.Context, s *token.Store) error { return s.SaveToken(ctx, canaryToken(1)) },
		"an insert": func(ctx context.Context, s *token.Store) error { return s.SaveToken(ctx, canaryToken(3)) },
		"a conflict of user and id": func(ctx context.Context, s *token.Store) error {
			c := canaryToken(2)
			c.ID = id
			return s.SaveToken(ctx, c)
		},
		"a second client": func(ctx context.Context, s *token.Store) error {
			c := canaryToken(1)
			c.ClientID = "other"
			return s.SaveToken(ctx, c)
		},
		"a save that names nothing": func(ctx context.Context, s *token.Store) error {
			return s.SaveToken(ctx, &token.OAuthToken{ClientSecret: canaryToken(1).ClientSecret, AccessToken: canaryToken(1).AccessToken})
		},
		"a save that carries nothing": func(ctx context.Context, s *token.Store) error {
			return s.SaveToken(ctx, &token.OAuthToken{UserSignature: canaryToken(9).UserSignature})
		},
		"what is not UTF-8": func(ctx context.Context, s *token.Store) error {
			c := canaryToken(1)
			c.RefreshToken = token.NewSecret(bird + "\xff")
			return s.SaveToken(ctx, c)
		},
		"a name in Extra that is not UTF-8": func(ctx context.Context, s *token.Store) error {
			c := canaryToken(1)
			c.Extra[bird+"\xff"] = token.NewSecret(bird)
			return s.SaveToken(ctx, c)
		},
		"what is too large": func(ctx context.Context, s *token.Store) error {
			c := canaryToken(1)
			c.AccessToken = token.NewSecret(strings.Repeat(bird, 10_000))
			return s.SaveToken(ctx, c)
		},
		"SaveTokens": func(ctx context.Context, s *token.Store) error {
			return s.SaveTokens(ctx, []*token.OAuthToken{canaryToken(1), {UserSignature: canaryToken(9).UserSignature}})
		},
		"UpdateToken": func(ctx context.Context, s *token.Store) error {
			return s.UpdateToken(ctx, id, func(t *token.OAuthToken) error { t.APIDomain = bird; return nil })
		},
		"TryUpdateToken": func(ctx context.Context, s *token.Store) error {
			return s.TryUpdateToken(ctx, id, func(t *token.OAuthToken) error { t.APIDomain = bird; return nil })
		},
		"ReadToken":    func(ctx context.Context, s *token.Store) error { return second(s.ReadToken(ctx, id)) },
		"DeleteToken":  func(ctx context.Context, s *token.Store) error { return s.DeleteToken(ctx, id) },
		"GetTokens":    func(ctx context.Context, s *token.Store) error { return second(s.GetTokens(ctx)) },
		"DeleteTokens": func(ctx context.Context, s *token.Store) error { return s.DeleteTokens(ctx) },
	}
}

func canaryService(t *testing.T) (*memstore.Driver, string) {
	t.Helper()
	d := memstore.NewDriver()
	first := canaryToken(1)
	if err := open(t, d).SaveTokens(t.Context(), []*token.OAuthToken{first, canaryToken(2)}); err != nil {
		t.Fatal(err)
	}
	return d, first.ID
}

func TestNoErrorAndNoNameShowsACanary(t *testing.T) {
	_, id := canaryService(t)
	for name := range canaryOperations(id) {
		for fault, f := range map[string]memstore.Fault{
			"nothing":          {},
			"unavailable":      {Before: driver.ErrUnavailable},
			"permission":       {Before: driver.ErrPermission},
			"quota":            {Before: driver.ErrQuota},
			"an echo":          {Before: &driver.Error{Op: "Put", Kind: driver.ErrUnavailable, Cause: errors.New("you sent " + bird)}},
			"outcome unknown":  {After: driver.ErrOutcomeUnknown},
			"what nobody says": {After: driver.ErrInvalid},
		} {
			for k := 1; k < 6; k++ {
				d, id := canaryService(t)
				n := 0
				d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
					for _, name := range call.Names {
						if strings.Contains(name, "canary") {
							t.Errorf("a name shows a canary: %s", name)
						}
					}
					if n++; n == k && (f.After == nil || call.Op == memstore.OpPut) {
						return f
					}
					return memstore.Fault{}
				})
				what := fmt.Sprintf("%s with %s at call %d", name, fault, k)
				silent(t, what, canaryOperations(id)[name](t.Context(), open(t, d)))
				if fault == "nothing" {
					break
				}
			}
		}
	}
}

func TestDamagedSecretsDoNotComeOutInErrors(t *testing.T) {
	for what, spoil := range map[string]func(string) string{
		"half of it":       func(v string) string { return v[:len(v)-20] },
		"a newer format":   func(v string) string { return strings.Replace(v, `"format":1`, `"format":2`, 1) },
		"a number as text": func(v string) string { return strings.Replace(v, `"seq":1`, `"seq":"`+bird+`"`, 1) },
		"an unknown kind":  func(v string) string { return strings.Replace(v, `"kind":"token"`, `"kind":"`+bird+`"`, 1) },
		"a wrong type":     func(v string) string { return strings.Replace(v, `"client"`, `["`+bird+`"]`, 1) },
		"twice a member": func(v string) string {
			return strings.Replace(v, `"client_id"`, `"`+bird+`":1,"`+bird+`":2,"client_id"`, 1)
		},
		"nothing but a bird": func(string) string { return bird },
	} {
		d, id := canaryService(t)
		d.Set("token-"+id, []byte(spoil(string(d.Dump()["token-"+id]))))
		for name, do := range canaryOperations(id) {
			silent(t, name+" of "+what, do(t.Context(), open(t, d)))
		}
		d, id = canaryService(t)
		d.Set("index", []byte(strings.Replace(spoil(string(d.Dump()["index"])), `"entries":"`, `"entries":"`+bird, 1)))
		for name, do := range canaryOperations(id) {
			silent(t, name+" with an index of "+what, do(t.Context(), open(t, d)))
		}
	}
}

func TestWhatAStoreReturnsPrintsNoSecret(t *testing.T) {
	d, id := canaryService(t)
	s := open(t, d)
	found, err := s.FindTokenByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.GetTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The user, the URLs and the ids are no secrets: they are taken out first.
	for _, f := range append(all, found) {
		f.UserSignature.Name, f.RedirectURL, f.APIDomain = "", "", ""
	}
	for _, v := range []any{found, *found, all, map[string]any{"token": found}, struct{ t *token.OAuthToken }{found}, struct{ t token.OAuthToken }{*found}} {
		var out strings.Builder
		for _, verb := range verbs {
			_, _ = fmt.Fprintf(&out, verb, v)
		}
		raw, err := json.Marshal(v)
		out.Write(raw)
		_, _ = fmt.Fprint(&out, err)
		slog.New(slog.NewTextHandler(&out, nil)).InfoContext(t.Context(), "x", slog.Any("v", v))
		slog.New(slog.NewJSONHandler(&out, nil)).InfoContext(t.Context(), "x", slog.Any("v", v))
		if strings.Contains(out.String(), bird) {
			t.Errorf("a canary came out of %T", v)
		}
	}
	if got := fmt.Sprintf("%+v %#v", s, s); strings.Contains(got, bird) {
		t.Error("a canary came out of the store itself")
	}
}

func TestTheIndexAndTombstonesHoldNoCanary(t *testing.T) {
	d, _ := canaryService(t)
	if strings.Contains(string(d.Dump()["index"]), bird) {
		t.Error("the index holds a user name or a token in clear")
	}
	if err := open(t, d).DeleteTokens(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, value := range d.Dump() {
		if strings.Contains(string(value), bird) {
			t.Errorf("secret %s holds a canary after the deletion", name)
		}
	}
}
