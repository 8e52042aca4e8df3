package token

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// grace is how long after a deletion the name of a record has to rest before it may
// be free again: longer than any operation may take that saw the record alive, by
// clocks that may differ.
const grace = 24 * time.Hour

// DeleteToken deletes the record with an id: [ErrNotFound] if there is none. From
// then on no key finds it. A save of the same record at the same time comes either
// before, and is deleted, or after, and finds no record.
//
// The tokens are overwritten at once; what stays for a time is a tombstone that
// holds the id.
func (s *Store) DeleteToken(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return fmt.Errorf("tokenkeep: delete token: %w", err)
	}
	return s.run(ctx, "delete token", func(ctx context.Context) error {
		var g *grave
		err := s.attempt(func(a *attempt) error {
			to, err := a.recordOf(ctx, id)
			if err == nil {
				g, err = a.bury(ctx, to.ref, id)
			}
			return err
		})
		if err == nil {
			s.cleanUp(ctx, []*grave{g})
		}
		return err
	})
}

// DeleteTokens deletes all records of this store, and nothing else under the prefix
// or beside it. Records that others save meanwhile may stay. The index stays too. A
// record that cannot be read or deleted is an error, and the others are deleted all the
// same. Calling it again goes on.
func (s *Store) DeleteTokens(ctx context.Context) error {
	var graves []*grave
	tidy := func() {
		s.cleanUp(ctx, graves)
		graves = nil
	}
	var errs []error
	for v, err := range s.records(ctx, driver.Any) {
		if err == nil {
			err = s.retry(ctx, func(ctx context.Context) error {
				return s.attempt(func(a *attempt) error {
					g, err := a.bury(ctx, v.ref(), v.record.ID)
					if err == nil {
						graves = append(graves, g)
					}
					return err
				})
			})
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			errs = append(errs, fmt.Errorf("tokenkeep: delete tokens: %w", err))
		}
		if err := ctx.Err(); err != nil {
			errs = append(errs, fmt.Errorf("tokenkeep: delete tokens: %w", err)) // there may be more
			break
		}
		if len(graves) == tidySize {
			tidy()
		}
	}
	tidy()
	return errors.Join(errs...)
}

// A grave is a record that was deleted.
type grave struct {
	ref       string
	was       *codec.Record
	tombstone *view
}

// bury is the deletion: rule 6, the compare-and-set of a tombstone.
func (a *attempt) bury(ctx context.Context, ref, id string) (*grave, error) {
	v, err := a.record(ctx, ref)
	switch {
	case err != nil:
		return nil, err
	case !v.live():
		return nil, a.refuse(ErrNotFound)
	}
	if err := checkSameID(v, id); err != nil {
		return nil, err
	}
	if rule.Off(rule.Tombstone) {
		return &grave{ref, v.record, v}, a.store.driver.Delete(ctx, v.name)
	}
	tombstone, err := a.store.write(ctx, v, codec.KindTombstone, asRecord(v.record.Bury(time.Now())))
	return &grave{ref, v.record, tombstone}, err
}

// cleanUp takes what deleted records left behind out of the leaves of their keys, and
// removes secrets that nothing can need any more. It is best effort: what it leaves is
// dead, costs room only, and goes when its leaf is full, or with Repair.
//
// Rule 7. A tombstone may go when no operation that saw the record alive is still under
// way. A service that keeps deleted names from being used for longer than that does the
// waiting. On others a leaf notes the grave, and a deletion of a later day that comes by
// there removes it. Entries that still point to the record then mean nothing: its id is too
// old to be adopted (see adoptable). Ids that callers chose stay, since a save may bring
// them back to life.
func (s *Store) cleanUp(ctx context.Context, graves []*grave) {
	rests := s.limits.DeletedNameRests >= grace
	left := graves
	for try := 0; try < tidyTries && len(left) > 0; try++ {
		left = s.tidy(ctx, left, try == 0, !rests)
	}
	if !rests {
		return
	}
	together(s.width, graves, func(g *grave) {
		if g.tombstone.record.Chosen {
			return
		}
		// The tombstone stays remembered: a stale read may still show the record.
		_ = s.retry(ctx, func(ctx context.Context) error {
			return s.patiently(ctx, func() error { return s.driver.Delete(ctx, g.tombstone.name) })
		})
	})
}

const (
	// tidyTries is how often the index is tried after a deletion.
	tidyTries = 3
	// tidySize is after how many deletions the index is tidied when all records go: each
	// time it may take a write of every leaf.
	tidySize = 10_000
	// digs is how many graves are emptied in a leaf that is tidied, or as many as are new.
	digs = 5
)

// tidy drops the entries of buried records from the leaves of their keys, empties graves
// there that are old enough and, if asked, notes the new ones. It returns those whose leaf
// is another one by now.
func (s *Store) tidy(ctx context.Context, graves []*grave, trust, note bool) (left []*grave) {
	var x *index
	var burials map[string]*burial
	err := s.retry(ctx, func(ctx context.Context) (err error) {
		if x, err = s.openIndex(ctx, trust); err == nil {
			burials, err = x.burials(ctx, graves, trust, note)
		}
		return err
	})
	if errors.Is(err, errVerify) {
		return graves
	}
	if err != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(burials)) {
		b := burials[name]
		within, cancel := context.WithTimeout(ctx, s.timeout)
		b.emptied = s.dig(within, dueGraves(b.leaf.index, max(digs, len(b.graves))))
		err := s.change(within, newChange(b.leaf, b.apply))
		cancel()
		// If nothing changed, the entries may be newer than what is remembered.
		if asksAgain(err) || errors.Is(err, errUnchanged) && trust && x.remembered {
			left = append(left, b.graves...)
		}
	}
	return left
}

// A burial is what deletions change in one leaf.
type burial struct {
	leaf    *view
	limit   int // of the size of a secret
	graves  []*grave
	buried  map[string]*view // the tombstones whose entries are dropped, by ref
	noted   []string         // the refs of those that the leaf notes
	emptied []string         // graves that are struck out
}

// burials returns the leaves of the keys that the buried records had, by name.
func (x *index) burials(ctx context.Context, graves []*grave, trust, note bool) (map[string]*burial, error) {
	burials := make(map[string]*burial)
	for _, g := range graves {
		for i, k := range indexKeys(g.was) {
			_, leaf, err := x.place(ctx, k, trust)
			if err != nil {
				return nil, err
			}
			b := burials[leaf.name]
			if b == nil {
				b = &burial{leaf: leaf, limit: x.store.limits.Value, buried: make(map[string]*view)}
				burials[leaf.name] = b
			}
			if b.buried[g.ref] == nil {
				b.graves = append(b.graves, g)
			}
			b.buried[g.ref] = g.tombstone
			if i == 0 && note && !g.tombstone.record.Chosen {
				b.noted = append(b.noted, g.ref)
			}
		}
	}
	return burials, nil
}

// What an entry takes in a leaf at least, and a grave at most, in bytes.
const entryLen, graveLen = 29, 34

// apply changes an index secret.
func (b *burial) apply(leaf *codec.Index) error {
	if !leaf.Live() {
		return errGrew
	}
	dropped := dropEntries(leaf, b.buried)
	changed := dropped > 0
	for _, ref := range b.emptied {
		if _, ok := leaf.Graves[ref]; ok {
			delete(leaf.Graves, ref)
			changed = true
		}
	}
	// In a leaf that is nearly full, room is for tokens.
	size := len(b.leaf.raw) + leafReserve + historyRoom(b.leaf) - entryLen*dropped
	for _, ref := range b.noted {
		if size += graveLen; size > b.limit/4*3 {
			break
		}
		if _, ok := leaf.Graves[ref]; ok {
			continue
		}
		if leaf.Graves == nil {
			leaf.Graves = make(map[string]time.Time)
		}
		leaf.Graves[ref] = time.Now()
		changed = true
	}
	if !changed {
		return errUnchanged
	}
	return nil
}

// dropEntries takes the entries of buried records that are dead out of a leaf. Those
// with the tombstone's own seq are about to bring it back to life.
func dropEntries(leaf *codec.Index, buried map[string]*view) (dropped int) {
	for h, list := range leaf.Entries {
		leaf.Entries[h] = slices.DeleteFunc(list, func(e codec.Entry) bool {
			v, ok := buried[e.Ref]
			if !ok || e.Base >= v.seq() {
				return false
			}
			dropped++
			return true
		})
	}
	return dropped
}

// dueGraves returns the tombstones that have rested for the time of grace: so many of them.
func dueGraves(leaf *codec.Index, most int) []string {
	var due []string
	for ref, since := range leaf.Graves { // in no order: one that cannot be emptied does not hold up the others
		if time.Since(since) >= grace && len(due) < most {
			due = append(due, ref)
		}
	}
	return due
}

// dig removes the secrets of tombstones. It returns the graves that are empty, or
// whose record lives again.
func (s *Store) dig(ctx context.Context, graves []string) (emptied []string) {
	var mu sync.Mutex
	together(s.width, graves, func(ref string) {
		v, err := s.readOne(ctx, driver.Fresh, codec.NameOf(ref))
		if err == nil && !v.absent() && !v.live() && !v.record.Chosen {
			err = s.purge(ctx, v)
		}
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			emptied = append(emptied, ref)
		}
	})
	return emptied
}

// purge removes the secret of a tombstone, after a compare-and-set to a state that
// nothing revives.
func (s *Store) purge(ctx context.Context, v *view) error {
	if v.record.Kind != codec.KindPurging {
		r := *v.record
		if _, err := s.write(ctx, v, codec.KindPurging, asRecord(&r)); err != nil {
			return err
		}
	}
	err := s.driver.Delete(ctx, v.name)
	if err == nil {
		s.memory.forget(v.name) // that it is absent is no stale answer from now on
	}
	return err
}
