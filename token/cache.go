package token

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
)

// This file answers finds from memory: without asking the service if the answer is new
// enough (Options.MaxAge), and if the service cannot be reached (Options.MaxStale). Nothing
// that is written rests on such an answer.

// find finds the record that q means, in memory or at the service.
func (s *Store) find(ctx context.Context, op string, q *codec.Record) (found *codec.Record, err error) {
	if s.maxAge > 0 && ctx.Err() == nil {
		if known := s.known(q, s.maxAge); known != nil {
			return known, nil
		}
	}
	err = s.run(ctx, op, func(ctx context.Context) (err error) {
		found, err = s.look(ctx, q)
		return err
	})
	if s.maxStale > 0 && errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		if known := s.known(q, s.maxStale); known != nil {
			return known, nil
		}
	}
	return found, err
}

// known returns the record that q means if it was read or written at most so long ago, or
// nil: it is not known, then, what q means.
func (s *Store) known(q *codec.Record, within time.Duration) *codec.Record {
	if q.ID != "" {
		return s.knownByID(q.ID, within)
	}
	return s.knownByKey(q, within)
}

func (s *Store) knownByID(id string, within time.Duration) *codec.Record {
	for _, ref := range places(id) {
		if v := s.memory.answer(codec.NameOf(ref), within); v != nil && v.live() && v.record.ID == id {
			return v.record
		}
	}
	return nil
}

// knownByKey finds a record by the first key of q, as byKeys does with a remembered index.
// That a key leads nowhere may be old, so another one does not decide.
func (s *Store) knownByKey(q *codec.Record, within time.Duration) *codec.Record {
	keys := queryKeys(q)
	if len(keys) == 0 {
		return nil
	}
	var records []*codec.Record
	for _, e := range s.knownEntries(keys[0], max(within, baseAge)) {
		v := s.memory.answer(codec.NameOf(e.Ref), within)
		if v == nil {
			return nil
		}
		if holds(v.record, keys[0]) {
			records = append(records, v.record)
		}
	}
	if i, err := choose(q, keys[0], records); err == nil && i >= 0 {
		return records[i]
	}
	return nil
}

// knownEntries returns what stands under a key in the index, if all that leads there was
// read or written at most so long ago.
func (s *Store) knownEntries(k key, within time.Duration) []codec.Entry {
	leaf := s.memory.answer(codec.RootName, within)
	if leaf == nil {
		return nil
	}
	h := (&index{root: leaf}).hash(k)
	for path := []string{codec.RootName}; !leaf.index.Live(); {
		_, name, ok := leaf.index.Leaf(h)
		if !ok || slices.Contains(path, name) {
			return nil
		}
		if leaf = s.memory.answer(name, within); leaf == nil {
			return nil
		}
		path = append(path, name)
	}
	return leaf.index.Entries[h]
}
