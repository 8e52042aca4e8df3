package vaultstore

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file finds out what mount it is. One of version 1 has no check-and-set and takes
// every write; one with delete_version_after lets records vanish.

const notVersioned = "the mount is none of the KV secrets engine, version 2: vault secrets enable -version=2 kv, " +
	"or vault kv enable-versioning"

// checkMount makes sure, before the first write and at the first path where there is
// nothing, that the mount is one that can be used. A version that was read says the same.
func (d *Driver) checkMount(ctx context.Context) error {
	if d.mountKnown.Load() {
		return nil
	}
	body, e := d.call(ctx, request{op: opMount, method: http.MethodGet, path: "sys/internal/ui/mounts/" + d.mount})
	switch {
	case e != nil && errors.Is(e.Kind, driver.ErrPermission) && e.Hint == permissionHint:
		// Vault says so of a mount that does not exist, and of one whose policy gives no right
		// at all; other programs in front of it may not let this endpoint through.
		e.Hint = mountHint + ", or the token has no right to anything in it"
		return e
	case e != nil && errors.Is(e.Kind, errNone):
		// not a Vault that has this endpoint
	case e != nil:
		return e
	default:
		var mount struct {
			Data struct {
				Path    string            `json:"path"`
				Options map[string]string `json:"options"`
			} `json:"data"`
		}
		switch {
		case json.Unmarshal(body, &mount) != nil:
			return &driver.Error{Op: opMount, Kind: driver.ErrUnavailable, Hint: foreignHint}
		case mount.Data.Path != "" && mount.Data.Path != d.mount+"/":
			// Of a path within a mount Vault tells the mount.
			return &driver.Error{Op: opMount, Kind: driver.ErrInvalid, Hint: mountHint}
		case mount.Data.Options["version"] != "2":
			return &driver.Error{Op: opMount, Kind: driver.ErrInvalid, Hint: notVersioned}
		}
	}
	config, e := d.readConfig(ctx)
	switch {
	case e != nil:
		return e
	case config.deleteAfter > 0:
		return &driver.Error{Op: opConfig, Kind: driver.ErrInvalid, Hint: mountVanishes}
	}
	d.mountKnown.Store(true)
	return nil
}

// readConfig reads how the mount keeps versions, if it may.
func (d *Driver) readConfig(ctx context.Context) (settings, *driver.Error) {
	s, e := d.readSettings(ctx, request{op: opConfig, path: d.mount + "/config"})
	switch {
	case e == nil && s.maxVersions > 0:
		d.keeps.Store(s.maxVersions)
	case e == nil:
		d.keeps.Store(keepsDefault)
	case errors.Is(e.Kind, driver.ErrPermission), errors.Is(e.Kind, errNone):
		d.keeps.Store(keepsUnknown)
		return settings{}, nil
	}
	return s, e
}

// Settings are how versions are kept: those of a mount, or of one secret.
type settings struct {
	known       bool
	deleteAfter time.Duration // negative, of a mount: never, whatever the secrets say
	maxVersions int64         // 0: the default
}

func (d *Driver) readSettings(ctx context.Context, r request) (settings, *driver.Error) {
	r.method = http.MethodGet
	body, e := d.call(ctx, r)
	if e != nil {
		return settings{}, e
	}
	var answer struct {
		Data struct {
			DeleteVersionAfter string `json:"delete_version_after"`
			MaxVersions        int64  `json:"max_versions"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return settings{}, &driver.Error{Op: r.op, Name: r.name, Kind: driver.ErrUnavailable, Hint: foreignHint}
	}
	after, _ := time.ParseDuration(answer.Data.DeleteVersionAfter) // Vault before 1.2 has none
	return settings{true, after, answer.Data.MaxVersions}, nil
}
