package vaultstore_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// A door is who logs in, and how often somebody came.
type door struct {
	s      *service
	token  vaultstoretest.Token
	logins atomic.Int32
	fails  error
}

// open makes the service's least policy and a door to it. Tokens live for a minute.
func (s *service) door() *door {
	s.SetPolicy("tokenkeep", vaultstoretest.MustPolicy(least))
	return &door{s: s, token: vaultstoretest.Token{Policies: []string{"tokenkeep"}, TTL: time.Minute}}
}

func (d *door) login(_ context.Context, client *api.Client) error {
	d.logins.Add(1)
	if d.fails != nil {
		return d.fails
	}
	client.SetToken(d.s.NewToken(d.token))
	return nil
}

// driver returns a driver that has no token yet.
func (d *door) driver(t testing.TB) (*vaultstore.Driver, *api.Client) {
	t.Helper()
	client := d.s.sdk(t)
	client.SetToken("none")
	v, err := vaultstore.NewDriver(client, mount, prefix, &vaultstore.Options{Login: d.login})
	if err != nil {
		t.Fatal(err)
	}
	return v, client
}

func TestATokenThatExpiresIsReplaced(t *testing.T) {
	for _, batch := range []bool{false, true} {
		s := start(t)
		door := s.door()
		door.token.Batch = batch
		d, _ := door.driver(t)
		value := first(t)
		rev := put(t, d, "a", value, driver.Absent)
		for n := range int32(5) {
			value = after(t, value)
			rev = put(t, d, "a", value, rev)
			if got := door.logins.Load(); got != n+1 {
				t.Errorf("%d logins, want %d", got, n+1)
			}
			s.clock.Advance(2 * time.Minute)
		}
	}
}

// A token out of a file often has the end of its line.
func TestATokenThatNoHeaderTakesIsSaidAndReplaced(t *testing.T) {
	s := start(t)
	door := s.door()
	d, client := door.driver(t)
	client.SetToken(canary + "\n")
	put(t, d, "a", first(t), driver.Absent)
	if got := door.logins.Load(); got != 1 {
		t.Errorf("%d logins, want one", got)
	}
	without, err := vaultstore.NewDriver(client, mount, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	client.SetToken(canary + "\n")
	sent := len(s.Calls())
	for method, call := range calls(t, without) {
		says(t, method, call(t.Context()), driver.ErrPermission, "the token has a character that no header takes")
	}
	if got := len(s.Calls()); got != sent {
		t.Errorf("%d requests were sent", got-sent)
	}
}

// A write that met an expired token was not applied, and is sent once more.
func TestAWriteThatMeetsAnExpiredToken(t *testing.T) {
	s := start(t)
	door := s.door()
	d, _ := door.driver(t)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	s.clock.Advance(2 * time.Minute)
	s.ResetCalls()
	put(t, d, "b", first(t), driver.Absent)
	if got, want := s.called(), []string{"PUT data", "PUT data"}; !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
	put(t, d, "a", after(t, value), rev)
}

func TestFiftyGoroutinesLogInOnce(t *testing.T) {
	for what, fails := range map[string]error{"and all go on": nil, "and all fail with that": errors.New("no such role")} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				put(t, s.driver(t, nil), "a", first(t), driver.Absent)
				door := s.door()
				client := s.sdk(t)
				client.SetToken("none")
				d, err := vaultstore.NewDriver(client, mount, prefix, &vaultstore.Options{
					Login: func(ctx context.Context, client *api.Client) error {
						time.Sleep(time.Second) //nolint:forbidigo // the bubble's time: until all the others wait
						door.fails = fails
						return door.login(ctx, client)
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				for range 50 {
					wg.Go(func() {
						_, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "a"})
						if fails == nil && err != nil || fails != nil && (!errors.Is(err, driver.ErrPermission) || !errors.Is(err, fails)) {
							t.Errorf("error %v", err)
						}
					})
				}
				wg.Wait()
				if got := door.logins.Load(); got != 1 {
					t.Errorf("%d logins, want 1", got)
				}
			})
		})
	}
}

func TestALoginThatFails(t *testing.T) {
	for _, c := range []struct {
		what string
		err  error
		want error
	}{
		{"a wrong secret ID", &api.ResponseError{StatusCode: 400, Errors: []string{"invalid role or secret ID " + canary}}, driver.ErrPermission},
		{"no right to log in", &api.ResponseError{StatusCode: 403, Errors: []string{saysDenied}}, driver.ErrPermission},
		{"no such path", &api.ResponseError{StatusCode: 404}, driver.ErrPermission},
		{"an error of the caller's own", errors.New(canary), driver.ErrPermission},
		{"a file that is not there", &fs.PathError{Op: "open", Path: canary, Err: syscall.ENOENT}, driver.ErrPermission},
		{"Vault is sealed", &api.ResponseError{StatusCode: 503, Errors: []string{saysSealed}}, driver.ErrUnavailable},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				door := s.door()
				door.fails = c.err
				d, client := door.driver(t)
				_, err := d.Put(t.Context(), "a", first(t), driver.Absent)
				if !errors.Is(err, c.want) || !errors.Is(err, c.err) || errors.Is(err, driver.ErrOutcomeUnknown) {
					t.Errorf("error %v, want %v", err, c.want)
				}
				if !strings.Contains(err.Error(), "Options.Login failed") {
					t.Errorf("the text does not name the login: %v", err)
				}
				silent(t, err)
				if s.CountCalls()["PUT data"] != 0 {
					t.Error("a write was sent")
				}
				client.SetToken(vaultstoretest.RootToken) // the caller helps himself
				put(t, d, "a", first(t), driver.Absent)
			})
		})
	}
}

// Vault denies who has no token as it denies who has no right. The next operation logs in
// all the same, however soon it comes.
func TestAClientWithoutATokenAfterALoginThatFailed(t *testing.T) {
	s := start(t)
	door := s.door()
	d, client := door.driver(t)
	client.ClearToken()
	door.fails = errors.New("not now")
	for range 2 {
		_, err := d.Put(t.Context(), "a", first(t), driver.Absent)
		says(t, "Put", err, driver.ErrPermission, "Options.Login failed")
	}
	door.fails = nil
	put(t, d, "a", first(t), driver.Absent)
	if got := door.logins.Load(); got != 3 {
		t.Errorf("%d logins, want 3", got)
	}
}

func TestAClientWithoutATokenAndWithoutALogin(t *testing.T) {
	s := start(t)
	client := s.sdk(t)
	client.ClearToken()
	d, err := vaultstore.NewDriver(client, mount, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	for method, call := range calls(t, d) {
		says(t, method, call(t.Context()), driver.ErrPermission, "the token is none, or has expired: Options.Login can get another")
	}
}

// A policy that denies something is not cured by another token, and is not asked again
// and again.
func TestAPolicyThatDeniesDoesNotLogInAgainAndAgain(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		door := s.door()
		d, _ := door.driver(t)
		put(t, d, "a", first(t), driver.Absent)
		s.fault(0, vaultstoretest.FailBefore(403, saysDenied), "GET data")
		for range 20 {
			if _, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "a"}); !errors.Is(err, driver.ErrPermission) {
				t.Errorf("error %v, want %v", err, driver.ErrPermission)
			}
		}
		if got := door.logins.Load(); got != 1 {
			t.Errorf("%d logins, want the first", got)
		}
		time.Sleep(2 * time.Minute) //nolint:forbidigo // the bubble's time
		for range 20 {
			_, _ = d.Get(t.Context(), driver.Any, driver.Item{Name: "a"})
		}
		if got := door.logins.Load(); got > 3 {
			t.Errorf("%d logins in two minutes", got)
		}
	})
}

// A login that hangs ends with the context of its operation, and the next one tries.
func TestALoginThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		door := s.door()
		client := s.sdk(t)
		client.SetToken("none")
		hang := true
		d, err := vaultstore.NewDriver(client, mount, prefix, &vaultstore.Options{
			Login: func(ctx context.Context, client *api.Client) error {
				if hang {
					hang = false
					<-ctx.Done()
					return ctx.Err()
				}
				return door.login(ctx, client)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := d.Put(ctx, "a", first(t), driver.Absent); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrOutcomeUnknown) {
			t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
		}
		put(t, d, "a", first(t), driver.Absent)
	})
}

// Without a login, a token that expires is an error until the caller sets another.
func TestATokenThatExpiresWithoutALogin(t *testing.T) {
	s := start(t)
	door := s.door()
	client := s.sdk(t)
	client.SetToken(s.NewToken(door.token))
	d, err := vaultstore.NewDriver(client, mount, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, "a", first(t), driver.Absent)
	s.clock.Advance(2 * time.Minute)
	_, err = d.Put(t.Context(), "b", first(t), driver.Absent)
	says(t, "Put", err, driver.ErrPermission, "Options.Login can get another")
	client.SetToken(s.NewToken(door.token))
	put(t, d, "b", first(t), driver.Absent)
}

// The namespace is the client's: two stores with one prefix in two of them do not meet.
func TestNamespaces(t *testing.T) {
	s := start(t, vaultstoretest.WithNamespaces("teams/a", "teams/b"))
	drivers := map[string]*vaultstore.Driver{}
	for _, name := range []string{"", "teams/a", "teams/b"} {
		client := s.sdk(t)
		if name != "" {
			client.SetNamespace(name)
		}
		d, err := vaultstore.NewDriver(client, mount, prefix, nil)
		if err != nil {
			t.Fatal(err)
		}
		drivers[name] = d
		put(t, d, "a", first(t), driver.Absent)
	}
	for name, d := range drivers {
		if got := get(t, d, "a"); got.Revision == driver.Absent {
			t.Errorf("the namespace %q has no secret", name)
		}
	}
	for _, c := range s.Calls() {
		if c.Status >= 400 && c.Status != 404 {
			t.Errorf("%s in %q: HTTP %d", c.Operation, c.Namespace, c.Status)
		}
	}
}
