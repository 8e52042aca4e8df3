package vault_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/token"
)

// What vaultstore/calls_test.go counts on the double is what a real Vault is asked, too.
func TestOperationsTakeTheRequestsThatTheDocumentsName(t *testing.T) {
	t.Parallel()
	for _, kept := range []int{1, 10} {
		t.Run(fmt.Sprintf("%d versions kept", kept), func(t *testing.T) {
			t.Parallel()
			countsCalls(t, kept)
		})
	}
}

func countsCalls(t *testing.T, kept int) {
	c := startCore(t)
	mount := c.mount(t, kept)
	warm := c.open(t, mount, "calls")
	ids := make([]string, 5)
	for i := range ids {
		u := user(i)
		if err := warm.SaveToken(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		ids[i] = u.ID
	}
	cold := func() *token.Store { return c.open(t, mount, "calls") }
	later := func(n int) token.Secret { return token.NewSecret(fmt.Sprint("later-", n)) }
	byUser := func() *token.OAuthToken { return &token.OAuthToken{UserSignature: user(0).UserSignature} }
	for _, step := range []struct {
		what                   string
		do                     func() error
		reads, writes, replace int // those of the writes that replace something
	}{
		{"FindTokenByID, first", func() error { _, err := cold().FindTokenByID(t.Context(), ids[0]); return err }, 1, 0, 0},
		{"FindToken by user, first", func() error { _, err := cold().FindToken(t.Context(), byUser()); return err }, 2, 0, 0},
		{"FindToken by user, index known", func() error { _, err := warm.FindToken(t.Context(), byUser()); return err }, 1, 0, 0},
		{"SaveToken, nothing new", func() error { return warm.SaveToken(t.Context(), user(1)) }, 1, 0, 0},
		{"SaveToken, new access token, record known", func() error {
			return warm.SaveToken(t.Context(), &token.OAuthToken{ID: ids[2], AccessToken: later(1)})
		}, 0, 1, 1},
		{"SaveToken, new refresh token, record known", func() error {
			return warm.SaveToken(t.Context(), &token.OAuthToken{ID: ids[3], RefreshToken: later(2)})
		}, 0, 2, 2},
		{"SaveToken, new record, index known", func() error { return warm.SaveToken(t.Context(), user(5)) }, 0, 2, 1},
		{"GetTokens of 6 records", func() error { _, err := cold().GetTokens(t.Context()); return err }, 7, 0, 0},
	} {
		want := map[string]int{"GET data": step.reads, "PUT data": step.writes, "PUT destroy": step.replace}
		if kept == 1 {
			want["PUT destroy"] = 0 // Vault drops them with the write
		}
		maps.DeleteFunc(want, func(_ string, n int) bool { return n == 0 })
		c.proxy.counted()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if diff := cmp.Diff(want, c.proxy.counted()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
	}
}
