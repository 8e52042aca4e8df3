package token

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/tokenkeep/tokenkeep/codec"
)

// This file saves calls on the way over sealed leaves. Where a service takes few writes of
// one secret a day, the root is told late of the leaves that took the place of others, and
// a process that knows nothing would read one sealed leaf after the other. But their names
// can be guessed: each is made of its predecessor's name and of its prefix, under the key of
// the hashes. So those that may stand on the way are read in one call. Nothing rests on a
// guess: a sealed leaf says what took its place, and a name is as random as the leaf's that
// the line began with.

// How many seals ahead are guessed: as many as make 15 names in all, with which a service
// that reads secrets in batches (AWS: 20) needs one call. Where a leaf may be split each time,
// that is a tree. Where it is mostly followed by one, it is a line, and its first splits.
const (
	treeDepth  = 3 // 1 + 2 + 4 + 8
	lineDepth  = 8
	lineSplits = 6
)

// successor returns the name of the leaf that takes the place of another one for a prefix.
func successor(hashKey []byte, name, prefix string) string {
	mac := hmac.New(sha256.New, hashKey)
	for _, part := range []string{"leaf", name, prefix} {
		mac.Write([]byte(part))
		mac.Write([]byte{0})
	}
	return leafName(codec.RefOfBits(mac.Sum(nil)))
}

// readAhead reads the leaf that another one names for a hash together with those that may
// have taken its place, if it is likely that some have.
func (x *index) readAhead(ctx context.Context, from *view, h codec.Hash, trust bool) {
	prefix, name, ok := from.index.Leaf(h)
	if !ok || !x.store.counted() || x.leaves[name] != nil || trust && x.store.memory.recall(name) != nil {
		return
	}
	if from == x.root && !x.store.worn(from.index, calmBudget) {
		return // the root was told at once of what took the place of its leaves
	}
	_ = x.prefetch(ctx, guess(x.root.index.Key, name, prefix, h)) // what could not be read is read one by one
}

// guess returns a leaf and the leaves that may have taken its place for a hash.
func guess(hashKey []byte, name, prefix string, h codec.Hash) []string {
	names := []string{name}
	half := func(prefix string) string {
		if h.Under(prefix + "0") {
			return prefix + "0"
		}
		return prefix + "1"
	}
	if len(prefix) >= busyPrefix {
		for i := range lineDepth {
			if i < lineSplits {
				names = append(names, successor(hashKey, name, half(prefix)))
			}
			name = successor(hashKey, name, prefix)
			names = append(names, name)
		}
		return names
	}
	level := map[string]string{name: prefix}
	for range treeDepth {
		next := map[string]string{}
		for name, prefix := range level {
			for _, below := range []string{prefix, half(prefix)} {
				next[successor(hashKey, name, below)] = below
			}
		}
		names = append(names, slices.Sorted(maps.Keys(next))...)
		level = next
	}
	return names
}
