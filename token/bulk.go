package token

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file saves many tokens: in batches, each of which writes an index secret once. It is
// the protocol of a single save, with the same judging, claims and compare-and-sets; only
// what is written to one index secret goes together. A token that is not as easy as that
// (it meets a rival, what was remembered is old, the record changed meanwhile) is saved
// alone.

const (
	// batchSize is how many tokens are claimed together: as many as are written within the
	// time of an operation at 50 a second, which is what AWS takes.
	batchSize = 1000
	// batchWidth is how many secrets are written at a time.
	batchWidth = 8
	// batchTries is how often a batch is planned anew because the index changed.
	batchTries = 8
)

// A BatchError says what [Store.SaveTokens] did not save. Tokens are named by their places in
// the slice; all others are saved.
type BatchError struct {
	// Saved is how many were saved, of Total.
	Saved, Total int
	// Failed says why tokens were not saved. One whose error is [ErrOutcomeUnknown] may be.
	Failed map[int]error
	// Left are those that were not tried, since an error of the service, or the end of the
	// context, ended it.
	Left []int

	ended error // the context's
}

// Error says how many were saved, and why the first one that failed was not.
func (e *BatchError) Error() string {
	text := fmt.Sprintf("tokenkeep: save tokens: %d of %d saved", e.Saved, e.Total)
	if places := slices.Sorted(maps.Keys(e.Failed)); len(places) > 0 {
		text += fmt.Sprintf(", %d failed; token %d: %v", len(places), places[0], e.Failed[places[0]])
	} else if e.ended != nil {
		text += ": " + e.ended.Error()
	}
	return text
}

// Unwrap gives [errors.Is] the errors of the tokens that failed, and that of the context.
func (e *BatchError) Unwrap() []error {
	var errs []error
	if e.ended != nil {
		errs = append(errs, e.ended)
	}
	for _, place := range slices.Sorted(maps.Keys(e.Failed)) {
		errs = append(errs, e.Failed[place])
	}
	return errs
}

// SaveTokens saves tokens, each as [Store.SaveToken] does, and sets the ID of those that
// are saved. It takes far fewer calls: of each thousand tokens the claims in one index secret
// are one write. Of tokens of one identity the last one is saved last.
//
// A token that is refused does not keep others from being saved. An error of the service
// ends it, after what was under way. Both are a [*BatchError], which says what was saved. To
// save all of them again is right after every error. [Store.SaveEach] does the same, shows
// the progress, and needs no slice of all tokens.
func (s *Store) SaveTokens(ctx context.Context, tokens []*OAuthToken) error {
	e := &BatchError{Total: len(tokens), Failed: make(map[int]error)}
	tried := make([]bool, len(tokens))
	for batch := range s.batches(ctx, slices.Values(tokens)) {
		ended := false
		for _, o := range batch {
			tried[o.place] = true
			if o.err != nil {
				e.Failed[o.place] = o.err
				ended = ended || !refused(o.err)
			}
		}
		if ended {
			break
		}
	}
	for place, done := range tried {
		switch {
		case !done:
			e.Left = append(e.Left, place)
		case e.Failed[place] == nil:
			e.Saved++
		}
	}
	if e.Saved == e.Total {
		return nil
	}
	e.ended = ctx.Err()
	return e
}

// refused reports whether an error is one of a token, not of the service.
func refused(err error) bool {
	return slices.ContainsFunc([]error{ErrInvalid, ErrConflict, ErrAmbiguous, ErrTooLarge, ErrCorrupt}, func(kind error) bool {
		return errors.Is(err, kind)
	})
}

// SaveEach saves the tokens of a sequence as [Store.SaveTokens] does, and yields each of
// them, with its error if it was not saved: a thousand at a time, as soon as they are done,
// almost in their order. It takes them from the sequence a thousand at a time too. It goes on
// after every error; to end it, end the loop. When the context ends, it yields what it had
// taken from the sequence, with the context's error, and ends.
func (s *Store) SaveEach(ctx context.Context, tokens iter.Seq[*OAuthToken]) iter.Seq2[*OAuthToken, error] {
	return func(yield func(*OAuthToken, error) bool) {
		for batch := range s.batches(ctx, tokens) {
			for _, o := range batch {
				err := o.err
				if err != nil {
					err = fmt.Errorf("tokenkeep: save tokens: %w", err)
				}
				if !yield(o.token, err) {
					return
				}
			}
		}
	}
}

// An order is a token that is to be saved, and what became of that.
type order struct {
	place  int
	token  *OAuthToken
	record *codec.Record
	made   string // the id of the new record
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
			if err := ctx.Err(); err != nil {
				for _, o := range waiting {
					o.err = err
				}
				yield(batch)
				return
			}
			done := slices.DeleteFunc(slices.Clone(batch), func(o *order) bool { return slices.Contains(waiting, o) })
			if !yield(done) {
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
		again := todo[:0]
		for _, o := range todo {
			switch {
			case errors.Is(o.err, errAlone), try == batchTries-1 && asksAgain(o.err):
				alone = append(alone, o)
			case asksAgain(o.err):
				again = append(again, o)
			}
		}
		if todo = again; len(todo) == 0 {
			break
		}
	}
	together(s.width, alone, func(o *order) {
		o.err = s.patiently(within, allTries, func() error {
			return s.retry(within, func(ctx context.Context) error { return s.save(ctx, o.token, o.record) })
		})
	})
	saved := slices.ContainsFunc(batch, func(o *order) bool { return o.err == nil && !slices.Contains(waiting, o) })
	for _, o := range batch {
		late := errors.Is(o.err, context.DeadlineExceeded)
		switch {
		case ctx.Err() == nil && saved && (late || errors.Is(o.err, ErrUnavailable)):
			// The service does not take a batch in its time, or not now: as long as some are
			// saved, the others have another turn.
			o.err, waiting = nil, append(waiting, o)
		case late && ctx.Err() == nil && !errors.Is(o.err, ErrUnavailable) && !errors.Is(o.err, ErrOutcomeUnknown):
			o.err = fmt.Errorf("%w: %w", ErrUnavailable, o.err)
		}
	}
	return waiting
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

// How often something is done again that a service cannot serve: a batch is more than it
// takes at once, and it says so. That the first call of a batch is refused for seconds means
// something else.
const (
	someTries = 10
	allTries  = math.MaxInt // as long as the batch has time
)

// patiently does something again while the service answers that it cannot serve it now. One
// that does not answer is another matter.
func (s *Store) patiently(ctx context.Context, tries int, do func() error) error {
	for try := 0; ; try++ {
		err := do()
		answer := (*driver.Error)(nil)
		answered := errors.As(err, &answer) && answer.Code != ""
		if !answered || !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrQuota) || try+1 >= tries || s.pause(ctx, try) != nil {
			return err
		}
	}
}

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
	err := s.patiently(ctx, someTries, func() (err error) {
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
		if sent {
			o.err = s.patiently(ctx, allTries, func() error {
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

// planTogether plans orders on one look at the index and at their records. An order that
// cannot be saved so has an error and no plan.
func (s *Store) planTogether(ctx context.Context, orders []*order, trust bool) (*index, map[*order]*plan, error) {
	x, err := s.openIndex(ctx, trust)
	if err != nil {
		return nil, nil, err
	}
	views, err := x.gather(ctx, orders, trust)
	if err != nil {
		return nil, nil, err
	}
	seen := maps.Clone(views) // and not remembered
	plans := make(map[*order]*plan, len(orders))
	for _, o := range orders {
		a := &attempt{store: s, trust: trust, made: o.made, index: x, judges: make(map[key][]*judged), views: views}
		to, next, err := a.identify(ctx, o.record)
		if err != nil {
			o.err = err
			continue
		}
		p, err := a.plan(ctx, to, next)
		switch {
		case err != nil:
		case len(p.fences) > 0:
			err = errAlone
		case p.value == nil && trust && seen[to.view.name] == nil:
			err = errVerify // that nothing has to be written is so now, and not only was
		}
		if o.err = err; err == nil {
			plans[o] = p
			if p.to.view.absent() && o.record.ID == "" {
				o.made = p.id
			}
		}
	}
	return x, plans, nil
}

// gather reads the leaves of all keys of orders, and the records that stand there or that
// the orders name, with few calls. With trust, it does not read what is remembered.
func (x *index) gather(ctx context.Context, orders []*order, trust bool) (map[string]*view, error) {
	var keys []key
	var refs []string
	for _, o := range orders {
		keys = append(append(keys, queryKeys(o.record)...), indexKeys(o.record)...)
		if o.record.ID != "" {
			refs = append(refs, places(o.record.ID)[0])
		}
	}
	if err := x.openFor(ctx, keys, trust); err != nil {
		return nil, err
	}
	for _, k := range keys {
		entries, err := x.entries(ctx, k, trust)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			refs = append(refs, e.Ref)
		}
	}
	views := make(map[string]*view, len(refs))
	if err := x.view(ctx, views, refs, trust); err != nil {
		return nil, err
	}
	refs = nil
	for _, o := range orders {
		if p := places(o.record.ID); len(p) > 1 {
			if v := views[codec.NameOf(p[0])]; v != nil && !v.live() {
				refs = append(refs, p[1])
			}
		}
	}
	return views, x.view(ctx, views, refs, trust)
}

// view adds the views of records by their names, as far as they can be read.
func (x *index) view(ctx context.Context, views map[string]*view, refs []string, trust bool) error {
	how := driver.Fresh
	if trust {
		how = driver.Any
	}
	slices.Sort(refs)
	var names []string
	for _, ref := range slices.Compact(refs) {
		if name := codec.NameOf(ref); !trust || x.store.memory.recall(name) == nil {
			names = append(names, name)
		}
	}
	for page := range slices.Chunk(names, pageSize) {
		read, err := x.store.read(ctx, how, page...)
		if err != nil {
			return err
		}
		for _, v := range read {
			if v.err == nil {
				views[v.name] = v
			}
		}
	}
	return nil
}

// openFor reads the leaves of keys that the root names, several with one call.
func (x *index) openFor(ctx context.Context, keys []key, trust bool) error {
	if x.root.index.Live() {
		return nil
	}
	leaves := make(map[string]bool)
	for _, k := range keys {
		_, name, _ := x.root.index.Leaf(x.hash(k))
		if !trust || x.store.memory.recall(name) == nil {
			leaves[name] = true
		}
	}
	for page := range slices.Chunk(slices.Sorted(maps.Keys(leaves)), leafPage) {
		if err := x.prefetch(ctx, page); err != nil {
			return err
		}
	}
	return nil
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
	err := s.patiently(ctx, allTries, func() error { return s.change(ctx, newChange(changes[0].leaf, apply)) })
	for i, c := range changes {
		if err == nil {
			c.done <- errs[i]
		} else {
			c.done <- err
		}
	}
}
