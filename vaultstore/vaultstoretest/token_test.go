package vaultstoretest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

const (
	denied  = "1 error occurred:\n\t* permission denied\n\n"
	invalid = "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"
)

func as(token string) string { return "X-Vault-Token: " + token }

func TestTokensExpire(t *testing.T) {
	srv, clock := start(t)
	srv.SetPolicy("app", vaultstoretest.Policy{{Path: "secret/*", Capabilities: []string{"read", "create", "update"}}})
	token := srv.NewToken(vaultstoretest.Token{Policies: []string{"app"}, TTL: time.Minute, MaxTTL: 90 * time.Second})
	get := func() reply { return send(t, srv, "GET", "/v1/secret/data/k", "", as(token)) }
	get().is(t, 404)
	send(t, srv, "GET", "/v1/secret/data/k", "", as("")).says(t, 403, "permission denied")
	send(t, srv, "GET", "/v1/secret/data/k", "", as("hvs.unknown")).says(t, 403, invalid)

	clock.Advance(45 * time.Second)
	renewed := send(t, srv, "PUT", "/v1/auth/token/renew-self", `{"increment":60}`, as(token))
	if renewed.Status != 200 || renewed.Auth["lease_duration"] != 45.0 || len(renewed.Warnings) != 1 ||
		renewed.Warnings[0] != `TTL of "1m" exceeded the effective max_ttl of "45s"; TTL value is capped accordingly` {
		t.Errorf("%d %s", renewed.Status, renewed.Text)
	}
	look := send(t, srv, "GET", "/v1/auth/token/lookup-self", "", as(token))
	if look.Data["ttl"] != 45.0 || look.Data["explicit_max_ttl"] != 90.0 || !cmp.Equal(look.Data["renewable"], any(true)) || look.Data["id"] != token {
		t.Error(look.Text)
	}
	clock.Advance(44 * time.Second)
	get().is(t, 404)
	clock.Advance(time.Second)
	get().says(t, 403, invalid)
	send(t, srv, "PUT", "/v1/auth/token/renew-self", `{}`, as(token)).says(t, 403, invalid)
	send(t, srv, "PUT", "/v1/auth/token/renew-self", `{}`).says(t, 400, "invalid lease ID")
}

func TestTokensAreRevokedAndUsedUp(t *testing.T) {
	srv, _ := start(t)
	token := srv.NewToken(vaultstoretest.Token{})
	send(t, srv, "PUT", "/v1/auth/token/revoke-self", "", as(token)).is(t, 204)
	send(t, srv, "GET", "/v1/auth/token/lookup-self", "", as(token)).says(t, 403, invalid)
	token = srv.NewToken(vaultstoretest.Token{Uses: 2, Batch: true})
	send(t, srv, "PUT", "/v1/auth/token/renew-self", "", as(token)).says(t, 400, "batch tokens cannot be renewed")
	send(t, srv, "GET", "/v1/auth/token/lookup-self", "", as(token)).is(t, 200)
	send(t, srv, "GET", "/v1/auth/token/lookup-self", "", as(token)).says(t, 403, invalid)
	if token = srv.NewToken(vaultstoretest.Token{}); !srv.RevokeToken(token) || srv.RevokeToken(token) {
		t.Error("revoked never or twice")
	}
}

func TestPolicies(t *testing.T) {
	srv, _ := start(t)
	srv.SetPolicy("app", vaultstoretest.MustPolicy(`
		# The policy of the documentation.
		path "secret/data/app/*"     { capabilities = ["create", "update", "read"] }
		path "secret/metadata/app/*" { capabilities = ["read", "list", "delete"] } // for cleaning up
		path "secret/metadata/app"   { capabilities = ["list"] }
		path "secret/data/+/public"  { capabilities = ["read",] }
		/* no, not here */
		path "secret/data/app/x/*"   { capabilities = ["deny"] }
	`))
	srv.SetPolicy("new", vaultstoretest.Policy{{Path: "secret/data/*", Capabilities: []string{"create"}}})
	app := srv.NewToken(vaultstoretest.Token{Policies: []string{"app"}})
	creator := srv.NewToken(vaultstoretest.Token{Policies: []string{"new", "missing"}})
	for _, test := range []struct {
		token, method, path, body string
		status                    int
	}{
		{app, "PUT", "/v1/secret/data/app/k", `{"data":{}}`, 200},
		{app, "PUT", "/v1/secret/data/app/k", `{"data":{}}`, 200},
		{app, "GET", "/v1/secret/data/app/k", ``, 200},
		{app, "DELETE", "/v1/secret/data/app/k", ``, 403},
		{app, "PATCH", "/v1/secret/data/app/k", `{}`, 403},
		{app, "LIST", "/v1/secret/metadata/app", ``, 200},
		{app, "LIST", "/v1/secret/metadata/app/k/", ``, 404},
		{app, "LIST", "/v1/secret/metadata", ``, 403},
		{app, "GET", "/v1/secret/data/other/public", ``, 404},
		{app, "GET", "/v1/secret/data/other/more/public", ``, 403},
		{app, "GET", "/v1/secret/data/app/x/y", ``, 403},
		{app, "PUT", "/v1/secret/destroy/app/k", `{"versions":[1]}`, 403},
		{app, "GET", "/v1/none", ``, 403},
		{app, "GET", "/v1/sys/internal/ui/mounts/secret", ``, 200},
		{creator, "PUT", "/v1/secret/data/n", `{"data":{}}`, 200},
		{creator, "PUT", "/v1/secret/data/n", `{"data":{}}`, 403},
		{creator, "GET", "/v1/secret/data/n", ``, 403},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			got := send(t, srv, test.method, test.path, test.body, as(test.token))
			if got.is(t, test.status); got.Status == 403 {
				got.says(t, 403, denied)
			}
		})
	}
	t.Run("a mount that is denied is shown, unless some policy has a plus sign", func(t *testing.T) {
		srv.SetPolicy("no", vaultstoretest.Policy{{Path: "secret/*", Capabilities: []string{"deny"}}})
		no := srv.NewToken(vaultstoretest.Token{Policies: []string{"no"}})
		send(t, srv, "GET", "/v1/sys/internal/ui/mounts/secret", "", as(no)).is(t, 403)
		srv.SetPolicy("default", vaultstoretest.Policy{})
		send(t, srv, "GET", "/v1/sys/internal/ui/mounts/secret", "", as(no)).is(t, 200)
	})
	t.Run("a policy that is replaced counts at once", func(t *testing.T) {
		srv.SetPolicy("app", nil)
		send(t, srv, "GET", "/v1/secret/data/app/k", "", as(app)).says(t, 403, denied)
		send(t, srv, "GET", "/v1/sys/internal/ui/mounts/secret", "", as(app)).says(t, 403,
			`preflight capability check returned 403, please ensure client's policies grant access to path "secret/"`)
	})
}

func TestParsePolicy(t *testing.T) {
	for text, want := range map[string]string{
		`path "a" { capabilities = ["reed"] }`:   `path "a": invalid capability "reed"`,
		`path "a+*" { capabilities = ["read"] }`: `path "a+*": invalid use of wildcards ('+*' is forbidden)`,
		`path a { capabilities = ["read"] }`:     `vaultstoretest: policy, line 1: want a string, not "a"`,
		"\npath \"a\" { policy = \"read\" }":     `vaultstoretest: policy, line 2: want capabilities, not "policy"`,
		`path "a" { capabilities = ["read"]`:     `vaultstoretest: policy, line 1: want }, not ""`,
	} {
		if _, err := vaultstoretest.ParsePolicy(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAppRole(t *testing.T) {
	srv, clock := start(t)
	srv.SetPolicy("app", vaultstoretest.Policy{{Path: "secret/data/*", Capabilities: []string{"read"}}})
	srv.SetAppRole(vaultstoretest.Role{Name: "app", RoleID: "r", SecretID: "s", Policies: []string{"app"}, TTL: time.Minute, MaxTTL: time.Hour})
	login := func(body string) reply { return send(t, srv, "PUT", "/v1/auth/approle/login", body, as("")) }
	login(`{"role_id":"r","secret_id":"x"}`).says(t, 400, "invalid role or secret ID")
	login(`{"role_id":"x","secret_id":"s"}`).says(t, 400, "invalid role or secret ID")
	login(`{"role_id":"r"}`).says(t, 400, "missing secret_id")
	login(`{}`).says(t, 500, "failed to determine alias name from login request")
	got := login(`{"role_id":"r","secret_id":"s"}`)
	if got.Auth["lease_duration"] != 60.0 || !cmp.Equal(got.Auth["renewable"], any(true)) || got.Auth["token_type"] != "service" {
		t.Fatal(got.Text)
	}
	if diff := cmp.Diff([]any{"app", "default"}, got.Auth["policies"]); diff != "" {
		t.Error(diff)
	}
	token := got.Auth["client_token"].(string)
	send(t, srv, "GET", "/v1/secret/data/k", "", as(token)).is(t, 404)
	clock.Advance(2 * time.Minute)
	send(t, srv, "GET", "/v1/secret/data/k", "", as(token)).says(t, 403, invalid)
}

func TestKubernetes(t *testing.T) {
	srv, _ := start(t)
	srv.SetKubernetesRole(vaultstoretest.Role{Name: "app", JWT: "j"})
	login := func(body string) reply { return send(t, srv, "PUT", "/v1/auth/kubernetes/login", body, as("")) }
	login(`{"role":"app","jwt":"x"}`).says(t, 403, "permission denied")
	login(`{"role":"none","jwt":"j"}`).says(t, 400, `invalid role name "none"`)
	login(`{"role":"app"}`).says(t, 400, "missing jwt")
	if got := login(`{"role":"app","jwt":"j"}`); got.Auth["client_token"] == nil {
		t.Error(got.Text)
	}
}

func TestPeriodicTokensAreRenewedForEver(t *testing.T) {
	srv, clock := start(t)
	client := connect(t, srv)
	client.SetToken(srv.NewToken(vaultstoretest.Token{TTL: time.Minute, Period: time.Minute}))
	for range 5 {
		clock.Advance(50 * time.Second)
		if s, err := client.Auth().Token().RenewSelfWithContext(t.Context(), 0); err != nil || s.Auth.LeaseDuration != 60 {
			t.Fatal(s, err)
		}
	}
}
