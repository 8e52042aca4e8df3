package token

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file is how a batch of tokens is saved: in the protocol of a single save, with the
// same judging, claims and compare-and-sets; only what is written to one index secret goes
// together. A token that is not as easy as that (it meets a rival, what was remembered is old,
// the record changed meanwhile) is saved alone.

const (
	// batchSize is how many tokens are claimed together: as many as are written within the
	// time of an operation at 50 a second, which is what AWS takes.
	batchSize = 1000
	// batchWidth is how many secrets are written at a time.
	batchWidth = 8
	// batchTries is how often a batch is planned anew because the index changed.
	batchTries = 8
	// mostTurns is in how many batches more a token is tried that the service did not serve.
	mostTurns = 10
)

// An order is a token that is to be saved, and what became of that.
type order struct {
	place  int
	token  *OAuthToken
	record *codec.Record
	made   string // the id of the new record
	turns  int    // how often it was put off because the service did not serve it
	sent   bool   // its record was sent
	err    error
}

// batches saves tokens and yields those that are done, a batch at a time.
func (s *Store) batches(ctx context.Context, tokens iter.Seq[*OAuthToken]) iter.Seq[[]*order] {
	return func(yield func([]*order) bool) {
		next, stop := iter.Pull(tokens)
		defer stop()
		var waiting []*order // they could not be in the batch before
		for n := 0; ; {
			batch := waiting
			for len(batch) < batchSize {
				t, ok := next()
				if !ok {
					break
				}
				batch, n = append(batch, &order{place: n, token: t}), n+1
			}
			if len(batch) == 0 {
				return
			}
			waiting = s.saveBatch(ctx, batch)
			if err := ctx.Err(); err != nil && len(waiting) > 0 {
				for _, o := range waiting {
					o.err = outOfTime(err)
				}
				yield(batch)
				return
			}
			off := set(waiting)
			done := slices.DeleteFunc(slices.Clone(batch), func(o *order) bool { return off[o] })
			ended := func(o *order) bool { return ctx.Err() != nil && errors.Is(o.err, ctx.Err()) }
			if !yield(done) || slices.ContainsFunc(done, ended) {
				return
			}
		}
	}
}

// saveBatch saves a batch, and returns those of it that have to be in the next one. One at
// least is done.
func (s *Store) saveBatch(ctx context.Context, batch []*order) (waiting []*order) {
	todo, waiting := apart(batch)
	within, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var alone []*order
	for try := range batchTries {
		s.saveTogether(within, todo, try == 0)
		next := todo[:0]
		for _, o := range todo {
			switch {
			case errors.Is(o.err, errWaits):
				waiting = append(waiting, o)
			case errors.Is(o.err, errAlone), try == batchTries-1 && asksAgain(o.err):
				alone = append(alone, o)
			case o.sent && errors.Is(o.err, ErrUnavailable) && !errors.Is(o.err, ErrQuota):
				alone = append(alone, o) // when the others are done
			case asksAgain(o.err):
				next = append(next, o)
			}
		}
		if todo = next; len(todo) == 0 {
			break
		}
	}
	together(s.width, alone, func(o *order) { s.saveAlone(within, o) })
	if few := len(waiting)*4 > len(batch)*3; few { // they are all of few records
		for _, o := range waiting {
			s.saveAlone(within, o)
		}
		waiting = nil
	}
	off := set(waiting)
	saved := slices.ContainsFunc(batch, func(o *order) bool { return o.err == nil && !off[o] })
	for _, o := range batch {
		late := errors.Is(o.err, context.DeadlineExceeded) || errors.Is(o.err, ErrUnavailable)
		if late && saved && ctx.Err() == nil && o.turns < mostTurns {
			// The service does not take a batch in its time, or not now: as long as some are
			// saved, the others have another turn.
			o.turns++
			o.err, waiting = nil, append(waiting, o)
		}
		o.err = outOfTime(o.err)
	}
	slices.SortFunc(waiting, func(a, b *order) int { return a.place - b.place }) // those of one identity keep their order
	return waiting
}

func (s *Store) saveAlone(ctx context.Context, o *order) {
	o.err = s.patiently(ctx, func() error {
		return s.retry(ctx, func(ctx context.Context) error { return s.save(ctx, o.token, o.record) })
	})
}

func set(orders []*order) map[*order]bool {
	in := make(map[*order]bool, len(orders))
	for _, o := range orders {
		in[o] = true
	}
	return in
}

// apart checks the orders of a batch, and puts those off that have a key of an earlier one:
// all claims are judged before the first record is written.
func apart(batch []*order) (todo, waiting []*order) {
	met := make(map[key]bool)
	for _, o := range batch {
		if o.record, o.err = toRecord(o.token); o.err == nil {
			o.err = checkNamed(o.record)
		}
		if o.err != nil {
			continue
		}
		keys := present(o.record, []keyKind{byUser, byAccess, byGrant, byRefresh})
		if o.record.ID != "" {
			keys = append(keys, key{"id", o.record.ID})
		}
		if slices.ContainsFunc(keys, func(k key) bool { return met[k] }) {
			waiting = append(waiting, o)
		} else {
			todo = append(todo, o)
		}
		for _, k := range keys {
			met[k] = true
		}
	}
	return todo, waiting
}

// together does something with each of a list, so many of them at a time.
func together[T any](wide int, list []T, do func(T)) {
	var wg sync.WaitGroup
	width := make(chan struct{}, wide)
	for _, x := range list {
		width <- struct{}{}
		wg.Go(func() {
			defer func() { <-width }()
			do(x)
		})
	}
	wg.Wait()
}

// someTries is how often something is done again that a service answers it cannot serve: a
// batch is more than it takes at once.
const someTries = 10

// patience is for how long it is done again: what lasts longer is an outage.
const patience = 10 * time.Second

// patiently does something again while the service answers that it cannot serve it now. One
// that does not answer is another matter.
func (s *Store) patiently(ctx context.Context, do func() error) error {
	began := time.Now()
	for try := 0; ; try++ {
		err := do()
		answer := (*driver.Error)(nil)
		answered := errors.As(err, &answer) && answer.Code != ""
		if !answered || !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrQuota) || try+1 == someTries || time.Since(began) > patience || s.pause(ctx, try) != nil {
			return err
		}
	}
}

// errWaits puts an order off that means the same record as an earlier one.
var errWaits = errors.New("an earlier token is of the same record")

// errAlone asks for an order to be saved alone.
var errAlone = again("there is a rival")

// asksAgain reports whether an order may go well when it is planned anew.
func asksAgain(err error) bool {
	asked := (*againError)(nil)
	return errors.As(err, &asked) || errors.Is(err, errVerify)
}

// saveTogether plans orders, makes their claims, and writes their records. It sets the error
// of each.
func (s *Store) saveTogether(ctx context.Context, orders []*order, trust bool) {
	var x *index
	var plans map[*order]*plan
	err := s.patiently(ctx, func() (err error) {
		x, plans, err = s.planTogether(ctx, orders, trust)
		return err
	})
	if err != nil {
		for _, o := range orders {
			o.err = err
		}
		return
	}
	leaves := make(map[string][]*change)
	for _, o := range orders {
		if p := plans[o]; p != nil {
			for _, c := range p.changes {
				leaves[c.leaf.name] = append(leaves[c.leaf.name], c)
			}
		}
	}
	together(s.width, slices.Sorted(maps.Keys(leaves)), func(name string) { s.changeTogether(ctx, leaves[name]) })
	// Rule 1: a record is written when all its leaves were.
	together(s.width, orders, func(o *order) {
		p := plans[o]
		if p == nil {
			return
		}
		for _, c := range p.changes {
			if err := <-c.done; err != nil && o.err == nil {
				o.err = beforehand(err)
			}
		}
		sent := o.err == nil && p.value != nil
		o.sent = sent
		if sent {
			o.err = s.patiently(ctx, func() error {
				_, err := s.send(ctx, p.to.view, p.value)
				return err
			})
		}
		switch {
		case o.err == nil:
			o.token.ID = p.id
		case sent:
			o.made = "" // somebody else may have used it
		}
	})
	x.relink(ctx)
}

// changeTogether makes changes of one index secret, of several orders, as one. What became
// of each is sent to it.
func (s *Store) changeTogether(ctx context.Context, changes []*change) {
	errs := make([]error, len(changes))
	apply := func(x *codec.Index) error {
		made := false
		for i, c := range changes {
			errs[i] = c.apply(x)
			made = made || errs[i] == nil
		}
		if made {
			return nil
		}
		return errs[0]
	}
	err := s.patiently(ctx, func() error { return s.change(ctx, newChange(changes[0].leaf, apply)) })
	for i, c := range changes {
		if err == nil {
			c.done <- errs[i]
		} else {
			c.done <- err
		}
	}
}
