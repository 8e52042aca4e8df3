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
		err := s.attempt(ctx, func(a *attempt) (err error) {
			buried, err = a.bury(ctx, codec.RefOf(id), id)
			return err
		})
		if err == nil {
			s.cleanUp(ctx, []string{codec.RefOf(id)}, buried)
		}
		return err
	})
}

// DeleteTokens deletes all records of this store, and nothing else under the prefix
// or beside it. Records that others save meanwhile may stay. The index stays too.
// If it is cut short, calling it again goes on.
func (s *Store) DeleteTokens(ctx context.Context) error {
	var refs []string
	var buried []*view
	for r, err := range s.records(ctx) {
		if err != nil {
			return fmt.Errorf("tokenkeep: delete tokens: %w", err)
		}
		ref := codec.RefOf(r.ID)
		err := s.retry(ctx, func(ctx context.Context) error {
			return s.attempt(ctx, func(a *attempt) error {
				v, err := a.bury(ctx, ref, r.ID)
				if err == nil {
					refs, buried = append(refs, ref), append(buried, v)
				}
				return err
			})
		})
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("tokenkeep: delete tokens: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	s.cleanUp(ctx, refs, buried...)
	return nil
}

// bury is the deletion: rule 6, the compare-and-set of a tombstone.
func (a *attempt) bury(ctx context.Context, ref, id string) (*view, error) {
	v, err := a.record(ctx, ref)
	switch {
	case err != nil:
		return nil, err
	case v.absent() && a.trust && !v.gone:
		return nil, errVerify // a plain read may miss what is there
	case !v.live():
		return nil, a.refuse(ErrNotFound)
	}
	if err := checkSameID(v, id); err != nil {
		return nil, err
	}
	if rule.Off(rule.Tombstone) {
		a.store.memory.forget(v.name)
		return v, a.store.driver.Delete(ctx, v.name)
	}
	return a.store.write(ctx, v, codec.KindTombstone, asRecord(v.record.Bury()))
}

// cleanUp takes what deleted records left behind out of the index, and then removes
// their secrets if that is safe. It is best effort: what it leaves is dead, costs
// room only, and goes with a later write.
func (s *Store) cleanUp(ctx context.Context, refs []string, buried ...*view) {
	if len(refs) == 0 || s.releaseEntries(ctx, refs, buried) != nil {
		return
	}
	// Rule 7. A tombstone may go when nothing points to it any more and no operation
	// that saw the record is still under way. A service that keeps deleted names
	// from being used for longer than that does the waiting. Ids that callers chose
	// stay, since a save may bring them back to life.
	if s.limits.DeletedNameRests < grace {
		return
	}
	for _, v := range buried {
		if !v.record.Chosen {
			// The tombstone stays remembered: a stale read may still show the record.
			_ = s.driver.Delete(ctx, v.name)
		}
	}
}

// releaseTries is how often the index is tried after a deletion.
const releaseTries = 3

// releaseEntries drops the entries of buried records from the index.
func (s *Store) releaseEntries(ctx context.Context, refs []string, buried []*view) error {
	tries := 0
	return s.retry(ctx, func(ctx context.Context) error {
		if tries++; tries > releaseTries {
			return ErrConflict
		}
		return s.attempt(ctx, func(a *attempt) error {
			x, err := s.openIndex(ctx, a.trust)
			if err != nil {
				return err
			}
			if _, err := x.refs(ctx, a.trust); err != nil {
				return err
			}
			for _, name := range slices.Sorted(maps.Keys(x.leaves)) {
				leaf := x.leaves[name]
				next := leaf.index.Clone()
				dropped := false
				for h, list := range next.Entries {
					next.Entries[h] = slices.DeleteFunc(list, func(e codec.Entry) bool {
						i := slices.Index(refs, e.Ref)
						gone := i >= 0 && e.Base < buried[i].seq()
						dropped = dropped || gone
						return gone
					})
				}
				if !dropped {
					continue
				}
				if a.unlock == nil {
					return errClaim
				}
				if _, err := s.write(ctx, leaf, codec.KindIndex, asIndex(next)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
