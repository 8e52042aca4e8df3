package vaultstore

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file destroys the versions that were replaced: they hold the tokens of before.
// Only a write that won does that, and only below its own number, so that nobody destroys
// the newest, and whoever finds a version without a value knows that one was written above
// it.
//
// It is not left to the background: a process may be frozen or gone as soon as a save
// returns. But it is bounded in time, and the write stands whatever becomes of it: what
// could not be destroyed is tried again by the writes that follow, of this process and,
// for the same secret, of others.

const (
	destroyTimeout = 5 * time.Second
	// destroyAtOnce is how many versions the first write of a driver to a secret names, for
	// those that a process left when it died. To destroy n versions takes Vault n+1 writes
	// of its storage, whether they are there or not.
	destroyAtOnce = 16
	// sweepEvery is at which numbers all versions are named that the mount may keep, but
	// destroyMost.
	sweepEvery  = 16
	destroyMost = 100
	// othersAtOnce is how many secrets one write cleans that others left.
	othersAtOnce = 8
)

// How many versions a mount keeps that says nothing of it, and one that may not be asked.
const (
	keepsDefault = 10
	keepsUnknown = destroyMost + 1
)

// Replaced is what this driver knows of versions that were replaced.
type replaced struct {
	mu sync.Mutex
	// dealt says of a secret how far this driver has dealt with it.
	dealt map[string]dealt
	// left are the secrets of which not all could be destroyed below a number.
	left map[string]int64
	// denied: the right to do so was missing.
	denied bool
}

// Dealt is how far a driver has dealt with a secret.
type dealt struct {
	from  int64 // the lowest version that it has still to name
	swept bool  // it has named all that the mount may keep, and not only a few
}

// destroy destroys the versions below one that was written, unless the mount keeps one
// version only.
func (d *Driver) destroy(ctx context.Context, name string, below int64) {
	if below <= 1 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, destroyTimeout)
	defer cancel()
	if d.keeps.Load() == 0 {
		_, _ = d.readConfig(ctx) // what it is if that fails, is not known
	}
	if d.keeps.Load() == 1 || d.destroyBelow(ctx, name, below) != nil {
		return
	}
	for name, below := range d.replaced.others() {
		if d.isBelow(ctx, name, below) {
			_ = d.destroyBelow(ctx, name, below)
		}
	}
}

// destroyBelow destroys versions of a secret, or notes that it has to be tried again.
func (d *Driver) destroyBelow(ctx context.Context, name string, below int64) *driver.Error {
	from, all := d.replaced.from(name, below, d.keeps.Load())
	numbers := make([]int64, 0, below-from)
	for n := from; n < below; n++ {
		numbers = append(numbers, n)
	}
	if e := d.destroyNumbers(ctx, name, numbers); e != nil {
		d.replaced.fail(name, from, below, errors.Is(e.Kind, driver.ErrPermission))
		return e
	}
	d.replaced.done(name, below, all)
	return nil
}

func (d *Driver) destroyNumbers(ctx context.Context, name string, numbers []int64) *driver.Error {
	_, e := d.call(ctx, request{
		op: opDestroy, name: name, method: http.MethodPut, path: d.path("destroy", name),
		body: map[string]any{"versions": numbers},
	})
	return e
}

// isBelow makes sure that what was to be destroyed some time ago is still below the newest
// version: of a secret that was deleted and created again it may be that.
func (d *Driver) isBelow(ctx context.Context, name string, below int64) bool {
	_, m, e := d.readVersion(ctx, driver.Fresh, nil, name, 0)
	if e != nil {
		return false
	}
	if m.number() < below {
		d.replaced.forget(name)
		return false
	}
	return true
}

// mayDestroy makes sure that a right to destroy that was missing is there now: a store
// that keeps rotated tokens says so before it writes again.
func (d *Driver) mayDestroy(ctx context.Context, name string) error {
	name, below, denied := d.replaced.refused(name)
	if !denied {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, destroyTimeout)
	defer cancel()
	if !d.isBelow(ctx, name, below) {
		return nil
	}
	e := d.destroyBelow(ctx, name, below)
	if e == nil || !errors.Is(e.Kind, driver.ErrPermission) {
		return nil
	}
	if _, bad := d.readConfig(ctx); bad == nil && d.keeps.Load() == 1 {
		d.replaced.leave() // Vault drops them when their secrets are written
		return nil
	}
	e.Hint = "old versions hold old tokens: the right to update MOUNT/destroy/PREFIX/* is needed, or max_versions=1 in the mount's config"
	return e
}

// from returns the lowest version to name of those below one, and whether that is all that
// the mount may keep.
func (r *replaced) from(name string, below, keeps int64) (from int64, all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.dealt[name]
	known := 0 < last.from && last.from < below // not if its numbers began anew
	switch {
	case below%sweepEvery == 0 && !(known && last.swept):
		from, all = 1, true
	case known:
		from = last.from
	default:
		from = below - destroyAtOnce
	}
	if keeps == 0 {
		keeps = keepsUnknown
	}
	most := min(max(keeps-1, 1), destroyMost)
	return max(from, below-most, 1), all
}

func (r *replaced) done(name string, below int64, all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	keep(&r.dealt, name, dealt{below, all || r.dealt[name].swept})
	if r.left[name] <= below {
		delete(r.left, name)
	}
	r.denied = false
}

func (r *replaced) fail(name string, from, below int64, denied bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := r.dealt[name].from; last == 0 || last > from {
		keep(&r.dealt, name, dealt{from: from})
	}
	keep(&r.left, name, max(below, r.left[name]))
	r.denied = r.denied || denied
}

func (r *replaced) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.dealt, name)
	delete(r.left, name)
}

// leave leaves to Vault what was left.
func (r *replaced) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left, r.denied = nil, false
}

// others returns some of the secrets of which something is left.
func (r *replaced) others() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	some := make(map[string]int64)
	for name, below := range r.left {
		if some[name] = below; len(some) == othersAtOnce {
			break
		}
	}
	return some
}

// refused returns a secret of which something is left for want of the right: the given one
// if it is one.
func (r *replaced) refused(name string) (string, int64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if below, is := r.left[name]; is || !r.denied {
		return name, below, r.denied
	}
	for name, below := range r.left {
		return name, below, true
	}
	return name, 0, false
}
