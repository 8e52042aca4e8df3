package protocol

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// This file is the index: the way from a key to its leaf, and how leaves are replaced when
// they are full or worn.

const (
	root     = "index"
	capacity = 4 // entries of a leaf
	wear     = 6 // writes of a leaf
	bits     = 3 // of a hash
)

// hashes are the keys, and their hashes.
var hashes = map[string]string{"U1": "000", "U2": "110", "R1": "001", "R2": "011", "R3": "111"}

// An entry says that a record has a key, or may gain it when its seq is base.
type entry struct {
	ref  string
	base int
}

// An index is a leaf, a sealed leaf, or the root. What was written is never changed.
type index struct {
	prefix  string
	entries map[string][]entry
	writes  int
	next    map[string]string // what takes its place, by prefix; nil: it is a leaf
	told    bool              // the root, when its entries are gone to leaves that exist
	retired map[string]int    // the root: sealed leaves that nothing names, and since when
}

func (x *index) clone() *index {
	y := *x
	y.entries, y.retired = maps.Clone(x.entries), maps.Clone(x.retired)
	if y.entries == nil {
		y.entries = map[string][]entry{}
	}
	return &y
}

func (x *index) size() (n int) {
	for _, list := range x.entries {
		n += len(list)
	}
	return n
}

// below returns the prefix of what takes the place of x for a key.
func (x *index) below(key string) string {
	for prefix := range x.next {
		if strings.HasPrefix(hashes[key], prefix) {
			return prefix
		}
	}
	panic("no leaf for a hash")
}

// part returns what x hands on to the leaf of a prefix.
func (x *index) part(prefix string) *index {
	y := &index{prefix: prefix, entries: map[string][]entry{}}
	for key, list := range x.entries {
		if strings.HasPrefix(hashes[key], prefix) {
			y.entries[key] = list
		}
	}
	return y
}

// leaf reads an index secret, once an attempt.
func (c *client) leaf(name string) *view {
	if c.leaves[name] == nil {
		v := c.get(name)
		if v.value == nil && name == root {
			v.value = &index{}
		}
		c.leaves[name] = v
	}
	return c.leaves[name]
}

// place returns the leaf of a key.
func (c *client) place(key string) *view {
	leaf := c.leaf(root)
	for leaf.value.(*index).next != nil {
		x := leaf.value.(*index)
		below := c.open(leaf, x.below(key))
		if c.w.off == seal && below.rev == 0 {
			return leaf // and write into it
		}
		c.met = c.met || !x.told
		leaf = below
	}
	return leaf
}

// open returns what an index secret names for a prefix. Rule 9: if it is missing, it is made
// up of what was handed on, which does not change any more. Who names it has to be sealed.
func (c *client) open(from *view, prefix string) *view {
	x := from.value.(*index)
	leaf := c.leaf(x.next[prefix])
	if leaf.value == nil {
		if x.told {
			panic(again) // one of the two reads was old
		}
		leaf.value = x.part(prefix)
		if c.w.off == handOn {
			leaf.value = &index{prefix: prefix}
		}
	}
	return leaf
}

// write writes the next entries of a leaf, or replaces it.
func (c *client) write(leaf *view, entries map[string][]entry) {
	x := leaf.value.(*index)
	next := x.clone()
	next.entries = entries
	next.writes++
	worn, full := next.writes > wear, next.size() > capacity && len(x.prefix) < bits
	if full {
		next.entries = c.prune(entries)
		full = next.size() > capacity
	}
	switch {
	case c.w.off == judged:
		leaf.rev = c.w.rev(leaf.name)
		fallthrough
	case x.next != nil, !worn && !full:
		if c.put(leaf, next) {
			return
		}
	case leaf.rev == 0: // it has to be there before it can be sealed
		c.put(leaf, x)
	default:
		c.seal(leaf, full)
	}
	panic(again)
}

// seal ends the life of a leaf. It is split in two or, if it is only worn, rolled.
func (c *client) seal(leaf *view, split bool) {
	next := leaf.value.(*index).clone()
	next.entries = c.prune(next.entries)
	prefixes := []string{next.prefix}
	if split {
		prefixes = []string{next.prefix + "0", next.prefix + "1"}
	}
	next.next = map[string]string{}
	for _, prefix := range prefixes {
		next.next[prefix] = c.name("index-")
	}
	c.put(leaf, next)
}

// prune takes out the entries that are dead, by their records.
func (c *client) prune(entries map[string][]entry) map[string][]entry {
	pruned := map[string][]entry{}
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		pruned[key] = slices.DeleteFunc(slices.Clone(entries[key]), func(e entry) bool {
			r, _ := c.record(e.ref).value.(*record)
			return r != nil && r.seq > e.base && !r.has(key)
		})
	}
	return pruned
}

// tell tells the root what took the place of sealed leaves, when that exists, and removes
// sealed leaves that nobody can be on the way to any more.
func (c *client) tell() {
	v := c.leaf(root)
	next := v.value.(*index).clone()
	if next.next == nil {
		return
	}
	named := next.next
	var sealed []string
	next.next = map[string]string{}
	for _, prefix := range slices.Sorted(maps.Keys(named)) {
		c.follow(v, prefix, next.next, &sealed)
	}
	changed := !next.told || len(sealed) > 0
	for _, name := range slices.Sorted(maps.Keys(next.retired)) {
		if c.now()-next.retired[name] >= c.w.grace {
			c.remove(name)
			delete(next.retired, name)
			changed = true
		}
	}
	if next.retired == nil {
		next.retired = map[string]int{}
	}
	for _, name := range sealed {
		next.retired[name] = c.now()
	}
	if next.told, next.entries = true, nil; changed {
		c.put(v, next)
	}
}

// follow finds the leaves that live in place of one that is named, and makes sure that they
// exist: nothing says what they begin with once the root names them.
func (c *client) follow(from *view, prefix string, live map[string]string, sealed *[]string) {
	leaf := c.open(from, prefix)
	x := leaf.value.(*index)
	if x.next == nil {
		if leaf.rev == 0 && c.w.off != exist && !c.put(leaf, x) {
			panic(again)
		}
		live[prefix] = leaf.name
		return
	}
	*sealed = append(*sealed, leaf.name)
	for _, prefix := range slices.Sorted(maps.Keys(x.next)) {
		c.follow(leaf, prefix, live, sealed)
	}
}

// name makes a name or an id that nobody else makes.
func (c *client) name(kind string) string {
	c.names++
	return fmt.Sprint(kind, c.number, "-", c.names)
}
