package drivertest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// watched is a driver each of whose answers is checked for what holds always,
// whatever the test.
type watched struct {
	driver.Driver
	t *testing.T
}

func watch(t *testing.T, d driver.Driver) driver.Driver { return watched{d, t} }

func (w watched) Get(ctx context.Context, how driver.Freshness, have ...driver.Item) ([]driver.Item, error) {
	items, err := w.Driver.Get(ctx, how, have...)
	w.check("Get", err, driver.ErrPermission, driver.ErrUnavailable)
	if err != nil {
		return nil, err
	}
	if len(items) != len(have) {
		w.t.Errorf("Get: %d items for %d names", len(items), len(have))
		return nil, errors.New("the answer has the wrong length")
	}
	for i, item := range items {
		w.check("Get: item", item.Err, driver.ErrCorrupt, driver.ErrDeleted, driver.ErrPermission)
		if item.Name != have[i].Name {
			w.t.Errorf("Get: item %d is %q, want %q: the order of the names", i, item.Name, have[i].Name)
		}
		if item.Err != nil && (item.Revision != "" || item.Value != nil) {
			w.t.Errorf("Get: item %s has an error, and a revision or a value beside it", item.Name)
		}
		if item.Err == nil && (item.Revision == driver.Absent) != (item.Value == nil) {
			w.t.Errorf("Get: item %s has one of revision and value, and not the other", item.Name)
		}
	}
	return items, nil
}

func (w watched) Put(ctx context.Context, name string, value []byte, prev driver.Revision) (driver.Revision, error) {
	rev, err := w.Driver.Put(ctx, name, value, prev)
	w.check("Put", err, driver.ErrConflict, driver.ErrOutcomeUnknown, driver.ErrTooLarge,
		driver.ErrQuota, driver.ErrPermission, driver.ErrUnavailable, driver.ErrDeleted)
	if err == nil && rev == driver.Absent {
		w.t.Errorf("Put(%s): no error and no revision", name)
	}
	if errors.Is(err, driver.ErrOutcomeUnknown) && errors.Is(err, driver.ErrUnavailable) {
		w.t.Errorf("Put(%s): an unknown outcome that claims that nothing was written: %v", name, err)
	}
	return rev, err
}

func (w watched) Delete(ctx context.Context, name string) error {
	err := w.Driver.Delete(ctx, name)
	w.check("Delete", err, driver.ErrPermission, driver.ErrUnavailable, driver.ErrQuota, driver.ErrOutcomeUnknown)
	return err
}

func (w watched) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		failed := false
		for name, err := range w.Driver.Names(ctx) {
			w.check("Names", err, driver.ErrPermission, driver.ErrUnavailable)
			if failed {
				w.t.Error("Names: goes on after an error")
			}
			if failed = err != nil; failed && name != "" {
				w.t.Errorf("Names: an error beside the name %q", name)
			}
			if !yield(name, err) {
				return
			}
		}
	}
}

// check makes sure that an error is one that the contract names, or the
// context's, and that it carries no value, however it is printed.
func (w watched) check(call string, err error, kinds ...error) {
	if err == nil {
		return
	}
	known := false
	for _, kind := range append(kinds, context.Canceled, context.DeadlineExceeded) {
		known = known || errors.Is(err, kind)
	}
	if !known {
		w.t.Errorf("%s: the error is none of those of the contract: %v", call, err)
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err), fmt.Sprintf("%q", err)} {
		if strings.Contains(text, canary) {
			w.t.Errorf("%s: the error carries a value", call)
		}
	}
}
