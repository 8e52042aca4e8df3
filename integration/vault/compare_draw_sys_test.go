package vault_test

import "fmt"

// ownToken draws what tokens do to themselves.
func (d *drawer) ownToken() request {
	who := oneOf(d, "", "reader", "updater", "patcher", "deleter", "mixed", "nothing", "few", "login", "several", "none", "hvs.unknown")
	switch n := d.IntN(100); {
	case n < 45:
		r := request{method: "GET", target: "/v1/auth/token/lookup-self", token: who}
		if d.percent(20) {
			r.method = oneOf(d, "PUT", "LIST", "DELETE", "HEAD")
		}
		if d.percent(10) {
			r.target += oneOf(d, "?x=1", "/", "/x", "?token=x")
		}
		return r
	case n < 75:
		// Less than a hundred hours, and a token might end before the run.
		increment := oneOf(d, `"100h"`, `"150h"`, `360000`, `"400h"`, `"2000h"`, `0`, `"0s"`, `null`, `""`, `"-1s"`, `-5`, `"x"`, `true`, `[]`, `{}`, `400000.5`,
			`"360000"`)
		body := object(member("increment", increment))
		if d.percent(20) {
			body = oneOf(d, ``, `{}`, `{"x":1}`, `{"token":"other"}`, `{"token":5}`, `{"token":[1]}`)
		}
		r := request{method: "PUT", target: "/v1/auth/token/renew-self", body: d.spoil(body), token: who}
		if d.percent(8) {
			r.method = oneOf(d, "GET", "LIST", "DELETE", "PATCH")
		}
		return r
	case n < 79:
		return request{method: oneOf(d, "PUT", "PUT", "PUT", "GET"), target: "/v1/auth/token/revoke-self",
			token: oneOf(d, "mayfly-0", "mayfly-1", "mayfly-2", "login", "none", "hvs.unknown")}
	case n < 90:
		secret := oneOf(d, `"app-secret"`, `"app-secret"`, `"wrong"`, `""`, `5`, `null`, `[]`)
		body := object(member("role_id", `"app-role"`), member("secret_id", secret))
		if d.percent(30) {
			body = oneOf(d, `{}`, ``, `{"role_id":"none","secret_id":"app-secret"}`, `{"role_id":"app-role"}`, `{"role_id":["x"],"secret_id":"x"}`,
				`{"role_id":" app-role ","secret_id":" app-secret "}`, `{"role_id":"app-role","secret_id":"app-secret","x":1}`, `{"role_id":""}`)
		}
		return request{method: oneOf(d, "PUT", "PUT", "PUT", "PUT", "GET", "LIST", "DELETE"), target: "/v1/auth/approle/login",
			body: d.spoil(body), token: oneOf(d, "none", "none", "reader", "hvs.unknown")}
	}
	path := oneOf(d, `kv/data/a`, `kv/data/dir/x`, `kv/metadata/`, `kv/metadata`, `kv/data/app/one`, `one/a`, `deep/kv/data/a`, `none`, ``,
		`auth/token/lookup-self`, `sys/capabilities-self`, `kv/data/x/x`, `/kv/data/a`, `one/a/b`, `kv/data/app/two/deep`, `kv/metadata/dir/`)
	second := oneOf(d, `one/a`, `kv/data/b`, path)
	body := oneOf(d, fmt.Sprintf(`{"paths":[%q]}`, path), fmt.Sprintf(`{"paths":[%q,%q]}`, path, second), fmt.Sprintf(`{"path":%q}`, path),
		fmt.Sprintf(`{"paths":"%s,%s"}`, path, second), fmt.Sprintf(`{"path":%q,"x":1}`, path), `{}`, ``, `{"paths":[]}`, `{"paths":null}`,
		`{"paths":5}`, `{"paths":[1,2]}`, `{"paths":{}}`, fmt.Sprintf(`{"paths":[%q],"token":"x"}`, path), `{"paths":["a"],"path":"b"}`)
	return request{method: oneOf(d, "PUT", "PUT", "PUT", "GET"), target: "/v1/sys/capabilities-self", body: d.spoil(body), token: who}
}

// system draws what says how the server is.
func (d *drawer) system() request {
	switch n := d.IntN(100); {
	case n < 45:
		path := oneOf(d, "kv", "kv/", "kv/data/a", "one", "one/a/b", "deep/kv", "deep/kv/data/a", "deep", "deep/", "none", "", "k", "kv2/a", "kv//", "/kv",
			"auth/token", "%20kv")
		r := request{method: "GET", target: "/v1/sys/internal/ui/mounts/" + path}
		if d.percent(5) {
			r.method = oneOf(d, "PUT", "DELETE", "HEAD")
		}
		if d.percent(60) {
			r.token = oneOf(d, "reader", "creator", "updater", "deleter", "mixed", "nothing", "none", "hvs.unknown", "few", "patcher")
		}
		return r
	case n < 60:
		return request{method: oneOf(d, "GET", "GET", "GET", "HEAD", "PUT", "LIST"), token: oneOf(d, "none", "root", "hvs.unknown"),
			target: "/v1/sys/health" + oneOf(d, "", "", "?standbyok=true", "?standbyok=x", "?activecode=299", "?activecode=x", "?activecode=418&sealedcode=1",
				"?perfstandbyok", "?standbycode=", "?sealedcode=x", "?activecode=503")}
	case n < 70:
		return request{method: oneOf(d, "GET", "GET", "HEAD", "PUT", "LIST"), target: "/v1/sys/leader", token: oneOf(d, "none", "root", "hvs.unknown")}
	case n < 80:
		return request{method: oneOf(d, "GET", "GET", "HEAD", "PUT", "LIST"), target: "/v1/sys/seal-status", token: oneOf(d, "none", "root")}
	case n < 85:
		return request{method: "GET", target: "/v1/sys/init", token: "none"}
	}
	return request{method: "GET", target: "/v1/sys/mounts"}
}

// odd draws what is no request of any engine.
func (d *drawer) odd() request {
	if d.percent(40) {
		target, _ := d.at(oneOf(d, "data", "metadata", "delete", "undelete", "destroy", "subkeys", "config", "none", "data/data"))
		method := oneOf(d, "HEAD", "OPTIONS", "RECOVER", "FOO", "put", "TRACE", "LIST", "DELETE", "PATCH", "PUT", "GET", "list")
		r := request{method: method, target: target, body: oneOf(d, ``, ``, `{}`, `{"data":{}}`)}
		if method == "PATCH" {
			r = d.patch(target, r.body)
		}
		return r
	}
	target := oneOf(d, "/", "/v1", "/v1/", "/v2/kv/data/a", "/v1/kv", "/v1/kv/", "/v1/kv/data", "/v1/kv/metadata", "/v1/kv/delete", "/v1/kv/none",
		"/v1/kv/a/b", "/v1/kv/data/", "/v1/kv/metadata/", "/v1/kv/subkeys/", "/v1/kv/destroy/", "/v1/none/a", "/v1/none", "/v1/kv2/data/a", "/v1/deep",
		"/v1/deep/", "/v1/deep/a", "/v1/deep/kv", "/ui/", "/ui", "/robots.txt", "/.well-known/x", "/v1//kv/data/a", "/v1/kv//data/a", "/v1/./kv",
		"/V1/kv/data/a", "/v1/KV/data/a", "/v1/kv/Data/a", "/v1/kv/data%2Fa", "/v1%2Fkv/data/a", "/v1/kv%2Fdata%2Fa", "/v1/kv/config/", "/v1/kv/config/x",
		"/v1/auth/none/login", "/v1/auth/token/lookup-self/", "/v1/auth/none", "/v1/kv/data/a#x", "/v1/ kv", "/v1/secret/data/a")
	r := request{method: oneOf(d, "GET", "GET", "GET", "PUT", "PUT", "LIST", "DELETE", "PATCH", "HEAD", "OPTIONS"), target: target}
	switch r.method {
	case "PUT":
		r.body = oneOf(d, ``, `{}`, `{"data":{"a":1}}`, `{"a":1}`)
	case "PATCH":
		r = d.patch(target, oneOf(d, ``, `{}`, `{"data":{"a":1}}`))
	}
	return r
}
