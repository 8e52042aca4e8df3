package vaultstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file finds out that a record would vanish: delete_version_after, of the mount or of
// the secret alone, gives each version that is written a time at which Vault deletes it.
// What Vault answers of a version has that time, so that nobody has to be asked for it.
//
// The setting is looked at when such an answer came, before the secret is written again.
// Not before: the write that finds it out stands. And a version that has such a time may
// be older than the setting's end, in which case the next write is the cure.

const (
	mountVanishes = "delete_version_after of the mount is set, and records would vanish: " +
		"vault write MOUNT/config delete_version_after=0s"
	secretVanishes = "delete_version_after of the secret is set, and it would vanish: " +
		"vault kv metadata put -mount=MOUNT -delete-version-after=0s PREFIX/NAME"
	eitherVanishes = "delete_version_after of the mount or of the secret is set, and it would vanish: " +
		"vault write MOUNT/config delete_version_after=0s, " +
		"or vault kv metadata put -mount=MOUNT -delete-version-after=0s PREFIX/NAME"
)

// tryAgain is for how long a secret is not written if the settings may not be read. The
// write after that finds out whether they were mended.
const tryAgain = time.Minute

// Vanishing are the secrets whose newest version, as this driver knows it, has a time at
// which Vault deletes it.
type vanishing struct {
	mu      sync.Mutex
	secrets map[string]mortal
}

// A mortal is one of them.
type mortal struct {
	number int64
	// written: this driver wrote it, and what gave it the time was set then.
	written bool
	// refused is when a write was first refused on suspicion.
	refused time.Time
}

// noteLife notes what a version that was read or written tells of how long it lives.
func (d *Driver) noteLife(name string, m *metadata, written bool) {
	v := &d.vanishing
	v.mu.Lock()
	defer v.mu.Unlock()
	last, number := v.secrets[name], m.number()
	switch {
	case m.DeletionTime != "" && (written || number != last.number):
		d.mountKnown.Store(false)
		keep(&v.secrets, name, mortal{number: number, written: written})
	case m.DeletionTime == "" && number >= last.number:
		delete(v.secrets, name)
		if len(v.secrets) == 0 {
			d.mountKnown.Store(true)
		}
	}
}

// checkLife makes sure that a version that is written does not vanish, if there is doubt.
func (d *Driver) checkLife(ctx context.Context, name string) error {
	if !d.vanishing.has(name) {
		return nil
	}
	mount, e := d.readConfig(ctx)
	if e != nil {
		return e
	}
	own, e := d.readSettings(ctx, request{op: opAsk, name: name, path: d.path("metadata", name)})
	switch {
	case e == nil, errors.Is(e.Kind, driver.ErrPermission):
	case errors.Is(e.Kind, errNone):
		own.known = true // there is no such secret any more
	default:
		return e
	}
	refusal := &driver.Error{Op: opPut, Name: name, Kind: driver.ErrInvalid, Hint: eitherVanishes}
	sure := mount.known && own.known
	switch {
	case mount.deleteAfter > 0:
		d.mountKnown.Store(false) // so that no other secret is written
		refusal.Hint, sure = mountVanishes, true
	case mount.deleteAfter < 0, sure && own.deleteAfter == 0:
		d.vanishing.forget(name)
		return nil
	case own.deleteAfter > 0, mount.known:
		refusal.Hint = secretVanishes
	case own.known:
		refusal.Hint = mountVanishes
	}
	if !sure {
		if !d.vanishing.suspect(name) {
			return nil
		}
		refusal.Hint += "; if that was done, a write will tell in a minute"
	}
	return refusal
}

func (v *vanishing) has(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, has := v.secrets[name]
	return has
}

func (v *vanishing) forget(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.secrets, name)
}

// suspect reports whether a write is to be refused although nothing tells for sure: after
// one of this driver that had a time to vanish the next one is, and those of a while.
func (v *vanishing) suspect(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	m := v.secrets[name]
	switch {
	case m.written && m.refused.IsZero():
		m.refused = time.Now()
		v.secrets[name] = m
		return true
	case m.written && time.Since(m.refused) < tryAgain:
		return true
	}
	delete(v.secrets, name)
	return false
}

// maxKept is of how many secrets a driver remembers something. Of more it forgets: what
// that costs is requests.
const maxKept = 10_000

// keep keeps something of a secret, in the place of another's if there are too many.
func keep[T any](of *map[string]T, name string, what T) {
	if *of == nil {
		*of = make(map[string]T)
	}
	if _, kept := (*of)[name]; !kept && len(*of) >= maxKept {
		for other := range *of {
			delete(*of, other)
			break
		}
	}
	(*of)[name] = what
}
