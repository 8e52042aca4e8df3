package token

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file compares the index with the records, leaf by leaf.

// entries looks at each leaf of the index.
func (r *repair) entries(ctx context.Context) error {
	if r.shape == nil || r.done(phaseEntries) {
		return nil
	}
	prefix := ""
	if repairPhases[r.from.phase] == phaseEntries {
		prefix = r.from.where
	}
	var x *index
	for n, more := 0, true; more; n++ {
		r.reached(phaseEntries, prefix)
		r.progress(phaseEntries, min(n, r.shape.live), r.shape.live)
		var leaf *view
		err := r.store.retry(ctx, func(ctx context.Context) (err error) {
			if x == nil {
				if x, err = r.sameIndex(ctx); err != nil {
					return err
				}
			}
			if err = x.readOn(ctx, firstUnder(prefix)); err == nil {
				leaf, err = r.leafAt(ctx, x, firstUnder(prefix))
			}
			return err
		})
		if err == nil {
			err = r.compare(ctx, leaf)
		}
		if err != nil {
			return err
		}
		if leaf != x.root {
			delete(x.leaves, leaf.name)
		}
		prefix, more = prefixAfter(leaf.index.Prefix)
	}
	r.progress(phaseEntries, r.shape.live, r.shape.live)
	if r.grew { // what was mended filled a leaf, or the service takes no more writes of it
		return r.failed(ctx, r.store.retry(ctx, r.finishGrowth))
	}
	return nil
}

// sameIndex opens the index, and makes sure that it is the one of the survey.
func (r *repair) sameIndex(ctx context.Context) (*index, error) {
	x, err := r.openRoot(ctx)
	if err == nil && (x == nil || !bytes.Equal(x.root.index.Key, r.shape.root.index.Key)) {
		err = errElsewhere
	}
	return x, err
}

// leafOf returns the leaf of a hash as it is now.
func (r *repair) leafOf(ctx context.Context, h codec.Hash) (*view, error) {
	x, err := r.sameIndex(ctx)
	if err != nil {
		return nil, err
	}
	return r.leafAt(ctx, x, h)
}

// leafAt returns the leaf of a hash.
func (r *repair) leafAt(ctx context.Context, x *index, h codec.Hash) (*view, error) {
	for try := 0; ; try++ {
		leaf, err := x.descend(ctx, h, false)
		if !errors.Is(err, errLost) || try == staleReads {
			return leaf, err
		}
		if err := x.renew(ctx, try); err != nil {
			return nil, err
		}
		if !bytes.Equal(x.root.index.Key, r.shape.root.index.Key) {
			return nil, errElsewhere
		}
	}
}

// readOn reads the leaf of a hash and those that the root names after it, at one time.
func (x *index) readOn(ctx context.Context, h codec.Hash) error {
	prefix, name, ok := x.root.index.Leaf(h)
	if !ok || x.root.index.Live() || x.leaves[name] != nil {
		return nil
	}
	prefixes := slices.Sorted(maps.Keys(x.root.index.Leaves))
	at := slices.Index(prefixes, prefix)
	var names []string
	for _, p := range prefixes[at:min(at+leafPage, len(prefixes))] {
		names = append(names, x.root.index.Leaves[p])
	}
	return x.prefetch(ctx, names)
}

// A suspect is an entry that does not fit to what is known of its record.
type suspect struct {
	hash    codec.Hash
	entry   codec.Entry
	problem Problem
}

// A verdict says what has to become of an entry.
type verdict int

const (
	stays verdict = iota
	waits         // somebody may be at it
	goes
	fenced // its record has to be written first
)

// compare compares a leaf with the survey, and looks at what does not fit.
func (r *repair) compare(ctx context.Context, leaf *view) error {
	keys := r.survey.under(leaf.index.Prefix)
	there := make(map[keyAt]bool, len(keys))
	var suspects []suspect
	for h, list := range leaf.index.Entries {
		for _, e := range list {
			at, ok := r.survey.place(e.Ref)
			k := keyAt{h, uint32(at)} //nolint:gosec // fewer than 2^32
			if ok {
				there[k] = true
			}
			if !ok || e.Base > r.survey.seqs[at] || !r.survey.has(h, at) {
				suspects = append(suspects, suspect{hash: h, entry: e})
			}
		}
	}
	slices.SortFunc(suspects, func(a, b suspect) int {
		if c := a.hash.Compare(b.hash); c != 0 {
			return c
		}
		return compareAge(a.entry.Ref, b.entry.Ref)
	})
	drop, err := r.question(ctx, suspects)
	if err != nil {
		return err
	}
	graves, err := r.emptyGraves(ctx, leaf)
	if err != nil {
		return err
	}
	if err := r.strike(ctx, leaf.index.Prefix, drop, graves); err != nil {
		return err
	}
	var missing []keyAt
	for _, k := range keys {
		if !there[k] && !r.twins[r.survey.refs[k.at]] {
			missing = append(missing, k)
		}
	}
	return r.miss(ctx, missing)
}

// question reads the records of suspects, fences those that somebody may be about to change, and
// returns the entries that have to go.
func (r *repair) question(ctx context.Context, suspects []suspect) (drop []suspect, err error) {
	for page := range slices.Chunk(suspects, pageSize) {
		views, err := r.readRefs(ctx, refsOf(page))
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			v := views[s.entry.Ref]
			problem, verdict := r.weigh(s, v)
			s.problem = problem
			switch verdict {
			case stays:
			case waits:
				r.wait(problem, 2*grace)
			case goes:
				drop = append(drop, s)
			case fenced:
				gone, err := r.fenceOff(ctx, s)
				if err != nil {
					return nil, err
				}
				if gone {
					drop = append(drop, s)
				}
			}
		}
	}
	return drop, nil
}

// fenceOff brings the record of an entry past it (rules 2 and 8), and reports whether the
// entry has to go then.
func (r *repair) fenceOff(ctx context.Context, s suspect) (gone bool, err error) {
	if r.opts.DryRun {
		return true, nil
	}
	err = r.store.retry(ctx, func(ctx context.Context) error {
		v, err := r.fencePast(ctx, s.entry.Ref, s.entry.Base)
		if err == nil {
			_, verdict := r.weigh(s, v)
			gone = verdict == goes
		}
		return err
	})
	c := r.count(s.problem)
	switch {
	case err != nil:
		c.Found++
		return false, r.failed(ctx, err)
	case !gone: // a holder now, or somebody wrote it meanwhile
		c.Found++
		c.Fixed++
	}
	return gone, nil
}

// weigh says what an entry means, judged by its record as attempt.weigh does it, and what is
// to be done about it.
func (r *repair) weigh(s suspect, v *view) (Problem, verdict) {
	e := s.entry
	switch {
	case ailing(e.Ref, v) != nil:
		return UnreadableSecret, stays
	case v.gone:
		return DeadEntry, goes
	case v.absent() && forgotten(e.Ref):
		return UnfinishedClaim, goes
	case v.absent() && !codec.ChosenRef(e.Ref):
		return UnfinishedClaim, waits
	case v.seq() < e.Base:
		return BehindIndex, fenced
	case v.absent():
		return UnfinishedClaim, fenced
	case standsUnder(v.record, r.shape.root.index.Key, s.hash):
		return "", stays
	case v.record.Kind != codec.KindPurging && v.seq() == e.Base:
		return UnfinishedClaim, fenced
	}
	return DeadEntry, goes
}

func refsOf(suspects []suspect) (refs []string) {
	for _, s := range suspects {
		refs = append(refs, s.entry.Ref)
	}
	return refs
}

// readRefs reads records as they are now, by ref.
func (r *repair) readRefs(ctx context.Context, refs []string) (map[string]*view, error) {
	refs = slices.Clone(refs)
	slices.Sort(refs)
	views := make(map[string]*view, len(refs))
	for page := range slices.Chunk(slices.Compact(refs), pageSize) {
		read, err := r.readEach(ctx, driver.Fresh, page)
		if err != nil {
			return nil, err
		}
		for i, v := range read {
			views[page[i]] = v
		}
	}
	return views, nil
}

// emptyGraves returns the graves of a leaf whose tombstone is not there any more, or would
// not be if the run were not dry.
func (r *repair) emptyGraves(ctx context.Context, leaf *view) (empty []string, err error) {
	views, err := r.readRefs(ctx, slices.Collect(maps.Keys(leaf.index.Graves)))
	if err != nil {
		return nil, err
	}
	for _, ref := range slices.Sorted(maps.Keys(views)) {
		switch v := views[ref]; {
		case v.err != nil:
		case v.gone, v.absent(), v.live():
			empty = append(empty, ref)
		default:
			if gone, _ := r.bygone(v.record); gone && r.opts.DryRun {
				empty = append(empty, ref)
			}
		}
	}
	return empty, nil
}

// strike takes entries and graves out of the leaves that they stand in by now.
func (r *repair) strike(ctx context.Context, prefix string, drop []suspect, graves []string) error {
	if len(drop)+len(graves) == 0 {
		return nil
	}
	for _, s := range drop {
		r.count(s.problem).Found++
	}
	r.count(EmptyGrave).Found += len(graves)
	if r.opts.DryRun {
		return nil
	}
	err := r.store.retry(ctx, func(ctx context.Context) error {
		x, err := r.sameIndex(ctx)
		if err != nil {
			return err
		}
		edits := make(map[string]*striking)
		for _, s := range drop {
			leaf, err := r.leafAt(ctx, x, s.hash)
			if err != nil {
				return err
			}
			e := edit(edits, leaf)
			e.dead = append(e.dead, s)
		}
		if len(graves) > 0 {
			leaf, err := r.leafAt(ctx, x, firstUnder(prefix))
			if err != nil {
				return err
			}
			edit(edits, leaf).graves = graves
		}
		for _, name := range slices.Sorted(maps.Keys(edits)) {
			err := r.store.change(ctx, newChange(edits[name].leaf, edits[name].apply))
			r.grew = r.grew || errors.Is(err, errGrew)
			if err != nil && !errors.Is(err, errUnchanged) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return r.failed(ctx, err)
	}
	for _, s := range drop {
		r.count(s.problem).Fixed++
	}
	r.count(EmptyGrave).Fixed += len(graves)
	return nil
}

// A striking is what is taken out of one leaf.
type striking struct {
	leaf   *view
	dead   []suspect
	graves []string
}

func edit(edits map[string]*striking, leaf *view) *striking {
	if edits[leaf.name] == nil {
		edits[leaf.name] = &striking{leaf: leaf}
	}
	return edits[leaf.name]
}

// apply changes an index secret. What is dead stays dead, so it does not matter whether the
// secret is still the one that was looked at (rule 3).
func (e *striking) apply(x *codec.Index) error {
	if !x.Live() {
		return errGrew
	}
	changed := false
	for _, s := range e.dead {
		n := len(x.Entries[s.hash])
		x.Entries[s.hash] = slices.DeleteFunc(x.Entries[s.hash], func(o codec.Entry) bool { return o == s.entry })
		changed = changed || len(x.Entries[s.hash]) < n
	}
	n := len(x.Graves)
	for _, ref := range e.graves {
		delete(x.Graves, ref)
	}
	if !changed && len(x.Graves) == n {
		return errUnchanged
	}
	return nil
}
