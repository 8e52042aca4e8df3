// Command readme is the Go code of README.md: each block there is the body of a
// function here or in another example, or its beginning, and a test compares them.
//
//	go run ./examples/readme    saves a made-up token in your AWS account under prod/oauth, and finds it
package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/hashicorp/vault/api"
	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource"
	"github.com/tokenkeep/tokenkeep/tokensource/provider"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/zohofile"
)

func main() {
	if err := keep(context.Background(), "a-refresh-token", "an-access-token", time.Now().Add(time.Hour)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func keep(ctx context.Context, refresh, access string, expiry time.Time) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	store, err := awssm.New(secretsmanager.NewFromConfig(cfg), "prod/oauth", nil)
	if err != nil {
		return err
	}
	ana := token.OAuthToken{UserSignature: token.UserSignature{Name: "ana@example.com"}, ClientID: "my-client"}

	// After a login or a refresh: update Ana's record, or insert one.
	save := ana
	save.RefreshToken, save.AccessToken, save.Expiry = token.NewSecret(refresh), token.NewSecret(access), expiry
	if err := store.SaveToken(ctx, &save); err != nil {
		return err
	}

	// In any process, on any machine: find it.
	found, err := store.FindToken(ctx, &ana)
	if err != nil {
		return err // errors.Is(err, token.ErrNotFound): Ana has to log in
	}
	fmt.Println(found.AccessToken, found.AccessToken.Reveal() == access) // REDACTED true
	return nil
}

func atGoogle(ctx context.Context) error {
	client, err := secretmanager.NewClient(ctx)
	if err != nil {
		return err
	}
	store, err := gcpsm.New(client, "projects/my-project", "prod/oauth", nil)
	if err != nil {
		return err
	}
	return migrate(ctx, store)
}

func inVault(ctx context.Context) error {
	client, err := api.NewClient(api.DefaultConfig()) // VAULT_ADDR, VAULT_TOKEN and so on
	if err != nil {
		return err
	}
	client.SetMaxRetries(0) // the store repeats what failed, and knows more of it
	store, err := vaultstore.New(client, "secret", "prod/oauth", nil)
	if err != nil {
		return err
	}
	return migrate(ctx, store)
}

func call(ctx context.Context, store *token.Store, ana token.OAuthToken, secret, code string, req *http.Request) (*http.Response, error) {
	conf := &oauth2.Config{ClientID: "my-client", ClientSecret: secret, RedirectURL: "https://app.example.com/callback"}
	source, err := tokensource.New(store, conf, &ana, &tokensource.Options{Provider: provider.Google()})
	if err != nil {
		return nil, err
	}

	// After the login: exchange the code that Ana's browser brings, and save her record.
	if _, err := source.Exchange(ctx, code); err != nil {
		return nil, err
	}

	// In any process, on any machine: requests with an access token that is good.
	return source.Client(ctx).Do(req) // errors.Is(err, tokensource.ErrNeedsReauth): Ana has to log in again
}

func mend(ctx context.Context, store *token.Store) error {
	report, err := store.Repair(ctx, token.RepairOptions{DryRun: true})
	if err != nil {
		return err
	}
	fmt.Println(report) // 12000 records, 3 tombstones, 17 index secrets, and what is wrong
	if report.Clean() {
		return nil
	}
	_, err = store.Repair(ctx, token.RepairOptions{})
	return err
}

func migrate(ctx context.Context, store *token.Store) error {
	file, err := os.ReadFile("sdk_tokens.txt")
	if err != nil {
		return err
	}
	tokens, err := zohofile.Read(bytes.NewReader(file))
	if err != nil {
		return err // the line that does not fit; no token was read
	}
	return store.SaveTokens(ctx, tokens) // calling it again goes on where it stopped
}

func double(ctx context.Context) (*token.Store, error) {
	srv := awssmtest.NewServer() // in a test: t.Cleanup(srv.Close)
	client, err := srv.Client(ctx)
	if err != nil {
		return nil, err
	}
	srv.Inject(awssmtest.Fault{ // the next write is applied, and its answer is lost
		Operations: []string{"PutSecretValue"},
		Times:      1,
		Do:         awssmtest.LoseAnswer(),
	})
	return awssm.New(client, "test", nil)
}
