package vault_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/integration/vaultnode"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

// canary is in the values of the tests, and in no error.
const canary = "canary-83f1d6c02e7a"

// serverLog is where the servers log: to the file that VAULT_LOG names, if it is set.
func serverLog(t testing.TB) hclog.Logger {
	t.Helper()
	name := os.Getenv("VAULT_LOG")
	if name == "" {
		return hclog.NewNullLogger()
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return hclog.New(&hclog.LoggerOptions{Name: t.Name(), Output: file, Level: hclog.Debug})
}

// A core is one Vault server with everything in memory, behind a proxy. It has a mount
// for each part of a test that asks for one.
type core struct {
	*vaultnode.Cluster
	proxy  *proxy
	mounts atomic.Int32
}

// startCore starts a server that ends with the test.
func startCore(t testing.TB) *core {
	t.Helper()
	one, err := vaultnode.StartOne(t.Context(), serverLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, one) })
	return &core{Cluster: one, proxy: front(t, one.URL(0))}
}

func stop(t testing.TB, c *vaultnode.Cluster) {
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}

// root returns a client of the server itself with all rights.
func (c *core) root(t testing.TB) *api.Client {
	t.Helper()
	client, err := c.Client(0)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// client returns a client of the proxy with a token.
func (c *core) client(t testing.TB, token string) *api.Client {
	t.Helper()
	client, err := vaultnode.NewClient(c.proxy.url)
	if err != nil {
		t.Fatal(err)
	}
	client.SetToken(token)
	return client
}

// mount mounts KV version 2, to keep so many versions, and returns its path.
func (c *core) mount(t testing.TB, versions int) string {
	t.Helper()
	path := fmt.Sprint("kv-", c.mounts.Add(1))
	mountKV(t, c.root(t), path, map[string]any{"max_versions": versions})
	return path
}

// mountKV mounts KV version 2 at a path and waits until it serves.
func mountKV(t testing.TB, client *api.Client, path string, config map[string]any) {
	t.Helper()
	err := client.Sys().MountWithContext(t.Context(), path, &api.MountInput{Type: "kv", Options: map[string]string{"version": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	// At first it says "Upgrading from non-versioned to versioned data".
	eventually(t, "the mount serves", func(ctx context.Context) error {
		_, err := client.Logical().WriteWithContext(ctx, path+"/config", config)
		return err
	})
}

// eventually does something again and again until it succeeds, for a minute at most.
func eventually(t testing.TB, what string, do func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := do(ctx)
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("not within a minute: %s: %v", what, err)
		}
	}
}

// open makes a store for the root token behind the proxy.
func (c *core) open(t testing.TB, mount, prefix string) *token.Store {
	t.Helper()
	store, err := vaultstore.New(c.client(t, c.RootToken), mount, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// policy writes a policy.
func (c *core) policy(t testing.TB, name, rules string) {
	t.Helper()
	if err := c.root(t).Sys().PutPolicyWithContext(t.Context(), name, rules); err != nil {
		t.Fatal(err)
	}
}

// token makes a token that has policies, and not the one called default.
func (c *core) token(t testing.TB, policies ...string) string {
	t.Helper()
	secret, err := c.root(t).Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{Policies: policies, NoDefaultPolicy: true})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Auth.ClientToken
}

// user is a token of one of many users.
func user(n int) *token.OAuthToken {
	return &token.OAuthToken{
		UserSignature: token.UserSignature{Name: fmt.Sprintf("user-%d", n)},
		RefreshToken:  token.NewSecret(fmt.Sprintf("refresh-%d", n)),
		AccessToken:   token.NewSecret(fmt.Sprintf("access-%d", n)),
	}
}

// wantErr fails the test unless an error is the one that is wanted.
func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}
