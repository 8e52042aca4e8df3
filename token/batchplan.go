package token

import (
	"context"
	"maps"
	"slices"

	"github.com/tokenkeep/tokenkeep/codec"
)

// This file plans a batch (see batch.go): it reads what the tokens of a batch need of the index
// and of the records with few calls, and finds out what has to be written for each.

// planTogether plans orders on one look at the index and at their records. An order that
// cannot be saved so has an error and no plan.
func (s *Store) planTogether(ctx context.Context, orders []*order, trust bool) (*index, map[*order]*plan, error) {
	x, err := s.openIndex(ctx, trust)
	if err != nil {
		return nil, nil, err
	}
	views, seen, err := x.gather(ctx, orders, trust)
	if err != nil {
		return nil, nil, err
	}
	plans := make(map[*order]*plan, len(orders))
	taken, unsure := make(map[string]bool, len(orders)), false
	for _, o := range orders {
		a := &attempt{store: s, trust: trust, made: o.made, index: x, judges: make(map[key][]*judged), views: views}
		to, next, err := a.identify(ctx, o.record)
		if err != nil {
			unsure = unsure || asksAgain(err)
			o.err = err
			continue
		}
		if unsure && to.view.live() {
			o.err = errVerify // an earlier one may be of this record
			continue
		}
		if taken[to.view.name] {
			o.err = errWaits
			continue
		}
		taken[to.view.name] = true
		p, err := a.plan(ctx, to, next)
		switch {
		case err != nil:
		case len(p.fences) > 0:
			err = errAlone
		case p.value == nil && trust && !seen[to.view.name]:
			err = errVerify // that nothing has to be written is so now, and not only was
		}
		if o.err = err; err == nil {
			plans[o] = p
			if p.to.view.absent() && o.record.ID == "" {
				o.made = p.id
			}
		}
	}
	return x, plans, nil
}

// gather reads the leaves of all keys of orders, and the records that stand there or that
// the orders name, with few calls. With trust, it takes what is remembered; seen are those
// that it read.
func (x *index) gather(ctx context.Context, orders []*order, trust bool) (views map[string]*view, seen map[string]bool, err error) {
	var keys []key
	var refs []string
	for _, o := range orders {
		keys = append(append(keys, queryKeys(o.record)...), indexKeys(o.record)...)
		if o.record.ID != "" {
			refs = append(refs, places(o.record.ID)[0])
		}
	}
	if err := x.openFor(ctx, keys, trust); err != nil {
		return nil, nil, err
	}
	for _, k := range keys {
		entries, err := x.entries(ctx, k, trust)
		if refused(err) {
			continue // that is an error of the orders with this key
		}
		if err != nil {
			return nil, nil, err
		}
		for _, e := range entries {
			refs = append(refs, e.Ref)
		}
	}
	views, seen = make(map[string]*view, len(refs)), make(map[string]bool, len(refs))
	if err := x.look(ctx, refs, trust, views, seen); err != nil {
		return nil, nil, err
	}
	refs = nil
	for _, o := range orders {
		if p := places(o.record.ID); len(p) > 1 {
			if v := views[codec.NameOf(p[0])]; v != nil && !v.live() {
				refs = append(refs, p[1])
			}
		}
	}
	return views, seen, x.look(ctx, refs, trust, views, seen)
}

// look adds the views of records by their names, as far as they can be read.
func (x *index) look(ctx context.Context, refs []string, trust bool, views map[string]*view, seen map[string]bool) error {
	how := freshness(trust)
	slices.Sort(refs)
	var names []string
	for _, ref := range slices.Compact(refs) {
		name := codec.NameOf(ref)
		if known := x.store.memory.recall(name); trust && known != nil {
			views[name] = known
			continue
		}
		names = append(names, name)
	}
	for page := range slices.Chunk(names, pageSize) {
		read, err := x.store.read(ctx, how, page...)
		if err != nil {
			return err
		}
		for _, v := range read {
			if v.err == nil {
				views[v.name], seen[v.name] = v, true
			}
		}
	}
	return nil
}

// openFor reads the leaves of keys that the root names, several with one call.
func (x *index) openFor(ctx context.Context, keys []key, trust bool) error {
	if x.root.index.Live() {
		return nil
	}
	leaves := make(map[string]bool)
	for _, k := range keys {
		_, name, _ := x.root.index.Leaf(x.hash(k))
		if !trust || x.store.memory.recall(name) == nil {
			leaves[name] = true
		}
	}
	for page := range slices.Chunk(slices.Sorted(maps.Keys(leaves)), leafPage) {
		if err := x.prefetch(ctx, page); err != nil {
			return err
		}
	}
	return nil
}
