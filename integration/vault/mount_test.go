package vault_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/integration/vaultnode"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

// What a mount may be, and what becomes of tokens in one that cannot be used.

// mountAs mounts KV at a path as it is said to be.
func (c *core) mountAs(t testing.TB, version string) string {
	t.Helper()
	path := fmt.Sprint("kv-", c.mounts.Add(1))
	err := c.root(t).Sys().MountWithContext(t.Context(), path, &api.MountInput{Type: "kv", Options: map[string]string{"version": version}})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// unusable makes sure that all methods of a store fail so, and that none writes.
func unusable(t *testing.T, c *core, mount string, kind error, part string) {
	t.Helper()
	p := front(t, c.URL(0))
	client, err := vaultnode.NewClient(p.url)
	if err != nil {
		t.Fatal(err)
	}
	client.SetToken(c.RootToken)
	for _, m := range methods([]string{"one", "two"}) {
		store, err := vaultstore.New(client, mount, "app/oauth", nil)
		if err != nil {
			t.Fatal(err)
		}
		says(t, m.name, m.do(t.Context(), store), kind, part)
	}
	d, err := vaultstore.NewDriver(client, mount, "app/oauth", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), "a", []byte(`{}`), driver.Absent); err == nil {
		t.Error("a write was no error")
	}
	for what, n := range p.counted() {
		if !strings.HasPrefix(what, "GET ") && !strings.HasPrefix(what, "LIST ") {
			t.Errorf("%d requests %s", n, what)
		}
	}
}

const notVersioned = "the mount is none of the KV secrets engine, version 2: vault secrets enable -version=2 kv, or vault kv enable-versioning"

func TestAMountOfVersion1IsInvalidAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	mount := c.mountAs(t, "1")
	unusable(t, c, mount, token.ErrInvalid, notVersioned)
	// What is there where a store looks is no record.
	h := c.hand(t, mount, "app/oauth")
	h.write(h.path("data", codec.RootName), map[string]any{"value": canary})
	unusable(t, c, mount, token.ErrInvalid, notVersioned)
	list, err := h.client.Logical().ListWithContext(t.Context(), mount+"/data/app/oauth")
	if err != nil || len(list.Data["keys"].([]any)) != 1 {
		t.Errorf("the mount has %+v, %v", list, err)
	}
}

func TestAMountThatDoesNotExistIsInvalid(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	unusable(t, c, "none", token.ErrInvalid, "there is no such mount, or it is none of the KV secrets engine, version 2")
	// So is a path within a mount.
	unusable(t, c, c.mount(t, 1)+"/folder", token.ErrInvalid, "there is no such mount, or it is none of the KV secrets engine, version 2")
}

func TestAMountOfAnotherEngineIsInvalid(t *testing.T) {
	t.Parallel()
	unusable(t, startCore(t), "cubbyhole", token.ErrInvalid, notVersioned)
}

func TestEnableVersioningMakesAMountOfVersion1UsableToAStoreThatRuns(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	w := watched(c.proxy)
	for range 5 { // until a request meets the upgrade
		if met := upgrades(t, c, w); met || t.Failed() {
			return
		}
	}
	t.Error("no request met an upgrade")
}

// upgrades makes a mount of version 1 one of version 2 while a store runs, and reports
// whether that met the upgrade.
func upgrades(t *testing.T, c *core, w *watch) bool {
	t.Helper()
	mount := c.mountAs(t, "1")
	h := c.hand(t, mount, "app/oauth")
	for n := range 2000 { // so that it takes a while
		h.write(fmt.Sprint(mount, "/others/", n), map[string]any{"n": n})
	}
	store := c.open(t, mount, h.prefix)
	says(t, "before", store.SaveToken(t.Context(), canaryToken(1)), token.ErrInvalid, notVersioned)
	w.counted()
	h.write("sys/mounts/"+mount+"/tune", map[string]any{"options": map[string]string{"version": "2"}})
	for _, m := range methods(seed(t, store)) {
		if err := m.do(t.Context(), store); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
	for what := range w.counted() {
		if strings.HasSuffix(what, ": 400") {
			return true
		}
	}
	return false
}

func TestAStoreThatStartsWithItsMountWaitsForIt(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	for range 10 {
		mount := c.mountAs(t, "2")
		if err := c.open(t, mount, "app/oauth").SaveToken(t.Context(), canaryToken(1)); err != nil {
			t.Errorf("the first save: %v", err)
		}
	}
}

func TestAMountThatDemandsCheckAndSetIsGood(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	mount := c.mount(t, 1)
	h := c.hand(t, mount, "app/oauth")
	h.configure(map[string]any{"cas_required": true})
	store := c.open(t, mount, h.prefix)
	for _, m := range methods(seed(t, store)) {
		if err := m.do(t.Context(), store); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
	blind := deeds(h, "blind")["write"](t.Context(), h.client)
	if blind == nil || !strings.Contains(blind.Error(), "check-and-set parameter required") {
		t.Errorf("the mount does not demand it: %v", blind)
	}
}

// Whatever the mount keeps: of each secret the newest version can be read, and none of
// before.
func TestNoVersionOfBeforeCanBeRead(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	for _, versions := range []int{0, 1, 2, 10, 100} {
		t.Run(fmt.Sprint("max_versions=", versions), func(t *testing.T) {
			h := c.hand(t, c.mount(t, versions), "app/oauth")
			store := c.open(t, h.mount, h.prefix)
			ids := seed(t, store)
			for n := range 20 {
				u := canaryToken(1)
				u.AccessToken = token.NewSecret(fmt.Sprint("access-", n))
				u.RefreshToken = token.NewSecret(fmt.Sprint("refresh-", n))
				if err := store.SaveToken(t.Context(), u); err != nil {
					t.Fatal(err)
				}
			}
			if err := store.DeleteToken(t.Context(), ids[1]); err != nil {
				t.Fatal(err)
			}
			h.keepOne()
			for _, name := range h.names() {
				newest := h.newest(name)
				for n := 1; n < newest; n++ { // also those that the metadata has forgotten
					if h.value(name, n) != "" {
						t.Errorf("version %d of %d of %s can be read", n, newest, name)
					}
				}
				kept := h.versions(name)
				if most := max(versions, 1); versions > 0 && len(kept) > most {
					t.Errorf("%d versions of %s are kept, want %d at most", len(kept), name, most)
				}
				for _, v := range kept[:len(kept)-1] {
					if !v.Destroyed {
						t.Errorf("version %d of %s is not destroyed", v.Number, name)
					}
				}
			}
		})
	}
}

func TestAMountThatDeletesVersionsIsInvalidAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	mount := c.mount(t, 1)
	h := c.hand(t, mount, "app/oauth")
	h.configure(map[string]any{"delete_version_after": "1h"})
	unusable(t, c, mount, token.ErrInvalid, "delete_version_after of the mount is set, and records would vanish: vault write MOUNT/config delete_version_after=0s")
	if names := h.names(); len(names) > 0 {
		t.Errorf("there are secrets %q", names)
	}
	h.configure(map[string]any{"delete_version_after": "0s"})
	store := c.open(t, mount, h.prefix)
	for _, m := range methods(seed(t, store)) {
		if err := m.do(t.Context(), store); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// A setting that comes later is found out with the first write, and the next is refused.
func TestAMountThatBeginsToDeleteVersionsIsFoundOutWithTheFirstWrite(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	for what, rights := range map[string]func(right) bool{
		"the config may be read":     func(right) bool { return true },
		"the config may not be read": func(r right) bool { return r.endpoint != "config" },
	} {
		t.Run(what, func(t *testing.T) {
			n := c.tenant(t, 1)
			n.gets(n.policy.only(rights))
			update := called(n.ids, "SaveToken, an update")
			n.succeeds(called(n.ids, "FindTokenByID"), n.store)
			n.hand.configure(map[string]any{"delete_version_after": "1h"})
			n.succeeds(called(n.ids, "UpdateToken"), n.store)
			says(t, "the next write", update.do(t.Context(), n.store), token.ErrInvalid, "delete_version_after of the mount")
			n.hand.configure(map[string]any{"delete_version_after": "0s"})
			if what == "the config may be read" {
				n.succeeds(update, n.store)
			} else {
				n.succeeds(update, n.open()) // of a process that starts then
			}
			versions := n.hand.versions(codec.NameOf(n.ids[0]))
			if newest := versions[len(versions)-1]; newest.Deleted {
				t.Errorf("version %d will be deleted", newest.Number)
			}
		})
	}
}

func TestAValueThatIsTooLargeLeavesWhatWasThere(t *testing.T) {
	t.Parallel()
	large := func(n int) *token.OAuthToken {
		u := canaryToken(1)
		u.AccessToken = token.NewSecret(canary + strings.Repeat("x", n))
		return u
	}
	small, err := vaultnode.StartSmall(t.Context(), 64<<10, serverLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, small) })
	for _, l := range []struct {
		what string
		c    *core
		size int
		text string
	}{
		{"the store's limit", startCore(t), 256 << 10, "and the service takes 262144"},
		{"the storage's limit", &core{Cluster: small, proxy: front(t, small.URL(0))}, 64 << 10, "(the storage's limit of an entry, such as max_entry_size)"},
	} {
		t.Run(l.what, func(t *testing.T) {
			h := l.c.hand(t, l.c.mount(t, 10), "app/oauth")
			store := l.c.open(t, h.mount, h.prefix)
			seed(t, store)
			if err := store.SaveToken(t.Context(), large(l.size-2000)); err != nil {
				t.Fatalf("a value that is less: %v", err)
			}
			before := h.all()
			says(t, "an update", store.SaveToken(t.Context(), large(l.size)), token.ErrTooLarge, l.text)
			if diff := cmp.Diff(before, h.all()); diff != "" {
				t.Error("it was refused, and something changed")
			}
			another := large(l.size)
			another.UserSignature.Name += "another"
			another.RefreshToken, another.GrantToken = token.NewSecret("another"), token.Secret{}
			says(t, "an insert", store.SaveToken(t.Context(), another), token.ErrTooLarge, l.text)
			if diff := cmp.Diff(slices.Sorted(maps.Keys(before)), h.names()); diff != "" {
				t.Errorf("it was refused, and the secrets are others (-before +after):\n%s", diff)
			}
			if err := store.SaveToken(t.Context(), large(1)); err != nil {
				t.Errorf("a small one after it: %v", err)
			}
			h.keepOne()
		})
	}
}
