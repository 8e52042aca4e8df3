package vaultstoretest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// start starts a server that ends with the test, on a clock that stands still.
func start(t *testing.T, opts ...vaultstoretest.Option) (*vaultstoretest.Server, *vaultstoretest.Clock) {
	t.Helper()
	clock := vaultstoretest.NewClock(time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC))
	srv := vaultstoretest.NewServer(append([]vaultstoretest.Option{vaultstoretest.WithClock(clock.Now)}, opts...)...)
	t.Cleanup(srv.Close)
	return srv, clock
}

// connect returns a client that does not retry.
func connect(t *testing.T, srv *vaultstoretest.Server) *api.Client {
	t.Helper()
	client, err := srv.Client()
	if err != nil {
		t.Fatal(err)
	}
	client.SetMaxRetries(0)
	return client
}

// A reply is an answer as it came over the wire.
type reply struct {
	Status   int
	Header   http.Header
	Text     string
	Errors   []string
	Warnings []string
	Data     map[string]any
	Auth     map[string]any
}

// send sends a request as it is. A query may follow the path, headers are "Name: value".
func send(t *testing.T, srv *vaultstoretest.Server, method, path, body string, headers ...string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Vault-Token", vaultstoretest.RootToken)
	if method == http.MethodPatch {
		r.Header.Set("Content-Type", "application/merge-patch+json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := reply{Status: resp.StatusCode, Header: resp.Header, Text: string(text)}
	_ = json.Unmarshal(text, &got)
	got.Status = resp.StatusCode
	return got
}

// says fails the test unless the answer is an error with that status and text.
func (r reply) says(t *testing.T, status int, text string) {
	t.Helper()
	if r.Status != status || len(r.Errors) != 1 || r.Errors[0] != text {
		t.Errorf("got %d %q, want %d and %q", r.Status, r.Text, status, text)
	}
}

// is fails the test unless the answer has that status.
func (r reply) is(t *testing.T, status int) {
	t.Helper()
	if r.Status != status {
		t.Errorf("got %d %s, want %d", r.Status, r.Text, status)
	}
}
