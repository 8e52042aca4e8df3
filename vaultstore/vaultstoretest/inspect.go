package vaultstoretest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Version is what there is of one version of a key.
type Version struct {
	// Number counts from 1.
	Number int
	// Data is the value, nil if it is destroyed. That of a soft-deleted version
	// is there.
	Data map[string]any
	// Created is when it was written, Deleted when it was soft-deleted or will
	// be, else zero.
	Created, Deleted time.Time
	// Destroyed versions have no value any more.
	Destroyed bool
}

// at finds the mount and the key of a path such as "secret/app/key", without "data".
// In a namespace the path begins with that.
func (c *core) at(path string) (*mount, string) {
	sp, rest := c.split(strings.Trim(path, "/"))
	m, key := sp.find(rest)
	if m == nil {
		panic(fmt.Sprintf("vaultstoretest: no mount for %q", path))
	}
	return m, key
}

// Names returns the keys below a mount, sorted, also of those whose versions are all
// deleted or destroyed, and those that have only metadata. It is never stale.
func (s *Server) Names(mount string) []string {
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	m, _ := c.at(mount)
	area := m.id + "/metadata"
	if m.version == 1 {
		area = m.id + "/v1"
	}
	t := c.store.begin(c.now())
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.store.areas[area])), func(key string) bool { return t.get(area, key) == nil })
}

// Value returns the newest version of a key at a path such as "secret/app/key", and
// its number. It is false if there is no such key, or if its newest version is
// deleted or destroyed. It is never stale and asks no policy. Keys of KV version 1
// have the number 0.
func (s *Server) Value(path string) (data map[string]any, version int, ok bool) {
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	m, key := c.at(path)
	if m.version == 1 {
		text, found := c.store.begin(c.now()).get(m.id+"/v1", key).([]byte)
		return decoded(text), 0, found
	}
	k := kvStore{c.store.begin(c.now()), m.id}
	meta := k.meta(key)
	if meta == nil {
		return nil, 0, false
	}
	v, found := meta.versions[meta.current]
	if !found || v.destroyed || v.deleted(k.now) {
		return nil, int(meta.current), false
	}
	return decoded(k.body(meta.key, meta.current)), int(meta.current), true
}

// Versions returns what is kept of the versions of a key, the oldest first.
func (s *Server) Versions(path string) []Version {
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	m, key := c.at(path)
	k := kvStore{c.store.begin(c.now()), m.id}
	meta := k.meta(key)
	if meta == nil {
		return nil
	}
	var versions []Version
	for _, n := range slices.Sorted(maps.Keys(meta.versions)) {
		v := meta.versions[n]
		versions = append(versions, Version{int(n), decoded(k.body(meta.key, n)), v.created, v.deletion, v.destroyed})
	}
	return versions
}

func decoded(text []byte) map[string]any {
	var data map[string]any
	_ = json.Unmarshal(text, &data)
	return data
}

// SetValue does what an operator does with "vault kv put": it writes a new version of
// a key, whatever cas the mount demands, and returns its number. It is no [Call].
func (s *Server) SetValue(path string, data map[string]any) (version int, err error) {
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	m, key := c.at(path)
	r := &request{op: opUpdate, entry: c.tokens[RootToken], tx: c.store.begin(c.now()), space: c.spaces[""]}
	if m.version == 1 {
		r.data = data
		_, err := m.backend().handle(r, key)
		return 0, err
	}
	cas := 0
	if meta := (kvStore{r.tx, m.id}).meta(key); meta != nil {
		cas = int(meta.current)
	} else {
		r.op = opCreate
	}
	r.data = map[string]any{"data": data, "options": map[string]any{"cas": cas}}
	resp, err := m.backend().handle(r, "data/"+key)
	switch {
	case err != nil && resp.isError():
		return 0, fmt.Errorf("%v", resp.data["error"])
	case err != nil:
		return 0, err
	}
	return cas + 1, nil
}

// Purge removes a key at once, with its versions and metadata. Purging what does not
// exist does nothing.
func (s *Server) Purge(path string) {
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	m, key := c.at(path)
	r := &request{op: opDelete, entry: c.tokens[RootToken], tx: c.store.begin(c.now()), space: c.spaces[""]}
	if m.version == 2 {
		key = "metadata/" + key
	}
	_, _ = m.backend().handle(r, key)
}

// SetMountConfig changes the configuration of a mount of KV version 2, as an
// operator does: how many versions are kept (0 means Vault's 10), whether writes
// need cas, and after what time versions are deleted (0 means never).
func (s *Server) SetMountConfig(mount string, maxVersions int, casRequired bool, deleteVersionAfter time.Duration) {
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	m, _ := c.at(mount)
	_ = kvStore{c.store.begin(c.now()), m.id}.setConfig(kvConfig{uint32(maxVersions), casRequired, deleteVersionAfter})
}
