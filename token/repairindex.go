package token

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file looks at the index as a whole: whether it is one, and what of its growth was
// not finished.

// A shape is what the secrets of an index are to each other.
type shape struct {
	root *view
	// links are what takes the place of each leaf that the root names; missing counts the
	// leaves that are still to be created.
	links   []*link
	missing map[*link]int
	// reached are the names of all secrets of the index that the root leads to.
	reached map[string]bool
	live    int // leaves, or 1 if the root is the only one
}

// inspect reads the index, and says what is so wrong with it that it has to be rebuilt.
// Without a root and without records there is none: then the shape is nil.
func (r *repair) inspect(ctx context.Context) (damage Problem, err error) {
	r.progress(phaseIndex, 0, len(r.leaves))
	var x *index
	var unlisted map[string]bool
	err = r.store.retry(ctx, func(ctx context.Context) error {
		r.shape, unlisted = nil, make(map[string]bool)
		if x, err = r.openRoot(ctx); err != nil || x == nil {
			return err
		}
		for try := 0; ; try++ {
			r.shape = &shape{root: x.root, missing: make(map[*link]int), reached: map[string]bool{codec.RootName: true}}
			err := r.look(ctx, x, unlisted)
			if !errors.Is(err, errLost) || try == staleReads {
				return err
			}
			if err := x.renew(ctx, try); err != nil {
				return err
			}
		}
	})
	r.addRefs(unlisted)
	switch {
	case err != nil:
		r.shape = nil
		return DamagedIndex, r.rebuildable(ctx, err)
	case x == nil && len(r.refs) > 0:
		return LostIndex, nil
	}
	if x != nil {
		r.report.IndexSecrets = len(r.shape.reached)
	}
	return "", nil
}

// openRoot opens the index, or returns nil if there is none.
func (r *repair) openRoot(ctx context.Context) (*index, error) {
	x := &index{store: r.store, leaves: make(map[string]*view)}
	for try := 0; ; try++ {
		root, err := x.read(ctx, codec.RootName, false)
		switch {
		case err != nil:
			return nil, err
		case !root.absent() && !root.index.Root():
			return nil, corrupt(codec.RootName, fmt.Errorf("it has no hash key"))
		case !root.absent():
			x.root, x.leaves[codec.RootName] = root, root
			return x, nil
		case try == staleReads || len(r.refs) == 0:
			return nil, nil //nolint:nilnil // there is no index and nothing failed
		}
		if err := r.store.pause(ctx, try); err != nil {
			return nil, err
		}
	}
}

// rebuildable returns why an index that is damaged in this way may not be replaced: if it is
// of a newer format, since that may be right, or if a hand can bring back what is missing
// and nobody asked for a new one.
func (r *repair) rebuildable(ctx context.Context, damage error) error {
	if !errors.Is(damage, ErrCorrupt) || errors.Is(damage, codec.ErrNewer) {
		return damage
	}
	name := codec.RootName
	if lost := (*lostError)(nil); errors.As(damage, &lost) {
		name = lost.name
	}
	views, err := r.store.read(ctx, driver.Fresh, name)
	if err != nil {
		return err
	}
	switch v := views[0]; {
	case name == codec.RootName && v.err != nil && v.rev == driver.Absent:
		return fmt.Errorf("%w: it cannot be replaced by compare-and-set: restore it, or put the text {} in its place by hand", damage)
	case v.gone && (name == codec.RootName || !r.opts.Rebuild):
		return damage
	}
	return nil
}

// A lostError says which leaf of the index is missing.
type lostError struct {
	name string
	error
}

func (e *lostError) Unwrap() error { return e.error }

// look walks over all secrets of the index.
func (r *repair) look(ctx context.Context, x *index, unlisted map[string]bool) error {
	note := func(leaf *view) {
		r.shape.live++
		r.unlisted(leaf.index, unlisted)
	}
	root := x.root
	if root.index.Live() {
		note(root)
		return nil
	}
	prefixes := slices.Sorted(maps.Keys(root.index.Leaves))
	for page := range slices.Chunk(prefixes, leafPage) {
		names := make([]string, len(page))
		for i, prefix := range page {
			names[i] = root.index.Leaves[prefix]
		}
		if err := x.prefetch(ctx, names); err != nil {
			return err
		}
		for i, prefix := range page {
			l := &link{prefix: prefix, name: names[i], leaves: map[string]string{}}
			r.shape.links = append(r.shape.links, l)
			if err := r.lookBelow(ctx, x, root, prefix, l, note); err != nil {
				return err
			}
		}
		r.progress(phaseIndex, len(r.shape.links), len(prefixes))
	}
	return nil
}

// lookBelow follows one leaf that an index secret names, as index.follow does, and writes
// nothing.
func (r *repair) lookBelow(ctx context.Context, x *index, from *view, prefix string, l *link, note func(*view)) error {
	name := from.index.Leaves[prefix]
	if r.shape.reached[name] {
		return corrupt(from.name, fmt.Errorf("it leads to a leaf that another one leads to"))
	}
	r.shape.reached[name] = true
	leaf, err := x.open(ctx, from, prefix, name, false)
	switch {
	case errors.Is(err, errLost):
		return &lostError{name, err}
	case err != nil:
		return err
	}
	defer delete(x.leaves, name)
	if leaf.absent() {
		r.shape.missing[l]++
	}
	if leaf.index.Live() {
		l.leaves[prefix] = name
		note(leaf)
		return nil
	}
	l.sealed = append(l.sealed, name)
	for _, below := range slices.Sorted(maps.Keys(leaf.index.Leaves)) {
		if err := r.lookBelow(ctx, x, leaf, below, l, note); err != nil {
			return err
		}
	}
	return nil
}

// grow finishes what was begun when the index grew: it creates leaves that sealed ones name,
// tells the root of those that took the place of others, and removes sealed ones that have
// rested.
func (r *repair) grow(ctx context.Context) error {
	if r.shape == nil {
		return nil
	}
	open := 0
	for _, l := range r.shape.links {
		if len(l.sealed) > 0 || r.shape.missing[l] > 0 || r.shape.root.index.Moving {
			open++
		}
	}
	if open > 0 {
		if err := r.mend(ctx, UnfinishedGrowth, open, r.finishGrowth); err != nil {
			return err
		}
	}
	due := 0
	for _, at := range r.shape.root.index.Retired {
		if rested := time.Since(at); rested >= grace {
			due++
		} else {
			r.wait(OrphanedLeaf, grace-rested)
		}
	}
	if due == 0 {
		return nil
	}
	return r.mend(ctx, OrphanedLeaf, due, r.removeRetired)
}

// finishGrowth does what index.relink does, for all leaves.
func (r *repair) finishGrowth(ctx context.Context) error {
	x, err := r.openRoot(ctx)
	if err != nil || x == nil {
		return err
	}
	if r.store.worn(x.root.index, rootBudget) {
		return fmt.Errorf("%w: the root of the index takes no more writes today", ErrQuota)
	}
	var links []*link
	for _, prefix := range slices.Sorted(maps.Keys(x.root.index.Leaves)) {
		l := &link{prefix: prefix, name: x.root.index.Leaves[prefix], leaves: map[string]string{}}
		if x.root.index.Live() {
			break
		}
		if err := x.follow(ctx, x.root, prefix, l); err != nil {
			return err
		}
		links = append(links, l)
		maps.DeleteFunc(x.leaves, func(name string, _ *view) bool { return name != codec.RootName })
	}
	var free []string
	err = r.store.change(ctx, newChange(x.root, func(root *codec.Index) (err error) {
		free, err = tell(root, links, !r.rests())
		return err
	}))
	switch {
	case errors.Is(err, errUnchanged): // somebody else told it
		return nil
	case err != nil || !r.rests():
		return err
	}
	for _, name := range free {
		if err := r.store.driver.Delete(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// removeRetired removes the sealed leaves that the root notes and that have rested.
func (r *repair) removeRetired(ctx context.Context) error {
	x, err := r.openRoot(ctx)
	if err != nil || x == nil {
		return err
	}
	var removed []string
	for ref, at := range x.root.index.Retired {
		if time.Since(at) < grace {
			continue
		}
		if err := r.store.driver.Delete(ctx, leafName(ref)); err != nil {
			return err
		}
		removed = append(removed, ref)
	}
	err = r.store.change(ctx, newChange(x.root, func(root *codec.Index) error {
		n := len(root.Retired)
		for _, ref := range removed {
			delete(root.Retired, ref)
		}
		if len(root.Retired) == n {
			return errUnchanged
		}
		return nil
	}))
	if errors.Is(err, errUnchanged) {
		err = nil
	}
	return err
}
