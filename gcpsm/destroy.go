package gcpsm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	secretmanagerpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/googleapis/gax-go/v2"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file destroys the versions that were replaced. Only a winner does that, and only
// below its own number, so that whoever finds a version destroyed knows that there is a
// valid one above it; nobody destroys the newest.
//
// It is not left to the background: a process may be frozen or gone as soon as a save
// returns, and what it leaves is charged for every month and holds the tokens of before.
// But it is bounded in time, and the write stands whatever becomes of it: what could not
// be destroyed is tried again by the writes that follow, of this process and of others.

// A version is one of a secret.
type version struct {
	name   string
	number int64
}

// Undone are the versions that a driver has still to destroy.
type undone struct {
	mu sync.Mutex
	// denied says of each whether the right to destroy it was missing.
	denied map[version]bool
	// slow is until when nothing is destroyed on the way of a write: the service took too
	// long the last time.
	slow time.Time
}

const (
	destroyTimeout = 2 * time.Second
	slowFor        = 30 * time.Second
	maxUndone      = 10_000
	undoneAtOnce   = 8 // with one write
	// sweepEvery is how often the versions are listed, for those that a process left when
	// it died between a write and what it had to destroy.
	sweepEvery = 16
)

// destroy destroys the versions of a secret from one number to below another: what a
// write that won at that number has replaced, and what came too late before it.
func (d *Driver) destroy(ctx context.Context, name string, from, to int64) {
	for n := from; n < to; n++ {
		d.undone.add(version{name, n}, false)
	}
	if d.undone.isSlow() {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, destroyTimeout)
	defer cancel()
	if to/sweepEvery > from/sweepEvery {
		d.leftovers(bounded, name, from)
	}
	versions := d.undone.some(name, to)
	each(len(versions), func(i int) {
		v := versions[i]
		switch {
		case v.name != name && !d.belowHead(bounded, v):
		case i > 0 && d.writes.Wait(bounded) != nil: // the first was waited for with the write
		default:
			_ = d.destroyOne(bounded, v)
		}
	})
	if ctx.Err() == nil && bounded.Err() != nil {
		d.undone.isSlowNow()
	}
}

// belowHead makes sure that a version that was to be destroyed some time ago still is below
// the head: in a secret that was deleted and created again it may be the head.
func (d *Driver) belowHead(ctx context.Context, v version) bool {
	item, err := d.read(ctx, driver.Fresh, driver.Item{Name: v.name})
	if err != nil || item.Err != nil {
		return false
	}
	if head, _ := parseRevision(item.Revision); head > v.number {
		return true
	}
	d.undone.remove(v)
	return false
}

// destroyOne destroys a version, or notes that it has to be tried again.
func (d *Driver) destroyOne(ctx context.Context, v version) *driver.Error {
	req := &secretmanagerpb.DestroySecretVersionRequest{Name: d.version(v.name, strconv.FormatInt(v.number, 10))}
	_, e := call(ctx, d, opDestroy, v.name, req, d.client.DestroySecretVersion)
	if e == nil || errors.Is(e.Kind, errNone) || errors.Is(e.Kind, errDestroyed) {
		d.undone.remove(v)
		return nil
	}
	d.undone.add(v, errors.Is(e.Kind, driver.ErrPermission))
	return e
}

// leftovers notes the active versions below a number.
func (d *Driver) leftovers(ctx context.Context, name string, below int64) {
	found, _ := d.listActive(ctx, d.activeOf(name), once) // the right to list is not needed to save
	for _, n := range found {
		if n < below {
			d.undone.add(version{name, n}, false)
		}
	}
}

func (d *Driver) activeOf(name string) *secretmanagerpb.ListSecretVersionsRequest {
	return &secretmanagerpb.ListSecretVersionsRequest{Parent: d.secret(name), PageSize: pageSize, Filter: "state:ENABLED OR state:DISABLED"}
}

// listActive lists the versions of a secret that are not destroyed, nor about to be. If it
// fails, it returns those that it has seen.
func (d *Driver) listActive(ctx context.Context, req *secretmanagerpb.ListSecretVersionsRequest, opts ...gax.CallOption) ([]int64, error) {
	return inTime(ctx, func() (found []int64, err error) {
		for v, err := range d.client.ListSecretVersions(ctx, req, opts...).All() {
			if err != nil {
				return found, err
			}
			if n := numberOf(v.GetName()); n > 0 && v.GetScheduledDestroyTime() == nil {
				found = append(found, n)
			}
		}
		return found, nil
	})
}

// mayDestroy makes sure that a right to destroy that was missing is there now: a store
// that keeps every rotated token, and pays for it, says so before it writes the secret
// again.
func (d *Driver) mayDestroy(ctx context.Context, name string) error {
	v, denied := d.undone.refused(name)
	if !denied {
		return nil
	}
	if !d.belowHead(ctx, v) {
		return nil
	}
	if e := d.destroyOne(ctx, v); e != nil && errors.Is(e.Kind, driver.ErrPermission) {
		e.Hint = fmt.Sprintf("secretmanager.versions.destroy is needed, or version %d stays and is charged: %s", v.number, permissionHint)
		return e
	}
	return nil
}

// add notes a version. Of more than a driver can note, a later sweep takes care.
func (u *undone) add(v version, denied bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.denied == nil {
		u.denied = make(map[version]bool)
	}
	if _, noted := u.denied[v]; noted || len(u.denied) < maxUndone {
		u.denied[v] = denied
	}
}

func (u *undone) remove(v version) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.denied, v)
}

// some returns the versions of a secret below a number, and a few of other secrets. What
// is noted above that number is of an earlier life of the secret.
func (u *undone) some(name string, below int64) []version {
	u.mu.Lock()
	defer u.mu.Unlock()
	var own, others []version
	for v, denied := range u.denied {
		switch {
		case v.name == name && v.number >= below:
			delete(u.denied, v)
		case v.name == name:
			own = append(own, v)
		case !denied && len(others) < undoneAtOnce:
			others = append(others, v)
		}
	}
	return append(own, others...)
}

// refused returns a version of a secret that may not be destroyed.
func (u *undone) refused(name string) (version, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for v, denied := range u.denied {
		if denied && v.name == name {
			return v, true
		}
	}
	return version{}, false
}

func (u *undone) isSlow() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return time.Now().Before(u.slow)
}

func (u *undone) isSlowNow() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.slow = time.Now().Add(slowFor)
}
