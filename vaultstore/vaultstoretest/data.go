package vaultstoretest

import (
	"encoding/json"
	"errors"
	"net/http"
	"unicode/utf8"

	"github.com/mitchellh/mapstructure"
)

// errUTF8 is what Vault stumbles over when it stores the metadata of a key whose
// name is no text.
var errUTF8 = errors.New("string field contains invalid UTF-8")

var errNoBody = errors.New("could not find version data")

// readData serves GET data/.
//
// vault-plugin-secrets-kv, path_data.go, pathDataRead
func readData(c *kvCall) (*response, error) {
	meta, n, body, resp, err := c.open("data")
	if meta == nil || resp != nil || err != nil {
		return resp, err
	}
	data := map[string]any{}
	if err := json.Unmarshal(body, &data); err != nil {
		return nil, err
	}
	return &response{data: map[string]any{"data": data, "metadata": meta.version(n)}}, nil
}

// open finds the version that a read is about. It returns a response where there is
// none to be read but something to be said, under the given name.
func (c *kvCall) open(name string) (*keyMeta, uint64, []byte, *response, error) {
	meta := c.meta(c.key)
	if meta == nil {
		return nil, 0, nil, nil, nil
	}
	n := meta.current
	if asked := c.number("version"); asked > 0 {
		n = uint64(asked)
	}
	v, ok := meta.versions[n]
	if !ok {
		return nil, 0, nil, nil, nil
	}
	if v.deleted(c.now) || v.destroyed {
		gone := &response{data: map[string]any{name: nil, "metadata": meta.version(n)}}
		resp, err := withStatus(gone, c.r.id, http.StatusNotFound)
		return meta, n, nil, resp, err
	}
	body := c.body(c.key, n)
	if body == nil {
		return nil, 0, nil, nil, errNoBody
	}
	return meta, n, body, nil, nil
}

// checkCAS compares the cas option with the current version.
func (c *kvCall) checkCAS(config kvConfig, meta *keyMeta) error {
	value, _ := c.get("options")
	options, _ := value.(map[string]any)
	raw, has := options["cas"]
	if !has {
		if config.casRequired || meta.casRequired {
			return errors.New("check-and-set parameter required for this call")
		}
		return nil
	}
	var cas int
	if err := mapstructure.WeakDecode(raw, &cas); err != nil {
		return errors.New("error parsing check-and-set parameter")
	}
	if uint64(cas) != meta.current {
		return errors.New("check-and-set parameter did not match the current version")
	}
	return nil
}

// writeData serves PUT data/.
func writeData(c *kvCall) (*response, error) {
	config := c.config()
	value, ok := c.get("data")
	if !ok {
		return errorResponse("no data provided"), errInvalidRequest
	}
	body, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	meta := c.meta(c.key)
	if meta == nil {
		meta = &keyMeta{key: c.key, versions: map[uint64]versionMeta{}}
	}
	if err := c.checkCAS(config, meta); err != nil {
		return errorResponse(err.Error()), errInvalidRequest
	}
	return c.add(config, meta, body)
}

// add stores a new version.
func (c *kvCall) add(config kvConfig, meta *keyMeta, body []byte) (*response, error) {
	if err := c.setBody(c.key, meta.current+1, body); err != nil {
		return nil, err
	}
	if !utf8.ValidString(meta.key) {
		return nil, errUTF8
	}
	meta.lastUpdatedBy = c.by()
	remove := meta.addVersion(c.now, deletionTime(c.now, config, meta), config.maxVersions)
	if err := c.setMeta(meta); err != nil {
		return nil, err
	}
	if err := c.prune(c.key, remove); err != nil {
		return nil, err
	}
	return &response{data: meta.version(meta.current)}, nil
}

// patchData serves PATCH data/, a JSON merge patch of the current version.
func patchData(c *kvCall) (*response, error) {
	value, ok := c.get("data")
	if !ok {
		return errorResponse("no data provided"), errInvalidRequest
	}
	meta := c.meta(c.key)
	if meta == nil {
		return withStatus(nil, c.r.id, http.StatusNotFound)
	}
	config := c.config()
	if err := c.checkCAS(config, meta); err != nil {
		return errorResponse(err.Error()), errInvalidRequest
	}
	v, ok := meta.versions[meta.current]
	if !ok {
		return withStatus(nil, c.r.id, http.StatusNotFound)
	}
	if v.deleted(c.now) || v.destroyed {
		return withStatus(&response{data: meta.version(meta.current)}, c.r.id, http.StatusNotFound)
	}
	body := c.body(c.key, meta.current)
	if body == nil {
		return nil, errNoBody
	}
	var old map[string]any
	if err := json.Unmarshal(body, &old); err != nil {
		return nil, err
	}
	if old == nil {
		return nil, errors.New("resource does not exist")
	}
	patch, _ := value.(map[string]any)
	if patch == nil {
		return c.add(config, meta, []byte("null"))
	}
	mergeInto(old, patch)
	merged, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	return c.add(config, meta, merged)
}

// mergeInto applies a merge patch to a document. Null removes a member; nulls inside
// of what is new are dropped too, but not those in lists.
//
// https://datatracker.ietf.org/doc/html/rfc7396
func mergeInto(doc, patch map[string]any) {
	for name, value := range patch {
		if value == nil {
			delete(doc, name)
			continue
		}
		old, isDoc := doc[name].(map[string]any)
		sub, isPatch := value.(map[string]any)
		switch {
		case isDoc && isPatch:
			mergeInto(old, sub)
		case isDoc:
			doc[name] = value
		default:
			doc[name] = withoutNulls(value)
		}
	}
}

func withoutNulls(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			if member == nil {
				delete(value, name)
			} else {
				value[name] = withoutNulls(member)
			}
		}
	case []any:
		for i, item := range value {
			value[i] = withoutNulls(item)
		}
	}
	return value
}

// deleteData serves DELETE data/: whatever version is the newest is soft-deleted.
func deleteData(c *kvCall) (*response, error) {
	meta := c.meta(c.key)
	if meta == nil {
		return nil, nil
	}
	v, ok := meta.versions[meta.current]
	if !ok || v.destroyed || v.deleted(c.now) {
		return nil, nil
	}
	by := c.by()
	v.deletion, v.deletedBy = c.now, by
	meta.versions[meta.current] = v
	meta.lastUpdatedBy = by
	return nil, c.setMeta(meta)
}

// readSubkeys serves GET subkeys/: the value with every leaf null.
//
// vault-plugin-secrets-kv, path_subkeys.go
func readSubkeys(c *kvCall) (*response, error) {
	depth := c.number("depth")
	meta, n, body, resp, err := c.open("subkeys")
	if meta == nil || resp != nil || err != nil {
		return resp, err
	}
	data := map[string]any{}
	if err := json.Unmarshal(body, &data); err != nil {
		return nil, err
	}
	removeValues(data, depth, 1)
	return &response{data: map[string]any{"subkeys": data, "metadata": meta.version(n)}}, nil
}

func removeValues(data map[string]any, limit, depth int) {
	for name, value := range data {
		sub, _ := value.(map[string]any)
		if len(sub) > 0 && (limit == 0 || depth+1 <= limit) {
			removeValues(sub, limit, depth+1)
		} else {
			data[name] = nil
		}
	}
}
