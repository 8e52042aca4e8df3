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

// witnesses reads the records that stand in an index secret; what cannot be read tells
// nothing.
func (s *Store) witnesses(ctx context.Context, x *codec.Index) witness {
	key := s.hashKey(x)
	if key == nil {
		return witness{}
	}
	records, err := s.recordsOf(ctx, x)
	if err != nil {
		return witness{}
	}
	return witness{key, records}
}

// prune returns an index secret without what is dead in it.
func (w witness) prune(x *codec.Index) *codec.Index {
	pruned := x.Clone()
	for h, list := range pruned.Entries {
		pruned.Entries[h] = slices.DeleteFunc(list, func(e codec.Entry) bool {
			v := w.records[codec.NameOf(e.Ref)]
			switch {
			case v == nil || v.err != nil:
				return false
			case v.gone:
				return true
			}
			return v.record != nil && v.seq() > e.Base && !standsUnder(v.record, w.hashKey, h)
		})
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

// recordsOf reads the records that stand in an index secret.
func (s *Store) recordsOf(ctx context.Context, x *codec.Index) (map[string]*view, error) {
	names := make(map[string]bool)
	for _, list := range x.Entries {
		for _, e := range list {
			names[codec.NameOf(e.Ref)] = true
		}
	}
	records := make(map[string]*view, len(names))
	for page := range slices.Chunk(slices.Sorted(maps.Keys(names)), pageSize) {
		views, err := s.read(ctx, driver.Lax, page...)
		if err != nil {
			return nil, err
		}
		for _, v := range views {
			records[v.name] = v
		}
	}
	return records, nil
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
