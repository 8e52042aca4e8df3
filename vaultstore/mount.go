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

const (
	notVersioned = "the mount is none of the KV secrets engine, version 2: vault secrets enable -version=2 kv, " +
		"or vault kv enable-versioning"
	vanishing = "delete_version_after of the mount is set, and records would vanish: " +
		"vault write MOUNT/config delete_version_after=0s"
)

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
	if err := d.readConfig(ctx); err != nil {
		return err
	}
	d.mountKnown.Store(true)
	return nil
}

// noteMount notes what a version that was read or written tells of the mount.
func (d *Driver) noteMount(m *metadata, written bool) {
	d.mountKnown.Store(m.DeletionTime == "")
	if written {
		d.vanishing.Store(m.DeletionTime != "")
	}
}

// readConfig reads how the mount keeps versions, if it may.
func (d *Driver) readConfig(ctx context.Context) error {
	body, e := d.call(ctx, request{op: opConfig, method: http.MethodGet, path: d.mount + "/config"})
	if e != nil {
		if errors.Is(e.Kind, driver.ErrPermission) || errors.Is(e.Kind, errNone) {
			d.keeps.Store(unknownMany)
			if d.vanishing.Load() {
				return &driver.Error{Op: opConfig, Code: e.Code, Kind: driver.ErrInvalid, Hint: vanishing}
			}
			return nil
		}
		return e
	}
	var config struct {
		Data struct {
			DeleteVersionAfter string `json:"delete_version_after"`
			MaxVersions        int32  `json:"max_versions"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &config) != nil {
		return &driver.Error{Op: opConfig, Kind: driver.ErrUnavailable, Hint: foreignHint}
	}
	if after, err := time.ParseDuration(config.Data.DeleteVersionAfter); err == nil && after > 0 {
		return &driver.Error{Op: opConfig, Kind: driver.ErrInvalid, Hint: vanishing}
	}
	d.keeps.Store(max(config.Data.MaxVersions, 0))
	if config.Data.MaxVersions == 0 {
		d.keeps.Store(unknownMany)
	}
	return nil
}

// unknownMany is a number of versions that is not known, or the default: more than one.
const unknownMany = 10

// destroy destroys the versions below one that was written, unless the mount keeps one
// version only: they hold the tokens of before. That takes one request for all of them,
// so that what a process left when it died goes too.
//
// It is not left to the background: a process may be frozen or gone as soon as a save
// returns. The write stands whatever becomes of it.
func (d *Driver) destroy(ctx context.Context, name string, below int64) {
	if below <= 1 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, destroyTimeout)
	defer cancel()
	if d.keeps.Load() == 0 && d.readConfig(ctx) != nil || d.keeps.Load() == 1 {
		return
	}
	if e := d.destroyOnce(ctx, version{name, below}); e != nil && errors.Is(e.Kind, driver.ErrPermission) {
		d.undestroyed.Store(&version{name, below})
	}
}

const (
	destroyTimeout = 5 * time.Second
	destroyAtOnce  = 16
)

func (d *Driver) destroyOnce(ctx context.Context, below version) *driver.Error {
	numbers := []int64{}
	for n := max(1, below.number-destroyAtOnce); n < below.number; n++ {
		numbers = append(numbers, n)
	}
	_, e := d.call(ctx, request{
		op: opDestroy, name: below.name, method: http.MethodPut, path: d.path("destroy", below.name),
		body: map[string]any{"versions": numbers},
	})
	return e
}

// mayDestroy makes sure that a right to destroy that was missing is there now: a store
// that keeps rotated tokens says so before it writes again.
func (d *Driver) mayDestroy(ctx context.Context) error {
	v := d.undestroyed.Load()
	if v == nil {
		return nil
	}
	if e := d.destroyOnce(ctx, *v); e != nil && errors.Is(e.Kind, driver.ErrPermission) {
		e.Hint = "old versions hold old tokens: the right to update MOUNT/destroy/PREFIX/* is needed, or max_versions=1 in the mount's config"
		return e
	}
	d.undestroyed.CompareAndSwap(v, nil)
	return nil
}
