package vaultstoretest_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

func TestVersion1StoresBlindly(t *testing.T) {
	srv, _ := start(t, vaultstoretest.WithMount("kv", 1))
	client := connect(t, srv)
	for range 2 {
		_, err := client.KVv2("kv").Put(t.Context(), "app/k", map[string]any{"a": 1}, api.WithCheckAndSet(7))
		if !errors.Is(err, api.ErrSecretNotFound) {
			t.Fatal(err)
		}
	}
	data, _, ok := srv.Value("kv/data/app/k")
	want := map[string]any{"data": map[string]any{"a": 1.0}, "options": map[string]any{"cas": 7.0}}
	if diff := cmp.Diff(want, data); !ok || diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"PUT v1": 2}, srv.CountCalls()); diff != "" {
		t.Error(diff)
	}
}

func TestVersion1(t *testing.T) {
	srv, _ := start(t, vaultstoretest.WithMount("kv", 1))
	send(t, srv, "PUT", "/v1/kv/a/b", `{"n":12345678901234567890,"ttl":"30m"}`).is(t, 204)
	got := send(t, srv, "GET", "/v1/kv/a/b", "")
	if got.Status != 200 || got.Data["ttl"] != "30m" {
		t.Errorf("%d %s", got.Status, got.Text)
	}
	if got := send(t, srv, "LIST", "/v1/kv", ""); !cmp.Equal(got.Data["keys"], []any{"a/"}) {
		t.Error(got.Text)
	}
	send(t, srv, "PUT", "/v1/kv/a", ``).says(t, 400, "missing data fields")
	send(t, srv, "PUT", "/v1/kv", `{"a":1}`).says(t, 400, "missing path")
	send(t, srv, "PATCH", "/v1/kv/a", `{"a":1}`).says(t, 405, "1 error occurred:\n\t* unsupported operation\n\n")
	send(t, srv, "PUT", "/v1/kv/a..b", `{"a":1}`).says(t, 500, "1 error occurred:\n\t* internal error\n\n")
	send(t, srv, "GET", "/v1/kv/a..b", ``).says(t, 400, "1 error occurred:\n\t* read failed: relative paths not supported\n\n")
	send(t, srv, "PUT", "/v1/kv/e", `{"error":"looks like one"}`).is(t, 204)
	send(t, srv, "GET", "/v1/kv/e", ``).says(t, 400, "looks like one")
	send(t, srv, "PUT", "/v1/kv/%FF", `{"a":1}`).says(t, 500, "1 error occurred:\n\t* failed to write: key contains invalid UTF-8 characters\n\n")
	send(t, srv, "DELETE", "/v1/kv/%FF", ``).says(t, 500, "1 error occurred:\n\t* key contains invalid UTF-8 characters\n\n")
	send(t, srv, "PUT", "/v1/kv/raw", `{"http_status_code":200}`).is(t, 204)
	got = send(t, srv, "GET", "/v1/kv/raw", ``)
	if wrong := got.Header.Get("X-Vault-Raw-Error"); got.Status != 500 || got.Text != "" || wrong != "raw responses cannot contain secrets or auth" {
		t.Errorf("%d %q %q", got.Status, got.Text, wrong)
	}
	send(t, srv, "DELETE", "/v1/kv/raw", "").is(t, 204)
	send(t, srv, "DELETE", "/v1/kv/a/b", "").is(t, 204)
	send(t, srv, "GET", "/v1/kv/a/b", "").is(t, 404)
	if diff := cmp.Diff([]string{"e"}, srv.Names("kv")); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsMounted(t *testing.T) {
	srv, _ := start(t, vaultstoretest.WithMount("kv", 1), vaultstoretest.WithMount("team/kv", 2), vaultstoretest.WithoutMount("secret"))
	got := send(t, srv, "GET", "/v1/sys/internal/ui/mounts/team/kv/some/key", "")
	if got.Data["path"] != "team/kv/" || got.Data["type"] != "kv" || !cmp.Equal(got.Data["options"], map[string]any{"version": "2"}) {
		t.Error(got.Text)
	}
	for _, path := range []string{"/v1/sys/mounts?x=1", "/v1/sys/internal/ui/mounts/team/kv?x=1"} {
		if got := send(t, srv, "GET", path, ""); len(got.Warnings) != 1 {
			t.Errorf("%s: %v", path, got.Warnings)
		}
	}
	send(t, srv, "PUT", "/v1/sys/mounts", "").says(t, 405, "1 error occurred:\n\t* unsupported operation\n\n")
	send(t, srv, "GET", "/v1/sys/internal/ui/mounts/", "").says(t, 404, "unsupported path")
	send(t, srv, "GET", "/v1/sys/internal/ui/mounts/secret", "").is(t, 403)
	send(t, srv, "GET", "/v1/sys/internal/ui/mounts/kv", "", as("")).says(t, 403, "permission denied")
	send(t, srv, "GET", "/v1/sys/internal/ui/mounts/kv", "", as("x")).says(t, 403, invalid)
	mounts, err := connect(t, srv).Sys().ListMountsWithContext(t.Context())
	if err != nil || len(mounts) != 2 || mounts["kv/"].Options["version"] != "1" {
		t.Errorf("%v %v", mounts, err)
	}
	got = send(t, srv, "PUT", "/v1/sys/capabilities-self", `{"paths":["kv/x"]}`)
	if diff := cmp.Diff([]any{"root"}, got.Data["kv/x"]); diff != "" {
		t.Error(diff)
	}
}

func TestUpgrade(t *testing.T) {
	srv, _ := start(t)
	srv.SetUpgrade("secret", vaultstoretest.Upgrading)
	const upgrading = "Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service shortly."
	send(t, srv, "GET", "/v1/secret/data/k", "").says(t, 400, upgrading)
	send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{}}`).says(t, 400, upgrading)
	send(t, srv, "LIST", "/v1/secret/metadata/", "").says(t, 400, upgrading)
	srv.SetUpgrade("secret", vaultstoretest.WaitingForPrimary)
	send(t, srv, "GET", "/v1/secret/data/k", "").is(t, 400)
	srv.SetUpgrade("secret", vaultstoretest.Upgraded)
	send(t, srv, "GET", "/v1/secret/data/k", "").is(t, 404)
}

func TestNamespaces(t *testing.T) {
	srv, _ := start(t, vaultstoretest.WithNamespaces("team", "team/sub"), vaultstoretest.WithMount("team/kv", 1))
	team := "X-Vault-Namespace: team"
	send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{"in":"root"}}`).is(t, 200)
	send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{"in":"team"}}`, team).is(t, 200)
	send(t, srv, "PUT", "/v1/team/sub/secret/data/k", `{"data":{"in":"sub"}}`).is(t, 200)
	for path, want := range map[string]string{"secret/k": "root", "team/secret/k": "team", "team/sub/secret/k": "sub"} {
		if data, _, _ := srv.Value(path); data["in"] != want {
			t.Errorf("%s: %v", path, data)
		}
	}
	send(t, srv, "GET", "/v1/sub/secret/data/k", "", team).is(t, 200)
	send(t, srv, "GET", "/v1/secret/data/k", "", "X-Vault-Namespace: none").is(t, 404)

	srv.SetNamespacePolicy("team", "app", vaultstoretest.Policy{{Path: "secret/data/*", Capabilities: []string{"read"}}})
	token := srv.NewToken(vaultstoretest.Token{Policies: []string{"app"}, Namespace: "team"})
	send(t, srv, "GET", "/v1/secret/data/k", "", as(token), team).is(t, 200)
	send(t, srv, "GET", "/v1/secret/data/k", "", as(token)).says(t, 403, denied)
	client := connect(t, srv)
	client.SetNamespace("team")
	if _, err := client.KVv2("secret").Get(t.Context(), "k"); err != nil {
		t.Error(err)
	}
	if calls := srv.Calls(); calls[len(calls)-1].Namespace != "team" || calls[len(calls)-1].Operation != "GET data" {
		t.Errorf("%+v", calls[len(calls)-1])
	}
	t.Run("the community edition does not look at the header", func(t *testing.T) {
		srv, _ := start(t)
		send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{}}`, team).is(t, 200)
		send(t, srv, "GET", "/v1/secret/data/k", "").is(t, 200)
		send(t, srv, "GET", "/v1/team/secret/data/k", "").is(t, 404)
	})
}
