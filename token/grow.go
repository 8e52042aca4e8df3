package token

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
)

// This file lets the index grow. A leaf that is full, or that a service will soon take no
// more writes of, is sealed: one compare-and-set ends its life as a leaf and names those
// that take its place. They come to be with the first change that belongs there (see
// index.open), and the root is told later, when somebody writes the index anyway: until
// then the way to them leads over the sealed leaf.

// leafReserve is room in a leaf that entries do not take: for the seal.
const leafReserve = 512

// full reports whether a leaf cannot be written as it would be next, because of its size
// or because the service takes no more writes of it today.
func (s *Store) full(next *view) (big, worn bool) {
	if next == nil {
		return true, false
	}
	const perWrite = len(`"0123456789012345678901",`)
	reserve := leafReserve + perWrite*(codec.HistoryLen-len(next.frame().History))
	big = len(next.raw)+reserve > s.limits.Value
	return big, s.worn(next.index, sealBudget)
}

// What is left of a day's writes of one secret when a leaf is sealed, or the root told no
// more.
const (
	sealBudget = 20
	rootBudget = 30
	// relinkEvery is how often the root of a busy index is told of new leaves.
	relinkEvery = 20 * time.Minute
)

// paceOf counts in tens: the last of the times is that of the newest write.
const paceOf = 10

// worn reports whether a service that takes so many writes of a secret in a day will take
// no more than left of them.
func (s *Store) worn(x *codec.Index, left int) bool {
	if !s.counted() {
		return false
	}
	tens := 0
	for _, at := range x.Paced {
		if time.Since(at) < 24*time.Hour {
			tens++
		}
	}
	return tens*paceOf > s.limits.WritesPerDay-left
}

// counted reports whether the service takes so many writes a day, and more than a few.
func (s *Store) counted() bool { return s.limits.WritesPerDay >= 2*rootBudget }

// paced adds a write to the times of an index secret, where there is a limit.
func (s *Store) paced(x *codec.Index, seq int64) []time.Time {
	if !s.counted() {
		return nil
	}
	now := time.Now().UTC().Truncate(time.Second)
	times := slices.Clone(x.Paced)
	if len(times) == 0 || seq%paceOf == 1 {
		times = append(times, now)
	}
	times[len(times)-1] = now
	return times[max(0, len(times)-s.limits.WritesPerDay/paceOf):]
}

// prepareIndex encodes the next state of an index secret.
func (s *Store) prepareIndex(base *view, next *codec.Index, kind codec.Kind) (*view, error) {
	next.Paced = s.paced(next, base.seq()+1)
	return s.prepare(base, base.frame(), kind, asIndex(next))
}

// seal ends the life of a leaf.
func (s *Store) seal(ctx context.Context, leaf *view, split bool) error {
	next, kind := leaf.index.Clone(), codec.KindSealed
	if next.Root() {
		kind, next.Moving = codec.KindIndex, true
	}
	prefixes := []string{next.Prefix}
	if split {
		if len(next.Prefix) == codec.MaxPrefix || len(next.Entries) < 2 {
			return fmt.Errorf("%w: too many records hold one key (secret %s)", ErrTooLarge, leaf.name)
		}
		prefixes = []string{next.Prefix + "0", next.Prefix + "1"}
	}
	next.Leaves = make(map[string]string, len(prefixes))
	for _, prefix := range prefixes {
		id, err := codec.NewID(s.random)
		if err != nil {
			return err
		}
		next.Leaves[prefix] = leafName(id)
	}
	sealed, err := s.prepareIndex(leaf, next, kind)
	if err == nil {
		_, err = s.send(ctx, leaf, sealed)
	}
	return err
}

func leafName(ref string) string { return codec.RootName + "-" + ref }

// relink tells the root of the leaves that took the place of sealed ones, as far as this
// operation met them. It is best effort: until it is done, the way is longer.
func (x *index) relink(ctx context.Context) {
	s := x.store
	if !x.outdated() || s.worn(x.root.index, rootBudget) || s.busy(x.root.index) {
		return
	}
	for name := range x.leaves {
		if known := s.memory.recall(name); known != nil {
			x.leaves[name] = known // with what this operation wrote
		}
	}
	if x.root = x.leaves[codec.RootName]; !x.outdated() {
		return
	}
	links := &links{rests: s.limits.DeletedNameRests >= grace, retired: map[string]string{}, leaves: map[string]string{}}
	for _, prefix := range slices.Sorted(maps.Keys(x.root.index.Leaves)) {
		if x.follow(ctx, x.root, prefix, links) != nil {
			return
		}
	}
	if s.change(ctx, newChange(x.root, links.apply)) != nil || !links.rests {
		return
	}
	for _, name := range links.retired {
		_ = s.driver.Delete(ctx, name)
	}
}

// outdated reports whether the root names leaves that are sealed, or were not there yet.
func (x *index) outdated() bool {
	if x.root.index.Moving {
		return true
	}
	for _, name := range x.root.index.Leaves {
		if leaf := x.leaves[name]; leaf != nil && name != codec.RootName && !leaf.index.Live() {
			return true
		}
	}
	return false
}

// busy reports whether the root was written too often of late to be written at once.
func (s *Store) busy(root *codec.Index) bool {
	n := len(root.Paced)
	return n > 2 && time.Since(root.Paced[n-1]) < relinkEvery && time.Since(root.Paced[n-3]) < 24*time.Hour
}

// Links are what the root shall be told.
type links struct {
	rests   bool              // a name rests after its deletion: nobody has to wait for it
	retired map[string]string // by prefix, sealed leaves that the root names
	leaves  map[string]string // those that take their places
}

// follow finds the leaves that took the place of one that the root names, and makes sure
// that they exist: once the root names them, nothing else tells what they began with.
func (x *index) follow(ctx context.Context, from *view, prefix string, l *links) error {
	name := from.index.Leaves[prefix]
	leaf := x.leaves[name]
	if leaf == nil && from == x.root && !from.index.Moving {
		return nil // not met
	}
	leaf, err := x.open(ctx, from, prefix, name, false)
	if err != nil {
		return err
	}
	if leaf.absent() {
		err := x.store.change(ctx, newChange(leaf, func(next *codec.Index) error {
			if next.Seq > 0 {
				return errUnchanged
			}
			return nil
		}))
		if err != nil && !errors.Is(err, errUnchanged) {
			return err
		}
	}
	if leaf.index.Live() {
		if from != x.root {
			l.leaves[prefix] = name
		}
		return nil
	}
	for _, below := range slices.Sorted(maps.Keys(leaf.index.Leaves)) {
		if err := x.follow(ctx, leaf, below, l); err != nil {
			return err
		}
	}
	if from == x.root {
		l.retired[prefix] = name
	}
	return nil
}

// apply changes the root.
func (l *links) apply(root *codec.Index) error {
	changed := root.Moving
	if root.Moving {
		root.Moving, root.Entries = false, map[codec.Hash][]codec.Entry{}
	}
	for prefix, name := range l.retired {
		if root.Leaves[prefix] != name {
			continue // somebody else told it
		}
		delete(root.Leaves, prefix)
		if ref, ok := strings.CutPrefix(name, leafName("")); ok && !l.rests {
			if root.Retired == nil {
				root.Retired = map[string]time.Time{}
			}
			root.Retired[ref] = time.Now()
		}
		for below, leaf := range l.leaves {
			if strings.HasPrefix(below, prefix) {
				root.Leaves[below] = leaf
			}
		}
		changed = true
	}
	if !changed {
		return errUnchanged
	}
	return nil
}
