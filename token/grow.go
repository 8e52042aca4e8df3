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
	reserve := leafReserve + historyRoom(next)
	budget := sealBudget
	if next.index.Root() {
		budget = moveBudget
	}
	big = len(next.raw)+reserve > s.limits.Value
	return big, s.worn(next.index, budget)
}

// What is left of a day's writes of one secret when it is written no more.
const (
	sealBudget = 20 // a leaf: one write is the seal
	moveBudget = 60 // the root, as a leaf: it has to be told of new leaves all day
	rootBudget = 10
	// calmBudget is up to what is left that the root is told of new leaves at once. Then what
	// is left is spread: with one write each half an hour some 50 are left at any time.
	calmBudget = 80
	relinkTime = 12 * time.Hour
	// busyPrefix is down to which prefixes a leaf is split because it is written often:
	// several leaves wear more slowly.
	busyPrefix = 3
)

// paceOf counts in tens: the last of the times is that of the newest write.
const paceOf = 10

// left returns how many writes of an index secret the service takes today, at least.
func (s *Store) left(x *codec.Index) int {
	left := s.limits.WritesPerDay
	for _, at := range x.Paced {
		if time.Since(at) < 24*time.Hour {
			left -= paceOf
		}
	}
	return left
}

// worn reports whether only so many writes of a secret are left today.
func (s *Store) worn(x *codec.Index, budget int) bool { return s.counted() && s.left(x) < budget }

// hotTries is after how many lost races for a leaf it is split, where a service takes few
// writes of a secret in a second (Google: 2) and counts those that lose.
const hotTries = 3

// hot reports whether a leaf is written by too many: several leaves take more writes.
func (s *Store) hot(leaf *view, tries int) bool {
	x := leaf.index
	return s.limits.WritesPerSecond > 0 && tries >= hotTries && !leaf.absent() && x.Live() &&
		len(x.Prefix) < busyPrefix && len(x.Entries) > 1
}

// counted reports whether the service takes so many writes a day, and more than a few.
func (s *Store) counted() bool { return s.limits.WritesPerDay >= moveBudget+2*paceOf }

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
	for i, at := range times {
		if at.After(now) { // another machine's clock is ahead
			times[i] = now
		}
	}
	return times[max(0, len(times)-s.limits.WritesPerDay/paceOf):]
}

// prepareIndex encodes the next state of an index secret.
func (s *Store) prepareIndex(base *view, next *codec.Index, kind codec.Kind) (*view, error) {
	next.Paced = s.paced(next, base.seq()+1)
	return s.prepare(base, base.frame(), kind, asIndex(next))
}

// seal ends the life of a leaf and hands its entries on, where wanted would be written
// otherwise. It is split if it is large, or written often.
func (s *Store) seal(ctx context.Context, leaf *view, handed, wanted *codec.Index, split bool) error {
	next, kind := handed.Clone(), codec.KindSealed
	if next.Root() {
		kind, next.Moving = codec.KindIndex, true
	}
	prefixes := []string{next.Prefix}
	if split || len(next.Prefix) < busyPrefix && len(next.Entries) > 1 {
		if len(next.Prefix) == codec.MaxPrefix || len(wanted.Entries) < 2 {
			return fmt.Errorf("%w: too many records hold one key (secret %s)", ErrTooLarge, leaf.name)
		}
		prefixes = []string{next.Prefix + "0", next.Prefix + "1"}
	}
	next.Leaves = make(map[string]string, len(prefixes))
	key := s.hashKey(next)
	for _, prefix := range prefixes {
		if !next.Root() && key != nil {
			next.Leaves[prefix] = successor(key, leaf.name, prefix)
			continue
		}
		name, err := s.newLeafName()
		if err != nil {
			return err
		}
		next.Leaves[prefix] = name
	}
	sealed, err := s.prepareIndex(leaf, next, kind)
	if err == nil {
		_, err = s.send(ctx, leaf, sealed)
	}
	return err
}

// newLeafName makes the name of a leaf. As an id does, it says in which hour that was: what
// nothing leads to may be what somebody is about to name.
func (s *Store) newLeafName() (string, error) {
	ref, err := codec.NewID(s.random, nil, time.Now())
	return leafName(ref), err
}

func leafName(ref string) string { return codec.RootName + "-" + ref }

// cutLeaf returns what follows the name that all leaves begin with.
func cutLeaf(name string) (ref string, ok bool) { return strings.CutPrefix(name, leafName("")) }

// relink tells the root of the leaves that took the place of sealed ones, as far as this
// operation met them, and removes those that nobody can be on the way to any more. It is
// best effort: until it is done, the way is longer.
func (x *index) relink(ctx context.Context) {
	s := x.store
	for name := range x.leaves {
		if known := s.memory.recall(name); known != nil {
			x.leaves[name] = known // with what this operation wrote
		}
	}
	x.root = x.leaves[codec.RootName]
	if !x.outdated() && !retiredDue(x.root.index) || s.worn(x.root.index, rootBudget) || s.busy(x.root.index) {
		return
	}
	links, err := x.links(ctx)
	if err != nil {
		return
	}
	rests := s.limits.DeletedNameRests >= grace
	removed := s.removeRetired(ctx, x.root.index)
	var free []string // what the root does not name any more, if it is written as told last
	err = s.change(ctx, newChange(x.root, func(root *codec.Index) (err error) {
		if s.worn(root, rootBudget) || s.busy(root) {
			return errUnchanged // what is remembered of it may be old
		}
		before := len(root.Retired)
		for _, ref := range removed {
			delete(root.Retired, ref)
		}
		struck := len(root.Retired) < before
		if free, err = tell(root, links, !rests); struck && errors.Is(err, errUnchanged) {
			err = nil
		}
		return err
	}))
	if err != nil || !rests {
		return
	}
	for _, name := range free {
		_ = s.driver.Delete(ctx, name)
	}
}

// relinkMost is how many leaves an operation looks at to tell the root, if it is not told at
// once: those that it did not meet, too, so that they need no write of their own.
const relinkMost = 32

// links finds out what took the place of the leaves that the root names.
func (x *index) links(ctx context.Context) (links []*link, err error) {
	prefixes := slices.Sorted(maps.Keys(x.root.index.Leaves))
	met := func(prefix string) bool { return x.leaves[x.root.index.Leaves[prefix]] != nil || x.root.index.Moving }
	if i := slices.IndexFunc(prefixes, met); i > 0 { // so that each has its turn to be the first
		prefixes = append(prefixes[i:], prefixes[:i]...)
	}
	others := 0
	if x.store.worn(x.root.index, calmBudget) {
		others = relinkMost
	}
	for _, prefix := range prefixes {
		l := &link{prefix: prefix, name: x.root.index.Leaves[prefix], leaves: map[string]string{}}
		if !met(prefix) {
			if others--; others < 0 {
				continue
			}
			_ = x.prefetch(ctx, guess(x.root.index.Key, l.name, prefix, codec.FirstUnder(prefix)))
		}
		if err := x.follow(ctx, x.root, prefix, l); err != nil {
			return nil, err
		}
		links = append(links, l)
	}
	return links, nil
}

// retiredAtOnce is how many sealed leaves one operation removes.
const retiredAtOnce = 20

// retiredDue reports whether the root notes sealed leaves that have rested.
func retiredDue(root *codec.Index) bool {
	for _, at := range root.Retired {
		if time.Since(at) >= grace {
			return true
		}
	}
	return false
}

// removeRetired removes sealed leaves that have rested. Rule 7 is that of names: an
// operation that began before the root named others has ended.
func (s *Store) removeRetired(ctx context.Context, root *codec.Index) (removed []string) {
	for ref, at := range root.Retired {
		if time.Since(at) >= grace && len(removed) < retiredAtOnce && s.driver.Delete(ctx, leafName(ref)) == nil {
			removed = append(removed, ref)
		}
	}
	return removed
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

// busy reports whether the root was written too lately for the writes that it has left.
func (s *Store) busy(root *codec.Index) bool {
	if !s.worn(root, calmBudget) {
		return false
	}
	wait := relinkTime / time.Duration(max(1, s.left(root)-rootBudget))
	since := time.Since(root.Paced[len(root.Paced)-1])
	return since >= 0 && since < wait
}

// A link is what takes the place of a leaf that the root names.
type link struct {
	prefix, name string
	sealed       []string          // what stands on the way
	leaves       map[string]string // by prefix
}

// follow finds the leaves that took the place of one that the root names, and makes sure
// that they exist: once the root names them, nothing else tells what they begin with.
func (x *index) follow(ctx context.Context, from *view, prefix string, l *link) error {
	leaf, err := x.open(ctx, from, prefix, from.index.Leaves[prefix], false)
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
		l.leaves[prefix] = leaf.name
		return nil
	}
	l.sealed = append(l.sealed, leaf.name)
	for _, below := range slices.Sorted(maps.Keys(leaf.index.Leaves)) {
		if err := x.follow(ctx, leaf, below, l); err != nil {
			return err
		}
	}
	return nil
}

// tell changes the root to name the leaves that links lead to, and returns the sealed ones
// that nothing names then. If they have to rest before they are removed, it notes them.
func tell(root *codec.Index, links []*link, note bool) (free []string, err error) {
	changed := root.Moving
	if root.Moving {
		root.Moving, root.Entries = false, map[codec.Hash][]codec.Entry{}
	}
	for _, l := range links {
		if len(l.sealed) == 0 || root.Leaves[l.prefix] != l.name {
			continue // it is so, or somebody else told it
		}
		delete(root.Leaves, l.prefix)
		maps.Copy(root.Leaves, l.leaves)
		free, changed = append(free, l.sealed...), true
	}
	if !changed {
		return nil, errUnchanged
	}
	for _, name := range free {
		if ref, ok := cutLeaf(name); ok && note && codec.ValidRef(ref) {
			if root.Retired == nil {
				root.Retired = map[string]time.Time{}
			}
			root.Retired[ref] = time.Now()
		}
	}
	return free, nil
}
