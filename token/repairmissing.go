package token

import (
	"context"
	"errors"
	"slices"

	"github.com/tokenkeep/tokenkeep/codec"
)

// This file puts records back into the index that one of their keys does not find.

// miss looks at records that do not seem to stand in a leaf under a key.
func (r *repair) miss(ctx context.Context, missing []keyAt) error {
	for page := range slices.Chunk(missing, pageSize) {
		var refs []string
		for _, k := range page {
			refs = append(refs, r.survey.refs[k.at])
		}
		views, err := r.readRefs(ctx, refs)
		if err != nil {
			return err
		}
		var x *index // read after the records: who gained a key stands there
		for _, k := range page {
			ref := r.survey.refs[k.at]
			v := views[ref]
			if r.regained[ref] || !v.live() || ailing(ref, v) != nil || !slices.Contains(hashes(v.record, r.shape.root.index.Key), k.hash) {
				continue
			}
			stands := false
			err := r.store.retry(ctx, func(ctx context.Context) (err error) {
				if x == nil {
					if x, err = r.sameIndex(ctx); err != nil {
						return err
					}
				}
				leaf, err := r.leafAt(ctx, x, k.hash)
				if err == nil {
					stands = entryOf(leaf.index.Entries[k.hash], ref) >= 0
				}
				return err
			})
			if err != nil {
				return err
			}
			if stands {
				continue
			}
			r.regained[ref] = true
			if err := r.mend(ctx, MissingEntry, 1, func(ctx context.Context) error { return r.regain(ctx, ref) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// regain lets a record gain the keys anew that do not find it, as a save does it: the keys are
// claimed, others are judged and fenced, and the record is written from the base of the
// claim (rules 1 and 2).
func (r *repair) regain(ctx context.Context, ref string) error {
	a := &attempt{store: r.store, judges: make(map[key][]*judged), views: make(map[string]*view)}
	v, err := a.record(ctx, ref)
	if err != nil || !v.live() || ailing(ref, v) != nil {
		return err
	}
	var missing []key
	for _, k := range indexKeys(v.record) {
		list, err := a.judge(ctx, k)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(list, func(j *judged) bool { return j.entry.Ref == ref }) {
			missing = append(missing, k)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	p := &plan{to: target{ref, v}}
	if err := a.planClaims(ctx, p, v.record, missing); err != nil {
		return err
	}
	if err := a.claim(ctx, p); err != nil {
		r.grew = r.grew || errors.Is(err, errGrew)
		return err
	}
	touched := *v.record
	_, err = r.store.write(ctx, v, codec.KindToken, asRecord(&touched))
	return err
}
