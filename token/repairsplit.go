package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file makes the leaves of a new index.

// What a secret of a new index holds beside entries, at most, in bytes; and how much of the
// room that is left is filled: some entries have to come before a leaf is split.
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
// record's number says that nobody is about to change whose the record is. It is as high as
// it can be then: so to a rebuild that read the record before its last change, and that
// replaces this index, the entry tells that there was one.
func entryFor(ref string, seq int64) codec.Entry { return codec.Entry{Ref: ref, Base: seq - 1} }

// compareAge orders refs by the hours in which their ids were made. Ids that somebody chose
// tell nothing, and come last.
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
