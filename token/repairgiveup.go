package token

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file ends the life of an index that is replaced. Others may remember it for an hour,
// and be about to do what they claimed there.

// follow notes the secrets that an old index secret names. Those that it hands its entries on
// to are given up even if they do not exist: or else a process that knows no better would
// create them.
func (b *rebuilding) follow(x *codec.Index) {
	for ref, at := range x.Retired {
		b.old = append(b.old, leafName(ref))
		b.handed[leafName(ref)] = b.handed[leafName(ref)] || age(at) < grace // by a rebuild that died
	}
	for _, name := range x.Leaves {
		if !isIndexName(name) || name == codec.RootName || !driver.ValidName(name) {
			continue
		}
		b.old = append(b.old, name)
		b.handed[name] = b.handed[name] || x.Kind == codec.KindSealed || x.Moving
	}
}

// giveUp ends the life of the old index, secret by secret.
func (b *rebuilding) giveUp(ctx context.Context) error {
	done := make(map[string]bool)
	for at := 0; at < len(b.old); at++ { // it grows meanwhile
		name := b.old[at]
		if done[name] {
			continue
		}
		b.progress(phaseRebuild, at, len(b.old))
		create := b.handed[name] || isNew(name) // a read may be too old to show a new one
		was, err := b.giveUpOne(ctx, name, create)
		if err != nil {
			return err
		}
		if was == nil && !create {
			continue
		}
		done[name] = true
		b.ended = append(b.ended, name)
		if was == nil {
			continue
		}
		b.follow(was)
		if err := b.settle(ctx, was); err != nil {
			return err
		}
	}
	return nil
}

// isNew reports whether a leaf may have been created within this hour or the one before.
func isNew(name string) bool {
	age, known := leafAge(name)
	return !known || age <= time.Hour
}

// leafAge returns how long ago a leaf was named, to the hour, if its name tells. That of one
// which took the place of another does not (see successor): it seems to be of any of 120
// years.
func leafAge(name string) (age time.Duration, known bool) {
	ref, _ := cutLeaf(name)
	hours, ok := codec.HoursOld(ref, time.Now())
	age = time.Duration(hours) * time.Hour
	return age, ok && -grace <= age && age <= 5*365*24*time.Hour
}

// giveUpOne makes an index secret one that nobody writes any more, and returns what it was: nil
// if it was not there, or is none. What is missing is created if that is asked for.
func (r *repair) giveUpOne(ctx context.Context, name string, create bool) (was *codec.Index, err error) {
	misses := 0
	err = r.store.retry(ctx, func(ctx context.Context) error {
		was = nil
		views, err := r.store.read(ctx, driver.Fresh, name)
		if err != nil {
			return err
		}
		old, next := views[0], &codec.Index{}
		ref, _ := cutLeaf(name)
		switch {
		case old.absent() && !old.gone && old.err == nil && !create && misses < staleReads:
			misses++ // somebody named it, or it was listed
			return again("a secret of the index is missing")
		case old.gone, old.absent() && old.err == nil && !create:
			return nil
		case old.err != nil && (!codec.ValidRef(ref) || old.rev == driver.Absent || errors.Is(old.err, codec.ErrNewer)):
			return r.unreadable(name, old.err) // whoever knew it as a leaf cannot write it either
		case givenUp(old.index) && len(old.index.Paced) > 0:
			was = old.index
			return nil
		case old.index != nil:
			was, next = old.index, old.index.Clone()
		case old.absent():
			old = &view{name: name, index: next}
		}
		abandon(next, time.Now())
		_, err = r.replace(ctx, old, next, codec.KindSealed)
		if errors.Is(err, ErrQuota) && r.rests() {
			err = r.store.driver.Delete(ctx, name) // which costs no write, and ends it as well
		}
		return err
	})
	return was, err
}

// abandon makes an index secret one that was given up: a sealed one that hands its hashes on to
// the root. What it held is left in it.
func abandon(x *codec.Index, at time.Time) {
	x.Key, x.Leaves, x.Moving, x.Graves, x.Retired = nil, map[string]string{x.Prefix: codec.RootName}, false, nil, nil
	x.Paced = []time.Time{at}
}

// givenUp reports whether a secret is one of an index that was replaced. Who meets it reads
// the root again.
func givenUp(x *codec.Index) bool {
	return x != nil && x.Kind == codec.KindSealed && x.Leaves[x.Prefix] == codec.RootName
}

// settle makes sure that nobody changes a record any more because of what was claimed in an
// index secret, and adds the records that changed since they were read: by rule 1, what they
// gained was claimed here before, from a number that is not below the one that was read.
func (b *rebuilding) settle(ctx context.Context, old *codec.Index) error {
	var refs []string
	bases := make(map[string]int64)
	for _, list := range old.Entries {
		for _, e := range list {
			if e.Base >= b.survey.seq(e.Ref) {
				refs = append(refs, e.Ref)
				bases[e.Ref] = max(bases[e.Ref], e.Base)
			}
		}
	}
	slices.Sort(refs)
	for _, ref := range slices.Compact(refs) {
		var now *view
		err := b.store.retry(ctx, func(ctx context.Context) (err error) {
			now, err = b.fencePast(ctx, ref, bases[ref])
			return err
		})
		switch {
		case errors.Is(err, ErrCorrupt): // nobody writes what cannot be read
			continue
		case err != nil:
			return err
		}
		if !now.live() || ailing(ref, now) != nil || now.seq() == b.survey.seq(ref) {
			continue
		}
		for _, h := range hashes(now.record, b.key) {
			b.added[h] = append(without(b.added[h], ref), entryFor(ref, now.seq()))
		}
	}
	return nil
}

// fencePast makes sure that a record is past the base of an entry, so that nobody gives it a
// key because of that (rules 2 and 8), and returns what it is then.
func (r *repair) fencePast(ctx context.Context, ref string, base int64) (*view, error) {
	v, err := r.store.readOne(ctx, driver.Fresh, codec.NameOf(ref))
	switch {
	case err != nil:
		return nil, err
	case v.gone, v.absent() && forgotten(ref), v.seq() > base, v.record != nil && v.record.Kind == codec.KindPurging:
		return v, nil
	case rule.Off(rule.Fence):
		return v, nil
	}
	next, frame := (&codec.Record{Chosen: codec.ChosenRef(ref)}).Bury(time.Now()), codec.Frame{Kind: codec.KindTombstone}
	if v.record != nil {
		touched := *v.record
		next, frame = &touched, v.record.Frame
	}
	frame.Seq = max(frame.Seq, base)
	written, err := r.store.prepare(v, frame, frame.Kind, asRecord(next))
	if err != nil {
		return nil, err
	}
	return r.store.send(ctx, v, written)
}
