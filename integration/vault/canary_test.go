package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/integration/vaultnode"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

// neverPrinted fails the test if the canary comes out of anything that an error prints,
// or an error within it, but for the causes, which are the client's own.
func neverPrinted(t testing.TB, what string, err error) {
	t.Helper()
	var out bytes.Buffer
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s"} {
			fmt.Fprintf(&out, verb, err)
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).ErrorContext(t.Context(), "failed", slog.Any("err", err))
		}
		switch e := err.(type) { //nolint:errorlint // it looks at each by itself
		case *driver.Error:
			walk(e.Kind)
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		}
	}
	walk(err)
	if strings.Contains(out.String(), canary) {
		t.Errorf("%s: the canary came out: %s", what, out.String())
	}
}

// says makes sure that an error is of a kind, has a part of a text, and tells no secret.
func says(t testing.TB, what string, err, kind error, part string) {
	t.Helper()
	wantErr(t, what, err, kind)
	if err != nil && !strings.Contains(err.Error(), part) {
		t.Errorf("%s: the text does not say %q: %v", what, part, err)
	}
	neverPrinted(t, what, err)
}

// A journal is all that a server logs.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// startNoisy starts a server as startCore does, which logs all that it can say. In the end
// the canary is not in it.
func startNoisy(t *testing.T, maxEntry int) *core {
	t.Helper()
	j := &journal{}
	one, err := vaultnode.StartSmall(t.Context(), maxEntry, hclog.New(&hclog.LoggerOptions{Output: j, Level: hclog.Trace}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop(t, one)
		j.mu.Lock()
		defer j.mu.Unlock()
		text := j.text.String()
		if !strings.Contains(text, "[TRACE]") {
			t.Error("the server logs nothing at the lowest level")
		}
		for line := range strings.Lines(text) {
			if strings.Contains(line, canary) {
				t.Errorf("the server logs the canary: %s", line)
			}
		}
	})
	return &core{Cluster: one, proxy: front(t, one.URL(0))}
}

// nowhere makes sure that the canary stands in values only: in no name of a secret or
// folder, and in no metadata.
func nowhere(t *testing.T, c *core, mount string) {
	t.Helper()
	client := c.root(t)
	var walk func(folder string)
	walk = func(folder string) {
		list, err := client.Logical().ListWithContext(t.Context(), mount+"/metadata/"+folder)
		if err != nil || list == nil {
			t.Fatalf("%s: %v", folder, err)
		}
		for _, key := range list.Data["keys"].([]any) {
			path := folder + key.(string)
			if strings.HasSuffix(path, "/") {
				walk(path)
				continue
			}
			m, err := client.Logical().ReadWithContext(t.Context(), mount+"/metadata/"+path)
			if err != nil {
				t.Fatal(err)
			}
			if text := fmt.Sprint(path, m.Data); strings.Contains(text, canary) {
				t.Errorf("beside the values: %s", text)
			}
			if own := m.Data["custom_metadata"]; own != nil {
				t.Errorf("%s has custom metadata %v", path, own)
			}
		}
	}
	walk("")
}

// refuseAfter answers requests as refuse does, but the first ones.
func refuseAfter(skip, times, status int) *fault {
	return &fault{times: times, do: refuse(status), matches: func(*http.Request) bool { skip--; return skip < 0 }}
}

// Something in front of a real Vault answers with errors that repeat the request: once, so
// that the store goes on, and for ever, so that the operation fails with that.
func TestTheCanaryComesOutOfNothingThatAProxyEchoes(t *testing.T) {
	t.Parallel()
	c := startNoisy(t, 0)
	mount := c.mount(t, 10)
	var wg sync.WaitGroup
	for _, status := range []int{400, 401, 403, 404, 405, 408, 412, 413, 429, 472, 473, 500, 501, 502, 503} {
		for skip := range 3 {
			wg.Go(func() { echoes(t, c, mount, status, skip) })
		}
	}
	wg.Wait()
	nowhere(t, c, mount)
}

func echoes(t *testing.T, c *core, mount string, status, skip int) {
	prefix := fmt.Sprint("echo/", status, "/", skip)
	direct := c.open(t, mount, prefix)
	p := front(t, c.URL(0))
	client, err := vaultnode.NewClient(p.url)
	if err != nil {
		t.Error(err)
		return
	}
	client.SetToken(c.RootToken)
	for _, times := range []int{1, -1} {
		tokens := []*token.OAuthToken{canaryToken(1), canaryToken(2)}
		if err := direct.SaveTokens(t.Context(), tokens); err != nil {
			t.Error(err)
			return
		}
		for _, m := range methods([]string{tokens[0].ID, tokens[1].ID}) {
			store, err := vaultstore.New(client, mount, prefix, nil)
			if err != nil {
				t.Error(err)
				return
			}
			end := p.inject(refuseAfter(skip, times, status))
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			err = m.do(ctx, store)
			cancel()
			end()
			what := fmt.Sprintf("HTTP %d after %d requests, %s", status, skip, m.name)
			neverPrinted(t, what, err)
			if err == nil && times < 0 && skip == 0 && status != http.StatusNotFound {
				t.Errorf("%s: no error", what)
			}
		}
	}
}

// What Vault itself refuses, it refuses with words of its own.
func TestTheCanaryComesOutOfNothingThatVaultRefuses(t *testing.T) {
	t.Parallel()
	c := startNoisy(t, 64<<10)
	n := c.tenant(t, 10)
	store := n.open()
	n.succeeds(called(n.ids, "GetTokens"), store)

	t.Run("for the policy", func(t *testing.T) {
		n.gets(denies)
		for _, m := range methods(n.ids) {
			says(t, m.name, m.do(t.Context(), store), token.ErrPermission, refusedText)
		}
		n.gets(n.policy.text)
	})
	t.Run("for the size", func(t *testing.T) {
		u := canaryToken(1)
		u.Extra["more"] = token.NewSecret(strings.Repeat(canary, 5000))
		says(t, "a save", store.SaveToken(t.Context(), u), token.ErrTooLarge, "(the storage's limit of an entry, such as max_entry_size)")
	})
	t.Run("for another version, which somebody wrote by hand", func(t *testing.T) {
		d, err := vaultstore.NewDriver(n.client(), n.hand.mount, n.hand.prefix, nil)
		if err != nil {
			t.Fatal(err)
		}
		name := codec.NameOf(n.ids[0])
		items, err := d.Get(t.Context(), driver.Fresh, driver.Item{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		value, mine := string(items[0].Value), func(r *codec.Record) { r.APIDomain = canary }
		n.hand.put(name, map[string]any{"value": n.hand.edited(value, mine)}, n.hand.newest(name))
		for what, prev := range map[string]driver.Revision{"a write": items[0].Revision, "a creation": driver.Absent} {
			_, err = d.Put(t.Context(), name, []byte(n.hand.edited(value, mine)), prev)
			says(t, what, err, token.ErrConflict, "PUT data "+name+": HTTP 400: conflict")
		}
		n.succeeds(called(n.ids, "SaveToken, an update"), store)
	})
	t.Run("for values that are no records", func(t *testing.T) {
		name := codec.NameOf(n.ids[0])
		for _, data := range []map[string]any{
			{"value": canary}, {canary: canary}, {"value": `{"` + canary + `":1}`}, {"value": `{"tokenkeep":{"format":1,"kind":"` + canary + `"}}`},
		} {
			n.hand.put(name, data, n.hand.newest(name))
			for _, m := range methods(n.ids)[:12] {
				if err := m.do(t.Context(), n.open()); err != nil {
					says(t, m.name, err, token.ErrCorrupt, name)
				}
			}
		}
	})
	nowhere(t, c, n.hand.mount)
	t.Run("while it is sealed", func(t *testing.T) {
		if err := c.Seal(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		for _, m := range methods(n.ids) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			err, want := m.do(ctx, store), token.ErrUnavailable
			if m.writes && errors.Is(err, token.ErrOutcomeUnknown) {
				want = token.ErrOutcomeUnknown // the time was up while a request was on its way
			}
			says(t, m.name, err, want, "")
			cancel()
		}
	})
}
