package vault_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// An outcome is a request and what Vault answered, as far as the drawer and the counts
// look at it.
type outcome struct {
	request
	place
	kind     string
	status   int
	text     string // of the errors
	warnings []string
	data     map[string]any
	token    string // of a login
	newest   int    // version of the key before, as far as it was known
}

func newOutcome(r request, a answer) outcome {
	var body struct {
		Errors, Warnings []string
		Data             map[string]any
		Auth             struct {
			ClientToken string            `json:"client_token"`
			Metadata    map[string]string // a renewal's has none
		}
	}
	_ = json.Unmarshal([]byte(a.body), &body) // what is no JSON says nothing
	o := outcome{
		request: r, place: r.place(), kind: r.kind(), status: a.status,
		text: strings.Join(body.Errors, ""), warnings: body.Warnings, data: body.Data,
	}
	if body.Auth.Metadata != nil {
		o.token = body.Auth.ClientToken
	}
	return o
}

// String is the outcome in a word.
func (o outcome) String() string {
	text := fmt.Sprint(o.status)
	if o.text != "" {
		text += " " + strings.Join(strings.Fields(o.text), " ")
	}
	if n := o.version(); n > 0 {
		text += fmt.Sprint(", version ", n)
	}
	return text[:min(len(text), 120)]
}

func (o outcome) version() int {
	n, _ := o.data["version"].(float64)
	return int(n)
}

// read returns what a read says about its version.
func (o outcome) read() (deleted, destroyed bool) {
	m, _ := o.data["metadata"].(map[string]any)
	when, _ := m["deletion_time"].(string)
	destroyed, _ = m["destroyed"].(bool)
	return when != "" && !destroyed, destroyed
}

func (o outcome) asked() int {
	_, query, _ := strings.Cut(o.target, "?")
	values, _ := url.ParseQuery(query)
	n, _ := strconv.Atoi(values.Get("version"))
	return n
}

func (o outcome) warns(text string) bool {
	return strings.Contains(strings.Join(o.warnings, "\n"), text)
}

// limited tells whether the token is a good one that may not everything.
func (o outcome) limited() bool { return o.request.token != "root" && o.request.token != "" }

// compareClasses are what ten thousand requests have to reach, and how often at least:
// about half as often as those of the fixed seed do.
var compareClasses = []struct {
	what   string
	least  int
	kind   string // any if empty
	status int
	text   string // in the error
	also   func(outcome) bool
}{
	{"a key is created", 80, "PUT data", 200, "", func(o outcome) bool { return o.version() == 1 }},
	{"a key has a new version", 400, "PUT data", 200, "", func(o outcome) bool { return o.version() > 1 }},
	{"a key has a version beyond the tenth", 100, "PUT data", 200, "", func(o outcome) bool { return o.version() > 10 }},
	{"a version will delete itself", 350, "PUT data", 200, "", func(o outcome) bool { return o.data["deletion_time"] != "" }},
	{"a write has the wrong cas", 100, "PUT data", 400, "did not match the current version", nil},
	{"a write has no cas and needs one", 60, "PUT data", 400, "parameter required", nil},
	{"a write has a cas that is no number", 40, "PUT data", 400, "error parsing check-and-set", nil},
	{"a write has no data", 30, "PUT data", 400, "no data provided", nil},
	{"a write has data of the wrong type", 30, "PUT data", 400, "error converting input", nil},
	{"a write's JSON is broken", 30, "PUT data", 500, "JSON", nil},
	{"a write's JSON has a member twice", 20, "", 500, "duplicate key", nil},
	{"a write is beyond a limit", 2, "", 500, "exceeds allowed", nil},
	{"a write is just within the limits", 1, "PUT data", 200, "", func(o outcome) bool { return len(o.body) > 10_000 }},
	{"a patch makes a version", 70, "PATCH data", 200, "", nil},
	{"a patch has the wrong cas", 20, "PATCH data", 400, "did not match the current version", nil},
	{"a patch is of a deleted version", 20, "PATCH data", 404, "", func(o outcome) bool { return o.version() > 0 }},
	{"a patch is of nothing", 30, "PATCH data", 404, "", func(o outcome) bool { return o.version() == 0 }},
	{"a patch has another content type", 20, "PATCH data", 415, "", nil},
	{"a patch is of null", 2, "PATCH data", 500, "resource does not exist", nil},
	{"the newest version is read", 150, "GET data", 200, "", func(o outcome) bool { return o.asked() == 0 }},
	{"an older version is read", 40, "GET data", 200, "", func(o outcome) bool { return o.asked() > 0 && o.asked() < o.newest }},
	{"a deleted version is read", 90, "GET data", 404, "", func(o outcome) bool {
		deleted, _ := o.read()
		return deleted
	}},
	{"a destroyed version is read", 10, "GET data", 404, "", func(o outcome) bool {
		_, destroyed := o.read()
		return destroyed
	}},
	{"a pruned version is read", 50, "GET data", 404, "", func(o outcome) bool {
		return o.data == nil && o.asked() > 0 && o.asked() <= o.newest
	}},
	{"what is not there is read", 70, "GET data", 404, "", func(o outcome) bool { return o.data == nil && o.newest == 0 }},
	{"a version is asked for that is no number", 15, "GET data", 400, "error converting", nil},
	{"the newest version is deleted", 150, "DELETE data", 204, "", nil},
	{"versions are deleted", 90, "PUT delete", 204, "", nil},
	{"versions are brought back", 150, "PUT undelete", 204, "", nil},
	{"versions are destroyed", 50, "PUT destroy", 204, "", nil},
	{"no versions are deleted", 8, "PUT delete", 400, "No version number", nil},
	{"versions that are no numbers are destroyed", 7, "PUT destroy", 400, "error converting", nil},
	{"subkeys are read", 50, "GET subkeys", 200, "", nil},
	{"subkeys of a deleted version are read", 10, "GET subkeys", 404, "", func(o outcome) bool {
		deleted, _ := o.read()
		return deleted
	}},
	{"metadata is read", 300, "GET metadata", 200, "", nil},
	{"custom metadata is read", 150, "GET metadata", 200, "", func(o outcome) bool { return o.data["custom_metadata"] != nil }},
	{"metadata of no version is read", 7, "GET metadata", 200, "", func(o outcome) bool { return o.data["current_version"] == 0.0 }},
	{"metadata of nothing is read", 50, "GET metadata", 404, "", nil},
	{"metadata is written", 100, "PUT metadata", 204, "", nil},
	{"metadata may not turn off cas", 9, "PUT metadata", 200, "", func(o outcome) bool { return o.warns("mandated by backend config") }},
	{"custom metadata is beyond a limit", 10, "PUT metadata", 400, "custom_metadata validation failed", nil},
	{"metadata is patched", 80, "PATCH metadata", 204, "", nil},
	{"metadata of nothing is patched", 10, "PATCH metadata", 404, "", nil},
	{"metadata is patched with what it cannot be", 7, "PATCH metadata", 500, "cannot unmarshal", nil},
	{"metadata is deleted", 50, "DELETE metadata", 204, "", nil},
	{"keys are listed", 100, "LIST metadata", 200, "", func(o outcome) bool { return o.data["keys"] != nil }},
	{"keys are listed without the deleted", 15, "LIST metadata", 200, "", func(o outcome) bool { return strings.Contains(o.target, "exclude_deleted=") }},
	{"nothing is listed", 30, "LIST metadata", 404, "", nil},
	{"the configuration is read", 30, "GET config", 200, "", nil},
	{"the configuration is written", 70, "PUT config", 204, "", nil},
	{"the configuration would be wrong", 7, "PUT config", 400, "", nil},
	{"version 1 is written", 50, "PUT v1", 204, "", nil},
	{"version 1 is read", 50, "GET v1", 200, "", nil},
	{"version 1 has nothing", 30, "GET v1", 404, "", nil},
	{"version 1 is listed", 15, "LIST v1", 200, "", nil},
	{"version 1 is deleted", 20, "DELETE v1", 204, "", nil},
	{"version 1 is patched", 7, "PATCH v1", 405, "", nil},
	{"there is no token", 70, "", 403, "permission denied", func(o outcome) bool { return o.text == "permission denied" && o.request.token == "" }},
	{"the token is invalid", 100, "", 403, "invalid token", nil},
	{"the token may not", 750, "", 403, "1 error occurred", func(o outcome) bool { return o.limited() }},
	{"the token may write", 40, "PUT data", 200, "", func(o outcome) bool { return o.limited() }},
	{"the token may only create", 6, "PUT data", 200, "", func(o outcome) bool { return o.request.token == "creator" }},
	{"the token may only update", 9, "PUT data", 200, "", func(o outcome) bool { return o.request.token == "updater" }},
	{"the token may read", 20, "GET data", 200, "", func(o outcome) bool { return o.limited() }},
	{"the token may list", 15, "LIST metadata", 200, "", func(o outcome) bool { return o.limited() }},
	{"the token may delete", 15, "DELETE data", 204, "", func(o outcome) bool { return o.limited() }},
	{"a token looks itself up", 50, "GET auth/token/lookup-self", 200, "", nil},
	{"a token is renewed", 20, "PUT auth/token/renew-self", 200, "", nil},
	{"a token is renewed to its end", 5, "PUT auth/token/renew-self", 200, "", func(o outcome) bool { return o.warns("exceeded") }},
	{"a token is not renewed", 20, "PUT auth/token/renew-self", 400, "", nil},
	{"a token is revoked", 4, "PUT auth/token/revoke-self", 204, "", nil},
	{"a role logs in", 5, "PUT auth/approle/login", 200, "", nil},
	{"a role is locked out", 9, "PUT auth/approle/login", 403, "permission denied", nil},
	{"capabilities are asked for", 15, "PUT sys/capabilities-self", 200, "", nil},
	{"a mount is looked up", 15, "GET sys/internal/ui/mounts", 200, "", nil},
	{"a mount is not shown", 20, "GET sys/internal/ui/mounts", 403, "preflight", nil},
	{"all mounts are looked up", 10, "GET sys/mounts", 200, "", nil},
	{"health is asked for", 1, "GET sys/health", 200, "", nil},
	{"the seal is asked for", 4, "GET sys/seal-status", 200, "", nil},
	{"the leader is asked for", 4, "GET sys/leader", 200, "", nil},
	{"a method is not allowed", 90, "", 405, "", nil},
	{"nothing is mounted", 10, "", 404, "no handler for route", nil},
	{"a path is of version 1", 4, "GET nothing of KV", 404, "", func(o outcome) bool { return o.warns("Invalid path") }},
	{"a path is not clean", 50, "", 307, "", nil},
	{"a write ends in a slash", 20, "", 400, "cannot write to a path ending in '/'", nil},
	{"a parameter is unknown", 50, "", 200, "", func(o outcome) bool { return o.warns("unrecognized parameters") }},
	{"a parameter is in the path", 6, "", 200, "", func(o outcome) bool { return o.warns("replaced the value") }},
	{"a header is not allowed", 15, "", 400, "disabled in configuration", nil},
}

// reach counts what an outcome is.
func (c *comparison) reach(o outcome) {
	for _, class := range compareClasses {
		if (class.kind == "" || class.kind == o.kind) && class.status == o.status && strings.Contains(o.text, class.text) &&
			(class.also == nil || class.also(o)) {
			c.reached[class.what]++
		}
	}
}

// checkReached fails the test if the requests reached too little. What is rare may be
// missed by another seed than the fixed one.
func (c *comparison) checkReached(t testing.TB, requests int) {
	t.Helper()
	if requests < 10_000 {
		return
	}
	for _, class := range compareClasses {
		got, want := c.reached[class.what], class.least
		if c.drawer.seed != fixedSeed {
			want /= 10
		}
		if got < want {
			t.Errorf("seed %d: %s: %d times in %d requests, want %d", c.drawer.seed, class.what, got, requests, want)
		}
	}
}
