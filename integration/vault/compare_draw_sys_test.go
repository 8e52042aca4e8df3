package vault_test

import "fmt"

// system draws what says how the server is.
func (d *drawer) system() request {
	switch n := d.IntN(100); {
	case n < 45:
		path := oneOf(d, "kv", "kv/", "kv/data/a", "one", "one/a/b", "deep/kv", "deep/kv/data/a", "deep", "deep/", "none", "", "k", "kv2/a", "kv//", "/kv",
			"%20kv")
		r := request{method: "GET", target: "/v1/sys/internal/ui/mounts/" + path}
		if d.percent(5) {
			r.target += oneOf(d, "?x=1", "?path=x", "?list=true")
		}
		if d.percent(5) {
			r.method = oneOf(d, "PUT", "DELETE", "HEAD")
		}
		if d.percent(60) {
			r.token = oneOf(d, fmt.Sprint("drawn-", d.IntN(drawnPolicies)), "reader", "creator", "updater", "deleter", "mixed", "nothing", "none", "hvs.unknown", "few", "patcher")
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
	case n < 83:
		return request{method: "GET", target: "/v1/sys/init", token: "none"}
	case n < 88: // a server that is alone does nothing then
		return request{method: oneOf(d, "PUT", "PUT", "GET", "LIST", "DELETE"), target: "/v1/sys/step-down", token: oneOf(d, "", "none", "hvs.unknown"),
			body: d.spoil("{}")}
	}
	return request{method: oneOf(d, "GET", "GET", "GET", "GET", "PUT", "DELETE", "LIST"), target: "/v1/sys/mounts" + oneOf(d, "", "", "", "?x=1")}
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
