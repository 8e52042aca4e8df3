package token

import (
	"context"
	"maps"
	"slices"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file takes what is dead out of a leaf that is full. A record that gains a refresh
// token leaves the entry of the one before, in another leaf as a rule, and nobody comes by
// there again: so a leaf that has no more room looks at the records of all its entries
// before it is split. Dead entries stay dead (rule 3), so an old read of a record can only
// leave one in.

// A witness are the records that tell what is dead in an index secret.
type witness struct {
	hashKey []byte
	records map[string]*view // by name
}

// sampleSize is how many records tell whether it is worth to read all that stand in a leaf.
const sampleSize = 20

// witnesses reads the records that stand in an index secret, unless some of them show that
// little of it is dead. What cannot be read tells nothing.
func (s *Store) witnesses(ctx context.Context, x *codec.Index) witness {
	w := witness{s.hashKey(x), make(map[string]*view)}
	if w.hashKey == nil {
		return w
	}
	hashes := slices.SortedFunc(maps.Keys(x.Entries), codec.Hash.Compare)
	sample := make(map[codec.Hash][]codec.Entry)
	for i := range min(sampleSize, len(hashes)) {
		h := hashes[i*len(hashes)/min(sampleSize, len(hashes))]
		sample[h] = x.Entries[h]
	}
	dead, err := s.testify(ctx, w, sample)
	if err == nil && 4*dead >= len(sample) && len(sample) < len(hashes) {
		_, _ = s.testify(ctx, w, x.Entries)
	}
	return w
}

// testify adds the records of entries to a witness, from memory as far as that goes, and
// counts the entries that are dead.
func (s *Store) testify(ctx context.Context, w witness, entries map[codec.Hash][]codec.Entry) (dead int, err error) {
	var names []string
	for _, list := range entries {
		for _, e := range list {
			name := codec.NameOf(e.Ref)
			if w.records[name] == nil {
				w.records[name] = s.memory.recall(name)
			}
			if w.records[name] == nil {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	for page := range slices.Chunk(slices.Compact(names), pageSize) {
		views, err := s.read(ctx, driver.Lax, page...)
		if err != nil {
			return 0, err
		}
		for _, v := range views {
			w.records[v.name] = v
		}
	}
	for h, list := range entries {
		for _, e := range list {
			if w.dead(h, e) {
				dead++
			}
		}
	}
	return dead, nil
}

// dead reports whether an entry is known to be dead.
func (w witness) dead(h codec.Hash, e codec.Entry) bool {
	v := w.records[codec.NameOf(e.Ref)]
	switch {
	case v == nil || v.err != nil:
		return false
	case v.gone:
		return true
	}
	return v.record != nil && v.seq() > e.Base && !standsUnder(v.record, w.hashKey, h)
}

// prune returns an index secret without what is dead in it.
func (w witness) prune(x *codec.Index) *codec.Index {
	pruned := x.Clone()
	for h, list := range pruned.Entries {
		pruned.Entries[h] = slices.DeleteFunc(list, func(e codec.Entry) bool { return w.dead(h, e) })
		if len(pruned.Entries[h]) == 0 {
			delete(pruned.Entries, h)
		}
	}
	return pruned
}

// hashKey returns the key of the hashes of an index secret, if it is known.
func (s *Store) hashKey(x *codec.Index) []byte {
	if x.Root() {
		return x.Key
	}
	if root := s.memory.recall(codec.RootName); root != nil {
		return root.index.Key
	}
	return nil
}

// standsUnder reports whether a hash is that of a key that a record has.
func standsUnder(r *codec.Record, hashKey []byte, h codec.Hash) bool {
	if !r.Live() {
		return false
	}
	return slices.ContainsFunc(present(r, []keyKind{byUser, byAccess, byGrant, byRefresh}), func(k key) bool {
		return codec.NewHash(hashKey, string(k.kind), k.value) == h
	})
}
