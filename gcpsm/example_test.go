package gcpsm_test

import (
	"context"
	"fmt"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token"
)

// A token is saved, found by its user, and refreshed. The client is that of the
// double here; a program makes its own with secretmanager.NewClient.
func ExampleNew() {
	ctx := context.Background()
	srv := gcpsmtest.NewServer()
	defer srv.Close()
	client, err := srv.Client(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}

	store, err := gcpsm.New(client, "projects/my-project", "prod/oauth", &gcpsm.Options{
		Labels: map[string]string{"team": "crm"},
	})
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
