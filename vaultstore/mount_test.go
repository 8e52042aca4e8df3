package vaultstore_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// says makes sure that an error is of a kind, and that its text has a part.
func says(t testing.TB, what string, err, kind error, part string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), part) {
		t.Errorf("%s: error %v, want %v and %q", what, err, kind, part)
	}
	silent(t, err)
}

func TestTheMountIsLookedAtBeforeAnythingIsWritten(t *testing.T) {
	for _, c := range []struct {
		what   string
		option []vaultstoretest.Option
		setup  func(*service)
		kind   error
		part   string
	}{
		{
			what: "KV version 1", option: []vaultstoretest.Option{vaultstoretest.WithMount(mount, 1)},
			kind: driver.ErrInvalid, part: "vault kv enable-versioning",
		},
		{
			what: "no such mount", option: []vaultstoretest.Option{vaultstoretest.WithoutMount(mount)},
			kind: driver.ErrPermission, part: "there is no such mount",
		},
		{
			what: "delete_version_after", setup: func(s *service) { s.SetMountConfig(mount, 0, false, time.Hour) },
			kind: driver.ErrInvalid, part: "delete_version_after of the mount is set",
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := start(t, c.option...)
			if c.setup != nil {
				c.setup(s)
			}
			for method, call := range calls(t, s.driver(t, nil)) {
				err := call(t.Context())
				if method == "DELETE metadata" && errors.Is(c.kind, driver.ErrInvalid) {
					continue // it removes nothing that is there
				}
				says(t, method, err, cause(c.kind, method), c.part)
			}
			if got := s.CountCalls()["PUT data"] + s.CountCalls()["PUT v1"]; got != 0 {
				t.Errorf("%d writes were sent", got)
			}
		})
	}
}

// cause: a path of a mount that does not exist says so by itself.
func cause(kind error, method string) error {
	if errors.Is(kind, driver.ErrPermission) && method != "PUT data" {
		return driver.ErrInvalid
	}
	return kind
}

// Vault tells the mount of a path within one, but serves nothing there.
func TestAPathWithinAMountIsNone(t *testing.T) {
	s := start(t)
	d, err := vaultstore.NewDriver(s.sdk(t), mount+"/folder", prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	for method, call := range calls(t, d) {
		if method != "DELETE metadata" { // it removes nothing that is there
			says(t, method, call(t.Context()), driver.ErrInvalid, "there is no such mount")
		}
	}
	if got := s.CountCalls()["PUT data"]; got != 0 {
		t.Errorf("%d writes were sent", got)
	}
}

func TestAMountThatDemandsCheckAndSetIsGood(t *testing.T) {
	s := start(t)
	s.SetMountConfig(mount, 0, true, 0)
	d := s.driver(t, nil)
	pile(t, d, "a", 3)
}

// The mount is looked at once; what was read says as much.
func TestTheMountIsLookedAtOnce(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	want := []string{"GET sys/internal/ui/mounts", "GET config", "PUT data"}
	if got := s.called(); !slices.Equal(got, want) {
		t.Errorf("a first write makes requests %q, want %q", got, want)
	}
	put(t, d, "b", first(t), driver.Absent)
	get(t, d, "none")
	if got, want := s.called(), []string{"PUT data", "GET data"}; !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
	d = s.driver(t, nil)
	get(t, d, "a")
	put(t, d, "a", after(t, value), rev)
	want = []string{"GET data", "PUT data", "GET config", "PUT destroy"}
	if got := s.called(); !slices.Equal(got, want) {
		t.Errorf("a first replacement makes requests %q, want %q", got, want)
	}
	d = s.driver(t, nil)
	get(t, d, "none")
	get(t, d, "none")
	want = []string{"GET data", "GET sys/internal/ui/mounts", "GET config", "GET data"}
	if got := s.called(); !slices.Equal(got, want) {
		t.Errorf("reads of nothing make requests %q, want %q", got, want)
	}
}

// least is the policy of docs/vault.md.
const least = `
path "secret/data/app/oauth/*" {
  capabilities = ["create", "update", "read"]
}
path "secret/metadata/app/oauth/*" {
  capabilities = ["read", "list", "delete"]
}
path "secret/destroy/app/oauth/*" {
  capabilities = ["update"]
}
path "secret/config" {
  capabilities = ["read"]
}
`

// restricted returns a driver whose token has the least policy without something.
func (s *service) restricted(t testing.TB, old, replacement string) *vaultstore.Driver {
	t.Helper()
	if !strings.Contains(least, old) {
		t.Fatalf("the policy has no %q", old)
	}
	s.SetPolicy("tokenkeep", vaultstoretest.MustPolicy(strings.Replace(least, old, replacement, 1)))
	client := s.sdk(t)
	client.SetToken(s.NewToken(vaultstoretest.Token{Policies: []string{"tokenkeep"}}))
	d, err := vaultstore.NewDriver(client, mount, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestThePolicyThatLacksACapability(t *testing.T) {
	for _, c := range []struct {
		lacks, old, replacement string
		refused                 map[string]string // the methods, and the request that is named
	}{
		{lacks: "nothing", old: "path", replacement: "path"},
		{lacks: "create", old: `"create", `, refused: map[string]string{"create": "PUT data fresh"}},
		{lacks: "update", old: `"update", "read"`, replacement: `"read"`, refused: map[string]string{"replace": "PUT data a"}},
		{lacks: "read", old: `, "read"`, refused: map[string]string{"get": "GET data a", "get none": "GET data none"}},
		{lacks: "delete", old: `, "delete"`, refused: map[string]string{"delete": "DELETE metadata a"}},
		{lacks: "list", old: `"list", `, refused: map[string]string{"list": "LIST metadata"}},
		{lacks: "read on metadata", old: `"read", "list"`, replacement: `"list"`},
		{lacks: "the config", old: `path "secret/config" {
  capabilities = ["read"]
}`},
		{lacks: "destroy", old: `path "secret/destroy/app/oauth/*" {
  capabilities = ["update"]
}`, refused: map[string]string{"replace again": "PUT destroy a"}},
	} {
		t.Run(c.lacks, func(t *testing.T) {
			s := start(t)
			value := first(t)
			rev := put(t, s.driver(t, nil), "a", value, driver.Absent)
			d := s.restricted(t, c.old, c.replacement)
			check := func(what string, err error) {
				t.Helper()
				if request := c.refused[what]; request != "" {
					says(t, what, err, driver.ErrPermission, request)
				} else if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			_, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "none"})
			check("get none", err)
			_, err = d.Get(t.Context(), driver.Any, driver.Item{Name: "a"})
			check("get", err)
			_, err = d.Put(t.Context(), "fresh", first(t), driver.Absent)
			check("create", err)
			for _, what := range []string{"replace", "replace again"} {
				if c.lacks == "update" && what == "replace again" {
					break
				}
				value = after(t, value)
				var next driver.Revision
				if next, err = d.Put(t.Context(), "a", value, rev); err == nil {
					rev = next
				}
				check(what, err)
			}
			for _, err := range d.Names(t.Context()) {
				if err != nil || c.refused["list"] != "" {
					check("list", err)
				}
				break
			}
			check("delete", d.Delete(t.Context(), "a"))
		})
	}
}

// A mount that keeps as many versions as it can is one like another.
func TestAMountThatKeepsAllVersions(t *testing.T) {
	s := start(t)
	s.SetMountConfig(mount, 1<<32-1, false, 0)
	pile(t, s.driver(t, nil), "a", 3)
	s.keepsOne(t, "a")
}
