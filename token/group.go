package token

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file writes index secrets. What several goroutines of one process have to change
// in one of them at the same time goes into one write: while one write is on its way, the
// changes that come gather, and the next write takes them all. A service takes few writes
// of one secret, and one after the other.

// A change is what one operation makes of an index secret.
type change struct {
	// leaf is the secret as the operation saw it.
	leaf *view
	// apply makes the change in a newer state of the secret, or in the same one. Its
	// error keeps this change out of the write: it is again if what was judged is not so
	// any more (rule 3), and nothing was changed then.
	apply func(*codec.Index) error
	// done gets what became of it, or errLead.
	done chan error
}

func newChange(leaf *view, apply func(*codec.Index) error) *change {
	return &change{leaf, apply, make(chan error, 1)}
}

// errLead asks a goroutine that waits to make the next write itself.
var errLead = errors.New("it is this goroutine's turn to write")

// errUnchanged keeps a change that changes nothing from being written.
var errUnchanged = errors.New("there is nothing to change")

// A gathering is where changes of index secrets wait for their write.
type gathering struct {
	mu      sync.Mutex
	waiting map[string][]*change // by secret; present while somebody writes it
	// crowded is how long to wait for others, by secret: where a write had the changes of
	// several, a part of the time that it took, and less after each that had one.
	crowded map[string]time.Duration
}

func newGathering() *gathering {
	return &gathering{waiting: map[string][]*change{}, crowded: map[string]time.Duration{}}
}

// linger waits a little where many write: they were served together the last time, so
// they come together again, and the first of them would be served alone.
func (g *gathering) linger(ctx context.Context, name string) {
	g.mu.Lock()
	wait := g.crowded[name]
	g.mu.Unlock()
	if wait == 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// join adds a change, and reports whether nobody writes that secret: then the caller does.
func (g *gathering) join(c *change) (lead bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	list, writing := g.waiting[c.leaf.name]
	if writing {
		g.waiting[c.leaf.name] = append(list, c)
	} else {
		g.waiting[c.leaf.name] = nil
	}
	return !writing
}

// gather takes the changes of a secret that wait.
func (g *gathering) gather(name string) []*change {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.waiting[name]
	g.waiting[name] = nil
	return list
}

// pass ends a write of so many changes, and lets the next who waits write, if there is
// one.
func (g *gathering) pass(name string, changes int, took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch wait := g.crowded[name] / 2; {
	case changes > 1:
		g.crowded[name] = min(took/8, maxLinger)
	case wait > minLinger:
		g.crowded[name] = wait
	default:
		delete(g.crowded, name)
	}
	g.lead(name)
}

// The bounds of what a save waits for others.
const (
	minLinger = 100 * time.Microsecond
	maxLinger = 10 * time.Millisecond
)

// lead asks the next who waits to write. The caller holds mu.
func (g *gathering) lead(name string) {
	list := g.waiting[name]
	if len(list) == 0 {
		delete(g.waiting, name)
		return
	}
	g.waiting[name] = list[1:]
	list[0].done <- errLead
}

// leave takes out a change that nobody waits for any more.
func (g *gathering) leave(c *change) {
	g.mu.Lock()
	list := g.waiting[c.leaf.name]
	for i := range list {
		if list[i] == c {
			g.waiting[c.leaf.name] = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	g.mu.Unlock()
	select {
	case err := <-c.done:
		if errors.Is(err, errLead) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.lead(c.leaf.name)
		}
	default: // it is in a write that is on its way
	}
}

// change makes a change, together with those that others have. When it returns an error,
// the change may have been made all the same if it is one of the context or of the driver.
func (s *Store) change(ctx context.Context, c *change) error {
	if !s.gathering.join(c) {
		select {
		case err := <-c.done:
			if !errors.Is(err, errLead) {
				return err
			}
		case <-ctx.Done():
			s.gathering.leave(c)
			return ctx.Err()
		}
	}
	s.gathering.linger(ctx, c.leaf.name)
	began := time.Now()
	changes := append([]*change{c}, s.gathering.gather(c.leaf.name)...)
	s.changeAll(ctx, changes)
	s.gathering.pass(c.leaf.name, len(changes), time.Since(began))
	if err := ctx.Err(); err != nil {
		return err
	}
	return <-c.done
}

// changeAll makes changes of one secret in one write. If others write it at the same
// time, it is read again, and changes that fit what it is now are made in that.
func (s *Store) changeAll(ctx context.Context, changes []*change) {
	base := changes[0].leaf
	if known := s.memory.recall(base.name); known != nil && known.seq() > base.seq() {
		base = known
	}
	for try := 0; ; try++ {
		next, made := applyAll(base, changes)
		if len(made) == 0 {
			return
		}
		var err error
		if s.hot(base, try) {
			if err = s.seal(ctx, base, base.index, next, true); err == nil {
				err = errGrew
			}
		} else {
			err = s.writeIndex(ctx, base, next)
		}
		if errors.Is(err, ErrTooLarge) && len(made) > 1 {
			for _, c := range made { // some of them may fit
				s.changeAll(ctx, []*change{c})
			}
			return
		}
		if asked := (*againError)(nil); errors.As(err, &asked) && !errors.Is(err, errGrew) && try < changeTries {
			if base, err = s.reread(ctx, base.name, try); err == nil {
				changes = made
				continue
			}
		}
		if ctx.Err() != nil {
			// That one caller gave up is nothing to the others.
			err = again("whoever wrote the index gave up")
		}
		for _, c := range made {
			c.done <- err
		}
		return
	}
}

// errGrew asks an operation to begin anew: what it changes stands in another leaf now.
var errGrew = again("the index grew")

// writeIndex writes the next state of an index secret, or seals the leaf that it is if it
// has no room for that.
func (s *Store) writeIndex(ctx context.Context, base *view, next *codec.Index) error {
	written, big, worn, err := s.measure(base, next)
	if err != nil {
		return err
	}
	if !base.index.Live() || !big && !worn {
		if written == nil {
			return fmt.Errorf("%w: the root of the index (secret %s) is full", ErrTooLarge, base.name)
		}
		_, err = s.send(ctx, base, written)
		return err
	}
	switch {
	case base.absent(): // it has to be there before it can be sealed
		if written, err = s.prepareIndex(base, base.index.Clone(), codec.KindIndex); err == nil {
			_, err = s.send(ctx, base, written)
		}
	case worn:
		err = s.seal(ctx, base, base.index, next, big)
	default:
		witnesses := s.witnesses(ctx, next)
		next = witnesses.prune(next)
		if written, big, _, err = s.measure(base, next); err == nil && !big && len(written.raw) < s.limits.Value/4*3 {
			_, err = s.send(ctx, base, written)
			return err
		}
		err = s.seal(ctx, base, witnesses.prune(base.index), next, true)
	}
	if err == nil {
		err = errGrew
	}
	return err
}

// measure encodes the next state of an index secret, and reports whether that is too much
// for a leaf. What is too large for the service is big, and not encoded.
func (s *Store) measure(base *view, next *codec.Index) (written *view, big, worn bool, err error) {
	written, err = s.prepareIndex(base, next, base.index.Kind)
	if errors.Is(err, ErrTooLarge) {
		return nil, true, false, nil
	}
	if err == nil {
		big, worn = s.full(written)
	}
	return written, big, worn, err
}

// changeTries is how often changes are made in a newer state of the secret before the
// operations begin anew.
const changeTries = 8

// applyAll makes changes in a copy of an index secret. Those that cannot be made are told.
func applyAll(base *view, changes []*change) (next *codec.Index, made []*change) {
	next = base.index.Clone()
	for _, c := range changes {
		err := again("the index is another one now")
		if bytes.Equal(base.index.Key, c.leaf.index.Key) && base.index.Prefix == c.leaf.index.Prefix {
			err = c.apply(next)
		}
		if err != nil {
			c.done <- err
			continue
		}
		made = append(made, c)
	}
	return next, made
}

// reread reads an index secret that others have written.
func (s *Store) reread(ctx context.Context, name string, try int) (*view, error) {
	if err := s.pause(ctx, try); err != nil {
		return nil, err
	}
	v, err := s.readOne(ctx, driver.Fresh, name)
	if err == nil && (v.gone || v.absent()) {
		err = again("an index secret is missing")
	}
	return v, err
}
