package vaultstoretest

import (
	"fmt"
	"maps"
	"time"
)

// keyMeta is everything about a key of KV version 2 but its values. It is replaced,
// never changed, once stored.
//
// vault-plugin-secrets-kv, types.proto, KeyMetadata
type keyMeta struct {
	key                string
	versions           map[uint64]versionMeta
	current, oldest    uint64
	created, updated   time.Time
	maxVersions        uint32
	casRequired        bool
	deleteVersionAfter time.Duration
	custom             map[string]string // nil if empty
	lastUpdatedBy      *attribution
}

// versionMeta is everything about a version but its value.
type versionMeta struct {
	created, deletion    time.Time // deletion may be zero, or still to come
	destroyed            bool
	createdBy, deletedBy *attribution
}

// attribution says who did something.
type attribution struct {
	Actor     string `json:"actor,omitempty"`
	Operation string `json:"operation,omitempty"`
	EntityID  string `json:"entity_id,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
}

func (m *keyMeta) clone() *keyMeta {
	c := *m
	c.versions = maps.Clone(m.versions)
	return &c
}

// deleted tells whether a version is soft-deleted. Vault compares with "before",
// which with a clock that runs is the same.
func (v versionMeta) deleted(now time.Time) bool {
	return !v.deletion.IsZero() && !v.deletion.After(now)
}

// kvConfig is the configuration of a mount.
type kvConfig struct {
	maxVersions        uint32
	casRequired        bool
	deleteVersionAfter time.Duration // -1s: disabled for all keys
}

const neverDelete = -time.Second

// deletionTime returns when a version that comes to life at t is deleted by itself:
// after the shorter one of the mount's and the key's time.
//
// vault-plugin-secrets-kv, delete_version_after.go
func deletionTime(t time.Time, config kvConfig, m *keyMeta) time.Time {
	mount, key := config.deleteVersionAfter, m.deleteVersionAfter
	if mount == neverDelete || mount == 0 && key == 0 {
		return time.Time{}
	}
	after := key
	if mount != 0 && mount < after || after == 0 {
		after = mount
	}
	return t.Add(after)
}

const defaultMaxVersions = 10

// addVersion counts a new version and forgets those that are too many. It returns
// the newest version whose value is to be removed, 0 if none is.
//
// vault-plugin-secrets-kv, path_data.go, AddVersion
func (m *keyMeta) addVersion(created, deletion time.Time, configMax uint32) uint64 {
	m.current++
	m.versions[m.current] = versionMeta{created: created, deletion: deletion, createdBy: m.lastUpdatedBy}
	m.updated = created
	if m.created.IsZero() {
		m.created = created
	}
	keep := max(m.maxVersions, configMax)
	if keep == 0 {
		keep = defaultMaxVersions
	}
	if m.current-m.oldest < uint64(keep) {
		return 0
	}
	remove := m.current - uint64(keep)
	for n := m.oldest; n < remove+1; n++ {
		delete(m.versions, n)
	}
	m.oldest = remove + 1
	return remove
}

// version is what reads and writes say about a version.
func (m *keyMeta) version(n uint64) map[string]any {
	v := m.versions[n]
	return map[string]any{
		"version":         n,
		"created_time":    timestamp(v.created),
		"deletion_time":   timestamp(v.deletion),
		"destroyed":       v.destroyed,
		"custom_metadata": m.custom,
	}
}

func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// kvStore is a mount's part of the store.
type kvStore struct {
	*tx
	mount string // its id
}

func (k kvStore) config() kvConfig {
	c, _ := k.get(k.mount, "config").(kvConfig)
	return c
}

func (k kvStore) setConfig(c kvConfig) error { return k.put(k.mount, "config", c) }

// meta returns the metadata of a key, nil if there is none. The caller may change it.
func (k kvStore) meta(key string) *keyMeta {
	name := cleanKey(key)
	if name == "" {
		return nil
	}
	m, _ := k.get(k.mount+"/metadata", name).(*keyMeta)
	if m == nil {
		return nil
	}
	return m.clone()
}

func (k kvStore) setMeta(m *keyMeta) error {
	return k.put(k.mount+"/metadata", cleanKey(m.key), m)
}

func (k kvStore) deleteMeta(key string) error {
	return k.put(k.mount+"/metadata", cleanKey(key), nil)
}

// bodyKey is where the value of a version is. The name is not cleaned here, so that
// "a/../b" shares the metadata of "b" but not its values.
//
// vault-plugin-secrets-kv, backend.go, getVersionKey
func bodyKey(key string, n uint64) string { return fmt.Sprintf("%s|%d", key, n) }

func (k kvStore) body(key string, n uint64) []byte {
	b, _ := k.get(k.mount+"/versions", bodyKey(key, n)).([]byte)
	return b
}

func (k kvStore) setBody(key string, n uint64, body []byte) error {
	if body == nil {
		return k.put(k.mount+"/versions", bodyKey(key, n), nil)
	}
	return k.put(k.mount+"/versions", bodyKey(key, n), body)
}

// prune removes the values of versions from n down to the first that has none.
func (k kvStore) prune(key string, n uint64) error {
	for ; n > 0 && k.body(key, n) != nil; n-- {
		if err := k.setBody(key, n, nil); err != nil {
			return err
		}
	}
	return nil
}
