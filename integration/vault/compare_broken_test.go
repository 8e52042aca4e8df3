package vault_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A change is what is wrong with a double.
type change func(r *http.Request, a *answer)

// changing puts a change before the double, through which each answer passes. The
// change may be another for each request; nil is none.
func changing(now func() change) func(http.Handler) http.Handler {
	return func(double http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			double.ServeHTTP(rec, r)
			a := answer{rec.Code, rec.Header(), rec.Body.String()}
			if change := now(); change != nil {
				change(r, &a)
			}
			maps.Copy(w.Header(), a.header)
			w.WriteHeader(a.status)
			_, _ = io.WriteString(w, a.body)
		})
	}
}

// replaced changes what an expression finds in an answer.
func replaced(expression, with string) change {
	find := regexp.MustCompile(expression)
	return func(_ *http.Request, a *answer) { a.body = find.ReplaceAllString(a.body, with) }
}

// status changes one that is answered to a method.
func status(method string, from, to int) change {
	return func(r *http.Request, a *answer) {
		if r.Method == method && a.status == from {
			a.status = to
		}
	}
}

// A comparison that finds nothing proves nothing: it finds each of these, and soon.
func TestCompareFindsWhatIsWrongWithADouble(t *testing.T) {
	t.Parallel()
	var wrong change // only between requests, so that nothing races
	c := newComparison(t, fixedSeed, changing(func() change { return wrong }))
	for name, change := range map[string]change{
		"a status":                     status("DELETE", 204, 200),
		"the status of a refusal":      status("GET", 403, 401),
		"the status of what is absent": status("LIST", 404, 200),
		"the text of an error":         replaced("did not match", "does not match"),
		"the text about a token":       replaced(`\* permission denied\\n\\t\* invalid token`, "* invalid token"),
		"the number of a version":      replaced(`"version":2`, `"version":3`),
		"the oldest version":           replaced(`"oldest_version":[1-9]`, `"oldest_version":0`),
		"a flag":                       replaced(`"destroyed":true`, `"destroyed":false`),
		"a time that is not there":     replaced(`"deletion_time":"[^"]+"`, `"deletion_time":""`),
		"a time that is there":         replaced(`"deletion_time":""`, `"deletion_time":"2026-01-01T00:00:00Z"`),
		"a time of another request": func(_ *http.Request, a *answer) {
			now := time.Now().UTC().Format(time.RFC3339Nano)
			a.body = regexp.MustCompile(`"updated_time":"[^"]+"`).ReplaceAllString(a.body, `"updated_time":"`+now+`"`)
		},
		"who did it":               replaced(`"actor":"root"`, `"actor":"admin"`),
		"a warning less":           replaced(`"warnings":\[.*\]`, `"warnings":null`),
		"a key less":               replaced(`"keys":\["a",`, `"keys":[`),
		"a value":                  replaced(`"data":\{"a":`, `"data":{"A":`),
		"custom metadata":          replaced(`"custom_metadata":null`, `"custom_metadata":{}`),
		"how a number is written":  replaced(`"max_versions":0`, `"max_versions":0.0`),
		"the lease of a secret":    replaced(`"lease_duration":2764800`, `"lease_duration":2764799`),
		"the policies of a token":  replaced(`"policies":\["default",`, `"policies":[`),
		"the life of a token":      replaced(`"creation_ttl":360000`, `"creation_ttl":360001`),
		"the engine":               replaced(`"mount_type":"kv"`, `"mount_type":""`),
		"the content type":         func(_ *http.Request, a *answer) { a.header.Set("Content-Type", "text/plain") },
		"a header less":            func(_ *http.Request, a *answer) { a.header.Del("Cache-Control") },
		"a new line less":          func(_ *http.Request, a *answer) { a.body = strings.TrimSuffix(a.body, "\n") },
		"a redirection":            status("GET", 307, 301),
		"a member of an error":     replaced(`"errors":\[\]`, `"errors":null`),
		"what a mount may be used": replaced(`preflight capability check`, `capability check`),
	} {
		// What they hold stays the same, so that each can begin where the last ended.
		wrong = change
		const enough = 3000
		from := len(c.past)
		if c.run(t, enough) == nil {
			t.Errorf("%s: no difference in %d requests", name, enough)
		}
		t.Logf("%s: after %d requests", name, len(c.past)-from)
	}
}

// as is a request of the root token.
func as(method, target, body string) request {
	return request{method: method, target: target, body: body, token: "root"}
}

// begin lets a comparison begin anew, with something else before the double.
func (c *comparison) begin(t testing.TB, wrap func(http.Handler) http.Handler) {
	t.Helper()
	c.drawer = newDrawer(c.drawer.seed)
	c.wrap, c.past, c.reached = wrap, nil, map[string]int{}
	c.fresh(t)
}

// What no answer gives away is found at the end, when all that there is is compared.
func TestCompareFindsWhatADoubleHolds(t *testing.T) {
	t.Parallel()
	c := newComparison(t, fixedSeed, nil)
	lost := func(method, path string) func(http.Handler) http.Handler {
		return func(double http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != method || r.URL.Path != path {
					double.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Cache-Control", "no-store")
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusNoContent)
			})
		}
	}
	write := as("PUT", "/v1/kv/data/last", `{"data":{"a":1}}`)
	for name, last := range map[string]request{
		"metadata that is not kept":        as("PUT", "/v1/kv/metadata/lost", `{"max_versions":5}`),
		"a version that is not deleted":    as("DELETE", "/v1/kv/data/last", ""),
		"a version that is not destroyed":  as("PUT", "/v1/kv/destroy/last", `{"versions":[1]}`),
		"a configuration that is not kept": as("PUT", "/v1/deep/kv/config", `{"max_versions":7}`),
		"a key that is not deleted":        as("DELETE", "/v1/kv/metadata/last", ""),
		"a secret that is not kept":        as("PUT", "/v1/one/dir/lost", `{"a":1}`),
	} {
		c.begin(t, lost(last.method, last.target))
		for _, r := range []request{write, write, last} {
			if _, diff := c.step(t, r); diff != nil {
				t.Fatal(c.report(t, diff))
			}
		}
		if diff := c.state(t); diff == nil {
			t.Errorf("%s: no difference", name)
		}
	}
	t.Run("a value", func(t *testing.T) {
		var wrong change
		c.begin(t, changing(func() change { return wrong }))
		if diff := c.run(t, 300); diff != nil {
			t.Fatal(c.report(t, diff))
		}
		wrong = replaced(`"data":\{"a":`, `"data":{"A":`)
		if c.state(t) == nil {
			t.Error("no difference")
		}
	})
}

// Who reads the report can come there again: by the seed, or by the few requests that
// it takes.
func TestCompareReportsTheFewRequestsThatItTakes(t *testing.T) {
	t.Parallel()
	flag := replaced(`"destroyed":true`, `"destroyed":false`)
	c := newComparison(t, fixedSeed, changing(func() change { return flag }))
	write := as("PUT", "/v1/kv/data/dir/x", `{"data":{"a":1}}`)
	destroy := as("PUT", "/v1/kv/destroy/dir/x", `{"versions":[1]}`)
	read := as("GET", "/v1/kv/metadata/dir/x", "")
	for _, r := range []request{
		as("PUT", "/v1/kv/config", `{"max_versions":5}`), as("PUT", "/v1/kv/data/other", `{"data":{}}`), write, read, write, look("/v1/kv/data/dir/x"), destroy,
	} {
		if _, diff := c.step(t, r); diff != nil {
			t.Fatal(c.report(t, diff))
		}
	}
	_, diff := c.step(t, read)
	if diff == nil {
		t.Fatal("no difference")
	}
	report := c.report(t, diff)
	for _, part := range []string{
		"request 7 of seed 1 is answered differently (V: by Vault, D: by the double):\nGET /v1/kv/metadata/dir/x\n  as \"root\"",
		`V         "destroyed": true`, `D         "destroyed": false`,
		"differ after these 2 of the 6 that touched the same:\nPUT /v1/kv/data/dir/x\n  as \"root\"\n  {\"data\":{\"a\":1}}\n    200, version 1\nPUT /v1/kv/destroy/dir/x",
		"again with -compare.seed=1",
	} {
		if !strings.Contains(report, part) {
			t.Errorf("no %s in\n%s", part, report)
		}
	}
}
