package token

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// records reads all records, and looks at each for itself.
func (r *repair) records(ctx context.Context) error {
	hashKey := make([]byte, 32) // what finds duplicates, if there is no index
	if r.shape != nil {
		hashKey = r.shape.root.index.Key
	} else if _, err := rand.Read(hashKey); err != nil {
		return err
	}
	return r.takeSurvey(ctx, phaseRecords, driver.Lax, hashKey, func(ref string, v *view) error {
		if err := ailing(ref, v); err != nil {
			return r.unreadable(v.name, err)
		}
		switch {
		case v.gone || v.absent():
			return nil
		case v.live():
			r.report.Records++
		default:
			r.report.Tombstones++
			if gone, err := r.bury(ctx, v); gone || err != nil {
				return err
			}
		}
		if r.done(phaseRecords) || repairPhases[r.from.phase] == phaseRecords && v.name < r.from.where {
			return nil
		}
		return r.clean(ctx, v.name)
	})
}

// bygone reports whether a tombstone may be removed (rule 7), and if not, how long it has to
// rest; negative: for ever. Ids that callers chose stay: a save may bring them back to life.
func (r *repair) bygone(t *codec.Record) (gone bool, rest time.Duration) {
	rested := age(t.Buried)
	switch {
	case t.Chosen:
		return false, -1
	case t.Kind == codec.KindPurging || r.rests():
		return true, 0
	case t.Buried.IsZero():
		return false, grace
	}
	return rested >= grace, grace - rested
}

// bury removes a tombstone that is bygone, and reports whether it did or would.
func (r *repair) bury(ctx context.Context, v *view) (gone bool, err error) {
	gone, rest := r.bygone(v.record)
	switch {
	case gone:
	case rest < 0:
		return false, nil
	default:
		r.wait(OldTombstone, rest)
		if !v.record.Buried.IsZero() || r.opts.DryRun {
			return false, nil
		}
		return false, r.failed(ctx, r.store.retry(ctx, func(ctx context.Context) error { return r.date(ctx, v.name) }))
	}
	return true, r.mend(ctx, OldTombstone, 1, func(ctx context.Context) error {
		if r.rests() {
			return r.store.driver.Delete(ctx, v.name)
		}
		now, err := r.store.readOne(ctx, driver.Fresh, v.name)
		if err != nil || now.absent() || now.live() {
			return err
		}
		if err = r.store.purge(ctx, now); err == nil {
			r.owner.memory.forget(v.name)
		}
		return err
	})
}

// date gives a tombstone that does not say when it was written a time to rest from.
func (r *repair) date(ctx context.Context, name string) error {
	v, err := r.store.readOne(ctx, driver.Fresh, name)
	if err != nil || v.record == nil || v.record.Kind != codec.KindTombstone || !v.record.Buried.IsZero() {
		return err
	}
	_, err = r.store.write(ctx, v, codec.KindTombstone, asRecord(v.record.Bury(time.Now())))
	return err
}

// clean destroys what a service keeps of the values that a secret had.
func (r *repair) clean(ctx context.Context, name string) error {
	cleaner, ok := r.store.driver.(driver.Cleaner)
	if !ok || !r.opts.OldVersions || r.unclean {
		return nil
	}
	var old int
	err := r.store.retry(ctx, func(ctx context.Context) (err error) {
		old, err = cleaner.Clean(ctx, name, r.opts.DryRun)
		return err
	})
	c := r.count(ReplacedValue)
	c.Found += old
	if err == nil && !r.opts.DryRun {
		c.Fixed += old
	}
	r.unclean = errors.Is(err, ErrPermission) // so it will be with the others
	return r.failed(ctx, err)
}

// leftovers looks at secrets of the index that nothing leads to.
func (r *repair) leftovers(ctx context.Context) error {
	r.reached(phaseLeftovers, "")
	if r.shape == nil {
		return nil
	}
	for i, name := range r.leaves {
		r.progress(phaseLeftovers, i, len(r.leaves))
		if err := r.leftover(ctx, name); err != nil {
			return err
		}
	}
	for name := range r.shape.reached {
		if err := r.clean(ctx, name); err != nil {
			return err
		}
	}
	r.progress(phaseLeftovers, len(r.leaves), len(r.leaves))
	return nil
}

// leftover removes a secret of the index if nothing leads to it. The names were listed before
// the index was walked, so what was created since is not among them. But a listing and a
// walk may both be old: so what was written within a day stays, and the index is walked
// again before anything goes.
func (r *repair) leftover(ctx context.Context, name string) error {
	ref, _ := cutLeaf(name)
	if _, retired := r.shape.root.index.Retired[ref]; retired || r.shape.reached[name] {
		return nil
	}
	v, err := r.readIndex(ctx, name)
	switch {
	case errors.Is(err, ErrPermission):
		return r.unreadable(name, err)
	case err != nil:
		return err
	case v.err != nil:
		return r.unreadable(name, v.err)
	case v.gone || v.absent():
		return nil
	}
	rested, ended := unwritten(v), givenUp(v.index) && len(v.index.Paced) > 0
	if rested < grace && !(ended && r.rests()) {
		r.wait(OrphanedLeaf, grace-max(rested, 0))
		return nil
	}
	if again, err := r.leadsTo(ctx, name); err != nil || again {
		return err
	}
	return r.mend(ctx, OrphanedLeaf, 1, func(ctx context.Context) error {
		if ended || r.rests() {
			return r.store.driver.Delete(ctx, name)
		}
		_, err := r.giveUpOne(ctx, name, false) // so that whoever remembers it notices
		return err
	})
}

// unwritten returns for how long an index secret was not written, as far as it tells. Where
// it does not, reads are current, so that nothing leads to it for certain: it is a day.
func unwritten(v *view) time.Duration {
	if paced := v.index.Paced; len(paced) > 0 {
		return age(paced[len(paced)-1])
	}
	if age, known := leafAge(v.name); known {
		return age
	}
	return grace
}

// leadsTo walks the index again, once in a run, and reports whether it leads to a secret.
func (r *repair) leadsTo(ctx context.Context, name string) (bool, error) {
	if r.twice == nil {
		first := r.shape
		damage, err := r.inspect(ctx)
		r.shape, r.twice = first, r.shape
		if err != nil || damage != "" {
			return true, err
		}
	}
	return r.twice.reached[name], nil
}
