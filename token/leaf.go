package token

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/internal/rule"
)

// This file makes what a claim changes in the leaves that it is written to.

// claims returns the changes that claim the gained keys for the target, and take out the
// entries that are dead, or will be when they are fenced.
func (a *attempt) claims(ctx context.Context, to target, gained []key, fences []*judged) ([]*change, error) {
	w := leafEdits{}
	if to.view.seq() > codec.MaxBase {
		return nil, corrupt(to.view.name, fmt.Errorf("no record was ever written so often"))
	}
	for _, k := range gained {
		h, leaf, err := a.index.place(ctx, k, a.trust)
		if err != nil {
			return nil, err
		}
		was := entriesOf(a.judges[k]) // and not what the leaf may be by now
		fenced := slices.ContainsFunc(fences, func(j *judged) bool { return j.key == k })
		claim := codec.Entry{Ref: to.ref, Base: to.view.seq()}
		if !fenced && slices.Contains(was, claim) {
			continue
		}
		e := w.of(leaf, k)
		e.judged[h] = was
		e.wanted[h] = claimed(was, claim, holds(to.view.record, k))
	}
	if err := a.sweep(ctx, w, to, fences); err != nil {
		return nil, err
	}
	changes := make([]*change, 0, len(w))
	for _, e := range w {
		changes = append(changes, newChange(e.leaf, e.apply))
	}
	slices.SortFunc(changes, func(x, y *change) int {
		return cmp.Or(cmp.Compare(w[y.leaf.name].rank, w[x.leaf.name].rank), strings.Compare(x.leaf.name, y.leaf.name))
	})
	return changes, nil
}

// claimed returns the entries of a hash with a claim. A record that goes on holding the
// key keeps its place.
func claimed(was []codec.Entry, claim codec.Entry, holds bool) []codec.Entry {
	list := slices.Clone(was)
	i := entryOf(list, claim.Ref)
	if i >= 0 && holds {
		list[i] = claim
		return list
	}
	return append(without(list, claim.Ref), claim)
}

// A leafEdit is what one operation changes in an index secret.
type leafEdit struct {
	rank int // the user's leaf comes first
	leaf *view
	// judged are the entries of the gained keys as they were judged, wanted what they
	// become.
	judged, wanted map[codec.Hash][]codec.Entry
	// dead are entries that have no use any more.
	dead map[codec.Hash][]codec.Entry
	// Those of the record ref with a lower base than seq are of former states, unless
	// they stand under a key that it holds.
	ref  string
	seq  int64
	held map[codec.Hash]bool
}

// leafEdits are the leaves that are changed, by name.
type leafEdits map[string]*leafEdit

// of returns the edit of a leaf because of a key.
func (w leafEdits) of(leaf *view, k key) *leafEdit {
	e := w[leaf.name]
	if e == nil {
		e = &leafEdit{
			leaf: leaf, judged: map[codec.Hash][]codec.Entry{}, wanted: map[codec.Hash][]codec.Entry{},
			dead: map[codec.Hash][]codec.Entry{},
		}
		w[leaf.name] = e
	}
	if k.kind == byUser {
		e.rank = 1
	}
	return e
}

// apply changes an index secret, unless what was judged is not so in it.
func (e *leafEdit) apply(x *codec.Index) error {
	// What was handed on is never changed: those that take its place may have been created
	// of it, and would not learn of the change.
	if !x.Live() && !rule.Off(rule.Seal) {
		return errGrew
	}
	for h, was := range e.judged {
		if !slices.Equal(x.Entries[h], was) {
			return outrun("the index changed since it was judged")
		}
	}
	for h, list := range e.wanted {
		x.Entries[h] = slices.Clone(list)
	}
	for h, dead := range e.dead {
		x.Entries[h] = slices.DeleteFunc(x.Entries[h], func(o codec.Entry) bool { return slices.Contains(dead, o) })
	}
	if e.held == nil {
		return nil
	}
	for h, list := range x.Entries {
		if i := entryOf(list, e.ref); i >= 0 && list[i].Base < e.seq && !e.held[h] {
			x.Entries[h] = slices.Delete(list, i, i+1)
		}
	}
	return nil
}

// sweep marks what is dead in leaves that are written anyway: entries that were judged
// so, those that get fenced, and what older states of the target left.
func (a *attempt) sweep(ctx context.Context, w leafEdits, to target, fences []*judged) error {
	drop := slices.Clone(fences)
	for _, list := range a.judges {
		drop = append(drop, slices.DeleteFunc(slices.Clone(list), func(j *judged) bool { return j.state != dead })...)
	}
	for _, j := range drop {
		h, leaf, err := a.index.place(ctx, j.key, a.trust)
		if err != nil {
			return err
		}
		if e := w[leaf.name]; e != nil && j.entry.Ref != to.ref && j.state != holder {
			e.dead[h] = append(e.dead[h], j.entry)
		}
	}
	if !to.view.live() {
		return nil
	}
	held := make(map[codec.Hash]bool)
	for _, k := range present(to.view.record, []keyKind{byUser, byAccess, byGrant, byRefresh}) {
		held[a.index.hash(k)] = true
	}
	for _, e := range w {
		e.ref, e.seq, e.held = to.ref, to.view.seq(), held
	}
	return nil
}

func entriesOf(list []*judged) []codec.Entry {
	entries := make([]codec.Entry, len(list))
	for i, j := range list {
		entries[i] = j.entry
	}
	return entries
}

func entryOf(list []codec.Entry, ref string) int {
	return slices.IndexFunc(list, func(e codec.Entry) bool { return e.Ref == ref })
}

func without(list []codec.Entry, ref string) []codec.Entry {
	return slices.DeleteFunc(list, func(e codec.Entry) bool { return e.Ref == ref })
}
