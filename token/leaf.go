package token

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/tokenkeep/tokenkeep/codec"
)

// This file makes the next state of the leaves that a claim is written to.

// claims encodes the leaves with the claims of the target, and without the entries
// that are dead, or will be when they are fenced.
func (a *attempt) claims(ctx context.Context, to target, gained []key, fences []*judged) ([]*leafWrite, error) {
	w := leafWrites{}
	for _, k := range gained {
		h, leaf, err := a.index.place(ctx, k, a.trust)
		if err != nil {
			return nil, err
		}
		claim := codec.Entry{Ref: to.ref, Base: to.view.seq()}
		if slices.Contains(leaf.index.Entries[h], claim) {
			continue
		}
		x := w.edit(leaf, k)
		if i := entryOf(x.Entries[h], to.ref); i >= 0 && holds(to.view.record, k) {
			x.Entries[h][i] = claim // it goes on holding the key, in its place
		} else {
			x.Entries[h] = append(without(x.Entries[h], to.ref), claim)
		}
	}
	for _, j := range fences {
		_, leaf, err := a.index.place(ctx, j.key, a.trust)
		if err != nil {
			return nil, err
		}
		w.edit(leaf, j.key)
	}
	if err := a.sweep(ctx, w, to, fences); err != nil {
		return nil, err
	}
	leaves := slices.SortedFunc(maps.Values(w), func(x, y *leafWrite) int {
		return cmp.Or(cmp.Compare(y.rank, x.rank), strings.Compare(x.old.name, y.old.name))
	})
	var err error
	for _, l := range leaves {
		l.new, err = a.store.prepare(l.old, l.old.frame(), codec.KindIndex, asIndex(l.index))
		if err == nil {
			err = a.store.roomFor(l.new)
		}
		if err != nil {
			return nil, a.refuse(err)
		}
	}
	return leaves, nil
}

// A leafWrite is an index secret and what shall become of it.
type leafWrite struct {
	rank  int // the user's leaf comes first
	index *codec.Index
	old   *view
	new   *view
}

// leafWrites are the leaves that are written, by name.
type leafWrites map[string]*leafWrite

// edit returns the entries of a leaf to be changed because of a key.
func (w leafWrites) edit(leaf *view, k key) *codec.Index {
	l := w[leaf.name]
	if l == nil {
		l = &leafWrite{old: leaf, index: leaf.index.Clone()}
		w[leaf.name] = l
	}
	if k.kind == byUser {
		l.rank = 1
	}
	return l.index
}

// sweep removes from leaves that are written anyway what is dead: entries that were
// judged so, those that get fenced, and what older states of the target left.
func (a *attempt) sweep(ctx context.Context, w leafWrites, to target, fences []*judged) error {
	drop := slices.Clone(fences)
	for _, list := range a.judges {
		drop = append(drop, slices.DeleteFunc(slices.Clone(list), func(j *judged) bool { return j.state != dead })...)
	}
	for _, j := range drop {
		h, leaf, err := a.index.place(ctx, j.key, a.trust)
		if err != nil {
			return err
		}
		if l := w[leaf.name]; l != nil && j.entry.Ref != to.ref && j.state != holder {
			l.index.Entries[h] = slices.DeleteFunc(l.index.Entries[h], func(e codec.Entry) bool { return e == j.entry })
		}
	}
	if !to.view.live() {
		return nil
	}
	held := make(map[codec.Hash]bool)
	for _, k := range present(to.view.record, []keyKind{byUser, byAccess, byGrant, byRefresh}) {
		h, _, err := a.index.place(ctx, k, a.trust)
		if err != nil {
			return err
		}
		held[h] = true
	}
	for _, l := range w {
		for h, list := range l.index.Entries {
			if i := entryOf(list, to.ref); i >= 0 && list[i].Base < to.view.seq() && !held[h] {
				l.index.Entries[h] = slices.Delete(list, i, i+1)
			}
		}
	}
	return nil
}

func entryOf(list []codec.Entry, ref string) int {
	return slices.IndexFunc(list, func(e codec.Entry) bool { return e.Ref == ref })
}

func without(list []codec.Entry, ref string) []codec.Entry {
	return slices.DeleteFunc(list, func(e codec.Entry) bool { return e.Ref == ref })
}
