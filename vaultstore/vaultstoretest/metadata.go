package vaultstoretest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/go-secure-stdlib/strutil"
	"github.com/mitchellh/mapstructure"
)

// readMetadata serves GET metadata/.
//
// vault-plugin-secrets-kv, path_metadata.go
func readMetadata(c *kvCall) (*response, error) {
	meta := c.meta(c.key)
	if meta == nil {
		return nil, nil
	}
	versions := map[string]any{}
	for n, v := range meta.versions {
		versions[strconv.FormatUint(n, 10)] = map[string]any{
			"created_time":  timestamp(v.created),
			"deletion_time": timestamp(v.deletion),
			"destroyed":     v.destroyed,
			"created_by":    v.createdBy,
			"deleted_by":    v.deletedBy,
		}
	}
	return &response{data: map[string]any{
		"versions":             versions,
		"current_version":      meta.current,
		"oldest_version":       meta.oldest,
		"created_time":         timestamp(meta.created),
		"updated_time":         timestamp(meta.updated),
		"max_versions":         meta.maxVersions,
		"cas_required":         meta.casRequired,
		"delete_version_after": meta.deleteVersionAfter.String(),
		"custom_metadata":      meta.custom,
		"last_updated_by":      meta.lastUpdatedBy,
	}}, nil
}

// listMetadata serves LIST metadata/. Keys whose newest version has a deletion time,
// even one to come, can be left out.
func listMetadata(c *kvCall) (*response, error) {
	prefix := cleanKey(c.key)
	if prefix != "" {
		prefix += "/"
	}
	names := c.list(c.mount+"/metadata", prefix)
	value, _ := c.get("exclude_deleted")
	if exclude, _ := value.(bool); !exclude {
		return listResponse(names), nil
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		if strings.HasSuffix(name, "/") {
			return false
		}
		meta := c.meta(c.key + name)
		return meta != nil && !meta.versions[meta.current].deletion.IsZero()
	})
	return listResponse(names), nil
}

// deleteMetadata serves DELETE metadata/: the key is gone with all its versions, and
// its numbers begin at 1 again.
func deleteMetadata(c *kvCall) (*response, error) {
	meta := c.meta(c.key)
	if meta == nil {
		return nil, nil
	}
	for n := range meta.versions {
		if err := c.setBody(c.key, n, nil); err != nil {
			return nil, err
		}
	}
	return nil, c.deleteMeta(c.key)
}

const casIgnored = `"cas_required" set to false, but is mandated by backend config. This value will be ignored.`

// warnCAS is the response to a write that turns off what the mount demands.
func (c *kvCall) warnCAS() *response {
	value, ok := c.get("cas_required")
	if required, _ := value.(bool); !ok || required || !c.config().casRequired {
		return nil
	}
	return &response{warnings: []string{casIgnored}}
}

// writeMetadata serves PUT metadata/.
func writeMetadata(c *kvCall) (*response, error) {
	maxVersions, hasMax := c.get("max_versions")
	casRequired, hasCAS := c.get("cas_required")
	after, hasAfter := c.get("delete_version_after")
	customValue, hasCustom := c.get("custom_metadata")
	if !hasMax && !hasCAS && !hasAfter && !hasCustom {
		return nil, nil
	}
	custom, _ := customValue.(map[string]any)
	texts, err := checkCustom(custom, false)
	if err != nil {
		return errorResponse(err.Error()), nil
	}
	resp := c.warnCAS()
	meta := c.meta(c.key)
	if meta == nil {
		meta = &keyMeta{key: c.key, versions: map[uint64]versionMeta{}, created: c.now, updated: c.now}
	}
	if hasMax {
		meta.maxVersions = uint32(maxVersions.(int))
	}
	if hasCAS {
		meta.casRequired = casRequired.(bool)
	}
	if hasAfter {
		meta.deleteVersionAfter = seconds(after.(int))
	}
	if hasCustom {
		meta.custom = texts
	}
	if !utf8.ValidString(meta.key) {
		return resp, errUTF8
	}
	return resp, c.setMeta(meta)
}

// patchMetadata serves PATCH metadata/. Vault merges the patch into the JSON of its
// own structure and reads that back, and so does this: it is where the texts of its
// errors come from.
func patchMetadata(c *kvCall) (*response, error) {
	customValue, hasCustom := c.get("custom_metadata")
	custom, _ := customValue.(map[string]any)
	if _, err := checkCustom(custom, true); err != nil {
		return errorResponse(err.Error()), nil
	}
	meta := c.meta(c.key)
	if meta == nil {
		return withStatus(nil, c.r.id, http.StatusNotFound)
	}
	resp := c.warnCAS()

	type KeyMetadata struct {
		MaxVersions    uint32            `json:"max_versions"`
		CasRequired    bool              `json:"cas_required"`
		CustomMetadata map[string]string `json:"custom_metadata"`
	}
	merged := map[string]any{"max_versions": meta.maxVersions, "cas_required": meta.casRequired}
	for _, name := range []string{"max_versions", "cas_required"} {
		if value, ok := c.get(name); ok {
			merged[name] = value
		}
	}
	switch {
	case !hasCustom:
		merged["custom_metadata"] = meta.custom
	case custom != nil:
		texts := map[string]any{}
		for name, text := range meta.custom {
			texts[name] = text
		}
		mergeInto(texts, maps.Clone(custom))
		merged["custom_metadata"] = texts
	}
	text, err := json.Marshal(merged)
	if err != nil {
		return nil, err
	}
	var patched KeyMetadata
	if err := json.Unmarshal(text, &patched); err != nil {
		return nil, err
	}
	meta.maxVersions, meta.casRequired, meta.custom = patched.MaxVersions, patched.CasRequired, patched.CustomMetadata
	if len(meta.custom) == 0 {
		meta.custom = nil
	}
	if after, ok := c.get("delete_version_after"); ok {
		meta.deleteVersionAfter = seconds(after.(int))
	}
	return resp, c.setMeta(meta)
}

const customFailed = "custom_metadata validation failed"

// checkCustom makes texts of custom metadata and holds them to Vault's limits. A
// patch skips nulls, which remove what they name.
func checkCustom(raw map[string]any, patch bool) (map[string]string, error) {
	texts := map[string]string{}
	for name, value := range raw {
		if patch && value == nil {
			continue
		}
		var text string
		if err := mapstructure.WeakDecode(value, &text); err != nil {
			return nil, fmt.Errorf("%s: %w", customFailed, err)
		}
		texts[name] = text
	}
	var wrong listedErrors
	fail := func(format string, args ...any) {
		wrong = append(wrong, errors.New(customFailed+": "+fmt.Sprintf(format, args...)))
	}
	if len(texts) > 64 {
		fail("payload must contain at most %d keys, provided %d", 64, len(texts))
		return nil, wrong
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) { // Vault's order is random
		text := texts[name]
		if n := len(name); n == 0 || n > 128 {
			fail("length of key %q is %d but must be 0 < len(key) <= %d", name, n, 128)
		}
		if n := len(text); n == 0 || n > 512 {
			fail("length of value for key %q is %d but must be 0 < len(value) <= %d", name, n, 512)
		}
		if !strutil.Printable(name) {
			fail("key %q (%s) contains unprintable characters", name, name)
		}
		if !strutil.Printable(text) {
			fail("value for key %q contains unprintable characters", name)
		}
	}
	if wrong != nil {
		return nil, wrong
	}
	if len(texts) == 0 {
		return nil, nil
	}
	return texts, nil
}
