package vault_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/codec"
)

// A hand is an operator at the command line, who has all rights and works on the secrets
// of one store.
type hand struct {
	t             testing.TB
	client        *api.Client
	mount, prefix string
}

func (c *core) hand(t testing.TB, mount, prefix string) hand {
	t.Helper()
	return hand{t, c.root(t), mount, prefix}
}

// path is that of a secret for an endpoint of the engine.
func (h hand) path(endpoint, name string) string {
	return h.mount + "/" + endpoint + "/" + h.prefix + "/" + name
}

func (h hand) write(path string, data map[string]any) {
	h.t.Helper()
	if _, err := h.client.Logical().WriteWithContext(h.t.Context(), path, data); err != nil {
		h.t.Fatal(err)
	}
}

// remove is `vault kv delete -versions=n`.
func (h hand) remove(name string, n ...int) {
	h.write(h.path("delete", name), map[string]any{"versions": n})
}

func (h hand) undelete(name string, n ...int) {
	h.write(h.path("undelete", name), map[string]any{"versions": n})
}

func (h hand) destroy(name string, n ...int) {
	h.write(h.path("destroy", name), map[string]any{"versions": n})
}

// purge is `vault kv metadata delete`.
func (h hand) purge(name string) {
	h.t.Helper()
	if _, err := h.client.Logical().DeleteWithContext(h.t.Context(), h.path("metadata", name)); err != nil {
		h.t.Fatal(err)
	}
}

// put is `vault kv put -cas=n`.
func (h hand) put(name string, data map[string]any, cas int) {
	h.write(h.path("data", name), map[string]any{"data": data, "options": map[string]any{"cas": cas}})
}

// configure writes the mount's config.
func (h hand) configure(config map[string]any) { h.write(h.mount+"/config", config) }

// names are those of all secrets under the prefix.
func (h hand) names() []string {
	h.t.Helper()
	list, err := h.client.Logical().ListWithContext(h.t.Context(), h.mount+"/metadata/"+h.prefix)
	if err != nil {
		h.t.Fatal(err)
	}
	names := []string{}
	if list != nil {
		for _, key := range list.Data["keys"].([]any) {
			if name := key.(string); !strings.HasSuffix(name, "/") { // no folder
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// A version is one of a secret, as anybody with the rights sees it.
type version struct {
	Number             int
	Value              string // "" if it has none, or none of the store's
	Deleted, Destroyed bool
}

// versions are those of a secret that the metadata names, each read by its number.
func (h hand) versions(name string) []version {
	h.t.Helper()
	list, err := h.client.KVv2(h.mount).GetVersionsAsList(h.t.Context(), h.prefix+"/"+name)
	if err != nil {
		h.t.Fatal(err)
	}
	versions := make([]version, len(list))
	for i, m := range list {
		versions[i] = version{m.Version, h.value(name, m.Version), !m.DeletionTime.IsZero(), m.Destroyed}
	}
	return versions
}

// value is what a version holds, or the newest if n is 0.
func (h hand) value(name string, n int) string {
	h.t.Helper()
	s, err := h.client.KVv2(h.mount).GetVersion(h.t.Context(), h.prefix+"/"+name, n)
	if errors.Is(err, api.ErrSecretNotFound) {
		return ""
	}
	if err != nil {
		h.t.Fatal(err)
	}
	value, _ := s.Data["value"].(string)
	return value
}

// newest is the number of the newest version of a secret.
func (h hand) newest(name string) int {
	h.t.Helper()
	m, err := h.client.KVv2(h.mount).GetMetadata(h.t.Context(), h.prefix+"/"+name)
	if err != nil {
		h.t.Fatal(err)
	}
	return m.CurrentVersion
}

// all are all secrets of the store with all of their versions.
func (h hand) all() map[string][]version {
	h.t.Helper()
	all := map[string][]version{}
	for _, name := range h.names() {
		all[name] = h.versions(name)
	}
	return all
}

// edited is the value that follows a record's when somebody changes it.
func (h hand) edited(value string, change func(*codec.Record)) string {
	h.t.Helper()
	record, err := codec.DecodeRecord([]byte(value))
	if err != nil {
		h.t.Fatal(err)
	}
	record.Frame = record.Next(codec.KindToken, h.writeID())
	change(record)
	next, err := codec.EncodeRecord(record)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(next)
}

func (h hand) writeID() string {
	h.t.Helper()
	id, err := codec.NewWriteID(rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// keepOne makes sure that no version of a secret but the newest has a value.
func (h hand) keepOne() {
	h.t.Helper()
	for name, versions := range h.all() {
		for i, v := range versions {
			if newest := i == len(versions)-1; (v.Value != "") != newest {
				h.t.Errorf("version %d of %d of %s has a value: %v", v.Number, versions[len(versions)-1].Number, name, v.Value != "")
			}
		}
	}
}

// dayPasses lets the graves in the index be dug a day ago.
func (h hand) dayPasses() {
	h.t.Helper()
	index, err := codec.DecodeIndex([]byte(h.value(codec.RootName, 0)))
	if err != nil {
		h.t.Fatal(err)
	}
	for ref, at := range index.Graves {
		index.Graves[ref] = at.Add(-25 * time.Hour)
	}
	index.Frame = index.Next(codec.KindIndex, h.writeID())
	value, err := codec.EncodeIndex(index)
	if err != nil {
		h.t.Fatal(err)
	}
	h.put(codec.RootName, map[string]any{"value": string(value)}, h.newest(codec.RootName))
}
