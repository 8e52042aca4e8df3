package token

import (
	"context"
	"errors"
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
		Frame:  codec.Frame{Kind: codec.KindIndex},
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
	switch {
	case !v.gone:
		return v, nil
	case name != codec.RootName:
		return nil, fmt.Errorf("%w: secret %s is %w", ErrCorrupt, name, errLost)
	}
	return nil, fmt.Errorf("%w: secret %s is marked for deletion: restore it", ErrCorrupt, name)
}

// errLost is what is said of a leaf that should be there.
var errLost = errors.New("missing though the index names it: restore it")

func (x *index) hash(k key) codec.Hash {
	return codec.NewHash(x.root.index.Key, string(k.kind), k.value)
}

// place returns the hash of a key and the index secret that it stands in.
func (x *index) place(ctx context.Context, k key, trust bool) (h codec.Hash, leaf *view, err error) {
	for try := 0; ; try++ {
		h = x.hash(k)
		if leaf, err = x.descend(ctx, h, trust); !errors.Is(err, errLost) {
			return h, leaf, err
		}
		// A leaf that was sealed and is gone: the root that names it is an old one, or the
		// leaf is lost.
		if trust && x.remembered {
			return h, nil, errVerify
		}
		if try == staleReads {
			return h, nil, err
		}
		if err := x.renew(ctx, try); err != nil {
			return h, nil, err
		}
	}
}

// renew reads the root again.
func (x *index) renew(ctx context.Context, try int) error {
	if err := x.store.pause(ctx, try); err != nil {
		return err
	}
	root, err := x.read(ctx, codec.RootName, false)
	if err != nil {
		return err
	}
	if root.absent() {
		return again("the root of the index is missing")
	}
	x.root, x.leaves = root, map[string]*view{codec.RootName: root}
	return nil
}

// descend follows the leaves to the one that a hash stands in.
func (x *index) descend(ctx context.Context, h codec.Hash, trust bool) (*view, error) {
	leaf, path := x.root, []string{codec.RootName}
	for !leaf.index.Live() {
		prefix, name, ok := leaf.index.Leaf(h)
		switch {
		case !ok: // not reached: codec refuses an index whose leaves leave a hash out
			return nil, corrupt(leaf.name, fmt.Errorf("it names no leaf for a hash"))
		case slices.Contains(path, name):
			return nil, corrupt(leaf.name, fmt.Errorf("it leads back to itself"))
		}
		x.readAhead(ctx, leaf, h, trust)
		var err error
		if leaf, err = x.open(ctx, leaf, prefix, name, trust); err != nil {
			return nil, err
		}
		path = append(path, name)
	}
	return leaf, nil
}

// open returns the index secret that another one names for a prefix. One that is sealed
// names those that take its place before they exist: what is missing is made up here of
// the entries that were handed on, and comes to be with the first change. Only one can be
// created, and the entries that it begins with do not change any more: so it does not
// matter who finishes what somebody began.
func (x *index) open(ctx context.Context, from *view, prefix, name string, trust bool) (*view, error) {
	leaf := x.leaves[name]
	if leaf == nil {
		var err error
		if leaf, err = x.read(ctx, name, trust); err != nil {
			return nil, err
		}
		if leaf.absent() && (from.index.Kind == codec.KindSealed || from.index.Moving) {
			leaf = &view{name: name, at: leaf.at, index: from.index.Part(prefix)}
		}
	}
	switch {
	case leaf.record != nil:
		return nil, corrupt(name, fmt.Errorf("it is a record, and %s says it is a leaf", from.name))
	case leaf.index == nil:
		return nil, fmt.Errorf("%w: secret %s is %w", ErrCorrupt, name, errLost)
	case givenUp(leaf.index): // the root that led here is an old one
		return nil, fmt.Errorf("%w: secret %s was given up: %w", ErrCorrupt, name, errLost)
	case leaf.index.Prefix != prefix, leaf.index.Root():
		return nil, corrupt(name, fmt.Errorf("it is not the leaf that %s says it is", from.name))
	}
	x.leaves[name] = leaf
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

// eachLeaf visits all live leaves, and holds a few of them at a time. If a leaf that was
// removed meanwhile sends it back to the root, it visits leaves again.
func (x *index) eachLeaf(ctx context.Context, visit func(leaf *view)) error {
	for try := 0; ; try++ {
		err := x.visitBelow(ctx, x.root, visit, map[string]bool{codec.RootName: true})
		if !errors.Is(err, errLost) || try == staleReads {
			return err
		}
		if err := x.renew(ctx, try); err != nil {
			return err
		}
	}
}

// leafPage is how many leaves are read at a time.
const leafPage = 20

// visitBelow visits the live leaves below an index secret, or itself.
func (x *index) visitBelow(ctx context.Context, from *view, visit func(leaf *view), seen map[string]bool) error {
	if from.index.Live() {
		visit(from)
		return nil
	}
	for page := range slices.Chunk(slices.Sorted(maps.Keys(from.index.Leaves)), leafPage) {
		names := make([]string, len(page))
		for i, prefix := range page {
			names[i] = from.index.Leaves[prefix]
		}
		if err := x.prefetch(ctx, names); err != nil {
			return err
		}
		for i, prefix := range page {
			if seen[names[i]] {
				return corrupt(from.name, fmt.Errorf("it leads to a leaf that another one leads to"))
			}
			seen[names[i]] = true
			leaf, err := x.open(ctx, from, prefix, names[i], false)
			if err == nil {
				err = x.visitBelow(ctx, leaf, visit, seen)
			}
			if err != nil {
				return err
			}
			delete(x.leaves, names[i])
		}
	}
	return nil
}

// prefetch reads several leaves at once, so that opening them takes no more calls.
func (x *index) prefetch(ctx context.Context, names []string) error {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return x.leaves[name] != nil })
	slices.Sort(names)
	names = slices.Compact(names) // that one is named twice is found when it is opened
	if len(names) < 2 {
		return nil
	}
	views, err := x.store.read(ctx, driver.Fresh, names...)
	if err != nil {
		return err
	}
	for _, v := range views {
		if v.err == nil && v.index != nil {
			x.leaves[v.name] = v
		}
	}
	return nil
}

// isIndexName reports whether a name is that of an index secret.
func isIndexName(name string) bool {
	return name == codec.RootName || strings.HasPrefix(name, codec.RootName+"-")
}
