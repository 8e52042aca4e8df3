package vault_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/integration/vaultnode"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

// Tokens that expire, and logins with AppRole: a program whose role has the least policy.

// A program is a tenant that logs in.
type program struct {
	*tenant
	logins      atomic.Int32
	credentials map[string]any
}

// program makes one, whose role has parameters beside its policy.
func (c *core) program(t *testing.T, role map[string]any) *program {
	t.Helper()
	n := c.tenant(t, 10)
	path := "approle-" + n.hand.mount
	if err := n.hand.client.Sys().EnableAuthWithOptionsWithContext(t.Context(), path, &api.EnableAuthOptions{Type: "approle"}); err != nil {
		t.Fatal(err)
	}
	parameters := map[string]any{"token_policies": []string{n.policyName()}}
	maps.Copy(parameters, role)
	n.hand.write("auth/"+path+"/role/crm", parameters)
	p := &program{tenant: n}
	p.credentials = map[string]any{"role_id": p.ask("role-id", "role_id", false), "secret_id": p.ask("secret-id", "secret_id", true)}
	return p
}

// ask asks for something of the role, or makes it.
func (p *program) ask(what, field string, anew bool) any {
	p.Helper()
	path := "auth/approle-" + p.hand.mount + "/role/crm/" + what
	ask := p.hand.client.Logical().ReadWithContext
	if anew {
		ask = func(ctx context.Context, path string) (*api.Secret, error) {
			return p.hand.client.Logical().WriteWithContext(ctx, path, nil)
		}
	}
	s, err := ask(p.Context(), path)
	if err != nil {
		p.Fatal(err)
	}
	return s.Data[field]
}

// login is that of docs/vault.md.
func login(ctx context.Context, client *api.Client, path string, credentials map[string]any) error {
	secret, err := client.Logical().WriteWithContext(ctx, path, credentials)
	switch {
	case err != nil:
		return err
	case secret == nil || secret.Auth == nil:
		return errors.New("the login returned no token")
	}
	client.SetToken(secret.Auth.ClientToken)
	return nil
}

func (p *program) login(ctx context.Context, client *api.Client) error {
	p.logins.Add(1)
	return login(ctx, client, "auth/approle-"+p.hand.mount+"/login", p.credentials)
}

// start makes a store with a client that has no token yet.
func (p *program) start() (*token.Store, *api.Client) {
	p.Helper()
	client, err := vaultnode.NewClient(p.proxy.url)
	if err != nil {
		p.Fatal(err)
	}
	store, err := vaultstore.New(client, p.hand.mount, p.hand.prefix, &vaultstore.Options{Login: p.login})
	if err != nil {
		p.Fatal(err)
	}
	return store, client
}

// loggedIn makes sure how often it has.
func (p *program) loggedIn(want int32) {
	p.Helper()
	if got := p.logins.Load(); got != want {
		p.Errorf("%d logins, want %d", got, want)
	}
}

// revoke makes a token one that Vault does not know.
func (p *program) revoke(token string) {
	p.Helper()
	if err := p.hand.client.Auth().Token().RevokeTreeWithContext(p.Context(), token); err != nil {
		p.Fatal(err)
	}
}

// The login of the document is the one that is tested.
func TestTheLoginIsThatOfTheDocument(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/vault.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("login_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, f, _ := strings.Cut(string(source), "\nfunc login(")
	f, _, _ = strings.Cut(f, "\n}\n")
	if !strings.Contains(string(document), "\nfunc login("+f+"\n}\n") {
		t.Error("docs/vault.md has another one")
	}
}

func TestAClientWithoutATokenLogsInWithItsFirstRequest(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"service", "batch"} {
		p := startCore(t).program(t, map[string]any{"token_type": kind})
		store, client := p.start()
		for _, m := range methods(p.ids) {
			p.succeeds(m, store)
		}
		p.loggedIn(1)
		if client.Token() == "" {
			t.Error("the client has no token")
		}
	}
}

// All sixteen are refused before one of them logs in.
func TestATokenThatIsGoneIsReplacedOnceForAllGoroutines(t *testing.T) {
	t.Parallel()
	p := startCore(t).program(t, nil)
	store, client := p.start()
	p.succeeds(called(p.ids, "FindTokenByID"), store)
	p.loggedIn(1)
	for round := range int32(3) {
		p.revoke(client.Token())
		const many = 16
		var came, wg sync.WaitGroup
		came.Add(many)
		p.proxy.inject(&fault{times: many, matches: operations("GET data"), do: func(px *proxy, w http.ResponseWriter, r *http.Request) {
			came.Done()
			came.Wait()
			px.forward.ServeHTTP(w, r)
		}})
		for range many {
			wg.Go(func() { p.succeeds(called(p.ids, "FindTokenByID"), store) })
		}
		wg.Wait()
		p.loggedIn(round + 2)
	}
}

// A write that was refused was not applied, and is sent once more.
func TestAWriteThatMeetsATokenThatIsGone(t *testing.T) {
	t.Parallel()
	p := startCore(t).program(t, nil)
	store, client := p.start()
	p.succeeds(called(p.ids, "FindTokenByID"), store)
	for _, m := range methods(p.ids) {
		if m.writes {
			p.revoke(client.Token())
			p.succeeds(m, store)
		}
	}
	p.hand.keepOne()
}

// A token may be good for some requests only.
func TestATokenThatIsUsedUpIsReplaced(t *testing.T) {
	t.Parallel()
	p := startCore(t).program(t, map[string]any{"token_num_uses": 4})
	store, _ := p.start()
	p.proxy.counted()
	for range 20 {
		p.succeeds(called(p.ids, "FindTokenByID"), store)
	}
	// Four finds each; the fifth one's first request is refused.
	p.loggedIn(5)
	if got := p.proxy.counted()["GET data"]; got != 25 {
		t.Errorf("%d requests, want 25", got)
	}
}

// lasting lets the tokens of the logins to come last.
func (p *program) lasting() {
	p.Helper()
	p.hand.write("auth/approle-"+p.hand.mount+"/role/crm", map[string]any{"token_ttl": "1h", "token_max_ttl": "1h"})
}

// logsIn finds something again and again until that takes a login.
func (p *program) logsIn(store *token.Store) {
	p.Helper()
	eventually(p, "a login", func(context.Context) error {
		p.succeeds(called(p.ids, "FindTokenByID"), store)
		if p.logins.Load() == 0 {
			return errors.New("none yet")
		}
		return nil
	})
}

// A batch token cannot be revoked, nor renewed: it expires.
func TestABatchTokenThatExpiresIsReplaced(t *testing.T) {
	t.Parallel()
	p := startCore(t).program(t, map[string]any{"token_type": "batch", "token_ttl": "1s"})
	store, client := p.start()
	if err := login(t.Context(), client, "auth/approle-"+p.hand.mount+"/login", p.credentials); err != nil {
		t.Fatal(err)
	}
	p.lasting()
	p.logsIn(store)
}

// A secret id that may be used once gives one login only.
func TestASecretIDThatIsUsedUp(t *testing.T) {
	t.Parallel()
	p := startCore(t).program(t, map[string]any{"secret_id_num_uses": 1})
	store, client := p.start()
	finds := methods(p.ids)[:4]
	for _, m := range finds {
		p.succeeds(m, store)
	}
	p.revoke(client.Token())
	for _, m := range finds {
		err := m.do(t.Context(), store)
		says(t, m.name, err, token.ErrPermission, ": HTTP 400: permission denied (Options.Login failed)")
		var answer *api.ResponseError
		if !errors.As(err, &answer) || answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: the login's own error is not reached: %v", m.name, err)
		}
	}
	p.loggedIn(1 + 4)
	// The next operation that has better credentials goes on.
	p.credentials["secret_id"] = p.ask("secret-id", "secret_id", true)
	p.succeeds(finds[0], store)
}

// The credentials of a login come out of no error, whatever answers it.
func TestALoginThatIsEchoed(t *testing.T) {
	t.Parallel()
	p := startCore(t).program(t, nil)
	store, _ := p.start()
	p.credentials["secret_id"] = canary
	for _, answer := range []struct {
		status int
		kind   error
		text   string
		within time.Duration
	}{
		{400, token.ErrPermission, "HTTP 400: permission denied (Options.Login failed)", time.Minute},
		{403, token.ErrPermission, "HTTP 403: permission denied (Options.Login failed)", time.Minute},
		{500, token.ErrUnavailable, "", 100 * time.Millisecond}, // it is tried again, until the time is up
		{503, token.ErrUnavailable, "", 100 * time.Millisecond},
	} {
		end := p.proxy.inject(&fault{times: -1, do: refuse(answer.status), matches: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/login") }})
		for _, m := range methods(p.ids)[7:10] {
			ctx, cancel := context.WithTimeout(t.Context(), answer.within)
			says(t, fmt.Sprint(answer.status, ", ", m.name), m.do(ctx, store), answer.kind, answer.text)
			cancel()
		}
		end()
	}
}

// Vault locks a role out that failed often: then good credentials are refused too, until
// somebody unlocks it. Where that is turned off, it takes them.
func TestLoginsThatFailLockTheRoleOut(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	fails := func(p *program) *token.Store {
		good := p.credentials["secret_id"]
		p.credentials["secret_id"] = "wrong"
		store, _ := p.start()
		for range 5 {
			says(p, "with a wrong secret id", called(p.ids, "FindTokenByID").do(t.Context(), store), token.ErrPermission, "(Options.Login failed)")
		}
		p.credentials["secret_id"] = good
		return store
	}
	t.Run("and it is unlocked", func(t *testing.T) {
		p := c.program(t, nil)
		store := fails(p)
		says(t, "with a good one", called(p.ids, "FindTokenByID").do(t.Context(), store), token.ErrPermission, ": HTTP 403: permission denied (Options.Login failed)")
		mounts, err := p.hand.client.Sys().ListAuthWithContext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		accessor := mounts["approle-"+p.hand.mount+"/"].Accessor
		p.hand.write("sys/locked-users/"+accessor+"/unlock/"+p.credentials["role_id"].(string), nil)
		p.succeeds(called(p.ids, "FindTokenByID"), store)
	})
	t.Run("unless that is turned off", func(t *testing.T) {
		p := c.program(t, nil)
		p.hand.write("sys/auth/approle-"+p.hand.mount+"/tune", map[string]any{"user_lockout_config": map[string]any{"lockout_disable": true}})
		p.succeeds(called(p.ids, "FindTokenByID"), fails(p))
	})
}

// A policy that denies something is not cured by another token.
func TestAPolicyThatDeniesLeadsToOneLogin(t *testing.T) {
	t.Parallel()
	p := startCore(t).program(t, nil)
	store, _ := p.start()
	p.succeeds(called(p.ids, "FindTokenByID"), store)
	p.gets(p.policy.without(right{"read", "data"}))
	for range 10 {
		says(t, "a find", called(p.ids, "FindTokenByID").do(t.Context(), store), token.ErrPermission, refusedText)
	}
	p.loggedIn(1)
	p.gets(p.policy.text)
	p.succeeds(called(p.ids, "FindTokenByID"), store)
}

func TestWithoutALoginATokenThatIsGoneIsARefusalUntilThereIsAnother(t *testing.T) {
	t.Parallel()
	n := startCore(t).tenant(t, 10)
	client := n.client()
	store, err := vaultstore.New(client, n.hand.mount, n.hand.prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	n.succeeds(called(n.ids, "FindTokenByID"), store)
	if err := n.hand.client.Auth().Token().RevokeTreeWithContext(t.Context(), n.token); err != nil {
		t.Fatal(err)
	}
	before := n.hand.all()
	for _, m := range methods(n.ids) {
		says(t, m.name, m.do(t.Context(), store), token.ErrPermission,
			"HTTP 403: permission denied (the token is none, or has expired: Options.Login can get another)")
	}
	if len(before) != len(n.hand.all()) {
		t.Error("something was written")
	}
	client.SetToken(n.core.token(t, n.policyName()))
	for _, m := range methods(n.ids) {
		n.succeeds(m, store)
	}
}
