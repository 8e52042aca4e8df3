package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	tokens "github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// asZohoGives returns a token with texts as long as those of Zoho.
func asZohoGives(n int) *tokens.OAuthToken {
	return &tokens.OAuthToken{
		UserSignature: tokens.UserSignature{Name: fmt.Sprintf("user-%04d@example.com:60001%04d", n, n)},
		ClientID:      "1000." + strings.Repeat("A", 30),
		ClientSecret:  tokens.NewSecret(strings.Repeat("b", 42)),
		RefreshToken:  seventy("refresh", n),
		AccessToken:   seventy("access", n),
		Expiry:        time.Now().Add(time.Hour),
		APIDomain:     "https://www.zohoapis.com",
	}
}

func seventy(kind string, n int) tokens.Secret {
	return tokens.NewSecret(fmt.Sprintf("1000.%-59s%06d", kind, n))
}

// What docs/cost.md says of bytes is measured here, on the double: those of the JSON in
// which Vault keeps a value.
func TestATokenTakesAsManyBytesInVaultAsTheCostsSay(t *testing.T) {
	srv := vaultstoretest.NewServer()
	t.Cleanup(srv.Close)
	client, err := srv.Client()
	if err != nil {
		t.Fatal(err)
	}
	store, err := vaultstore.New(client, "secret", "cost", nil)
	if err != nil {
		t.Fatal(err)
	}
	size := func(name string) int {
		data, _, ok := srv.Value("secret/cost/" + name)
		text, err := json.Marshal(data)
		if !ok || err != nil {
			t.Fatal(name, ok, err)
		}
		return len(text)
	}
	var last *tokens.OAuthToken
	grows := func(from, to int, rotate bool) int {
		before := 0
		for n := from; n < to; n++ {
			last = asZohoGives(n)
			saveAll(t.Context(), t, store, last)
			if rotate {
				saveAll(t.Context(), t, store, &tokens.OAuthToken{ID: last.ID, RefreshToken: seventy("rotated", n)})
			}
			if n == from+19 { // the history of the index is full, and each of its tokens is alike
				before = size("index")
			}
		}
		return (size("index") - before) / (to - from - 20)
	}

	each := grows(0, 60, false)
	fresh := size("token-" + last.ID)
	rotated := grows(60, 120, true)
	for n := range 17 {
		saveAll(t.Context(), t, store, &tokens.OAuthToken{ID: last.ID, AccessToken: seventy("later", n)})
	}
	old := size("token-" + last.ID)

	text, err := os.ReadFile("../../docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		fmt.Sprintf("| the record, as the JSON that Vault keeps | %d | %d,%03d |\n", fresh, old/1000, old%1000),
		fmt.Sprintf("| its part of the index | %d | %d; %d once the refresh token was rotated |\n", each, each, rotated),
	} {
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/cost.md has no row\n%s", row)
		}
	}
}
