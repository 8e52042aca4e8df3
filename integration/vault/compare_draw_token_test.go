package vault_test

import (
	"fmt"
	"strings"
)

// asker draws who asks about himself.
func (d *drawer) asker() string {
	return oneOf(d, "", "reader", "updater", "patcher", "deleter", "mixed", "nothing", "few", "login", "several", "none", "hvs.unknown",
		"capped", "capped", d.short(), d.short(), d.short(), fmt.Sprint("drawn-", d.IntN(drawnPolicies)))
}

func (d *drawer) lookUp() request {
	r := request{method: "GET", target: "/v1/auth/token/lookup-self", token: d.asker()}
	if d.percent(20) {
		r.method = oneOf(d, "PUT", "LIST", "DELETE", "HEAD")
	}
	if d.percent(10) {
		r.target += oneOf(d, "?x=1", "/", "/x", "?token=x")
	}
	return r
}

func (d *drawer) renew() request {
	r := request{method: "PUT", target: "/v1/auth/token/renew-self", token: d.asker()}
	if r.token == "capped" {
		// Only this one is renewed to its end, and only by more than is left: what is left
		// is less with every second.
		r.body = object(entry("increment", oneOf(d, `"400h"`, `"2000h"`, `36000000`)))
		return r
	}
	// With less than a hundred hours, a token might end before the run does.
	r.body = object(entry("increment", oneOf(d, `"100h"`, `"150h"`, `360000`, `"200h"`, `0`, `"0s"`, `null`, `""`, `"-1s"`, `-5`, `"x"`, `true`, `[]`,
		`{}`, `400000.5`, `"360000"`)))
	if d.percent(20) {
		r.body = oneOf(d, ``, `{}`, `{"x":1}`, `{"token":"other"}`, `{"token":5}`, `{"token":[1]}`)
	}
	r.body = d.spoil(r.body)
	if d.percent(8) {
		r.method = oneOf(d, "GET", "LIST", "DELETE", "PATCH")
	}
	return r
}

func (d *drawer) revoke() request {
	return request{
		method: oneOf(d, "PUT", "PUT", "PUT", "GET"), target: "/v1/auth/token/revoke-self",
		token: oneOf(d, d.mayfly(), d.mayfly(), d.mayfly(), d.short(), "login", "none", "hvs.unknown"),
	}
}

// login draws one with AppRole. That of Kubernetes needs a cluster to ask.
func (d *drawer) login() request {
	// A secret id that is no text makes Vault crash.
	credentials := func(role, secret string) string { return object(entry("role_id", role), entry("secret_id", secret)) }
	r := request{method: "PUT", target: "/v1/auth/approle/login", token: oneOf(d, "none", "none", "reader", "hvs.unknown")}
	switch n := d.IntN(100); {
	case n < 60:
		r.body = credentials(`"app-role"`, oneOf(d, `"app-secret"`, `"app-secret"`, `"app-secret"`, `"app-secret"`, `"wrong"`, `""`, `5`, `null`))
	case n < 80:
		r.body = oneOf(d, `{}`, ``, `{"role_id":"none","secret_id":"app-secret"}`, `{"role_id":"app-role"}`, `{"role_id":null,"secret_id":"x"}`,
			`{"role_id":" app-role ","secret_id":" app-secret "}`, `{"role_id":"app-role","secret_id":"app-secret","x":1}`, `{"role_id":""}`)
		r.method = oneOf(d, "PUT", "PUT", "GET", "LIST", "DELETE")
	default: // until the role is locked out, mostly
		r.body = credentials(`"clumsy-role"`, oneOf(d, `"clumsy-secret"`, `"wrong"`))
		r.token = "none"
		for range d.IntN(8) {
			d.next = append(d.next, request{method: "PUT", target: r.target, body: credentials(`"clumsy-role"`, `"wrong"`)})
		}
		return r
	}
	r.body = d.spoil(r.body)
	return r
}

func (d *drawer) capabilities() request {
	who := d.asker()
	if d.percent(50) {
		who = fmt.Sprint("drawn-", d.IntN(drawnPolicies))
	}
	drawn := func() string {
		target, _ := d.at(oneOf(d, "data", "metadata", "delete"))
		return strings.TrimPrefix(target, "/v1/")
	}
	path := oneOf(d, drawn(), drawn(), `kv/data/a`, `kv/data/dir/x`, `kv/metadata/`, `kv/metadata`, `kv/data/app/one`, `one/a`, `deep/kv/data/a`, `none`,
		``, `auth/token/lookup-self`, `sys/capabilities-self`, `kv/data/x/x`, `/kv/data/a`, `one/a/b`, `kv/data/app/two/deep`, `kv/metadata/dir/`,
		`cubbyhole/a`, `cubbyhole`, `sys/tools/hash/x`, `identity/oidc/provider/x/authorize`, `identity/oidc/provider/x`, `sys/mounts`)
	second := oneOf(d, `one/a`, `kv/data/b`, path)
	body := oneOf(d, fmt.Sprintf(`{"paths":[%q]}`, path), fmt.Sprintf(`{"paths":[%q,%q]}`, path, second), fmt.Sprintf(`{"path":%q}`, path),
		fmt.Sprintf(`{"paths":"%s,%s"}`, path, second), fmt.Sprintf(`{"path":%q,"x":1}`, path), fmt.Sprintf(`{"paths":[%q],"token":"x"}`, path),
		fmt.Sprintf(`{"paths":[%q]}`, path), fmt.Sprintf(`{"paths":[%q,%q]}`, path, second))
	if d.percent(20) {
		body = oneOf(d, `{}`, ``, `{"paths":[]}`, `{"paths":null}`, `{"paths":5}`, `{"paths":[1,2]}`, `{"paths":{}}`, `{"paths":["a"],"path":"b"}`)
	}
	return request{method: oneOf(d, "PUT", "PUT", "PUT", "GET"), target: "/v1/sys/capabilities-self", body: d.spoil(body), token: who}
}
