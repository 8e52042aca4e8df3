package token

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/internal/rule"
)

// SaveToken updates the record that the fields of token identify, or inserts one,
// and sets token.ID in both cases.
//
// The record is found as by [Store.FindToken], but an ID without a record does not
// end the search: if nothing else matches, the token is inserted under that ID, unless it is
// one that the store itself made for a record that is gone: then it gets a new one. An
// ID and a user that lead to two different records are [ErrConflict], and so is
// what would change the user or the client of a record ([Store.UpdateToken] can) or
// let two records of one user, or two without a user, hold one refresh or grant
// token. A token that carries none of grant, refresh and access token is never
// inserted: [ErrInvalid].
//
// An update keeps what is stored wherever token has an empty field. It is applied
// to the newest state of the record: of any number of concurrent saves none is
// lost. So save the fields that change, and not the whole of a record that was found a
// while ago: it would bring back tokens that others have replaced since. When SaveToken returned nil, the token is stored for good. When it returned
// an error, nothing was written, except for [ErrOutcomeUnknown]: then it was, or
// may be yet. Saving again is right after every error.
//
// It takes one call to the service if the record was read or written before and
// gains no key, and two for a new record.
func (s *Store) SaveToken(ctx context.Context, token *OAuthToken) error {
	q, err := toRecord(token)
	if err == nil {
		err = checkNamed(q)
	}
	if err != nil {
		return fmt.Errorf("tokenkeep: save token: %w", err)
	}
	return s.run(ctx, "save token", func(ctx context.Context) error { return s.save(ctx, token, q) })
}

// checkNamed makes sure that a record can be meant at all.
func checkNamed(q *codec.Record) error {
	if q.ID == "" && len(queryKeys(q)) == 0 {
		return fmt.Errorf("%w: the token names no id, user, grant, refresh or (without a client) access token", ErrInvalid)
	}
	return nil
}

// save saves a token, of which q is the record, and sets its id.
func (s *Store) save(ctx context.Context, token *OAuthToken, q *codec.Record) error {
	done, err := s.saving.take(ctx, mainKey(q))
	if err != nil {
		return err
	}
	defer done()
	return s.attempt(func(a *attempt) error {
		to, next, err := a.identify(ctx, q)
		if err != nil {
			return err
		}
		if err := a.commit(ctx, to, next); err != nil {
			return err
		}
		token.ID = next.ID
		return nil
	})
}

// mainKey is what saves of one record have in common, most of the time.
func mainKey(q *codec.Record) string {
	if keys := queryKeys(q); len(keys) > 0 {
		return keys[0].value
	}
	return q.ID
}

// A target is the secret that a save will write: a live record, the tombstone of an
// id that comes back to life, or nothing yet.
type target struct {
	ref  string
	view *view
}

// identify finds the record that q means, or the place for a new one, and what it
// shall hold.
func (a *attempt) identify(ctx context.Context, q *codec.Record) (target, *codec.Record, error) {
	to := target{}
	if q.ID != "" {
		var err error
		if to, err = a.recordOf(ctx, q.ID); err != nil {
			return to, nil, err
		}
		if to.view.live() {
			return to, merge(q, to.view.record), a.checkIdentity(q, to.view)
		}
	}
	var pending []*judged
	for _, k := range queryKeys(q) {
		list, err := a.judge(ctx, k)
		if err != nil {
			return to, nil, err
		}
		held := slices.DeleteFunc(slices.Clone(list), func(j *judged) bool { return j.state != holder })
		records := make([]*codec.Record, len(held))
		for i, j := range held {
			records[i] = j.view.record
		}
		i, err := choose(q, k, records)
		if err != nil {
			return to, nil, a.refuse(err)
		}
		if i >= 0 {
			// That the keys before it lead nowhere may be old. If they are gained now, the
			// leaf's compare-and-set tells; an access token is not.
			_, missed := a.judges[keyOf(q, byAccess)]
			if missed && k.kind != byAccess && q.UserName == "" && a.trust && a.index.remembered {
				return to, nil, errVerify
			}
			return target{held[i].entry.Ref, held[i].view}, merge(q, held[i].view.record), nil
		}
		pending = append(pending, list...)
	}
	if onlyAccess(q) {
		if found, err := a.store.scan(ctx, q); err != nil || found != nil {
			if err != nil {
				return to, nil, err
			}
			v, err := a.record(ctx, found.ref())
			if err == nil && !holds(v.record, keyOf(q, byAccess)) {
				err = again("a record changed while it was found")
			}
			if err != nil {
				return to, nil, err
			}
			return target{found.ref(), v}, merge(q, v.record), nil
		}
	}
	if !carriesToken(q) {
		return to, nil, a.refuse(fmt.Errorf("%w: no record matches, and the token carries no grant, refresh or access token", ErrInvalid))
	}
	return a.place(ctx, q, to, pending)
}

// checkIdentity refuses to change whose record it is that an id led to.
func (a *attempt) checkIdentity(q *codec.Record, v *view) error {
	switch r := v.record; {
	case r.ID != q.ID:
		return checkSameID(v, q.ID)
	case q.UserName != "" && r.UserName != "" && q.UserName != r.UserName:
		return a.refuse(fmt.Errorf("%w: the id is that of another user's record", ErrConflict))
	case !compatible(q.ClientID, r.ClientID):
		return a.refuse(fmt.Errorf("%w: the id is that of another client's record", ErrConflict))
	}
	return nil
}

// place finds where a new record goes. wanted is the place of the id that the caller
// chose, if any; pending is what stands in the index under the keys of q.
func (a *attempt) place(ctx context.Context, q *codec.Record, wanted target, pending []*judged) (target, *codec.Record, error) {
	next := *q
	x, err := a.open(ctx)
	if err != nil {
		return wanted, nil, err
	}
	switch v := wanted.view; {
	case v == nil:
	case a.trust && codec.MadeForm(q.ID):
		return wanted, nil, errVerify // that nothing is there may be old, and nothing else would tell
	case codec.MadeUnder(x.root.index.Key, q.ID) && !rule.Off(rule.Once):
		// An id that the store made is never used again: the token gets a new one. But a
		// record that is young may only not be seen yet: to create it tells.
		if made := a.views[codec.NameOf(q.ID)]; made != nil && made.absent() && !made.gone && adoptable(q.ID) {
			return target{q.ID, made}, &next, nil
		}
	case v.absent() && !v.gone, v.record != nil && v.record.Kind == codec.KindTombstone:
		next.Chosen = true
		return wanted, &next, nil
	default:
		return wanted, nil, fmt.Errorf("%w: the record with this id is being removed for good: save under another id", ErrConflict)
	}
	// Rule 5: a record that somebody else is about to create under a key of ours is
	// created here, under the id that stands in the index, by whoever comes first. But a
	// user does not take over what may be another user's.
	for _, j := range pending {
		ours := j.key.kind == byUser || q.UserName == ""
		if j.state == pendingCreate && ours && adoptable(j.entry.Ref) {
			next.ID = j.entry.Ref
			return target{j.entry.Ref, j.view}, &next, nil
		}
	}
	id := a.made
	if id == "" || !codec.MadeUnder(x.root.index.Key, id) {
		id, err = codec.NewID(a.store.random, x.root.index.Key, time.Now())
	}
	next.ID = id
	return target{id, &view{name: codec.NameOf(id)}}, &next, err
}

// adoptable reports whether a missing record can be about to be created, and not one that was
// removed while an entry stayed somewhere: its id was made within this clock hour or one
// beside it. An id that comes to life a second time would be two records of one identity: an
// entry that somebody judged dead by its tombstone, and is about to drop, would be a claim
// again. A removal comes 24 hours after the id was made, or later (see grace), so clocks may
// differ by eleven hours.
func adoptable(ref string) bool {
	hours, ok := codec.HoursOld(ref, time.Now())
	return ok && (-1 <= hours && hours <= 1 || rule.Off(rule.Once))
}
