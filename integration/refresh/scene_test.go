package refresh_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/integration/refresh/oauthserver"
	"github.com/tokenkeep/tokenkeep/integration/refresh/oauthserver/client"
	"github.com/tokenkeep/tokenkeep/integration/refresh/service"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// users are sixteen.
var users = strings.Fields("ana ben cleo dan eve finn gil hana ivo jana kai lea max nina otto pia")

// A scene is an OAuth server and a secret manager, and a program in this process that logs users in.
type scene struct {
	*testing.T
	server  *oauthserver.Server
	service string
	url     string // of the secret manager
	key     string
	calls   func() map[string]int   // to it, by operation
	timeout time.Duration           // of the sources of a crew
	stores  map[string]*token.Store // by user
	sources map[string]*tokensource.Source
}

// newScene has nobody logged in.
func newScene(t *testing.T, kind string, timeout time.Duration, o oauthserver.Options) *scene {
	t.Helper()
	s := &scene{T: t, service: kind, timeout: timeout, sources: map[string]*tokensource.Source{}}
	switch kind {
	case service.AWS:
		// A token of seconds is written more often than AWS allows.
		double := awssmtest.NewServer(awssmtest.WithoutVersionQuota())
		t.Cleanup(double.Close)
		s.url, s.calls = double.URL, double.CountCalls
	case service.Vault:
		double := vaultstoretest.NewServer()
		t.Cleanup(double.Close)
		s.url, s.key, s.calls = double.URL, vaultstoretest.RootToken, double.CountCalls
	}
	var err error
	if s.server, err = oauthserver.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.server.Close)
	if s.stores, err = s.open(); err != nil {
		t.Fatal(err)
	}
	for _, user := range users {
		s.sources[user] = s.source(s.stores[user], user, 0)
	}
	return s
}

// loginAll logs all users in, one every so often.
func (s *scene) loginAll(every time.Duration) {
	for _, user := range users {
		s.login(user)
		wait(s.T, every)
	}
}

func (s *scene) open() (map[string]*token.Store, error) {
	through := &http.Transport{}
	s.Cleanup(through.CloseIdleConnections)
	return service.Stores(s.service, s.url, s.key, users, through)
}

func who(user string) *token.OAuthToken {
	return &token.OAuthToken{UserSignature: token.UserSignature{Name: user}}
}

func (s *scene) source(store *token.Store, user string, timeout time.Duration) *tokensource.Source {
	source, err := tokensource.New(store, s.server.Config(), who(user), &tokensource.Options{Provider: client.Provider(s.server.URL), Timeout: timeout})
	if err != nil {
		s.Fatal(err)
	}
	return source
}

// lease is for how long others wait before they take a refresh over.
func (s *scene) lease() time.Duration { return s.timeout * 15 / 4 }

// login logs a user in. It reports whether it could.
func (s *scene) login(user string) bool {
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
	defer cancel()
	code, err := s.server.Login(ctx, user)
	if err == nil {
		_, err = s.sources[user].Exchange(ctx, code)
	}
	if err != nil {
		s.Errorf("%s cannot log in: %v", user, err)
	}
	return err == nil
}

// record reads the record of a user, and what it says of its refresh.
func (s *scene) record(user string) (*token.OAuthToken, tokensource.State) {
	t, err := s.stores[user].FindToken(s.Context(), who(user))
	if err == nil {
		t, err = s.stores[user].ReadToken(s.Context(), t.ID)
	}
	if err != nil {
		s.Errorf("the record of %s: %v", user, err)
		return &token.OAuthToken{}, tokensource.State{}
	}
	state, err := tokensource.StateOf(t)
	if err != nil {
		s.Error(err)
	}
	return t, state
}

// use is what the resource server says of an access token.
func (s *scene) use(access string) string {
	r, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.server.URL+"/resource", http.NoBody)
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+access)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return string(body)
}
