package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/internal/rule"
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
	if err != nil {
		return err
	}
	if damage != "" {
		r.count(damage).Fixed++
	}
	r.again(baseAge)
	if r.rests() {
		for _, name := range b.ended {
			if err := r.failed(ctx, r.store.driver.Delete(ctx, name)); err != nil {
				return err
			}
		}
	}
	// What was going on meanwhile is found by looking at it all once more.
	if err := r.list(ctx); err != nil {
		return err
	}
	if damage, err := r.inspect(ctx); err != nil || damage != "" {
		return cmp.Or(err, fmt.Errorf("%w: the index is being rebuilt elsewhere", ErrConflict))
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

// What a secret of a new index holds beside entries, at most, in bytes; and how much of the room
// that is left is filled: there have to come some entries before a leaf is split.
const (
	frameRoom = 300
	fillOf    = 4
	fill      = 3
	// An entry is 22 bytes, or 35 if the id was chosen, and a base of two or three, which base64
	// makes a third more.
	madeEntry   = 34
	chosenEntry = 51
)

// split divides the keys among so many parts that each fits into one secret.
func (r *repair) split(prefix string, keys []keyAt) ([]*part, error) {
	size := 0
	for _, k := range keys {
		if codec.ChosenRef(r.survey.refs[k.at]) {
			size += chosenEntry
		} else {
			size += madeEntry
		}
	}
	room := (r.store.limits.Value - leafReserve - historyRoom(&view{}) - frameRoom) / fillOf * fill
	// What stands under one hash cannot be divided: whether it fits is found when it is written.
	if size <= room || len(keys) < 2 || keys[0].hash == keys[len(keys)-1].hash {
		return []*part{{prefix: prefix, keys: keys}}, nil
	}
	if len(prefix) == codec.MaxPrefix {
		return nil, fmt.Errorf("%w: too many records hold one key", ErrTooLarge)
	}
	n, _ := slices.BinarySearchFunc(keys, prefix+"0", func(k keyAt, zero string) int {
		if k.hash.Under(zero) {
			return -1
		}
		return 1
	})
	low, err := r.split(prefix+"0", keys[:n])
	if err != nil {
		return nil, err
	}
	high, err := r.split(prefix+"1", keys[n:])
	return append(low, high...), err
}

// entriesOf returns the entries of a part.
func (b *rebuilding) entriesOf(p *part) map[codec.Hash][]codec.Entry {
	entries := make(map[codec.Hash][]codec.Entry, len(p.keys))
	for _, k := range p.keys {
		entries[k.hash] = append(entries[k.hash], entryFor(b.survey.refs[k.at], b.survey.seqs[k.at]))
	}
	for _, list := range entries {
		slices.SortFunc(list, func(x, y codec.Entry) int { return compareAge(x.Ref, y.Ref) })
	}
	return entries
}

// entryFor returns the entry of a record for a key that it has. That its base is below the
// record's number says that nobody is about to change whose the record is. And it is as high as it
// can be then: so to whoever read the record before its last change, the entry tells of that.
func entryFor(ref string, seq int64) codec.Entry { return codec.Entry{Ref: ref, Base: seq - 1} }

// compareAge orders refs by the hours in which their ids were made, as far as they tell; ids that somebody chose
// come last.
func compareAge(a, b string) int {
	order := func(ref string) string { // in base32 the digits stand after the letters
		return strings.Map(func(c rune) rune {
			if c >= '2' && c <= '7' {
				return c + 'z' - '1'
			}
			return c
		}, ref)
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(order(a), order(b)))
}

// writeLeaves writes the leaves of the new index, to which nothing leads yet. A small index
// has none but its root.
func (b *rebuilding) writeLeaves(ctx context.Context) error {
	for i, p := range b.parts {
		if len(b.parts) == 1 {
			return nil
		}
		b.progress(phaseRebuild, i, len(b.parts))
		name, err := b.store.newLeafName()
		if err != nil {
			return err
		}
		next := &codec.Index{Frame: codec.Frame{Kind: codec.KindIndex}, Prefix: p.prefix, Entries: b.entriesOf(p)}
		p.name = name
		absent := &view{name: name, index: next}
		err = b.store.retry(ctx, func(ctx context.Context) error {
			written, err := b.store.prepareIndex(absent, next.Clone(), codec.KindIndex)
			if err == nil {
				_, err = b.store.send(ctx, absent, written)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
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

// follow notes the secrets that an old index secret names. Those that it hands its entries on
// to are given up even if they do not exist: or else a process that knows no better would
// create them.
func (b *rebuilding) follow(x *codec.Index) {
	for ref, at := range x.Retired {
		b.old = append(b.old, leafName(ref))
		b.handed[leafName(ref)] = b.handed[leafName(ref)] || age(at) < grace // by a rebuild that died
	}
	for _, name := range x.Leaves {
		if !isIndexName(name) || name == codec.RootName || !driver.ValidName(name) {
			continue
		}
		b.old = append(b.old, name)
		b.handed[name] = b.handed[name] || x.Kind == codec.KindSealed || x.Moving
	}
}

// giveUp ends the life of the old index, secret by secret.
func (b *rebuilding) giveUp(ctx context.Context) error {
	done := make(map[string]bool)
	for at := 0; at < len(b.old); at++ { // it grows meanwhile
		name := b.old[at]
		if done[name] {
			continue
		}
		b.progress(phaseRebuild, at, len(b.old))
		create := b.handed[name] || isNew(name) // a read may be too old to show a new one
		was, err := b.giveUpOne(ctx, name, create)
		if err != nil {
			return err
		}
		if was == nil && !create {
			continue
		}
		done[name] = true
		b.ended = append(b.ended, name)
		if was == nil {
			continue
		}
		b.follow(was)
		if err := b.settle(ctx, was); err != nil {
			return err
		}
	}
	return nil
}

// isNew reports whether a leaf may have been created within this hour or the one before.
func isNew(name string) bool {
	age, known := leafAge(name)
	return !known || age <= time.Hour
}

// leafAge returns how long ago a leaf was named, to the hour, if its name tells: that of one
// which took the place of another does not (see successor), and seems to come from anywhere in 120
// years.
func leafAge(name string) (age time.Duration, known bool) {
	ref, _ := cutLeaf(name)
	hours, ok := codec.HoursOld(ref, time.Now())
	age = time.Duration(hours) * time.Hour
	return age, ok && -grace <= age && age <= 5*365*24*time.Hour
}

// giveUpOne makes an index secret one that nobody writes any more, and returns what it was: nil
// if it was not there, or is none. What is missing is created if that is asked for.
func (r *repair) giveUpOne(ctx context.Context, name string, create bool) (was *codec.Index, err error) {
	misses := 0
	err = r.store.retry(ctx, func(ctx context.Context) error {
		was = nil
		views, err := r.store.read(ctx, driver.Fresh, name)
		if err != nil {
			return err
		}
		old, next := views[0], &codec.Index{}
		ref, _ := cutLeaf(name)
		switch {
		case old.absent() && !old.gone && old.err == nil && !create && misses < staleReads:
			misses++ // somebody named it, or it was listed
			return again("a secret of the index is missing")
		case old.gone, old.absent() && old.err == nil && !create:
			return nil
		case old.err != nil && (!codec.ValidRef(ref) || old.rev == driver.Absent || errors.Is(old.err, codec.ErrNewer)):
			return r.unreadable(name, old.err) // whoever knew it as a leaf cannot write it either
		case givenUp(old.index) && len(old.index.Paced) > 0:
			was = old.index
			return nil
		case old.index != nil:
			was, next = old.index, old.index.Clone()
		case old.absent():
			old = &view{name: name, index: next}
		}
		abandon(next, time.Now())
		_, err = r.replace(ctx, old, next, codec.KindSealed)
		if errors.Is(err, ErrQuota) && r.rests() {
			err = r.store.driver.Delete(ctx, name) // which costs no write, and ends it as well
		}
		return err
	})
	return was, err
}

// abandon makes an index secret one that was given up: a sealed one that hands its hashes on to
// the root. What it held is left in it.
func abandon(x *codec.Index, at time.Time) {
	x.Key, x.Leaves, x.Moving, x.Graves, x.Retired = nil, map[string]string{x.Prefix: codec.RootName}, false, nil, nil
	x.Paced = []time.Time{at}
}

// givenUp reports whether a secret is one of an index that was replaced. Who meets it reads
// the root again.
func givenUp(x *codec.Index) bool {
	return x != nil && x.Kind == codec.KindSealed && x.Leaves[x.Prefix] == codec.RootName
}

// settle makes sure that nobody changes a record any more because of what was claimed in an
// index secret, and adds the records that changed since they were read: by rule 1, what they
// gained was claimed here before, from a number that is not below the one that was read.
func (b *rebuilding) settle(ctx context.Context, old *codec.Index) error {
	var refs []string
	bases := make(map[string]int64)
	for _, list := range old.Entries {
		for _, e := range list {
			if e.Base >= b.survey.seq(e.Ref) {
				refs = append(refs, e.Ref)
				bases[e.Ref] = max(bases[e.Ref], e.Base)
			}
		}
	}
	slices.Sort(refs)
	for _, ref := range slices.Compact(refs) {
		var now *view
		err := b.store.retry(ctx, func(ctx context.Context) (err error) {
			now, err = b.fencePast(ctx, ref, bases[ref])
			return err
		})
		switch {
		case errors.Is(err, ErrCorrupt): // nobody writes what cannot be read
			continue
		case err != nil:
			return err
		}
		if !now.live() || ailing(ref, now) != nil || now.seq() == b.survey.seq(ref) {
			continue
		}
		for _, h := range hashes(now.record, b.key) {
			b.added[h] = append(without(b.added[h], ref), entryFor(ref, now.seq()))
		}
	}
	return nil
}

// fencePast makes sure that a record is past the base of an entry, so that nobody gives it a
// key because of that (rules 2 and 8), and returns what it is then.
func (r *repair) fencePast(ctx context.Context, ref string, base int64) (*view, error) {
	v, err := r.store.readOne(ctx, driver.Fresh, codec.NameOf(ref))
	switch {
	case err != nil:
		return nil, err
	case v.gone, v.absent() && forgotten(ref), v.seq() > base, v.record != nil && v.record.Kind == codec.KindPurging:
		return v, nil
	case rule.Off(rule.Fence):
		return v, nil
	}
	next, frame := (&codec.Record{Chosen: codec.ChosenRef(ref)}).Bury(time.Now()), codec.Frame{Kind: codec.KindTombstone}
	if v.record != nil {
		touched := *v.record
		next, frame = &touched, v.record.Frame
	}
	frame.Seq = max(frame.Seq, base)
	written, err := r.store.prepare(v, frame, frame.Kind, asRecord(next))
	if err != nil {
		return nil, err
	}
	return r.store.send(ctx, v, written)
}

// addChanged adds the records that changed to the leaves that were written.
func (b *rebuilding) addChanged(ctx context.Context) error {
	if len(b.parts) == 1 {
		return nil
	}
	for _, p := range b.parts {
		more := make(map[codec.Hash][]codec.Entry)
		for h, list := range b.added {
			if h.Under(p.prefix) {
				more[h] = list
			}
		}
		if len(more) == 0 {
			continue
		}
		err := b.store.retry(ctx, func(ctx context.Context) error {
			leaf, err := b.store.readOne(ctx, driver.Fresh, p.name)
			if err != nil {
				return err
			}
			x := &index{store: b.store, leaves: make(map[string]*view), root: leaf}
			for h, list := range more {
				leaf, err := x.descend(ctx, h, false)
				if err == nil {
					err = b.store.change(ctx, newChange(leaf, func(x *codec.Index) error {
						if !x.Live() {
							return errGrew
						}
						return addEntries(x, h, list)
					}))
				}
				if err != nil && !errors.Is(err, errUnchanged) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func addEntries(x *codec.Index, h codec.Hash, more []codec.Entry) error {
	changed := false
	for _, e := range more {
		switch at := entryOf(x.Entries[h], e.Ref); {
		case at < 0:
			x.Entries[h] = append(x.Entries[h], e)
		case x.Entries[h][at].Base < e.Base: // rule 4
			x.Entries[h][at] = e
		default:
			continue
		}
		changed = true
	}
	if !changed {
		return errUnchanged
	}
	return nil
}

// open lets everybody use the new index.
func (b *rebuilding) open(ctx context.Context) error {
	next := b.root.index.Clone()
	next.Retired = nil // what was given up says itself since when
	if len(b.parts) == 1 {
		next.Leaves, next.Entries = map[string]string{"": codec.RootName}, b.entriesOf(b.parts[0])
		for _, h := range slices.SortedFunc(maps.Keys(b.added), func(x, y codec.Hash) int { return slices.Compare(x[:], y[:]) }) {
			_ = addEntries(next, h, b.added[h])
		}
	} else {
		next.Leaves, next.Entries = make(map[string]string, len(b.parts)), nil
		for _, p := range b.parts {
			next.Leaves[p.prefix] = p.name
		}
	}
	written, err := b.store.prepareIndex(b.root, next, codec.KindIndex)
	if err == nil {
		_, err = b.store.send(ctx, b.root, written)
	}
	if asked := (*againError)(nil); errors.As(err, &asked) {
		err = fmt.Errorf("%w: the index is being rebuilt elsewhere", ErrConflict)
	}
	return err
}
