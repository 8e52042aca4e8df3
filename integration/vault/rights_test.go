package vault_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

// What a token with the least policy cannot do, and what docs/vault.md says of tokens that
// have less than it, or beside it.

// deeds are requests to an endpoint of the engine for one secret, by what they do.
func deeds(h hand, name string) map[string]func(context.Context, *api.Client) error {
	write := func(endpoint string, data map[string]any) func(context.Context, *api.Client) error {
		return func(ctx context.Context, client *api.Client) error {
			_, err := client.Logical().WriteWithContext(ctx, h.path(endpoint, name), data)
			return err
		}
	}
	remove := func(endpoint string) func(context.Context, *api.Client) error {
		return func(ctx context.Context, client *api.Client) error {
			_, err := client.Logical().DeleteWithContext(ctx, h.path(endpoint, name))
			return err
		}
	}
	data := map[string]any{"value": "{}"}
	versions := map[string]any{"versions": []int{1}}
	return map[string]func(context.Context, *api.Client) error{
		"read": func(ctx context.Context, client *api.Client) error {
			_, err := client.Logical().ReadWithContext(ctx, h.path("data", name))
			return err
		},
		"list": func(ctx context.Context, client *api.Client) error {
			_, err := client.Logical().ListWithContext(ctx, h.mount+"/metadata/"+h.prefix)
			return err
		},
		"write":           write("data", map[string]any{"data": data}),
		"destroy":         write("destroy", versions),
		"delete metadata": remove("metadata"),
		"read metadata": func(ctx context.Context, c *api.Client) error {
			_, err := c.KVv2(h.mount).GetMetadata(ctx, h.prefix+"/"+name)
			return err
		},
		"write metadata":   write("metadata", map[string]any{"max_versions": 1}),
		"delete":           remove("data"),
		"delete a version": write("delete", versions),
		"undelete":         write("undelete", versions),
		"patch": func(ctx context.Context, client *api.Client) error {
			_, err := client.Logical().JSONMergePatch(ctx, h.path("data", name), map[string]any{"data": data})
			return err
		},
		"configure": func(ctx context.Context, client *api.Client) error {
			_, err := client.Logical().WriteWithContext(ctx, h.mount+"/config", map[string]any{"max_versions": 100})
			return err
		},
	}
}

// forbidden makes sure that a client is refused what it tries, and that nothing changes.
func forbidden(t *testing.T, client *api.Client, h hand, which func(deed string) bool) {
	t.Helper()
	before := h.all()
	all := deeds(h, codec.RootName)
	for _, deed := range slices.Sorted(maps.Keys(all)) {
		if !which(deed) {
			continue
		}
		err := all[deed](t.Context(), client)
		var answer *api.ResponseError
		if !errors.As(err, &answer) || answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %v, want HTTP 403", deed, err)
		}
	}
	if diff := cmp.Diff(before, h.all()); diff != "" {
		t.Errorf("something changed (-before +after):\n%s", diff)
	}
}

func TestATokenWithTheLeastPolicyReachesNoOtherPrefixAndNoOtherMount(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	n := c.tenant(t, 10)
	other := c.mount(t, 10)
	for _, h := range []hand{
		c.hand(t, n.hand.mount, "other"),
		c.hand(t, n.hand.mount, "app"),         // of which its own prefix is a part
		c.hand(t, n.hand.mount, "app/oauth-2"), // that begins as its own does
		c.hand(t, other, n.hand.prefix),
	} {
		t.Run(h.mount+" "+h.prefix, func(t *testing.T) {
			h.t = t
			ids := seed(t, c.open(t, h.mount, h.prefix))
			forbidden(t, n.client(), h, func(string) bool { return true })
			before := h.all()
			for _, m := range methods(ids) {
				store, err := vaultstore.New(n.client(), h.mount, h.prefix, nil)
				if err != nil {
					t.Fatal(err)
				}
				err = m.do(t.Context(), store)
				wantErr(t, m.name, err, token.ErrPermission)
				neverPrinted(t, m.name, err)
			}
			if diff := cmp.Diff(before, h.all()); diff != "" {
				t.Errorf("something changed (-before +after):\n%s", diff)
			}
		})
	}
	t.Run("and under its own it may do what a store does, and nothing else", func(t *testing.T) {
		h := n.hand
		h.t = t
		forbidden(t, n.client(), h, func(deed string) bool {
			return !slices.Contains([]string{"read", "list", "write", "destroy", "read metadata", "delete metadata"}, deed)
		})
	})
}

// The pattern of the policy ends in a slash and a star.
func TestTheLeastPolicyAlsoCoversStoresBelowItsPrefix(t *testing.T) {
	t.Parallel()
	n := startCore(t).tenant(t, 1)
	store, err := vaultstore.New(n.client(), n.hand.mount, n.hand.prefix+"/sub", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range methods(seed(t, store)) {
		n.succeeds(m, store)
	}
	if refused := n.watch.refused(); len(refused) > 0 {
		t.Errorf("requests were refused: %q", refused)
	}
	if all, err := n.store.GetTokens(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("the store beside it has %d records, %v", len(all), err)
	}
}

func TestAProgramThatOnlyFindsNeedsReadOnDataAndListOnMetadata(t *testing.T) {
	t.Parallel()
	n := startCore(t).tenant(t, 10)
	n.gets(n.policy.only(func(r right) bool { return r == right{"read", "data"} || r == right{"list", "metadata"} }))
	for _, m := range methods(n.ids) {
		if !m.writes {
			n.succeeds(m, n.store)
		}
	}
	for _, m := range methods(n.ids) {
		if m.writes {
			n.refuses(m, n.store, "PUT data ", refusedText)
		}
	}
	n.empty()
	store := n.open()
	for _, m := range methods(n.ids) {
		if m.writes {
			continue
		}
		want := token.ErrNotFound
		if m.name == "GetTokens" || m.name == "All" {
			want = nil
		}
		wantErr(t, m.name+" in an empty store", m.do(t.Context(), store), want)
	}
}

// A refusal is never taken for absence.
func TestAPolicyThatAllowsReadsOfSingleSecretsOnly(t *testing.T) {
	t.Parallel()
	n := startCore(t).tenant(t, 10)
	var rules strings.Builder
	for _, name := range []string{codec.RootName, codec.NameOf(n.ids[0])} {
		rules.WriteString("path \"" + n.hand.path("data", name) + "\" { capabilities = [\"read\"] }\n")
	}
	n.gets(rules.String())
	n.succeeds(called(n.ids, "FindTokenByID"), n.store)
	n.succeeds(called(n.ids, "FindToken by user"), n.store)
	_, err := n.store.FindTokenByID(t.Context(), n.ids[1])
	wantErr(t, "the other record", err, token.ErrPermission)
	_, err = n.store.FindTokenByID(t.Context(), "none")
	wantErr(t, "a record that does not exist", err, token.ErrPermission)
	if errors.Is(err, token.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// The store asks what the mount is, and needs no policy for that but its own.
func TestVaultSaysWhatAMountIsToWhoeverHasARightInIt(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	n := c.tenant(t, 10)
	other := c.mount(t, 10)
	for _, r := range n.policy.rights() {
		n.gets(n.policy.only(func(x right) bool { return x == r }))
		s, err := n.client().Logical().ReadWithContext(t.Context(), "sys/internal/ui/mounts/"+n.hand.mount)
		if err != nil || s.Data["type"] != "kv" {
			t.Errorf("with nothing but %s: %+v, %v", r, s, err)
		}
	}
	n.gets(n.policy.text)
	// Who has none in it cannot tell it from one that is not there.
	var texts []string
	for _, mount := range []string{other, "none"} {
		d, err := vaultstore.NewDriver(n.client(), mount, n.hand.prefix, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Put(t.Context(), "a", []byte(`{}`), driver.Absent)
		wantErr(t, "a write to "+mount, err, token.ErrPermission)
		texts = append(texts, err.Error())
	}
	const want = "GET sys/internal/ui/mounts: HTTP 403: permission denied " +
		"(there is no such mount, or it is none of the KV secrets engine, version 2, or the token has no right to anything in it)"
	if diff := cmp.Diff([]string{want, want}, texts); diff != "" {
		t.Errorf("the texts (-want +got):\n%s", diff)
	}
}

func TestATokenThatRenewsItselfNeedsTheDefaultPolicyOrItsLine(t *testing.T) {
	t.Parallel()
	n := startCore(t).tenant(t, 1)
	n.core.policy(t, "renews", `path "auth/token/renew-self" { capabilities = ["update"] }`)
	for _, c := range []struct {
		what      string
		policies  []string
		noDefault bool
		refused   bool
	}{
		{"with the default policy", nil, false, false},
		{"without it", nil, true, true},
		{"with its line", []string{"renews"}, true, false},
	} {
		s, err := n.core.root(t).Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{
			Policies: append(c.policies, n.policyName()), NoDefaultPolicy: c.noDefault, TTL: "1h",
		})
		if err != nil {
			t.Fatal(err)
		}
		n.token = s.Auth.ClientToken
		_, err = n.client().Auth().Token().RenewSelfWithContext(t.Context(), 3600)
		if refused := err != nil; refused != c.refused {
			t.Errorf("a renewal %s: %v", c.what, err)
		}
		n.succeeds(called(n.ids, "GetTokens"), n.open())
	}
}
