package vaultstoretest

import (
	"fmt"
	"strings"
)

// An Upgrade is a state of a mount of KV version 2 in which every request at its
// paths is answered with HTTP 400 and a text. It happens after mounting, and in some
// versions of Vault after each restart, unsealing and change of the active node.
//
// vault-plugin-secrets-kv, upgrade.go
type Upgrade int

const (
	// Upgraded is the usual state.
	Upgraded Upgrade = iota
	// Upgrading is said by an active node.
	Upgrading
	// WaitingForPrimary is said by performance standbys and secondaries.
	WaitingForPrimary
)

func (u Upgrade) text() string {
	switch u {
	case Upgrading:
		return "Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service shortly."
	case WaitingForPrimary:
		return "Waiting for the primary to upgrade from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service when the primary is finished."
	}
	return ""
}

// A mount is a KV secrets engine at a path.
type mount struct {
	path     string // with the slash, without the namespace
	id       string
	accessor string
	version  int // of KV: 1 or 2
	upgrade  Upgrade
}

func (m *mount) backend() backend {
	if m.version == 1 {
		return kv1{m}
	}
	return kv2{m}
}

// info is what sys/mounts says about a mount. With ttl it has the effective times
// instead of 0.
//
// vault/logical_system.go, mountInfo
func (m *mount) info(ttl bool) map[string]any {
	seconds := 0
	if ttl {
		seconds = int(maxLeaseTTL.Seconds())
	}
	return map[string]any{
		"type":                    "kv",
		"description":             "",
		"accessor":                m.accessor,
		"local":                   false,
		"seal_wrap":               false,
		"external_entropy_access": false,
		"options":                 map[string]string{"version": fmt.Sprint(m.version)},
		"uuid":                    m.id,
		"plugin_version":          "",
		"running_plugin_version":  "v0.25.0+builtin",
		"running_sha256":          "",
		"config":                  map[string]any{"default_lease_ttl": seconds, "max_lease_ttl": seconds, "force_no_cache": false},
		"deprecation_status":      "supported",
	}
}

// A space is a namespace: mounts and policies of its own. The root's path is empty.
type space struct {
	path     string // with the slash
	id       string
	mounts   map[string]*mount
	policies map[string]Policy
}

func newSpace(path string) *space {
	id := "root"
	if path != "" {
		id = randomUUID()[:6]
	}
	return &space{path: path, id: id, mounts: map[string]*mount{}, policies: map[string]Policy{}}
}

func (sp *space) mount(path string, version int) {
	path = strings.Trim(path, "/") + "/"
	id := randomUUID()
	sp.mounts[path] = &mount{path: path, id: id, accessor: "kv_" + id[:8], version: version}
}

// find returns the mount that a path belongs to, the longest if there are several,
// and what remains of the path. "secret" is taken for "secret/".
//
// vault/router.go
func (sp *space) find(path string) (m *mount, rest string) {
	for _, path := range []string{path, path + "/"} {
		for prefix, candidate := range sp.mounts {
			if strings.HasPrefix(path, prefix) && (m == nil || len(prefix) > len(m.path)) {
				m = candidate
			}
		}
		if m != nil {
			if rest = strings.TrimPrefix(path, m.path); rest == "/" {
				rest = ""
			}
			return m, rest
		}
	}
	return nil, ""
}
