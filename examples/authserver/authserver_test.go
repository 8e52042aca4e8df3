package authserver_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/examples/authserver"
)

func start(t *testing.T) (*authserver.Server, *oauth2.Config) {
	t.Helper()
	s := authserver.New()
	t.Cleanup(s.Close)
	conf := s.Config()
	conf.ClientSecret = authserver.ClientSecret
	return s, conf
}

func login(t *testing.T, s *authserver.Server, conf *oauth2.Config) *oauth2.Token {
	t.Helper()
	tok, err := conf.Exchange(t.Context(), s.Approve("ana"))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func refresh(ctx context.Context, conf *oauth2.Config, token string) (*oauth2.Token, error) {
	return conf.TokenSource(ctx, &oauth2.Token{RefreshToken: token}).Token()
}

// says returns what the API says to an access token.
func says(t *testing.T, s *authserver.Server, tok *oauth2.Token) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.API(), nil)
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
	return string(body)
}

func TestTheSecondUseOfARefreshTokenRevokesAllOfItsLogin(t *testing.T) {
	s, conf := start(t)
	first, other := login(t, s, conf), login(t, s, conf)
	next, err := refresh(t.Context(), conf, first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if got := says(t, s, next); got != "hello ana" {
		t.Errorf("the API says %q", got)
	}
	if _, err := refresh(t.Context(), conf, first.RefreshToken); err == nil {
		t.Error("a refresh token was taken twice")
	}
	if _, err := refresh(t.Context(), conf, next.RefreshToken); err == nil {
		t.Error("what came of it is still good")
	}
	if got := says(t, s, next); got != "unauthorized\n" {
		t.Errorf("the API says %q to what came of it", got)
	}
	if _, err := refresh(t.Context(), conf, other.RefreshToken); err != nil {
		t.Errorf("another login of the same user: %v", err)
	}
	if requests, spent, reused := s.Count(); requests != 6 || spent != 2 || reused != 1 {
		t.Errorf("%d requests, %d spent, %d reused", requests, spent, reused)
	}
}

func TestWhatIsRevokedOrUnknownIsRefused(t *testing.T) {
	s, conf := start(t)
	tok := login(t, s, conf)
	s.RevokeAccess()
	if got := says(t, s, tok); got != "unauthorized\n" {
		t.Errorf("the API says %q", got)
	}
	next, err := refresh(t.Context(), conf, tok.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	s.Revoke("ana")
	if _, err := refresh(t.Context(), conf, next.RefreshToken); err == nil {
		t.Error("a revoked token is good")
	}
	if _, err := conf.Exchange(t.Context(), "code"); err == nil {
		t.Error("an unknown code is good")
	}
	conf.ClientSecret = "another"
	if _, err := conf.Exchange(t.Context(), s.Approve("ana")); err == nil {
		t.Error("an unknown client is good")
	}
}
