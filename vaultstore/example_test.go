package vaultstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// A token is saved, found by its user, and refreshed. The client is that of the double
// here; a program makes its own with api.NewClient.
func ExampleNew() {
	ctx := context.Background()
	srv := vaultstoretest.NewServer()
	defer srv.Close()
	client, err := srv.Client()
	if err != nil {
		fmt.Println(err)
		return
	}

	store, err := vaultstore.New(client, "secret", "prod/oauth", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ada := token.UserSignature{Name: "ada@example.com:42"}
	err = store.SaveToken(ctx, &token.OAuthToken{
		UserSignature: ada,
		RefreshToken:  token.NewSecret("1000.refresh"),
		AccessToken:   token.NewSecret("1000.access"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := store.FindToken(ctx, &token.OAuthToken{UserSignature: ada})
	if err != nil {
		fmt.Println(err)
		return
	}
	found.AccessToken = token.NewSecret("1000.newer")
	fmt.Println(store.SaveToken(ctx, found))
	fmt.Println(found.AccessToken, found.AccessToken.Reveal())

	// Output:
	// <nil>
	// REDACTED 1000.newer
}

// A program that logs in with AppRole: at its first request, since the client has no
// token yet, and whenever the token has expired.
func ExampleOptions_appRole() {
	srv := vaultstoretest.NewServer()
	defer srv.Close()
	srv.SetPolicy("tokenkeep", vaultstoretest.MustPolicy(`
path "secret/data/prod/oauth/*" {
  capabilities = ["create", "update", "read"]
}
path "secret/metadata/prod/oauth/*" {
  capabilities = ["list", "delete"]
}
path "secret/destroy/prod/oauth/*" {
  capabilities = ["update"]
}`))
	srv.SetAppRole(vaultstoretest.Role{Name: "crm", RoleID: "role-1", SecretID: "secret-1", Policies: []string{"tokenkeep"}})
	client, err := srv.Client()
	if err != nil {
		fmt.Println(err)
		return
	}
	client.ClearToken()

	store, err := vaultstore.New(client, "secret", "prod/oauth", &vaultstore.Options{
		Login: func(ctx context.Context, client *api.Client) error {
			return login(ctx, client, "auth/approle/login", map[string]any{"role_id": "role-1", "secret_id": "secret-1"})
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := store.GetTokens(context.Background())
	fmt.Println(len(tokens), err)
	// Output:
	// 0 <nil>
}

// login sends a login and gives the client the token that it gets.
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

// A program in a pod logs in with the token of its service account. Kubernetes renews
// the file, so that it is read for each login.
func ExampleOptions_kubernetes() {
	client, err := api.NewClient(api.DefaultConfig())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = vaultstore.New(client, "secret", "prod/oauth", &vaultstore.Options{
		Login: func(ctx context.Context, client *api.Client) error {
			jwt, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/token")
			if err != nil {
				return err
			}
			return login(ctx, client, "auth/kubernetes/login", map[string]any{"role": "crm", "jwt": string(jwt)})
		},
	})
	fmt.Println(err)
	// Output:
	// <nil>
}

// A program that renews its token in the background, so that a login during an operation
// is the exception: when the token can be renewed no more, Options.Login gets another.
func ExampleOptions_lifetimeWatcher() {
	srv := vaultstoretest.NewServer()
	defer srv.Close()
	srv.SetAppRole(vaultstoretest.Role{Name: "crm", RoleID: "role-1", SecretID: "secret-1"})
	client, err := srv.Client()
	if err != nil {
		fmt.Println(err)
		return
	}
	secret, err := client.Logical().Write("auth/approle/login", map[string]any{"role_id": "role-1", "secret_id": "secret-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	client.SetToken(secret.Auth.ClientToken)

	watcher, err := client.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: secret})
	if err != nil {
		fmt.Println(err)
		return
	}
	go watcher.Start()
	defer watcher.Stop()
	select {
	case renewed := <-watcher.RenewCh():
		fmt.Println("renewed:", renewed.Secret.Auth.Renewable)
	case err := <-watcher.DoneCh():
		fmt.Println("log in again:", err)
	}
	// Output:
	// renewed: true
}
