package vaultstore

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

var _ driver.Cleaner = (*Driver)(nil)

// Clean implements driver.Cleaner. It destroys the versions below the newest one that have
// a value, or that somebody deleted and could undelete. It takes one request for each
// secret, and one more if there is something to destroy.
func (d *Driver) Clean(ctx context.Context, name string, dryRun bool) (old int, err error) {
	if !driver.ValidName(name) {
		return 0, &driver.Error{Op: opAsk, Kind: driver.ErrInvalid, Hint: "the name is none of the contract"}
	}
	numbers, e := d.replacedVersions(ctx, name)
	switch {
	case e != nil:
		return 0, e
	case len(numbers) == 0 || dryRun:
		return len(numbers), nil
	}
	if e := d.destroyNumbers(ctx, name, numbers); e != nil {
		return len(numbers), e
	}
	return len(numbers), nil
}

// replacedVersions returns the versions below the newest one that are not destroyed.
func (d *Driver) replacedVersions(ctx context.Context, name string) ([]int64, *driver.Error) {
	body, e := d.call(ctx, request{op: opAsk, name: name, method: http.MethodGet, path: d.path("metadata", name)})
	switch {
	case e != nil && errors.Is(e.Kind, errNone):
		return nil, nil
	case e != nil:
		return nil, e
	}
	var answer struct {
		Data struct {
			Current  json.Number         `json:"current_version"`
			Versions map[string]metadata `json:"versions"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil, &driver.Error{Op: opAsk, Name: name, Kind: driver.ErrUnavailable, Hint: foreignHint}
	}
	newest := (&metadata{Version: answer.Data.Current}).number()
	var numbers []int64
	for text, m := range answer.Data.Versions {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n < newest && !m.Destroyed {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}
