package vaultstoretest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMetadataOnly(t *testing.T) {
	srv, clock := start(t)
	send(t, srv, "PUT", "/v1/secret/metadata/k", `{}`).is(t, 204)
	send(t, srv, "GET", "/v1/secret/metadata/k", "").is(t, 404)
	send(t, srv, "PUT", "/v1/secret/metadata/k", `{"custom_metadata":{"a":1,"b":true}}`).is(t, 204)
	clock.Advance(time.Second)
	want := map[string]any{
		"cas_required": false, "created_time": "2026-01-02T12:00:00Z", "updated_time": "2026-01-02T12:00:00Z",
		"current_version": 0.0, "oldest_version": 0.0, "max_versions": 0.0, "delete_version_after": "0s",
		"custom_metadata": map[string]any{"a": "1", "b": "1"}, "versions": map[string]any{}, "last_updated_by": nil,
	}
	if diff := cmp.Diff(want, send(t, srv, "GET", "/v1/secret/metadata/k", "").Data); diff != "" {
		t.Error(diff)
	}
	send(t, srv, "GET", "/v1/secret/data/k", "").is(t, 404)
	send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{},"options":{"cas":0}}`).is(t, 200)
	got := send(t, srv, "GET", "/v1/secret/metadata/k", "")
	by := map[string]any{"actor": "root", "operation": "update", "client_id": "0DHqvq2D77kL2/JTPSZkTMJbkFVmUu0TzMi0jiXcFy8="}
	if diff := cmp.Diff(by, got.Data["last_updated_by"]); diff != "" {
		t.Error(diff)
	}
	if got.Data["created_time"] != "2026-01-02T12:00:00Z" || got.Data["updated_time"] != "2026-01-02T12:00:01Z" {
		t.Error(got.Text)
	}
}

func TestCustomMetadata(t *testing.T) {
	srv, _ := start(t)
	put := func(custom string) reply {
		return send(t, srv, "PUT", "/v1/secret/metadata/k", `{"custom_metadata":`+custom+`}`)
	}
	one := func(text string) string {
		return "1 error occurred:\n\t* custom_metadata validation failed: " + text + "\n\n"
	}
	many := []string{}
	for i := range 65 {
		many = append(many, fmt.Sprintf(`"k%d":"v"`, i))
	}
	put("{"+strings.Join(many, ",")+"}").says(t, 400, one("payload must contain at most 64 keys, provided 65"))
	put("{"+strings.Join(many[1:], ",")+"}").is(t, 204)
	put(`{"a":""}`).says(t, 400, one(`length of value for key "a" is 0 but must be 0 < len(value) <= 512`))
	put(`{"a":"`+strings.Repeat("x", 513)+`"}`).says(t, 400, one(`length of value for key "a" is 513 but must be 0 < len(value) <= 512`))
	put(`{"`+strings.Repeat("x", 129)+`":"v"}`).says(t, 400,
		one(`length of key "`+strings.Repeat("x", 129)+`" is 129 but must be 0 < len(key) <= 128`))
	put(`{"a":"\u0001"}`).says(t, 400, one(`value for key "a" contains unprintable characters`))
	put(`{"a":{}}`).says(t, 400, "custom_metadata validation failed: '' expected type 'string', got unconvertible type 'map[string]interface {}', value: 'map[]'")
	put(`{"a":"1","b":"2"}`).is(t, 204)
	send(t, srv, "PATCH", "/v1/secret/metadata/k", `{"custom_metadata":{"a":null,"c":"3"},"max_versions":4,"delete_version_after":"5m"}`).is(t, 204)
	got := send(t, srv, "GET", "/v1/secret/metadata/k", "")
	if diff := cmp.Diff(map[string]any{"b": "2", "c": "3"}, got.Data["custom_metadata"]); diff != "" {
		t.Error(diff)
	}
	if got.Data["max_versions"] != 4.0 || got.Data["delete_version_after"] != "5m0s" {
		t.Error(got.Text)
	}
	send(t, srv, "PATCH", "/v1/secret/metadata/k", `{"custom_metadata":{"n":5}}`).says(t, 500,
		"1 error occurred:\n\t* json: cannot unmarshal number into Go struct field KeyMetadata.custom_metadata of type string\n\n")
	send(t, srv, "PATCH", "/v1/secret/metadata/k", `{"max_versions":-1}`).says(t, 500,
		"1 error occurred:\n\t* json: cannot unmarshal number -1 into Go struct field KeyMetadata.max_versions of type uint32\n\n")
	send(t, srv, "PATCH", "/v1/secret/metadata/none", `{"max_versions":1}`).is(t, 404)
	send(t, srv, "PATCH", "/v1/secret/metadata/k", `{"custom_metadata":null}`).is(t, 204)
	if got := send(t, srv, "GET", "/v1/secret/metadata/k", ""); got.Data["custom_metadata"] != nil {
		t.Error(got.Text)
	}
}

func TestList(t *testing.T) {
	srv, _ := start(t)
	for _, key := range []string{"a", "a/b", "c/d", "c/e/f", "z"} {
		send(t, srv, "PUT", "/v1/secret/data/"+key, `{"data":{}}`).is(t, 200)
	}
	for path, want := range map[string][]any{
		"/v1/secret/metadata":       {"a", "a/", "c/", "z"},
		"/v1/secret/metadata/":      {"a", "a/", "c/", "z"},
		"/v1/secret/metadata/c":     {"d", "e/"},
		"/v1/secret/metadata/c/e/":  {"f"},
		"/v1/secret/metadata/c%2Fe": {"f"},
	} {
		for _, got := range []reply{send(t, srv, "LIST", path, ""), send(t, srv, "GET", path+"?list=true", "")} {
			if diff := cmp.Diff(want, got.Data["keys"]); diff != "" {
				t.Errorf("%s: %d %s", path, got.Status, diff)
			}
		}
	}
	if got := send(t, srv, "LIST", "/v1/secret/metadata/none/", ""); got.Status != 404 || got.Text != "{\"errors\":[]}\n" {
		t.Errorf("%d %q", got.Status, got.Text)
	}
	got := send(t, srv, "LIST", "/v1/secret/metadata/none?x=1", "")
	if diff := cmp.Diff([]string{"Endpoint ignored these unrecognized parameters: [x]"}, got.Warnings); got.Status != 200 || diff != "" {
		t.Errorf("a warning makes an empty list: %d %s", got.Status, diff)
	}
	send(t, srv, "GET", "/v1/secret/metadata/c?list=maybe", "").is(t, 400)
	send(t, srv, "DELETE", "/v1/secret/data/z", "").is(t, 204)
	got = send(t, srv, "LIST", "/v1/secret/metadata?exclude_deleted=true", "")
	if diff := cmp.Diff([]any{"a", "a/", "c/"}, got.Data["keys"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a", "a/b", "c/d", "c/e/f", "z"}, srv.Names("secret")); diff != "" {
		t.Error(diff)
	}
}

func TestVersionLists(t *testing.T) {
	srv, _ := start(t)
	send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{}}`)
	for _, area := range []string{"delete", "undelete", "destroy"} {
		path := "/v1/secret/" + area + "/k"
		text := "No version number provided"
		if area == "destroy" {
			text = "no version number provided"
		}
		send(t, srv, "PUT", path, `{}`).says(t, 400, text)
		send(t, srv, "POST", path, `{"versions":""}`).says(t, 400, text)
		send(t, srv, "PUT", path, `{"versions":"x"}`).is(t, 400)
		send(t, srv, "PUT", path, `{"versions":[0,-1,9,9]}`).is(t, 204)
		send(t, srv, "PUT", "/v1/secret/"+area+"/none", `{"versions":"1,2"}`).is(t, 204)
		send(t, srv, "GET", path, "").says(t, 405, "1 error occurred:\n\t* unsupported operation\n\n")
	}
	if v := srv.Versions("secret/k"); len(v) != 1 || v[0].Destroyed || !v[0].Deleted.IsZero() {
		t.Errorf("%+v", v)
	}
}
