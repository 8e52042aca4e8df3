// Command kubernetes is a job that calls an API for each user whose token is in Vault. Two runs may overlap, and any
// number of other programs may use the same tokens.
//
// cronjob.yaml and policy.hcl beside it deploy it. It needs no secret of its own: Vault knows it by the token
// that Kubernetes gives its service account, and the OAuth clients' secrets stand in the records, with the tokens.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/hashicorp/vault/api"
	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/vaultstore"
)

// needed are the environment variables of the program. Vault's client reads the first one, and others if
// they are there, such as VAULT_CACERT_BYTES.
var needed = []string{"VAULT_ADDR", "VAULT_MOUNT", "VAULT_ROLE", "VAULT_JWT_FILE", "TOKENS_PREFIX", "OAUTH_TOKEN_URL", "API_URL"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "kubernetes:", err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}

func run(ctx context.Context) error {
	var missing []string
	for _, name := range needed {
		if os.Getenv(name) == "" {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return errors.New("missing in the environment: " + strings.Join(missing, ", "))
	}
	j := &job{
		role: os.Getenv("VAULT_ROLE"), jwtFile: os.Getenv("VAULT_JWT_FILE"), api: os.Getenv("API_URL"),
		conf: &oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: os.Getenv("OAUTH_TOKEN_URL")}}, // the client is the one that a record names
	}
	if _, err := os.Stat(j.jwtFile); err != nil {
		return fmt.Errorf("VAULT_JWT_FILE: %w", err)
	}
	client, err := api.NewClient(api.DefaultConfig()) // VAULT_ADDR
	if err != nil {
		return err
	}
	client.SetMaxRetries(0) // the store repeats what failed, and knows more of it
	j.store, err = vaultstore.New(client, os.Getenv("VAULT_MOUNT"), os.Getenv("TOKENS_PREFIX"), &vaultstore.Options{Login: j.login})
	if err != nil {
		return err
	}
	var errs []error
	for t, err := range j.store.All(ctx) {
		if err == nil {
			err = j.call(ctx, t.ID)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
