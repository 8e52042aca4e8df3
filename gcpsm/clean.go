package gcpsm

import (
	"context"
	"errors"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

var _ driver.Cleaner = (*Driver)(nil)

// Clean implements driver.Cleaner. It destroys the active versions below the head, and needs the
// right to list versions (secretmanager.versions.list), which saves do without. The list may be
// old; but a version below a head stays below one. It takes three requests for each secret, and
// one for each version.
func (d *Driver) Clean(ctx context.Context, name string, dryRun bool) (old int, err error) {
	if !driver.ValidName(name) {
		return 0, &driver.Error{Op: opListVersions, Kind: driver.ErrInvalid, Hint: "the name is none of the contract"}
	}
	item, err := d.read(ctx, driver.Fresh, driver.Item{Name: name})
	if err == nil {
		err = item.Err
	}
	if err != nil || item.Revision == driver.Absent {
		return 0, err
	}
	found, e := call(ctx, d, opListVersions, name, d.activeOf(name), d.listActive)
	switch {
	case e != nil && errors.Is(e.Kind, errNone): // the list does not know the secret yet
		return 0, nil
	case e != nil:
		return 0, e
	}
	head, _ := parseRevision(item.Revision)
	for _, n := range found {
		if n >= head {
			continue
		}
		old++
		if dryRun {
			continue
		}
		if err := d.writes.Wait(ctx); err != nil {
			return old, err
		}
		if e := d.destroyOne(ctx, version{name, n}); e != nil {
			return old, e
		}
	}
	return old, nil
}
