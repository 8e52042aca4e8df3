package vaultstoretest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// put writes a key through the real client.
func put(ctx context.Context, client *api.Client, key string, cas int) error {
	_, err := client.KVv2("secret").Put(ctx, key, map[string]any{"a": "secret-canary"}, api.WithCheckAndSet(cas))
	return err
}

func status(err error) int {
	if e, ok := errors.AsType[*api.ResponseError](err); ok {
		return e.StatusCode
	}
	return 0
}

func TestActions(t *testing.T) {
	for _, test := range []struct {
		name            string
		do              vaultstoretest.Action
		status, version int // of the error, 0 for none or no answer; of the key afterwards
		fails           bool
		text            string
	}{
		{"FailBefore", vaultstoretest.FailBefore(503, "Vault is sealed"), 503, 0, true, "Vault is sealed"},
		{"FailAfter", vaultstoretest.FailAfter(502), 502, 1, true, ""},
		{"Throttle", vaultstoretest.Throttle(), 429, 0, true, `request path "secret/data/k": rate limit quota exceeded`},
		{"EchoBody", vaultstoretest.EchoBody(400), 400, 0, true, "secret-canary"},
		{"LoseRequest", vaultstoretest.LoseRequest(), 0, 0, true, ""},
		{"LoseAnswer", vaultstoretest.LoseAnswer(), 0, 1, true, ""},
		{"Duplicate", vaultstoretest.Duplicate(), 400, 1, true, casMismatch},
		{"Redirect", vaultstoretest.Redirect(), 0, 1, false, ""},
		{"RedirectAfter", vaultstoretest.RedirectAfter(), 400, 1, true, casMismatch},
		{"no action", vaultstoretest.Action{}, 0, 1, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			srv, _ := start(t)
			fault := srv.Inject(vaultstoretest.Fault{Operations: []string{"PUT data"}, Times: 1, Do: test.do})
			err := put(t.Context(), connect(t, srv), "k", 0)
			if (err != nil) != test.fails || status(err) != test.status {
				t.Fatalf("%v", err)
			}
			if test.fails && !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v", err)
			}
			if _, n, _ := srv.Value("secret/k"); n != test.version || fault.Fired() != 1 {
				t.Errorf("version %d, fired %d", n, fault.Fired())
			}
		})
	}
}

func TestReplaceData(t *testing.T) {
	srv, _ := start(t)
	srv.Inject(vaultstoretest.Fault{Operations: []string{"GET data"}, Do: vaultstoretest.ReplaceData("no object")})
	if _, err := connect(t, srv).KVv2("secret").Get(t.Context(), "k"); err == nil {
		t.Error("accepted")
	}
}

func TestWhichRequestsAFaultHits(t *testing.T) {
	srv, _ := start(t)
	fault := srv.Inject(vaultstoretest.Fault{
		Operations: []string{"GET data", "LIST metadata"},
		Path:       func(path string) bool { return strings.HasPrefix(path, "secret/data/app/") },
		Skip:       1,
		Times:      2,
		Do:         vaultstoretest.FailBefore(500),
	})
	get := func(path string, status int) {
		t.Helper()
		send(t, srv, "GET", "/v1/secret/"+path, "").is(t, status)
	}
	get("data/app/a", 404)
	get("data/other", 404)
	get("metadata/app/a", 404)
	get("data/app/a", 500)
	get("data/app/b", 500)
	get("data/app/b", 404)
	if fault.Fired() != 2 {
		t.Error(fault.Fired())
	}
	chance := srv.Inject(vaultstoretest.Fault{Chance: 0.5, Seed: 1, Do: vaultstoretest.FailBefore(500)})
	for range 40 {
		send(t, srv, "GET", "/v1/secret/data/k", "")
	}
	if n := chance.Fired(); n < 10 || n > 30 {
		t.Error(n)
	}
	chance.Remove()
	get("data/k", 404)
}

func TestHeldRequests(t *testing.T) {
	t.Run("a held request is applied when its client is gone", func(t *testing.T) {
		srv, _ := start(t)
		release := make(chan struct{})
		held := srv.Inject(vaultstoretest.Fault{Do: vaultstoretest.Hold(release)})
		ctx, cancel := context.WithCancel(t.Context())
		client, failed := connect(t, srv), make(chan error, 1)
		go func() { failed <- put(ctx, client, "k", 0) }()
		if err := held.Await(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if calls := srv.Calls(); len(calls) != 1 || calls[0].Status != 0 || calls[0].Err != "" {
			t.Errorf("while it is served: %+v", calls)
		}
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(release)
		if err := srv.Idle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, n, _ := srv.Value("secret/k"); n != 1 {
			t.Error("not applied")
		}
	})
	t.Run("an answer can be held", func(t *testing.T) {
		srv, _ := start(t)
		release := make(chan struct{})
		held := srv.Inject(vaultstoretest.Fault{Do: vaultstoretest.HoldAnswer(release)})
		client, done := connect(t, srv), make(chan error, 1)
		go func() { done <- put(t.Context(), client, "k", 0) }()
		if err := held.Await(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("closing lets go of what hangs", func(t *testing.T) {
		for _, do := range []vaultstoretest.Action{vaultstoretest.Hang(), vaultstoretest.HangAfter(), vaultstoretest.Hold(nil)} {
			srv, _ := start(t)
			held := srv.Inject(vaultstoretest.Fault{Do: do})
			client, done := connect(t, srv), make(chan error, 1)
			go func() { done <- put(t.Context(), client, "k", 0) }()
			if err := held.Await(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := srv.Idle(ctx); !errors.Is(err, context.Canceled) {
				t.Error("idle while a request hangs:", err)
			}
			srv.Close()
			if err := <-done; err == nil {
				t.Error("answered")
			}
		}
	})
}

// With the api package's own retries a write that was applied and not answered is
// sent again, and refused for its cas.
func TestDefaultRetriesMeetTheirOwnWrite(t *testing.T) {
	srv, _ := start(t)
	client, err := srv.Client()
	if err != nil {
		t.Fatal(err)
	}
	client.SetMinRetryWait(time.Microsecond)
	client.SetMaxRetryWait(time.Microsecond)
	srv.Inject(vaultstoretest.Fault{Operations: []string{"PUT data"}, Times: 1, Do: vaultstoretest.FailAfter(502)})
	if err := put(t.Context(), client, "k", 0); status(err) != 400 || !strings.Contains(err.Error(), casMismatch) {
		t.Error(err)
	}
	want := []vaultstoretest.Call{
		{Operation: "PUT data", Path: "secret/data/k", Name: "k", Status: 502},
		{Operation: "PUT data", Path: "secret/data/k", Name: "k", Status: 400, Err: casMismatch},
	}
	if diff := cmp.Diff(want, srv.Calls()); diff != "" {
		t.Error(diff)
	}
	srv.ResetCalls()
	if len(srv.Calls()) != 0 {
		t.Error("still there")
	}
}

func TestHandler(t *testing.T) {
	srv := vaultstoretest.NewHandler()
	defer srv.Close()
	if _, err := srv.Client(); err == nil {
		t.Error("a client of nothing")
	}
	var _ http.Handler = srv
}

func TestOperator(t *testing.T) {
	srv, _ := start(t)
	srv.SetMountConfig("secret", 3, true, 0)
	for want := 1; want <= 5; want++ {
		if n, err := srv.SetValue("secret/app/k", map[string]any{"n": want}); err != nil || n != want {
			t.Fatal(n, err)
		}
	}
	if v := srv.Versions("secret/app/k"); len(v) != 3 || v[0].Number != 3 || v[2].Data["n"] != 5.0 {
		t.Errorf("%+v", v)
	}
	send(t, srv, "DELETE", "/v1/secret/data/app/k", "").is(t, 204)
	if _, n, ok := srv.Value("secret/app/k"); ok || n != 5 {
		t.Error("a deleted value", n)
	}
	srv.Purge("secret/app/k")
	if names := srv.Names("secret"); len(names) != 0 || srv.Versions("secret/app/k") != nil {
		t.Error(names)
	}
	srv.Purge("secret/app/k")
}
