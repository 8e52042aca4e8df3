package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file makes an index anew, of the records alone, while the store may be in use:
//
//  1. The records are read, and the leaves of the new index are written, under names and
//     a hash key that nobody knows.
//  2. The root is shut, by compare-and-set: it gets the new key, and names a leaf that never
//     exists. No operation gets past it, and what others remember of it is no base for a
//     write any more.
//  3. Each secret of the old index is given up, by compare-and-set: nothing is claimed
//     there from then on. What was claimed and not carried out before is fenced (rule 2), and
//     records that changed since step 1 are read again and added.
//  4. The root is opened: it names the new leaves.
//
// Until step 4, operations end with ErrCorrupt or ErrUnavailable. If the run ends before
// that, the index is damaged in the eyes of all, and the next run begins anew.

// errElsewhere: of two rebuilds at a time the one that shut the root last goes on.
var errElsewhere = fmt.Errorf("%w: the index is being rebuilt elsewhere", ErrConflict)

// A rebuilding is what a rebuild knows.
type rebuilding struct {
	*repair
	key  []byte
	root *view // shut
	// parts are what the new index consists of.
	parts []*part
	// added are records that changed after they were read.
	added map[codec.Hash][]codec.Entry
	// old are the names of the secrets of the old index but the root, as far as they are
	// known; handed are those that others may create; ended are those that were
	// given up.
	old    []string
	handed map[string]bool
	ended  []string
}

// A part is a leaf of the new index, or all of it.
type part struct {
	prefix string
	keys   []keyAt
	name   string
}

// rebuild makes the index anew.
func (r *repair) rebuild(ctx context.Context, damage Problem) error {
	fresh, err := r.store.newRoot()
	if err != nil {
		return err
	}
	b := &rebuilding{repair: r, key: fresh.index.Key, added: make(map[codec.Hash][]codec.Entry), handed: make(map[string]bool)}
	if r.opts.DryRun {
		return nil
	}
	if err := b.oldLeaves(ctx); err != nil {
		return err
	}
	err = r.takeSurvey(ctx, phaseRebuild, driver.Fresh, b.key, func(ref string, v *view) error {
		// A record that is there and would not be found could be made a second time.
		if v.err != nil && (!errors.Is(v.err, ErrCorrupt) || errors.Is(v.err, codec.ErrNewer)) {
			return fmt.Errorf("without secret %s the index is not rebuilt: %w", v.name, v.err)
		}
		return nil
	})
	if err == nil {
		b.parts, err = r.split("", r.survey.keys)
	}
	for _, step := range []func(context.Context) error{
		b.writeLeaves,
		b.shut,
		b.giveUp,
		b.addChanged,
		b.open,
	} {
		if err == nil {
			err = step(ctx)
		}
	}
	switch {
	case err != nil && b.root != nil:
		return fmt.Errorf("the index is shut until a repair comes to its end: %w", err)
	case err != nil:
		return err
	case damage != "":
		r.count(damage).Fixed++
	}
	r.again(baseAge)
	for i := 0; i < len(b.ended) && r.rests(); i++ {
		err := r.store.retry(ctx, func(ctx context.Context) error { return r.store.driver.Delete(ctx, b.ended[i]) })
		if err := r.failed(ctx, err); err != nil {
			return err
		}
	}
	// What was going on meanwhile is found by looking at it all once more.
	if err := r.list(ctx); err != nil {
		return err
	}
	if damage, err := r.inspect(ctx); err != nil || damage != "" {
		return cmp.Or(err, errElsewhere)
	}
	return nil
}

// oldLeaves notes the secrets of the old index as far as they are listed, or another one names
// them, and adds the refs that stand there. It refuses to replace what is of a newer format.
func (b *rebuilding) oldLeaves(ctx context.Context) error {
	unlisted := make(map[string]bool)
	b.old = slices.Clone(b.leaves)
	done := make(map[string]bool)
	for at := -1; at < len(b.old); at++ {
		name := codec.RootName
		if at >= 0 {
			name = b.old[at]
		}
		if done[name] {
			continue
		}
		done[name] = true
		v, err := b.readIndex(ctx, name)
		switch {
		case err != nil:
			return err
		case errors.Is(v.err, codec.ErrNewer):
			return v.err
		case v.index == nil:
			continue
		}
		b.unlisted(v.index, unlisted)
		b.follow(v.index)
	}
	b.addRefs(unlisted)
	clear(b.handed) // that may be old: it is seen again when a secret is given up
	return nil
}

// readIndex reads an index secret. What is wrong with it is in the view.
func (r *repair) readIndex(ctx context.Context, name string) (v *view, err error) {
	err = r.store.retry(ctx, func(ctx context.Context) error {
		views, err := r.store.read(ctx, driver.Fresh, name)
		if err != nil {
			return err
		}
		v = views[0]
		if errors.Is(v.err, ErrCorrupt) {
			return nil
		}
		return v.err
	})
	return v, err
}

// shut takes the root away from everybody, with what was claimed in it.
func (b *rebuilding) shut(ctx context.Context) error {
	name, err := b.store.newLeafName()
	if err != nil {
		return err
	}
	var old *view
	err = b.store.retry(ctx, func(ctx context.Context) error {
		views, err := b.store.read(ctx, driver.Fresh, codec.RootName)
		if err != nil {
			return err
		}
		old = views[0]
		next := &codec.Index{}
		switch {
		case old.gone || errors.Is(old.err, codec.ErrNewer) || old.err != nil && old.rev == driver.Absent:
			return cmp.Or(old.err, fmt.Errorf("%w: secret %s is marked for deletion: restore it", ErrCorrupt, old.name))
		case old.index != nil:
			next = old.index.Clone()
		}
		// Its entries stay, though nobody goes by them, and the names of its leaves: should this
		// run end, another one has to know what was claimed there.
		next.Retired = b.retire(next)
		next.Key, next.Prefix, next.Moving, next.Graves = b.key, "", false, nil
		next.Leaves = map[string]string{"": name}
		b.root, err = b.replace(ctx, old, next, codec.KindIndex)
		return err
	})
	if err == nil && old.index != nil {
		b.follow(old.index)
		err = b.settle(ctx, old.index)
	}
	return err
}

// retire returns the leaves that a root names or named, as retired.
func (*rebuilding) retire(root *codec.Index) map[string]time.Time {
	retired := maps.Clone(root.Retired)
	for _, name := range root.Leaves {
		if ref, ok := cutLeaf(name); ok && codec.ValidRef(ref) {
			if retired == nil {
				retired = make(map[string]time.Time)
			}
			retired[ref] = time.Now()
		}
	}
	return retired
}

// replace writes an index secret over what may not be readable, or may not be there. Then
// nobody knows how often it was written: the number of seconds since 1970 is more than that.
func (r *repair) replace(ctx context.Context, old *view, next *codec.Index, kind codec.Kind) (*view, error) {
	frame := old.frame()
	if old.index == nil {
		frame = codec.Frame{Seq: time.Now().Unix()}
	}
	written, err := r.store.prepare(old, frame, kind, asIndex(next))
	if err != nil {
		return nil, err
	}
	return r.store.send(ctx, old, written)
}

// open lets everybody use the new index.
func (b *rebuilding) open(ctx context.Context) error {
	next := b.root.index.Clone()
	next.Retired = nil // what was given up says itself since when
	if len(b.parts) == 1 {
		next.Leaves, next.Entries = map[string]string{"": codec.RootName}, b.entriesOf(b.parts[0])
		for _, h := range slices.SortedFunc(maps.Keys(b.added), codec.Hash.Compare) {
			_ = addEntries(next, h, b.added[h])
		}
	} else {
		next.Leaves, next.Entries = make(map[string]string, len(b.parts)), nil
		for _, p := range b.parts {
			next.Leaves[p.prefix] = p.name
		}
	}
	return b.store.retry(ctx, func(ctx context.Context) error {
		written, err := b.store.prepareIndex(b.root, next, codec.KindIndex)
		if err == nil {
			_, err = b.store.send(ctx, b.root, written)
		}
		if asked := (*againError)(nil); errors.As(err, &asked) {
			err = errElsewhere
		}
		return err
	})
}
