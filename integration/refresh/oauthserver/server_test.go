package oauthserver_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/integration/refresh/oauthserver"
)

func start(t *testing.T, o oauthserver.Options) *oauthserver.Server {
	t.Helper()
	s, err := oauthserver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func login(t *testing.T, s *oauthserver.Server) *oauth2.Token {
	t.Helper()
	code, err := s.Login(t.Context(), "ana")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := s.Config().Exchange(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// refresh spends a refresh token, and returns the error code if it was refused.
func refresh(t *testing.T, s *oauthserver.Server, spent *oauth2.Token) (*oauth2.Token, string) {
	t.Helper()
	next, err := s.Config().TokenSource(t.Context(), &oauth2.Token{RefreshToken: spent.RefreshToken}).Token()
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused):
		return nil, refused.ErrorCode
	case err != nil:
		t.Fatal(err)
	}
	return next, ""
}

// use returns what the resource server says.
func use(t *testing.T, s *oauthserver.Server, tok *oauth2.Token) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/resource", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	tok.SetAuthHeader(r)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if (resp.StatusCode == http.StatusOK) != (string(body) == "ana") {
		t.Errorf("it said %q with status %d", body, resp.StatusCode)
	}
	return string(body)
}

func TestARefreshTokenThatComesAgainRevokesItsWholeFamily(t *testing.T) {
	for _, takes := range []bool{false, true} {
		s := start(t, oauthserver.Options{Lifetime: time.Hour, TakesAccess: takes})
		other := login(t, s)
		tok := []*oauth2.Token{login(t, s)}
		for range 3 {
			next, code := refresh(t, s, tok[len(tok)-1])
			if next == nil || next.RefreshToken == tok[len(tok)-1].RefreshToken {
				t.Fatalf("it does not rotate: %v, %q", next, code)
			}
			tok = append(tok, next)
		}
		for i, one := range tok {
			if want := i == 3 || !takes; (use(t, s, one) == "ana") != want {
				t.Errorf("TakesAccess %v: access token %d lives: %v", takes, i, !want)
			}
		}
		if _, code := refresh(t, s, tok[1]); code != "invalid_grant" {
			t.Errorf("a refresh token that was spent: %q", code)
		}
		if _, code := refresh(t, s, tok[3]); code != "invalid_grant" {
			t.Errorf("the newest of a family that was revoked: %q", code)
		}
		for i, one := range tok {
			if use(t, s, one) != oauthserver.Unknown {
				t.Errorf("access token %d outlived its family", i)
			}
		}
		if next, code := refresh(t, s, other); next == nil || use(t, s, next) != "ana" {
			t.Errorf("another login suffered: %q", code)
		}
		f := s.Families()
		if len(f) != 2 || f[0].Revoked || !f[1].Revoked || len(f[1].Generations) != 4 || f[1].Generations[1].Accepted != 1 || f[1].Generations[1].Refused != 1 {
			t.Errorf("it counted %+v", f)
		}
	}
}

func TestTheLifetimeThatIsToldIsAWholeNumberOfSeconds(t *testing.T) {
	s := start(t, oauthserver.Options{Lifetime: 2 * time.Second})
	tok := login(t, s)
	for range 20 {
		if tok.ExpiresIn != 2 {
			t.Fatalf("it tells %d seconds", tok.ExpiresIn)
		}
		tok, _ = refresh(t, s, tok)
	}
}

func TestTroubleComesBeforeTheEffectOrAfterIt(t *testing.T) {
	trouble := oauthserver.Trouble{}
	s := start(t, oauthserver.Options{Lifetime: time.Hour, Trouble: func(r oauthserver.Request) oauthserver.Trouble {
		if r.User != "ana" || r.By == "" {
			t.Errorf("it is about %+v", r)
		}
		return trouble
	}})
	accepted := func() int { return s.Families()[0].Generations[0].Accepted }
	conf, tok := s.Config(), login(t, s)
	ask := func() error {
		_, err := conf.TokenSource(t.Context(), &oauth2.Token{RefreshToken: tok.RefreshToken}).Token()
		return err
	}
	trouble = oauthserver.Trouble{Busy: true}
	if err := ask(); err == nil || accepted() != 0 {
		t.Errorf("busy: %v, accepted %d times", err, accepted())
	}
	trouble = oauthserver.Trouble{Lost: true}
	if err := ask(); err == nil || accepted() != 1 {
		t.Errorf("lost: %v, accepted %d times", err, accepted())
	}
	if asked := s.Families()[0].Generations[0].Asked; len(asked) != 2 || asked[1].Before(asked[0]) {
		t.Errorf("it was asked at %v", asked)
	}
}
