package vaultstoretest

// deleteVersions serves PUT delete/: the named versions are soft-deleted. Numbers
// that there are not are skipped.
//
// vault-plugin-secrets-kv, path_delete.go
func deleteVersions(c *kvCall) (*response, error) {
	versions := c.ints("versions")
	if len(versions) == 0 {
		return errorResponse("No version number provided"), errInvalidRequest
	}
	meta := c.meta(c.key)
	if meta == nil {
		return nil, nil
	}
	by := c.by()
	for _, n := range versions {
		v, ok := meta.versions[uint64(n)]
		if !ok || v.destroyed || v.deleted(c.now) {
			continue
		}
		v.deletion, v.deletedBy = c.now, by
		meta.versions[uint64(n)] = v
	}
	meta.lastUpdatedBy = by
	return nil, c.setMeta(meta)
}

// undeleteVersions serves PUT undelete/. A mount or a key with delete_version_after
// gives the versions that time once more.
func undeleteVersions(c *kvCall) (*response, error) {
	versions := c.ints("versions")
	if len(versions) == 0 {
		return errorResponse("No version number provided"), errInvalidRequest
	}
	config := c.config()
	meta := c.meta(c.key)
	if meta == nil {
		return nil, nil
	}
	for _, n := range versions {
		v, ok := meta.versions[uint64(n)]
		if !ok || v.destroyed {
			continue
		}
		v.deletion, v.deletedBy = deletionTime(c.now, config, meta), nil
		meta.versions[uint64(n)] = v
	}
	by := c.by()
	by.Operation = "undelete"
	meta.lastUpdatedBy = by
	return nil, c.setMeta(meta)
}

// destroyVersions serves PUT destroy/: the values of the named versions are gone.
// The current version stays the number that it is.
//
// vault-plugin-secrets-kv, path_destroy.go
func destroyVersions(c *kvCall) (*response, error) {
	versions := c.ints("versions")
	if len(versions) == 0 {
		return errorResponse("no version number provided"), errInvalidRequest
	}
	meta := c.meta(c.key)
	if meta == nil {
		return nil, nil
	}
	for _, n := range versions {
		if v, ok := meta.versions[uint64(n)]; ok {
			v.destroyed = true
			meta.versions[uint64(n)] = v
		}
	}
	if err := c.setMeta(meta); err != nil {
		return nil, err
	}
	for _, n := range versions {
		if err := c.setBody(c.key, uint64(n), nil); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
