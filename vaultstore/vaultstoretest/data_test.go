package vaultstoretest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

const (
	casMismatch = "check-and-set parameter did not match the current version"
	casRequired = "check-and-set parameter required for this call"
)

func TestRealClient(t *testing.T) {
	srv, _ := start(t)
	kv := connect(t, srv).KVv2("secret")
	ctx := t.Context()

	if _, err := kv.Get(ctx, "app/a"); !errors.Is(err, api.ErrSecretNotFound) {
		t.Fatalf("a missing key: %v", err)
	}
	put, err := kv.Put(ctx, "app/a", map[string]any{"n": 1, "s": "<&>"}, api.WithCheckAndSet(0))
	if err != nil || put.VersionMetadata.Version != 1 {
		t.Fatalf("create: %v %v", put, err)
	}
	if _, err = kv.Put(ctx, "app/a", map[string]any{"n": 2}, api.WithCheckAndSet(0)); err == nil || !strings.Contains(err.Error(), casMismatch) {
		t.Fatalf("create twice: %v", err)
	}
	if put, err = kv.Put(ctx, "app/a", map[string]any{"n": 2}, api.WithCheckAndSet(1)); err != nil || put.VersionMetadata.Version != 2 {
		t.Fatalf("replace: %v %v", put, err)
	}
	got, err := kv.GetVersion(ctx, "app/a", 1)
	if err != nil || got.Data["s"] != "<&>" {
		t.Fatalf("read version 1: %v %v", got, err)
	}
	if _, err = kv.Patch(ctx, "app/a", map[string]any{"m": 3}); err != nil {
		t.Fatal(err)
	}
	if data, n, ok := srv.Value("secret/app/a"); !ok || n != 3 || !cmp.Equal(data, map[string]any{"n": 2.0, "m": 3.0}) {
		t.Errorf("after a patch: %v %d %v", data, n, ok)
	}
	if err := kv.Delete(ctx, "app/a"); err != nil {
		t.Fatal(err)
	}
	got, err = kv.Get(ctx, "app/a")
	if err != nil || got.Data != nil || got.VersionMetadata.Version != 3 || got.VersionMetadata.DeletionTime.IsZero() {
		t.Errorf("a deleted version: %+v %v", got, err)
	}
	if err := kv.Undelete(ctx, "app/a", []int{3}); err != nil {
		t.Fatal(err)
	}
	if err := kv.Destroy(ctx, "app/a", []int{1}); err != nil {
		t.Fatal(err)
	}
	meta, err := kv.GetMetadata(ctx, "app/a")
	if err != nil || meta.CurrentVersion != 3 || !meta.Versions["1"].Destroyed || meta.Versions["3"].Destroyed {
		t.Errorf("metadata: %+v %v", meta, err)
	}
	list, err := connect(t, srv).Logical().ListWithContext(ctx, "secret/metadata/")
	if err != nil || !cmp.Equal(list.Data["keys"], []any{"app/"}) {
		t.Errorf("list: %v %v", list, err)
	}
	if err := kv.DeleteMetadata(ctx, "app/a"); err != nil {
		t.Fatal(err)
	}
	if put, err = kv.Put(ctx, "app/a", map[string]any{"n": 1}, api.WithCheckAndSet(0)); err != nil || put.VersionMetadata.Version != 1 {
		t.Errorf("numbers begin at 1 again: %v %v", put, err)
	}
	want := map[string]int{
		"GET data": 3, "PUT data": 4, "PATCH data": 1, "DELETE data": 1, "PUT undelete": 1, "PUT destroy": 1,
		"GET metadata": 1, "LIST metadata": 1, "DELETE metadata": 1,
	}
	if diff := cmp.Diff(want, srv.CountCalls()); diff != "" {
		t.Error(diff)
	}
}

func TestCheckAndSet(t *testing.T) {
	put := func(t *testing.T, srv *vaultstoretest.Server, options string) reply {
		return send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{"a":1}`+options+`}`)
	}
	t.Run("cas may be a number or a text that says one", func(t *testing.T) {
		srv, _ := start(t)
		for i, options := range []string{`,"options":{"cas":0}`, `,"options":{"cas":"1"}`, ``, `,"options":{}`, `,"options":null`, `,"options":{"cas":5}`} {
			if got := put(t, srv, options); got.Data["version"] != float64(i+1) {
				t.Errorf("%s: %s", options, got.Text)
			}
		}
	})
	t.Run("what is no number is refused", func(t *testing.T) {
		srv, _ := start(t)
		for _, cas := range []string{`"x"`, `1.5`, `[1,2]`, `{"a":1}`} {
			put(t, srv, `,"options":{"cas":`+cas+`}`).says(t, 400, "error parsing check-and-set parameter")
		}
		for _, cas := range []string{`-1`, `true`, `7`} {
			put(t, srv, `,"options":{"cas":`+cas+`}`).says(t, 400, casMismatch)
		}
		put(t, srv, `,"options":{"cas":null}`).is(t, 200)
	})
	t.Run("a deleted or destroyed version keeps its number", func(t *testing.T) {
		srv, _ := start(t)
		put(t, srv, "").is(t, 200)
		send(t, srv, "DELETE", "/v1/secret/data/k", "").is(t, 204)
		put(t, srv, `,"options":{"cas":0}`).says(t, 400, casMismatch)
		put(t, srv, `,"options":{"cas":1}`).is(t, 200)
		send(t, srv, "PUT", "/v1/secret/destroy/k", `{"versions":[2]}`).is(t, 204)
		put(t, srv, `,"options":{"cas":0}`).says(t, 400, casMismatch)
		put(t, srv, `,"options":{"cas":2}`).is(t, 200)
	})
	t.Run("mount and key can demand it", func(t *testing.T) {
		srv, _ := start(t)
		send(t, srv, "PUT", "/v1/secret/metadata/k", `{"cas_required":true}`).is(t, 204)
		put(t, srv, "").says(t, 400, casRequired)
		put(t, srv, `,"options":{"cas":0}`).is(t, 200)
		srv.Purge("secret/k")
		send(t, srv, "PUT", "/v1/secret/config", `{"cas_required":"true"}`).is(t, 204)
		put(t, srv, "").says(t, 400, casRequired)
		got := send(t, srv, "PUT", "/v1/secret/metadata/k", `{"cas_required":false,"x":1}`)
		if want := 2; got.Status != 200 || len(got.Warnings) != want {
			t.Errorf("%d %s", got.Status, got.Text)
		}
	})
}

func TestMaxVersions(t *testing.T) {
	srv, _ := start(t)
	send(t, srv, "PUT", "/v1/secret/metadata/k", `{"max_versions":2}`).is(t, 204)
	for range 4 {
		send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{}}`).is(t, 200)
	}
	got := send(t, srv, "GET", "/v1/secret/metadata/k", "")
	if got.Data["oldest_version"] != 3.0 || got.Data["current_version"] != 4.0 || len(got.Data["versions"].(map[string]any)) != 2 {
		t.Error(got.Text)
	}
	if got := send(t, srv, "GET", "/v1/secret/data/k?version=2", ""); got.Status != 404 || got.Text != "{\"errors\":[]}\n" {
		t.Errorf("a pruned version: %d %q", got.Status, got.Text)
	}
	if versions := srv.Versions("secret/k"); len(versions) != 2 || versions[0].Number != 3 {
		t.Errorf("%+v", versions)
	}
	t.Run("the oldest version is 0 until ten are full", func(t *testing.T) {
		for i := range 11 {
			send(t, srv, "PUT", "/v1/secret/data/ten", `{"data":{}}`).is(t, 200)
			want := float64([]int{0, 1, 2}[max(i-8, 0)])
			if got := send(t, srv, "GET", "/v1/secret/metadata/ten", ""); got.Data["oldest_version"] != want {
				t.Errorf("after %d: %v, want %v", i+1, got.Data["oldest_version"], want)
			}
		}
	})
}

func TestDeleteVersionAfter(t *testing.T) {
	srv, clock := start(t)
	send(t, srv, "PUT", "/v1/secret/config", `{"delete_version_after":"1h"}`).is(t, 204)
	send(t, srv, "PUT", "/v1/secret/metadata/k", `{"delete_version_after":"90m"}`).is(t, 204)
	send(t, srv, "PUT", "/v1/secret/metadata/k", `{"delete_version_after":-1}`).says(t, 400,
		`error converting input for field "delete_version_after": cannot provide negative value '-1'`)
	got := send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{"a":1}}`)
	if got.Data["deletion_time"] != "2026-01-02T13:00:00Z" {
		t.Error("the shorter time counts:", got.Text)
	}
	clock.Advance(time.Hour)
	got = send(t, srv, "GET", "/v1/secret/data/k", "")
	if got.Status != 404 || got.Data["data"] != nil || got.Data["metadata"].(map[string]any)["version"] != 1.0 {
		t.Errorf("%d %s", got.Status, got.Text)
	}
	send(t, srv, "PUT", "/v1/secret/undelete/k", `{"versions":["1"]}`).is(t, 204)
	send(t, srv, "GET", "/v1/secret/data/k", "").is(t, 200)
	send(t, srv, "PUT", "/v1/secret/config", `{"delete_version_after":"-5s"}`).is(t, 204)
	if got := send(t, srv, "GET", "/v1/secret/config", ""); got.Data["delete_version_after"] != "-1s" {
		t.Error(got.Text)
	}
	if got := send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{"a":1}}`); got.Data["deletion_time"] != "" {
		t.Error("the mount turns it off:", got.Text)
	}
}

func TestValuesComeBackAsVaultKeepsThem(t *testing.T) {
	srv, _ := start(t)
	for body, want := range map[string]any{
		`{"n":12345678901234567890,"e":1e2,"l":[1,null],"u":"é"}`: map[string]any{"n": 12345678901234567000.0, "e": 100.0, "l": []any{1.0, nil}, "u": "é"},
		`null`:              nil,
		`{}`:                map[string]any{},
		`[]`:                map[string]any{},
		`[{"a":1},{"b":2}]`: map[string]any{"a": 1.0, "b": 2.0},
	} {
		send(t, srv, "PUT", "/v1/secret/data/k", `{"data":`+body+`}`).is(t, 200)
		got := send(t, srv, "GET", "/v1/secret/data/k", "")
		if diff := cmp.Diff(want, got.Data["data"]); got.Status != 200 || diff != "" {
			t.Errorf("%s: %d %s", body, got.Status, diff)
		}
	}
}

func TestPatch(t *testing.T) {
	srv, _ := start(t)
	patch := func(body string) reply { return send(t, srv, "PATCH", "/v1/secret/data/k", body) }
	if got := patch(`{"data":{"a":1}}`); got.Status != 404 || got.Text != "" {
		t.Errorf("a missing key: %d %q", got.Status, got.Text)
	}
	send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{"a":{"x":1,"y":2},"b":1,"c":[1]}}`).is(t, 200)
	patch(`{"data":{"a":{"x":null,"z":{"n":null}},"b":null,"c":{"d":null,"e":[null]}},"options":{"cas":1}}`).is(t, 200)
	data, n, _ := srv.Value("secret/k")
	want := map[string]any{"a": map[string]any{"y": 2.0, "z": map[string]any{}}, "c": map[string]any{"e": []any{nil}}}
	if diff := cmp.Diff(want, data); n != 2 || diff != "" {
		t.Error(n, diff)
	}
	patch(`{"data":{},"options":{"cas":1}}`).says(t, 400, casMismatch)
	patch(`{}`).says(t, 400, "no data provided")
	send(t, srv, "PATCH", "/v1/secret/data/k", `{}`, "Content-Type: application/json").says(t, 415,
		"PATCH requires Content-Type of application/merge-patch+json, provided application/json")
	patch(`{"data":null}`).is(t, 200)
	patch(`{"data":{}}`).says(t, 500, "1 error occurred:\n\t* resource does not exist\n\n")
	send(t, srv, "DELETE", "/v1/secret/data/k", "").is(t, 204)
	if got := patch(`{"data":{}}`); got.Status != 404 || got.Data["version"] != 3.0 {
		t.Errorf("a deleted version: %d %s", got.Status, got.Text)
	}
}

func TestSubkeys(t *testing.T) {
	srv, _ := start(t)
	send(t, srv, "PUT", "/v1/secret/data/k", `{"data":{"a":{"b":{"c":1},"d":{}},"e":2}}`).is(t, 200)
	got := send(t, srv, "GET", "/v1/secret/subkeys/k?depth=2", "")
	want := map[string]any{"a": map[string]any{"b": nil, "d": nil}, "e": nil}
	if diff := cmp.Diff(want, got.Data["subkeys"]); diff != "" {
		t.Error(diff)
	}
}
