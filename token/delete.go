package token

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
		var buried *view
		err := s.attempt(func(a *attempt) (err error) {
			buried, err = a.bury(ctx, codec.RefOf(id), id)
			return err
		})
		if err == nil {
			s.cleanUp(ctx, map[string]*view{codec.RefOf(id): buried})
		}
		return err
	})
}

// DeleteTokens deletes all records of this store, and nothing else under the prefix
// or beside it. Records that others save meanwhile may stay. The index stays too. A
// record that cannot be read or deleted is an error, and the others are deleted all the
// same. Calling it again goes on.
func (s *Store) DeleteTokens(ctx context.Context) error {
	buried := make(map[string]*view)
	tidy := func() {
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		s.cleanUp(ctx, buried)
		clear(buried)
	}
	var errs []error
	for r, err := range s.records(ctx, driver.Any) {
		if err == nil {
			err = s.retry(ctx, func(ctx context.Context) error {
				return s.attempt(func(a *attempt) error {
					v, err := a.bury(ctx, codec.RefOf(r.ID), r.ID)
					if err == nil {
						buried[codec.RefOf(r.ID)] = v
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
		if len(buried) == pageSize {
			tidy()
		}
	}
	tidy()
	return errors.Join(errs...)
}

// bury is the deletion: rule 6, the compare-and-set of a tombstone.
func (a *attempt) bury(ctx context.Context, ref, id string) (*view, error) {
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
		return v, a.store.driver.Delete(ctx, v.name)
	}
	return a.store.write(ctx, v, codec.KindTombstone, asRecord(v.record.Bury()))
}

// cleanUp takes what deleted records, by their refs, left behind out of the index,
// and removes secrets that nothing can need any more. It is best effort: what it
// leaves is dead, costs room only, and goes with a later deletion.
//
// Rule 7. A tombstone may go when nothing points to it any more and no operation that
// saw the record alive is still under way. A service that keeps deleted names from
// being used for longer than that does the waiting. On others the index notes the
// grave, and a deletion of a later day removes it. Ids that callers chose stay, since
// a save may bring them back to life.
func (s *Store) cleanUp(ctx context.Context, buried map[string]*view) {
	if len(buried) == 0 {
		return
	}
	rests := s.limits.DeletedNameRests >= grace
	if s.tidyIndex(ctx, buried, !rests) != nil || !rests {
		return
	}
	for _, v := range buried {
		if !v.record.Chosen {
			// The tombstone stays remembered: a stale read may still show the record.
			_ = s.driver.Delete(ctx, v.name)
		}
	}
}

const (
	// tidyTries is how often the index is tried after a deletion.
	tidyTries = 3
	// digs is how many graves one deletion empties at most.
	digs = 20
)

// tidyIndex drops the entries of buried records from the index, empties graves that
// are old enough and, if asked, notes the new ones.
func (s *Store) tidyIndex(ctx context.Context, buried map[string]*view, note bool) error {
	tries := 0
	return s.retry(ctx, func(ctx context.Context) error {
		if tries++; tries > tidyTries {
			return ErrConflict
		}
		return s.attempt(func(a *attempt) error {
			x, err := s.openIndex(ctx, a.trust)
			if err != nil {
				return err
			}
			refs, err := x.refs(ctx, a.trust)
			if err != nil {
				return err
			}
			due := dueGraves(x.root.index, refs)
			if a.trust && x.remembered && len(due) > 0 {
				return errVerify // a grave is emptied on the service's word only
			}
			emptied := s.dig(ctx, due)
			for _, name := range slices.Sorted(maps.Keys(x.leaves)) {
				leaf := x.leaves[name]
				err := s.change(ctx, newChange(leaf, func(next *codec.Index) error {
					changed := next.Live() && dropEntries(next, buried)
					if name == codec.RootName && !leaf.absent() {
						// In an index that is nearly full, room is for tokens.
						roomy := len(leaf.raw) < s.limits.Value/4*3
						changed = moveGraves(next, buried, note && roomy, emptied) || changed
					}
					if !changed {
						return errUnchanged
					}
					return nil
				}))
				switch {
				case errors.Is(err, errUnchanged):
					// That nothing points to the records has to be so now.
					if a.trust && x.remembered {
						return errVerify
					}
				case err != nil:
					return err
				}
			}
			return nil
		})
	})
}

// dropEntries takes the entries of buried records that are dead out of a leaf. Those
// with the tombstone's own seq are about to bring it back to life.
func dropEntries(leaf *codec.Index, buried map[string]*view) (dropped bool) {
	for h, list := range leaf.Entries {
		leaf.Entries[h] = slices.DeleteFunc(list, func(e codec.Entry) bool {
			v, ok := buried[e.Ref]
			dead := ok && e.Base < v.seq()
			dropped = dropped || dead
			return dead
		})
	}
	return dropped
}

// moveGraves strikes out the graves that are empty and, if asked, notes new ones.
func moveGraves(root *codec.Index, buried map[string]*view, note bool, emptied []string) (moved bool) {
	for _, ref := range emptied {
		delete(root.Graves, ref)
	}
	for ref, v := range buried {
		if note && !v.record.Chosen {
			if root.Graves == nil {
				root.Graves = make(map[string]time.Time)
			}
			root.Graves[ref] = time.Now()
			moved = true
		}
	}
	return moved || len(emptied) > 0
}

// dueGraves returns the tombstones that have rested for the time of grace and that
// nothing in the index points to (refs, sorted): as many as one deletion empties.
func dueGraves(root *codec.Index, refs []string) []string {
	var due []string
	for ref := range root.Graves { // in no order: one that cannot be emptied does not hold up the others
		_, pointedTo := slices.BinarySearch(refs, ref)
		if !pointedTo && time.Since(root.Graves[ref]) >= grace && len(due) < digs {
			due = append(due, ref)
		}
	}
	return due
}

// dig removes the secrets of tombstones. It returns the graves that are empty, or
// whose record lives again.
func (s *Store) dig(ctx context.Context, graves []string) (emptied []string) {
	for _, ref := range graves {
		v, err := s.readOne(ctx, driver.Fresh, codec.NameOf(ref))
		if err == nil && !v.absent() && !v.live() && !v.record.Chosen {
			err = s.purge(ctx, v)
		}
		if err == nil {
			emptied = append(emptied, ref)
		}
	}
	return emptied
}

// purge removes the secret of a tombstone, after a compare-and-set to a state that
// nothing revives.
func (s *Store) purge(ctx context.Context, v *view) error {
	if v.record.Kind != codec.KindPurging {
		if _, err := s.write(ctx, v, codec.KindPurging, asRecord(v.record.Bury())); err != nil {
			return err
		}
	}
	return s.driver.Delete(ctx, v.name)
}
