package token_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// A store is made by an adapter from a client that is ready; here it is one in memory.
func Example() {
	ctx := context.Background()
	store, err := memstore.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	// After the user's consent:
	err = store.SaveToken(ctx, &token.OAuthToken{
		UserSignature: token.UserSignature{Name: "ann@example.com:60001"},
		ClientID:      "1000.CLIENT",
		RefreshToken:  token.NewSecret("1000.refresh"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// In any process, at any time later:
	t, err := store.FindToken(ctx, &token.OAuthToken{UserSignature: token.UserSignature{Name: "ann@example.com:60001"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("printed:", t.RefreshToken)
	fmt.Println("read:", t.RefreshToken.Reveal())
	// Output:
	// printed: REDACTED
	// read: 1000.refresh
}

func exampleStore(tokens ...*token.OAuthToken) (context.Context, *token.Store) {
	ctx := context.Background()
	store, err := memstore.New(nil)
	if err == nil {
		err = store.SaveTokens(ctx, tokens)
	}
	if err != nil {
		panic(err)
	}
	return ctx, store
}

func userToken(id, user, client string) *token.OAuthToken {
	return &token.OAuthToken{
		ID: id, UserSignature: token.UserSignature{Name: user}, ClientID: client, RefreshToken: token.NewSecret(user + " at " + client),
	}
}

func ExampleNewStore() {
	// Any driver will do that passes package drivertest.
	store, err := token.NewStore(memstore.NewDriver(), &token.Options{Remember: 500})
	fmt.Println(store != nil, err)
	// Output: true <nil>
}

func ExampleStore_FindToken() {
	ctx, store := exampleStore(userToken("1", "ann", "web"), userToken("2", "ann", "app"), userToken("3", "bob", "web"))

	find := func(user, client string) {
		query := &token.OAuthToken{UserSignature: token.UserSignature{Name: user}, ClientID: client}
		_, err := store.FindToken(ctx, query)
		switch {
		case errors.Is(err, token.ErrNotFound):
			fmt.Println(user, client, "has to sign in")
		case errors.Is(err, token.ErrAmbiguous):
			fmt.Println(user, "uses several clients: name one")
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println(user, query.ClientID, "has token", query.ID)
		}
	}
	find("ann", "app")
	find("ann", "")
	find("bob", "")
	find("eve", "")
	// Output:
	// ann app has token 2
	// ann uses several clients: name one
	// bob web has token 3
	// eve  has to sign in
}

func ExampleStore_FindTokenByID() {
	ctx, store := exampleStore(userToken("mine", "ann", "web"))
	t, err := store.FindTokenByID(ctx, "mine")
	fmt.Println(t.UserSignature.Name, err)
	_, err = store.FindTokenByID(ctx, "other")
	fmt.Println(err)
	// Output:
	// ann <nil>
	// tokenkeep: find token by id: no such token
}

func ExampleStore_SaveToken() {
	ctx, store := exampleStore(userToken("mine", "ann", "web"))

	// The provider has refreshed the access token and returned nothing else.
	refreshed := &token.OAuthToken{
		UserSignature: token.UserSignature{Name: "ann"},
		ClientID:      "web",
		AccessToken:   token.NewSecret("new"),
	}
	err := store.SaveToken(ctx, refreshed)
	fmt.Println(refreshed.ID, err)

	t, err := store.FindTokenByID(ctx, "mine")
	fmt.Println(t.AccessToken.Reveal(), "and", t.RefreshToken.Reveal(), err)
	// Output:
	// mine <nil>
	// new and ann at web <nil>
}

func ExampleStore_SaveTokens() {
	ctx, store := exampleStore()
	err := store.SaveTokens(ctx, []*token.OAuthToken{
		userToken("1", "ann", "web"),
		userToken("2", "bob", "web"),
		{ID: "3"}, // carries nothing
	})
	fmt.Println(errors.Is(err, token.ErrInvalid))
	t, err := store.GetTokens(ctx)
	fmt.Println(len(t), err)
	// Output:
	// true
	// 2 <nil>
}

func ExampleStore_UpdateToken() {
	ctx, store := exampleStore(userToken("mine", "ann", "web"))
	// A save never erases; this does, on the newest state of the record.
	err := store.UpdateToken(ctx, "mine", func(t *token.OAuthToken) error {
		t.AccessToken = token.NewSecret("short-lived")
		t.RefreshToken = token.Secret{}
		return nil
	})
	t, findErr := store.FindTokenByID(ctx, "mine")
	fmt.Println(t.RefreshToken.IsZero(), err, findErr)
	// Output: true <nil> <nil>
}

func ExampleStore_DeleteToken() {
	ctx, store := exampleStore(userToken("mine", "ann", "web"))
	fmt.Println(store.DeleteToken(ctx, "mine"))
	fmt.Println(store.DeleteToken(ctx, "mine"))
	// Output:
	// <nil>
	// tokenkeep: delete token: no such token
}

func ExampleStore_GetTokens() {
	ctx, store := exampleStore(userToken("1", "ann", "web"), userToken("2", "bob", "web"))
	tokens, err := store.GetTokens(ctx)
	fmt.Println(len(tokens), err)
	// Output: 2 <nil>
}

func ExampleStore_All() {
	ctx, store := exampleStore(userToken("1", "ann", "web"), userToken("2", "bob", "web"))
	for t, err := range store.All(ctx) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(t.UserSignature.Name)
	}
	// Unordered output:
	// ann
	// bob
}

func ExampleStore_DeleteTokens() {
	ctx, store := exampleStore(userToken("1", "ann", "web"), userToken("2", "bob", "web"))
	fmt.Println(store.DeleteTokens(ctx))
	tokens, err := store.GetTokens(ctx)
	fmt.Println(len(tokens), err)
	// Output:
	// <nil>
	// 0 <nil>
}

func ExampleSecret() {
	t := token.OAuthToken{ClientID: "web", RefreshToken: token.NewSecret("1000.refresh")}
	fmt.Printf("%v %q %+v\n", t.RefreshToken, t.RefreshToken, struct{ Token token.Secret }{t.RefreshToken})
	raw, err := json.Marshal(t.RefreshToken)
	fmt.Println(string(raw), err)
	fmt.Println(t.RefreshToken.Equal(token.NewSecret("1000.refresh")), t.AccessToken.IsZero())
	// Output:
	// REDACTED REDACTED {Token:REDACTED}
	// "REDACTED" <nil>
	// true true
}

// Look first, and then mend.
func ExampleStore_Repair() {
	driver := memstore.NewDriver()
	store, err := token.NewStore(driver, nil)
	if err == nil {
		err = store.SaveToken(context.Background(), userToken("one", "ann@example.com:60001", "1000.CLIENT"))
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	driver.Remove("index") // somebody cleans up by hand

	ctx := context.Background()
	for _, dry := range []bool{true, false} {
		report, err := store.Repair(ctx, token.RepairOptions{DryRun: dry})
		if err != nil {
			fmt.Println(err)
			return
		}
		c := report.Count(token.LostIndex)
		fmt.Printf("%s: %d found, %d fixed\n", c.Problem, c.Found, c.Fixed)
	}
	found, err := store.FindToken(ctx, &token.OAuthToken{UserSignature: token.UserSignature{Name: "ann@example.com:60001"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found.ID)
	// Output:
	// lost index: 1 found, 0 fixed
	// lost index: 1 found, 1 fixed
	// one
}
