package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// A view is what one read or one write showed of a secret: nothing, a record or
// an index secret, at a revision. It is never changed.
type view struct {
	name string
	rev  driver.Revision
	at   time.Time // when the read began: monotonic
	// asOf is from when on it may answer finds: when the last read of this state that is as
	// current as a find, or the write, began. Zero: it may not.
	asOf time.Time
	raw  []byte

	record *codec.Record
	index  *codec.Index

	gone bool  // the service keeps the name from being used after a deletion
	err  error // why this secret cannot be read
}

// ref is the ref of the record that v shows.
func (v *view) ref() string {
	ref, _ := codec.RefOfName(v.name)
	return ref
}

// seenAt returns v with another time from which on it may answer finds.
func (v *view) seenAt(at time.Time) *view {
	same := *v
	same.asOf = at
	return &same
}

// absent reports whether there is no such secret.
func (v *view) absent() bool { return v.rev == driver.Absent }

// live reports whether v shows a record that holds a token.
func (v *view) live() bool { return v.record.Live() }

// seq is the sequence number of the secret, 0 if there is none.
func (v *view) seq() int64 { return v.frame().Seq }

func (v *view) frame() codec.Frame {
	switch {
	case v.record != nil:
		return v.record.Frame
	case v.index != nil:
		return v.index.Frame
	}
	return codec.Frame{}
}

// staleReads is how often in a row a secret is read again when the answer is older
// than what this store knows.
const staleReads = 8

// read reads secrets, and reads those again whose answer is older than what this
// store saw or wrote before. Each view has its own err.
func (s *Store) read(ctx context.Context, how driver.Freshness, names ...string) ([]*view, error) {
	views := make([]*view, len(names))
	todo := make([]int, len(names))
	for i := range names {
		todo[i] = i
	}
	for try := 0; len(todo) > 0; try++ {
		if try > 0 {
			how = driver.Fresh
			if try > staleReads {
				return nil, again("reads stay behind what was written")
			}
			if err := s.pause(ctx, try); err != nil {
				return nil, err
			}
		}
		have, known := make([]driver.Item, len(todo)), make([]*view, len(todo))
		for i, at := range todo {
			have[i].Name = names[at]
			if known[i] = s.memory.recall(names[at]); known[i] != nil {
				have[i].Revision, have[i].Value = known[i].rev, known[i].raw
			}
		}
		began := time.Now()
		items, err := s.driver.Get(ctx, how, have...)
		if err != nil {
			if errors.Is(err, ErrPermission) {
				s.memory.doubt(names...)
			}
			return nil, err
		}
		if len(items) != len(todo) {
			return nil, fmt.Errorf("%w: the driver returned %d items for %d names", ErrUnavailable, len(items), len(todo))
		}
		var stale []int
		for i, at := range todo {
			v := newView(items[i], began, known[i])
			if how != driver.Lax {
				v.asOf = began
			}
			if s.behind(v) {
				stale = append(stale, at)
				continue
			}
			s.memory.keep(v)
			views[at] = v
		}
		todo = stale
	}
	return views, nil
}

// behind reports whether v is older than what this store knows of the secret. A
// stale answer never takes a store back in time.
func (s *Store) behind(v *view) bool {
	if rule.Off(rule.Floor) || v.err != nil || v.gone {
		return false
	}
	return v.seq() < s.memory.floor(v.name)
}

// readOne reads one secret; its error is the view's.
func (s *Store) readOne(ctx context.Context, how driver.Freshness, name string) (*view, error) {
	views, err := s.read(ctx, how, name)
	if err != nil {
		return nil, err
	}
	return views[0], views[0].err
}

// newView decodes what was read, unless it is what was known before.
func newView(item driver.Item, at time.Time, known *view) *view {
	if known != nil && item.Err == nil && !known.absent() && item.Revision == known.rev {
		same := known.seenAt(time.Time{})
		same.at = at
		return same
	}
	v := &view{name: item.Name, rev: item.Revision, at: at, raw: item.Value}
	if errors.Is(item.Err, driver.ErrDeleted) {
		v.gone = true
		return v
	}
	if v.err = item.Err; v.err != nil || v.absent() {
		return v
	}
	if isIndexName(item.Name) {
		v.index, v.err = codec.DecodeIndex(item.Value)
	} else {
		v.record, v.err = codec.DecodeRecord(item.Value)
	}
	if v.err != nil {
		v.err = corrupt(item.Name, v.err)
	}
	return v
}

func corrupt(name string, why error) error {
	return fmt.Errorf("%w: secret %s: %w", ErrCorrupt, name, why)
}

// write puts the successor of v: content encodes it under the frame that it is
// given. It returns errors as the driver settled them, a lost race as again.
func (s *Store) write(ctx context.Context, v *view, kind codec.Kind, content func(codec.Frame) (*view, error)) (*view, error) {
	next, err := s.prepare(v, v.frame(), kind, content)
	if err != nil {
		return nil, err
	}
	return s.send(ctx, v, next)
}

// prepare encodes the successor of v, without sending it: last is the frame that its
// own follows.
func (s *Store) prepare(v *view, last codec.Frame, kind codec.Kind, content func(codec.Frame) (*view, error)) (*view, error) {
	id, err := codec.NewWriteID(s.random)
	if err != nil {
		return nil, err
	}
	next, err := content(last.Next(kind, id))
	if err != nil {
		return nil, err
	}
	next.name = v.name
	if err := s.checkSize(next, 0); err != nil {
		return nil, err
	}
	return next, nil
}

// roomFor makes sure that what was prepared still fits when the history in its frame
// has grown to its full length: so that a touch, which changes nothing else, is never
// refused because of its size.
func (s *Store) roomFor(next *view) error { return s.checkSize(next, historyRoom(next)) }

// historyRoom is how many bytes the history in a frame may still grow by.
func historyRoom(v *view) int {
	const perWrite, none = len(`"0123456789012345678901",`), len(`,"history":[]`)
	room := perWrite * (codec.HistoryLen - len(v.frame().History))
	if len(v.frame().History) == 0 {
		room += none
	}
	return room
}

func (s *Store) checkSize(next *view, reserve int) error {
	if size := len(next.raw) + reserve; size > s.limits.Value {
		what := "the record"
		if next.index != nil {
			what = "the index is full: it"
		}
		return fmt.Errorf("%w: %s (secret %s) would be %d bytes, and the service takes %d", ErrTooLarge, what, next.name, size, s.limits.Value)
	}
	return nil
}

// send puts what prepare made, by compare-and-set on v.
func (s *Store) send(ctx context.Context, v, next *view) (*view, error) {
	if !v.absent() && age(v.at) > baseAge {
		s.memory.forget(v.name)
		return nil, again("the base was read too long ago")
	}
	began := time.Now()
	rev, err := s.driver.Put(ctx, v.name, next.raw, v.rev)
	switch {
	case err == nil:
		next.rev, next.at, next.asOf = rev, began, began
		s.memory.keep(next)
		return next, nil
	case errors.Is(err, driver.ErrConflict), errors.Is(err, driver.ErrDeleted):
		s.memory.outdate(v.name, v.seq()+1)
		return nil, outrun("other writers were faster")
	}
	s.memory.outdate(v.name, v.seq())
	return nil, err
}

// asRecord is the content of a record for write.
func asRecord(r *codec.Record) func(codec.Frame) (*view, error) {
	return func(f codec.Frame) (*view, error) {
		r.Frame = f
		raw, err := codec.EncodeRecord(r)
		return &view{record: r, raw: raw}, err
	}
}

// asIndex is the content of an index secret for write.
func asIndex(x *codec.Index) func(codec.Frame) (*view, error) {
	return func(f codec.Frame) (*view, error) {
		x.Frame = f
		raw, err := codec.EncodeIndex(x)
		return &view{index: x, raw: raw}, err
	}
}
