package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/examples/authserver"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

var users = []string{"ana", "bo", "zoë"}

// A cluster is what a job finds: a Vault that lets it in by the token of its service account and
// gives it the rights of policy.hcl, and an OAuth server. In the store there is a token of each user.
type cluster struct {
	vault *vaultstoretest.Server
	oauth *authserver.Server
	store *token.Store
	jwt   string // the file
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	policy, err := os.ReadFile("policy.hcl")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{vault: vaultstoretest.NewServer(vaultstoretest.WithMount("tokens", 2)), oauth: authserver.New(), jwt: filepath.Join(t.TempDir(), "token")}
	t.Cleanup(c.vault.Close)
	t.Cleanup(c.oauth.Close)
	c.vault.SetPolicy("tokens", vaultstoretest.MustPolicy(string(policy)))
	c.vault.SetKubernetesRole(vaultstoretest.Role{Name: "sync", JWT: "a-jwt", Policies: []string{"tokens"}, TTL: 10 * time.Minute})
	if err := os.WriteFile(c.jwt, []byte("a-jwt"), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := c.vault.Client()
	if err != nil {
		t.Fatal(err)
	}
	if c.store, err = vaultstore.New(client, "tokens", "prod/oauth", nil); err != nil {
		t.Fatal(err)
	}
	for _, user := range users {
		who := &token.OAuthToken{UserSignature: token.UserSignature{Name: user}, ClientSecret: token.NewSecret(authserver.ClientSecret)}
		web, err := tokensource.New(c.store, c.oauth.Config(), who, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := web.Exchange(t.Context(), c.oauth.Approve(user)); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"VAULT_ADDR": c.vault.URL, "VAULT_TOKEN": "", "VAULT_AGENT_ADDR": "", "VAULT_NAMESPACE": "", "VAULT_HEADERS": "",
		"VAULT_MOUNT": "tokens", "VAULT_ROLE": "sync", "VAULT_JWT_FILE": c.jwt,
		"TOKENS_PREFIX": "prod/oauth", "OAUTH_TOKEN_URL": c.oauth.Config().Endpoint.TokenURL, "API_URL": c.oauth.API(),
	} {
		t.Setenv(name, value)
	}
	return c
}

// expire makes all access tokens ones that have expired.
func (c *cluster) expire(t *testing.T) {
	t.Helper()
	for r, err := range c.store.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := c.store.UpdateToken(t.Context(), r.ID, func(r *token.OAuthToken) error {
			r.Expiry = time.Now().Add(-time.Second)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRunsThatOverlapRefreshEachTokenOnce(t *testing.T) {
	c := startCluster(t)
	c.expire(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, spent, reused := c.oauth.Count(); spent != len(users) || reused != 0 {
		t.Errorf("%d refresh tokens were spent, and %d again", spent, reused)
	}
	for r, err := range c.store.All(t.Context()) {
		if err != nil || !r.Expiry.After(time.Now()) {
			t.Errorf("a token expires at %v, %v", r.Expiry, err)
		}
	}
}

func TestAUserWhoHasToLogInDoesNotStopTheOthers(t *testing.T) {
	c := startCluster(t)
	c.expire(t)
	c.oauth.Revoke("bo")
	if err := run(t.Context()); err != nil {
		t.Error(err)
	}
	if _, spent, reused := c.oauth.Count(); spent != len(users)-1 || reused != 0 {
		t.Errorf("%d refresh tokens were spent, and %d again", spent, reused)
	}
}

func TestARunThatCannotLogInSaysSo(t *testing.T) {
	c := startCluster(t)
	for what, jwt := range map[string]string{"a token of another account": "another", "no token": ""} {
		if err := os.WriteFile(c.jwt, []byte(jwt), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context()); err == nil || !strings.Contains(err.Error(), "Options.Login failed") {
			t.Errorf("%s: error %v", what, err)
		}
	}
	t.Setenv("VAULT_JWT_FILE", c.jwt+".gone")
	if err := run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "VAULT_JWT_FILE: ") {
		t.Errorf("without the file: error %v", err)
	}
}

func TestAnAPIThatIsGoneIsAnErrorOfEachUser(t *testing.T) {
	c := startCluster(t)
	t.Setenv("API_URL", "http://127.0.0.1:1/")
	if err := run(t.Context()); err == nil || strings.Count(err.Error(), "127.0.0.1:1/") != len(users) {
		t.Errorf("error %v", err)
	}
	if _, spent, _ := c.oauth.Count(); spent != 0 {
		t.Errorf("%d tokens were spent for nothing", spent)
	}
}

func TestAMissingVariableIsNamed(t *testing.T) {
	for _, name := range needed {
		t.Setenv(name, "")
	}
	t.Setenv("API_URL", "https://api.example")
	const want = "missing in the environment: VAULT_ADDR, VAULT_MOUNT, VAULT_ROLE, VAULT_JWT_FILE, TOKENS_PREFIX, OAUTH_TOKEN_URL"
	if err := run(t.Context()); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
