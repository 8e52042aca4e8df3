package main

import (
	"context"
	"net/http"
	"testing"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestAnInterruptCutsNoWriteOfAValueShort(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, path string
		created      int
	}{
		"a write":                {http.MethodPut, "/v1/kv/data/under/name", 1},
		"a write below a path":   {http.MethodPut, "/vault/v1/kv/data/under/name", 1},
		"a read":                 {http.MethodGet, "/v1/kv/data/under/name", 0},
		"a destruction":          {http.MethodPut, "/v1/kv/destroy/under/name", 0},
		"a write of another one": {http.MethodPut, "/v1/secret/data/under/name", 0},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			var sent *http.Request
			s := &service{under: "kv/under/"}
			watch := vaultWatch{service: s, mount: "kv", next: roundTrip(func(req *http.Request) (*http.Response, error) {
				if len(s.created) != c.created || c.created > 0 && s.created[0] != "kv/under/name" {
					t.Errorf("%q are noted", s.created)
				}
				sent = req
				interrupt()
				return &http.Response{Body: http.NoBody}, nil
			})}
			req, err := http.NewRequestWithContext(ctx, c.method, "http://127.0.0.1"+c.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := watch.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if cut := sent.Context().Err() != nil; cut != (c.created == 0) {
				t.Errorf("the request is cut short: %t", cut)
			}
			resp.Body.Close()
			if sent.Context().Err() == nil {
				t.Error("the context does not end with the answer")
			}
			if calls := s.calls.Load(); calls != 1 {
				t.Errorf("it counts as %d", calls)
			}
		})
	}
}
