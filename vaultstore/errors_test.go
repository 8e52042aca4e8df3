package vaultstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// silent makes sure that an error does not tell the value, however it is printed.
func silent(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s"} {
		fmt.Fprintf(&out, verb, err)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).ErrorContext(t.Context(), "failed", slog.Any("err", err))
	}
	if strings.Contains(out.String(), canary) {
		t.Errorf("the error carries the value: %s", out.String())
	}
}

// calls are all calls of a driver that ask the service, by what they ask it for, and the
// error of an item if there is one.
func calls(t *testing.T, d driver.Driver) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"GET data": func(ctx context.Context) error {
			items, err := d.Get(ctx, driver.Any, driver.Item{Name: "a"})
			for _, item := range items {
				err = errors.Join(err, item.Err)
			}
			return err
		},
		"PUT data": func(ctx context.Context) error {
			_, err := d.Put(ctx, "b", first(t), driver.Absent)
			return err
		},
		"DELETE metadata": func(ctx context.Context) error { return d.Delete(ctx, "c") },
		"LIST metadata": func(ctx context.Context) error {
			for _, err := range d.Names(ctx) {
				return err
			}
			return nil
		},
	}
}

// What Vault's statuses and texts mean, for a read; writes are in settle_test.go. Each
// error names the call, the secret and the status, and nothing that Vault said.
func TestWhatVaultsErrorsMean(t *testing.T) {
	denied, trouble := driver.ErrPermission, driver.ErrUnavailable
	for _, c := range []struct {
		status int
		says   string
		kind   error
		hint   string
		again  bool // it is repeated, for a while
	}{
		{400, saysMismatch, trouble, "", true},
		{400, saysUpgrading, trouble, "the mount is being upgraded", true},
		{400, saysWaiting, trouble, "the mount is being upgraded", true},
		{400, "path disabled in replication DR secondary mode", trouble, "must be that of the primary", true},
		{400, canary, driver.ErrInvalid, "check the mount and the client", false},
		{401, canary, denied, "docs/vault.md has the least policy", false},
		{403, saysDenied, denied, "docs/vault.md has the least policy", false},
		{403, saysExpired, denied, "Options.Login can get another", false},
		{404, saysNoRoute, driver.ErrInvalid, "there is no such mount", false},
		{405, canary, driver.ErrInvalid, "check the mount and the client", false},
		{408, canary, trouble, "", true},
		{412, saysState, trouble, "this node is behind", true},
		{413, canary, driver.ErrTooLarge, "max_entry_size", false},
		{429, canary, driver.ErrQuota, "a rate limit quota", true},
		{472, canary, trouble, "", true},
		{473, canary, trouble, "", true},
		{500, canary, trouble, "", true},
		{500, saysNoLeader, trouble, "the cluster has no leader", true},
		{500, saysTooLarge, driver.ErrTooLarge, "max_entry_size", false},
		{500, "JSON string value exceeds allowed length", driver.ErrTooLarge, "max_entry_size", false},
		{501, canary, trouble, "", true},
		{502, canary, trouble, "", true},
		{503, saysSealed, trouble, "Vault is sealed", true},
		{503, saysNoActive, trouble, "the cluster has no leader", true},
		{503, saysOverloaded, trouble, "Vault is overloaded", true},
		{503, canary, trouble, "", true},
		{504, canary, trouble, "", true},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.says), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				d := s.warm(t)
				s.ResetCalls()
				s.fault(0, vaultstoretest.FailBefore(c.status, c.says), "GET data")
				_, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "a"})
				want := fmt.Sprintf("GET data a: HTTP %d: %v", c.status, c.kind)
				if c.hint == "" && err != nil && err.Error() != want || c.hint != "" && err != nil && !strings.HasPrefix(err.Error(), want+" (") {
					t.Errorf("the text is %q, want %q", err, want)
				}
				says(t, "Get", err, c.kind, c.hint)
				var e *driver.Error
				var answer *api.ResponseError
				if !errors.As(err, &e) || !errors.As(err, &answer) || answer.StatusCode != c.status {
					t.Errorf("the client's error cannot be reached: %v", err)
				}
				if again := s.CountCalls()["GET data"] > 1; again != c.again {
					t.Errorf("repeated: %v, want %v", again, c.again)
				}
			})
		})
	}
}

// Pages of a proxy are none of Vault's answers, whatever they say: a 404 is not absence,
// a 400 no refusal.
func TestPagesOfAProxy(t *testing.T) {
	for status, want := range map[int]error{
		200: driver.ErrUnavailable, 400: driver.ErrUnavailable, 403: driver.ErrPermission, 404: driver.ErrUnavailable,
		418: driver.ErrUnavailable, 429: driver.ErrQuota, 502: driver.ErrUnavailable,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				_, _ = fmt.Fprintf(w, "<html>%s %s %s</html>", canary, saysMismatch, saysSealed)
			}))
			defer proxy.Close()
			client := start(t).sdk(t)
			if err := client.SetAddress(proxy.URL); err != nil {
				t.Fatal(err)
			}
			d, err := vaultstore.NewDriver(client, mount, prefix, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			for method, call := range calls(t, d) {
				err := call(ctx)
				if method == "DELETE metadata" && status == 200 {
					continue // nobody tells
				}
				if !errors.Is(err, want) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: error %v, want %v", method, err, want)
				}
				silent(t, err)
			}
		})
	}
}

// A Vault that is not there: nothing was sent, so that nothing was written.
func TestAVaultThatIsNotThere(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		d := s.warm(t)
		s.transport.CloseIdleConnections()
		s.transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New(canary) }
		for method, call := range calls(t, d) {
			err := call(t.Context())
			says(t, method, err, driver.ErrUnavailable, "are the client's address and TLS settings right?")
			if errors.Is(err, driver.ErrOutcomeUnknown) {
				t.Errorf("%s: error %v", method, err)
			}
		}
	})
}

// One secret of several that may not be read is its own error.
func TestOneOfSeveralThatMayNotBeRead(t *testing.T) {
	s := start(t)
	d := s.warm(t)
	s.Inject(vaultstoretest.Fault{
		Operations: []string{"GET data"},
		Path:       func(path string) bool { return strings.HasSuffix(path, "/b") },
		Do:         vaultstoretest.FailBefore(403, saysDenied),
	})
	items, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "warm"}, driver.Item{Name: "b"}, driver.Item{Name: "c"})
	if err != nil {
		t.Fatal(err)
	}
	if items[0].Err != nil || items[2].Err != nil || !errors.Is(items[1].Err, driver.ErrPermission) {
		t.Errorf("errors %v, %v and %v", items[0].Err, items[1].Err, items[2].Err)
	}
}
