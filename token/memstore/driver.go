package memstore

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"unicode/utf8"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// A Driver is a driver.Driver on memory. Without further settings it is strongly
// consistent. It is safe for concurrent use, as its settings are.
type Driver struct {
	mem    *memory
	prefix string

	// The hooks of this driver, guarded by mem.mu.
	onCall func(context.Context, Call) Fault
	stale  func(context.Context, Read) int
}

var _ driver.Driver = (*Driver)(nil)

// NewDriver returns a driver on a memory of its own.
func NewDriver() *Driver { return &Driver{mem: newMemory()} }

// Under returns a driver on the same memory under another prefix, or with d's own
// prefix a second client of the same secrets. It has its own hooks; the limits
// and the clock are the memory's.
func (d *Driver) Under(prefix string) *Driver { return &Driver{mem: d.mem, prefix: prefix} }

// Get implements driver.Driver.
func (d *Driver) Get(ctx context.Context, how driver.Freshness, have ...driver.Item) ([]driver.Item, error) {
	call := Call{Op: OpGet, Names: make([]string, len(have))}
	for i, item := range have {
		if !driver.ValidName(item.Name) || slices.Contains(call.Names[:i], item.Name) {
			return nil, failed(Call{Op: OpGet}, driver.ErrInvalid)
		}
		call.Names[i] = item.Name
	}
	items := make([]driver.Item, len(have))
	_, err := d.serve(ctx, call, func(bool) (driver.Revision, error) {
		for i, name := range call.Names {
			items[i] = d.read(ctx, how, name)
		}
		return "", nil
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

func (d *Driver) read(ctx context.Context, how driver.Freshness, name string) driver.Item {
	at := d.answer(ctx, Read{Op: OpGet, Name: name, How: how})
	call := Call{Op: OpGet, Names: []string{name}}
	switch {
	case at.resting:
		return driver.Item{Name: name, Err: failed(call, driver.ErrDeleted)}
	case at.rev != driver.Absent && !possible(at.value):
		return driver.Item{Name: name, Err: failed(call, driver.ErrCorrupt)}
	}
	return driver.Item{Name: name, Revision: at.rev, Value: at.value}
}

// Put implements driver.Driver.
func (d *Driver) Put(ctx context.Context, name string, value []byte, prev driver.Revision) (driver.Revision, error) {
	call := Call{Op: OpPut, Names: []string{name}}
	switch {
	case !driver.ValidName(name) || !possible(value):
		return "", failed(Call{Op: OpPut}, driver.ErrInvalid)
	case len(value) > d.Limits().Value:
		return "", failed(call, driver.ErrTooLarge)
	}
	value = bytes.Clone(value)
	return d.serve(ctx, call, func(again bool) (driver.Revision, error) {
		return d.mem.put(key{d.prefix, name}, value, prev, again)
	})
}

// Delete implements driver.Driver.
func (d *Driver) Delete(ctx context.Context, name string) error {
	if !driver.ValidName(name) {
		return failed(Call{Op: OpDelete}, driver.ErrInvalid)
	}
	call := Call{Op: OpDelete, Names: []string{name}}
	_, err := d.serve(ctx, call, func(bool) (driver.Revision, error) {
		d.mem.remove(key{d.prefix, name})
		return "", nil
	})
	return err
}

// Names implements driver.Driver. It yields in the order of the alphabet, so that
// a test that calls it is the same every time.
func (d *Driver) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		call := Call{Op: OpNames}
		var names []string
		_, err := d.serve(ctx, call, func(bool) (driver.Revision, error) {
			names = d.list(ctx)
			return "", nil
		})
		for _, name := range names {
			if ctx.Err() != nil {
				err = failed(call, ctx.Err())
				break
			}
			if !yield(name, nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

func (d *Driver) list(ctx context.Context) []string {
	var names []string
	for _, name := range d.mem.known(d.prefix) {
		if d.answer(ctx, Read{Op: OpNames, Name: name}).rev != driver.Absent && driver.ValidName(name) {
			names = append(names, name)
		}
	}
	return names
}

// Limits implements driver.Driver.
func (d *Driver) Limits() driver.Limits {
	d.mem.mu.Lock()
	defer d.mem.mu.Unlock()
	return d.mem.limits
}

// possible reports whether a Put can have written a value.
func possible(value []byte) bool {
	return bytes.HasPrefix(value, []byte("{")) && utf8.Valid(value)
}
