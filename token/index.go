package token

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// An index is what one operation sees of the index: the root, and the leaves that
// it needed. In a small store the root is its only leaf.
type index struct {
	store *Store
	root  *view
	// leaves are the index secrets that were read, by name.
	leaves map[string]*view
	// remembered: some of it was taken from memory and may be old.
	remembered bool
}

// openIndex reads the root, or takes it from memory if the caller can live with
// that. The root of a store that has nothing yet is made up here; it comes to be
// with the first claim.
func (s *Store) openIndex(ctx context.Context, trust bool) (*index, error) {
	x := &index{store: s, leaves: make(map[string]*view)}
	root, err := x.read(ctx, codec.RootName, trust)
	if err != nil {
		return nil, err
	}
	for try := 0; root.absent(); try++ {
		lost, err := s.hasRecords(ctx)
		if err != nil {
			return nil, err
		}
		if !lost {
			if root, err = s.newRoot(); err != nil {
				return nil, err
			}
			break
		}
		// Records without a root: either this read is stale, or the index is lost.
		// Taking it for an empty store would duplicate every user.
		if try == staleReads {
			return nil, fmt.Errorf("%w: secret %s is missing though records exist: restore it", ErrCorrupt, codec.RootName)
		}
		if err := s.pause(ctx, try); err != nil {
			return nil, err
		}
		if root, err = x.read(ctx, codec.RootName, false); err != nil {
			return nil, err
		}
	}
	if !root.index.Root() {
		return nil, corrupt(codec.RootName, fmt.Errorf("it has no hash key"))
	}
	x.root, x.leaves[codec.RootName] = root, root
	return x, nil
}

// hasRecords reports whether there is any record under the prefix.
func (s *Store) hasRecords(ctx context.Context) (bool, error) {
	if rule.Off(rule.FreshList) {
		return false, nil
	}
	for name, err := range s.driver.Names(ctx) {
		if err != nil {
			return false, err
		}
		if _, ok := codec.RefOfName(name); ok {
			return true, nil
		}
	}
	return false, nil
}

func (s *Store) newRoot() (*view, error) {
	hashKey := make([]byte, 32)
	if _, err := io.ReadFull(s.random, hashKey); err != nil {
		return nil, err
	}
	return &view{name: codec.RootName, index: &codec.Index{
		Key:    hashKey,
		Leaves: map[string]string{"": codec.RootName},
	}}, nil
}

func (x *index) read(ctx context.Context, name string, trust bool) (*view, error) {
	if trust {
		if known := x.store.memory.recall(name); known != nil {
			x.remembered = true
			return known, nil
		}
	}
	v, err := x.store.readOne(ctx, driver.Fresh, name)
	if err != nil {
		return nil, err
	}
	if v.gone {
		return nil, fmt.Errorf("%w: secret %s is marked for deletion: restore it", ErrCorrupt, name)
	}
	return v, nil
}

// place returns the hash of a key and the index secret that it stands in.
func (x *index) place(ctx context.Context, k key, trust bool) (codec.Hash, *view, error) {
	h := codec.NewHash(x.root.index.Key, string(k.kind), k.value)
	for prefix, name := range x.root.index.Leaves {
		if h.Under(prefix) {
			leaf, err := x.open(ctx, prefix, name, trust)
			return h, leaf, err
		}
	}
	// Not reached: codec refuses a root whose leaves leave a hash out.
	return h, nil, corrupt(codec.RootName, fmt.Errorf("it names no leaf for a hash"))
}

func (x *index) open(ctx context.Context, prefix, name string, trust bool) (*view, error) {
	leaf := x.leaves[name]
	if leaf == nil {
		var err error
		if leaf, err = x.read(ctx, name, trust); err != nil {
			return nil, err
		}
		x.leaves[name] = leaf
	}
	switch {
	case leaf.absent() && name != codec.RootName:
		return nil, fmt.Errorf("%w: secret %s is missing though the index names it: restore it", ErrCorrupt, name)
	case leaf.index.Prefix != prefix:
		return nil, corrupt(name, fmt.Errorf("it is not the leaf that the root says it is"))
	}
	return leaf, nil
}

// entries returns the records that have, or may have, a key.
func (x *index) entries(ctx context.Context, k key, trust bool) ([]codec.Entry, error) {
	h, leaf, err := x.place(ctx, k, trust)
	if err != nil {
		return nil, err
	}
	return leaf.index.Entries[h], nil
}

// refs returns the refs of all records that stand anywhere in the index, sorted.
func (x *index) refs(ctx context.Context, trust bool) ([]string, error) {
	refs := make(map[string]bool)
	for _, prefix := range slices.Sorted(maps.Keys(x.root.index.Leaves)) {
		leaf, err := x.open(ctx, prefix, x.root.index.Leaves[prefix], trust)
		if err != nil {
			return nil, err
		}
		for _, list := range leaf.index.Entries {
			for _, e := range list {
				refs[e.Ref] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(refs)), nil
}

// isIndexName reports whether a name is that of an index secret.
func isIndexName(name string) bool {
	return name == codec.RootName || strings.HasPrefix(name, codec.RootName+"-")
}
