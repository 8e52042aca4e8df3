package vaultstoretest

import (
	"net/http"
	"strings"
)

// A backend is what a mount does with requests. The path of the request is already
// that below the mount.
type backend interface {
	// exists tells whether a write would be an update. Checked is false where the
	// path does not know: then every write is one.
	exists(r *request, path string) (checked, exists bool, err error)
	handle(r *request, path string) (*response, error)
}

// kv2 is the KV secrets engine, version 2.
//
// vault-plugin-secrets-kv v0.25.0, backend.go
type kv2 struct{ m *mount }

// A handler serves one path and operation of KV version 2.
type handler func(c *kvCall) (*response, error)

// A kvCall is one request at a path of KV version 2.
type kvCall struct {
	kvStore
	*fields
	r   *request
	key string
}

// A kvPath is one of the engine's paths.
type kvPath struct {
	schema   schema
	checks   bool // writes ask whether the key exists
	handlers map[operation]handler
}

var versionsSchema = schema{"path": kindString, "versions": kindInts}

var kvPaths = map[string]*kvPath{
	"config": {
		schema:   schema{"max_versions": kindInt, "cas_required": kindBool, "delete_version_after": kindSignedSeconds},
		handlers: map[operation]handler{opRead: readConfig, opUpdate: writeConfig},
	},
	"data": {
		schema: schema{"path": kindString, "version": kindInt, "options": kindMap, "data": kindMap},
		checks: true,
		handlers: map[operation]handler{
			opRead: readData, opCreate: writeData, opUpdate: writeData, opPatch: patchData, opDelete: deleteData,
		},
	},
	"metadata": {
		schema: schema{
			"path": kindString, "exclude_deleted": kindBool, "cas_required": kindBool, "max_versions": kindInt,
			"delete_version_after": kindSeconds, "custom_metadata": kindMap,
		},
		checks: true,
		handlers: map[operation]handler{
			opRead: readMetadata, opCreate: writeMetadata, opUpdate: writeMetadata, opPatch: patchMetadata,
			opDelete: deleteMetadata, opList: listMetadata,
		},
	},
	"delete":   {schema: versionsSchema, handlers: map[operation]handler{opUpdate: deleteVersions}},
	"undelete": {schema: versionsSchema, handlers: map[operation]handler{opUpdate: undeleteVersions}},
	"destroy":  {schema: versionsSchema, handlers: map[operation]handler{opUpdate: destroyVersions}},
	"subkeys": {
		schema:   schema{"path": kindString, "depth": kindInt, "version": kindInt},
		handlers: map[operation]handler{opRead: readSubkeys},
	},
}

// splitKV finds which of the engine's paths a path is. Data is the only one that
// does not take an empty key or one that ends in a slash.
func splitKV(path string) (area, key string, ok bool) {
	if path == "config" {
		return path, "", true
	}
	area, key, slash := strings.Cut(path, "/")
	if !slash || area == "config" || kvPaths[area] == nil {
		return "", "", false
	}
	if area == "data" && (key == "" || strings.HasSuffix(key, "/")) {
		return "", "", false
	}
	return area, key, true
}

func captures(area, key string) map[string]any {
	if area == "config" {
		return nil
	}
	return map[string]any{"path": key}
}

func (b kv2) exists(r *request, path string) (checked, exists bool, err error) {
	area, key, ok := splitKV(path)
	if !ok || !kvPaths[area].checks {
		return false, false, nil
	}
	f, _, _ := newFields(kvPaths[area].schema, r.data, captures(area, key))
	if err := f.validate(); err != nil {
		return true, false, userError{err}
	}
	return true, kvStore{r.tx, b.m.id}.meta(key) != nil, nil
}

func (b kv2) handle(r *request, path string) (*response, error) {
	area, key, ok := splitKV(path)
	if !ok {
		return invalidPath(r, path)
	}
	p := kvPaths[area]
	f, ignored, replaced := newFields(p.schema, r.data, captures(area, key))
	h := p.handlers[r.op]
	if h == nil {
		return nil, errUnsupportedOperation
	}
	if wrong := f.invalid(); wrong != nil {
		return wrong, nil
	}
	if text := b.m.upgrade.text(); text != "" {
		return errorResponse(text), errInvalidRequest
	}
	resp, err := h(&kvCall{kvStore{r.tx, b.m.id}, f, r, key})
	if err == nil && resp != nil {
		resp.warnUnknown(ignored, replaced)
	}
	return resp, err
}

// invalidPath answers at paths that only KV version 1 has.
func invalidPath(r *request, path string) (*response, error) {
	verbs := map[operation]string{opCreate: "put", opUpdate: "put", opPatch: "patch", opRead: "get", opList: "list", opDelete: "delete"}
	verb, ok := verbs[r.op]
	if !ok || r.op == opCreate {
		return nil, errUnsupportedOperation
	}
	resp := &response{}
	switch path {
	case "metadata", "data", "delete", "undelete", "destroy":
		resp.warn("Non-listing operations on the root of a K/V v2 mount are not supported.")
	default:
		resp.warn("Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. " +
			"If using the Vault CLI, use 'vault kv " + verb + "' for this operation.")
	}
	return withStatus(resp, r.id, http.StatusNotFound)
}

// by says who makes the request.
func (c *kvCall) by() *attribution {
	return &attribution{
		Actor:     c.r.entry.displayName,
		Operation: string(c.r.op),
		EntityID:  c.r.entry.entityID,
		ClientID:  c.r.entry.clientID(),
	}
}
