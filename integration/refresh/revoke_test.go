package refresh_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/refresh/oauthserver"
	"github.com/tokenkeep/tokenkeep/integration/refresh/service"
	"github.com/tokenkeep/tokenkeep/token"
)

func TestWhatIsRevokedIsGoodForNothingAnyMoreAndTheRecordIsGone(t *testing.T) {
	t.Parallel()
	s := newScene(t, service.AWS, 8*time.Second, oauthserver.Options{Lifetime: time.Hour})
	s.loginAll(0)
	source := s.sources[users[0]]
	tok, err := source.TokenContext(t.Context())
	if err != nil || s.use(tok.AccessToken) != users[0] {
		t.Fatalf("before it: %v", err)
	}
	if err := source.Revoke(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.use(tok.AccessToken); got != oauthserver.Unknown {
		t.Errorf("its access token: %s", got)
	}
	if _, err := source.TokenContext(t.Context()); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("after it: %v", err)
	}
	if tok, err := s.sources[users[1]].TokenContext(t.Context()); err != nil || s.use(tok.AccessToken) != users[1] {
		t.Errorf("another user: %v", err)
	}
	s.login(users[0])
	s.isNewest(users[0])
}
