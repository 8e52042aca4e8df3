package vaultstoretest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

func TestRefusals(t *testing.T) {
	srv, _ := start(t)
	const slash = "cannot write to a path ending in '/'"
	for _, test := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"PUT", "/v1/secret/data/k", ``, 400, "no data provided"},
		{"PUT", "/v1/secret/data/k", `null`, 400, "no data provided"},
		{"PUT", "/v1/secret/data/k", `{}`, 400, "no data provided"},
		{"PUT", "/v1/secret/data/k", `[]`, 400, "error parsing JSON: failed to parse JSON input: json: cannot unmarshal array into Go value of type map[string]interface {}"},
		{"PUT", "/v1/secret/data/k", `{"data":`, 500, "malformed JSON, unclosed containers"},
		{"PUT", "/v1/secret/data/k", `{} {}`, 500, "invalid character '{' after top-level value"},
		{"PUT", "/v1/secret/data/k", `{"a":1,"a":2}`, 500, "duplicate key 'a' in object"},
		{"PUT", "/v1/secret/data/k", `{"data":"x"}`, 400, "error converting input for field \"data\": '' expected a map, got 'string'"},
		{"PUT", "/v1/secret/config", `{"max_versions":"x"}`, 400, "Field validation failed: error converting input for field \"max_versions\": cannot parse '' as int: strconv.ParseInt: parsing \"x\": invalid syntax"},
		{"PUT", "/v1/secret/data/k/", `{}`, 400, slash},
		{"PUT", "/v1/secret/metadata/", `{}`, 400, slash},
		{"PUT", "/v1/secret/", `{}`, 400, slash},
		{"GET", "/v1/none/k", ``, 404, `no handler for route "none/k". route entry not found.`},
		{"DELETE", "/v1/secret/config", ``, 405, "1 error occurred:\n\t* unsupported operation\n\n"},
		{"OPTIONS", "/v1/secret/data/k", ``, 405, "1 error occurred:\n\t* unsupported operation\n\n"},
		{"GET", "/v1/secret/data/k?version=x", ``, 400, "Field validation failed: error converting input for field \"version\": cannot parse '' as int: strconv.ParseInt: parsing \"x\": invalid syntax"},
	} {
		t.Run(test.method+" "+test.path+" "+test.body, func(t *testing.T) {
			send(t, srv, test.method, test.path, test.body).says(t, test.status, test.text)
		})
	}
	if names := srv.Names("secret"); len(names) != 0 {
		t.Error("refused and stored:", names)
	}
}

func TestPathsThatVersion2DoesNotHave(t *testing.T) {
	srv, _ := start(t)
	const invalid = "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. If using the Vault CLI, use 'vault kv %s' for this operation."
	for request, verb := range map[string]string{
		"GET /v1/secret/k": "get", "PUT /v1/secret/k": "put", "DELETE /v1/secret/k": "delete",
		"LIST /v1/secret/data/k": "list", "GET /v1/secret/data/": "get", "GET /v1/secret": "get",
	} {
		method, path, _ := strings.Cut(request, " ")
		got := send(t, srv, method, path, "")
		if diff := cmp.Diff([]string{fmt.Sprintf(invalid, verb)}, got.Warnings); got.Status != 404 || diff != "" {
			t.Errorf("%s: %d %s", request, got.Status, diff)
		}
	}
	got := send(t, srv, "GET", "/v1/secret/data", "")
	if got.Status != 404 || !strings.Contains(got.Text, "Non-listing operations on the root") {
		t.Errorf("%d %s", got.Status, got.Text)
	}
	if got := send(t, srv, "GET", "/v1/secret/data/a%01", ""); got.Status != 400 || got.Text != "" {
		t.Errorf("unprintable: %d %q", got.Status, got.Text)
	}
	if got := send(t, srv, "GET", "/v1/secret/data//a", ""); got.Header.Get("Location") != "/v1/secret/data/a" {
		t.Errorf("two slashes: %d %v", got.Status, got.Header)
	}
	if got := send(t, srv, "GET", "/secret/data/a", "", "X-Vault-Namespace: team"); got.Status != 404 || got.Header.Get("X-Vault-Namespace") != "team" {
		t.Errorf("outside /v1/: %d %v", got.Status, got.Header)
	}
	if got := send(t, srv, "GET", "/.well-known/a", "", "X-Vault-Namespace: team"); got.Status != 404 || got.Text != "{\"errors\":[]}\n" ||
		got.Header.Get("X-Vault-Namespace") != "" {
		t.Errorf("well-known: %d %q %v", got.Status, got.Text, got.Header)
	}
}

func TestOddKeys(t *testing.T) {
	srv, _ := start(t)
	for _, key := range []string{"a%20b", "%C3%A9", "a+b", "..a", "a..b", "%25", "a%3Fb", "*"} {
		send(t, srv, "PUT", "/v1/secret/data/"+key, `{"data":{"k":1}}`).is(t, 200)
		send(t, srv, "GET", "/v1/secret/data/"+key, "").is(t, 200)
	}
	t.Run("a slash at the end does not count for metadata", func(t *testing.T) {
		send(t, srv, "GET", "/v1/secret/metadata/a+b/", "").is(t, 200)
		send(t, srv, "DELETE", "/v1/secret/metadata/a+b/", "").is(t, 204)
		send(t, srv, "GET", "/v1/secret/data/a+b", "").is(t, 404)
	})
	t.Run("names share metadata when they are the same once clean, but no values", func(t *testing.T) {
		send(t, srv, "PUT", "/v1/secret/data/x", `{"data":{"k":1}}`).is(t, 200)
		send(t, srv, "GET", "/v1/secret/data/y%2F..%2Fx", "").says(t, 500, "1 error occurred:\n\t* could not find version data\n\n")
	})
	t.Run("bytes that are no text are refused", func(t *testing.T) {
		send(t, srv, "PUT", "/v1/secret/data/%FF", `{"data":{}}`).says(t, 500, "1 error occurred:\n\t* string field contains invalid UTF-8\n\n")
		send(t, srv, "GET", "/v1/secret/data/%FF", "").is(t, 404)
	})
}

func TestLimits(t *testing.T) {
	long := `{"data":{"v":"` + strings.Repeat("x", 1<<20) + `"}}`
	longer := `{"data":{"v":"` + strings.Repeat("x", 1<<20+1) + `"}}`
	many := make([]string, 10_001)
	for i := range many {
		many[i] = fmt.Sprintf(`"%d":0`, i)
	}
	srv, _ := start(t)
	send(t, srv, "PUT", "/v1/secret/data/k", long).is(t, 200)
	send(t, srv, "PUT", "/v1/secret/data/k", longer).says(t, 500, "JSON string value exceeds allowed length")
	send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{`+strings.Join(many[1:], ",")+`}}`).is(t, 200)
	send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{`+strings.Join(many, ",")+`}}`).says(t, 500, "JSON object exceeds allowed entry count")
	send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{"l":[0`+strings.Repeat(",0", 10_000)+`]}}`).says(t, 500, "JSON array exceeds allowed element count")
	send(t, srv, "PUT", "/v1/secret/data/k", strings.Repeat(`[`, 301)).says(t, 500, "JSON input exceeds allowed nesting depth")
	send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{"v":1e400}}`).says(t, 500, "malformed JSON, invalid number syntax for '1e400'")
	send(t, srv, "PUT", "/v1/secret/data/k", strings.Repeat(" ", 32<<20)+"{}").says(t, 413, "http: request body too large")

	old, _ := start(t, vaultstoretest.WithoutJSONLimits())
	send(t, old, "PUT", "/v1/secret/data/k", longer).is(t, 200)
	send(t, old, "PUT", "/v1/secret/data/k", `{"data":`).says(t, 400, "error parsing JSON: failed to parse JSON input: unexpected EOF")
}

func TestForms(t *testing.T) {
	srv, _ := start(t)
	form := "Content-Type: application/x-www-form-urlencoded"
	send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{}}`, form).is(t, 200)
	send(t, srv, "PUT", "/v1/secret/delete/k", `versions=1&versions=2`, form).is(t, 204)
	send(t, srv, "GET", "/v1/secret/data/k", "").is(t, 404)
}

func TestEnvelope(t *testing.T) {
	srv, _ := start(t)
	put := send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{},"path":"x","z":1,"b":2}`)
	want := []string{
		"Endpoint ignored these unrecognized parameters: [b z]",
		"Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [path]",
	}
	if diff := cmp.Diff(want, put.Warnings); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{
		`"request_id":"`, `"lease_id":""`, `"renewable":false`, `"lease_duration":0`, `"wrap_info":null`, `"auth":null`, `"mount_type":"kv"`,
	} {
		if !strings.Contains(put.Text, text) {
			t.Errorf("no %s in %s", text, put.Text)
		}
	}
	send(t, srv, "DELETE", "/v1/secret/data/k", "").is(t, 204)
	if got := send(t, srv, "GET", "/v1/secret/data/k", ""); !strings.Contains(got.Text, `"mount_type":""`) || strings.HasSuffix(got.Text, "\n") {
		t.Errorf("a deleted version is answered raw: %q", got.Text)
	}
	got := send(t, srv, "GET", "/v1/secret/data/none", "", "X-Vault-Namespace: team")
	if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("X-Vault-Namespace") != "team" {
		t.Error(got.Header)
	}
	if got := send(t, srv, "HEAD", "/v1/secret/data/k", ""); got.Status != 405 {
		t.Error(got.Status)
	}
}
