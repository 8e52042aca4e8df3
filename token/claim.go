package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file is the index protocol: who may gain a key. The record is where every
// operation takes effect; the index only keeps two records from gaining one key.
// docs/consistency.md proves the rules, which are named here by their numbers:
//
//  1. A record gains a key only by a compare-and-set from exactly base, after the
//     key's leaf holds (key -> ref, base). The user's leaf is written first.
//  2. A pending entry of another record is fenced before it is overruled.
//  3. A leaf is written by compare-and-set at the revision at which its entries
//     were judged.
//  4. The base of an entry never goes back.
//  5. A pending create that the saver's own key leads to is adopted, if it is not so old
//     that its record may have been removed.

// A judged entry is an entry and what its record says about it.
type judged struct {
	key   key
	entry codec.Entry
	view  *view
	state state
}

// A state is what an entry means, judged by its record.
type state int

const (
	// dead: the record lacks the key and is past the base, so the compare-and-set
	// from the base cannot succeed any more.
	dead state = iota
	// holder: the record has the key.
	holder
	// pendingCreate: there is no record yet, and somebody is about to create it.
	pendingCreate
	// pendingGain: the record stands at the base and lacks the key, and somebody is
	// about to give it.
	pendingGain
)

// changing reports whether somebody may be about to change whose record this is: a
// change of user or client claims anew what the record has.
func (j *judged) changing() bool {
	return j.state == holder && j.entry.Base == j.view.seq()
}

// judge reads the records that stand in the index under a key, once an attempt.
func (a *attempt) judge(ctx context.Context, k key) ([]*judged, error) {
	if list, done := a.judges[k]; done {
		return list, nil
	}
	x, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := x.entries(ctx, k, a.trust)
	if err != nil {
		return nil, err
	}
	refs := make([]string, len(entries))
	for i, e := range entries {
		refs[i] = e.Ref
	}
	views, err := a.records(ctx, refs...)
	if err != nil {
		return nil, err
	}
	list := make([]*judged, len(entries))
	for i, e := range entries {
		if list[i], err = a.weigh(ctx, k, e, views[i]); err != nil {
			return nil, err
		}
	}
	a.judges[k] = list
	return list, nil
}

// weigh says what an entry means.
func (a *attempt) weigh(ctx context.Context, k key, e codec.Entry, v *view) (*judged, error) {
	j := &judged{key: k, entry: e, view: v}
	switch {
	case v.gone:
		return j, nil
	case v.absent() && e.Base == 0:
		j.state = pendingCreate
	case v.seq() < e.Base:
		// The record was at the base when the key was claimed: this read is stale,
		// or the secret was removed or set back by hand. To write past the base
		// tells: it fails if the read was stale, and the entry is dead if not.
		return j, a.overtake(ctx, e, v)
	case holds(v.record, k):
		j.state = holder
	case v.record.Kind == codec.KindPurging:
	case v.seq() == e.Base:
		j.state = pendingGain
	}
	if rule.Off(rule.Base) && j.state == pendingGain {
		j.state = dead
	}
	return j, nil
}

// overtake brings a record that is behind the base of an entry past it, once a
// fresh read has shown the same.
func (a *attempt) overtake(ctx context.Context, e codec.Entry, v *view) error {
	if a.trust {
		return errVerify
	}
	r, frame := (&codec.Record{Chosen: codec.ChosenRef(e.Ref)}).Bury(time.Now()), codec.Frame{Kind: codec.KindTombstone}
	if v.record != nil {
		touched := *v.record
		r, frame = &touched, v.record.Frame
	}
	frame.Seq = e.Base
	next, err := a.store.prepare(v, frame, frame.Kind, asRecord(r))
	if err == nil {
		_, err = a.store.send(ctx, v, next)
	}
	if err != nil {
		return beforehand(err)
	}
	return again("a record was behind the index")
}

// A plan is what a save has to write, in this order: the fences, the leaves, the record.
type plan struct {
	to      target
	fences  []*judged
	changes []*change
	// value is the record; nil: it is as it shall be, and nothing has to be written.
	value *view
	id    string
}

// commit writes next to the target, after claiming the keys that it gains.
func (a *attempt) commit(ctx context.Context, to target, next *codec.Record) error {
	p, err := a.plan(ctx, to, next)
	switch {
	case err != nil:
		return err
	case p.value == nil:
		return a.confirm(ctx, to)
	}
	if err := a.claim(ctx, p); err != nil {
		return err
	}
	if _, err = a.store.send(ctx, to.view, p.value); err == nil && a.index != nil {
		a.index.relink(ctx)
	}
	return err
}

// plan finds out what has to be written for the target to become next.
func (a *attempt) plan(ctx context.Context, to target, next *codec.Record) (*plan, error) {
	p := &plan{to: to, id: next.ID}
	var old *codec.Record
	if to.view.live() {
		old = to.view.record
		if sameContent(old, next) {
			return p, nil
		}
	}
	// The record is encoded before anything is written: if it is too large, nothing
	// has to be taken back.
	value, err := a.store.prepare(to.view, to.view.frame(), codec.KindToken, asRecord(next))
	if err == nil {
		err = a.store.roomFor(value)
	}
	if err != nil {
		return nil, a.refuse(err)
	}
	p.value = value
	if gained := gains(old, next); len(gained) > 0 && !rule.Off(rule.Claim) {
		err = a.planClaims(ctx, p, next, gained)
	}
	return p, err
}

// planClaims finds out what has to be written for the target to gain keys: (key -> ref, base)
// in the leaf of each, and what keeps others from gaining them.
func (a *attempt) planClaims(ctx context.Context, p *plan, next *codec.Record, gained []key) (err error) {
	if p.fences, err = a.rivals(ctx, p.to, next, gained); err == nil {
		p.changes, err = a.claims(ctx, p.to, gained, p.fences)
	}
	return err
}

// claim makes the claims of a plan.
func (a *attempt) claim(ctx context.Context, p *plan) error {
	// Rule 2. Fences come before the leaves: an entry may only go when it is dead.
	for _, j := range p.fences {
		if err := a.fence(ctx, j); err != nil {
			return beforehand(err)
		}
	}
	// Rule 3, and the order of rule 1.
	for _, c := range p.changes {
		if err := a.store.change(ctx, c); err != nil {
			return beforehand(err)
		}
	}
	return nil
}

// confirm makes sure that a record that has nothing to be written is so now, and not
// only was when it was seen.
func (a *attempt) confirm(ctx context.Context, to target) error {
	if !a.remembered {
		return nil
	}
	v, err := a.store.readOne(ctx, driver.Any, to.view.name)
	if err == nil && v.rev != to.view.rev {
		a.store.memory.outdate(to.view.name, v.seq())
		err = outrun("a record changed since it was seen")
	}
	return err
}

// gains returns the keys that a record gains on its way from old to next. A record
// that changes whose it is gains all its keys anew: who else may hold them depends
// on that. A record that gets a client for the first time only meets fewer others.
func gains(old, next *codec.Record) []key {
	keys := indexKeys(next)
	if old == nil || old.UserName != next.UserName || (old.ClientID != next.ClientID && old.ClientID != "") {
		return keys
	}
	had := indexKeys(old)
	return slices.DeleteFunc(keys, func(k key) bool { return slices.Contains(had, k) })
}

// A beforehandError is what went wrong before the record was written. Even if it is
// not known whether a claim or a fence was applied, it is known that the operation
// was not.
type beforehandError struct{ error }

func beforehand(err error) error { return beforehandError{err} }

func (e beforehandError) Is(target error) bool {
	if target == ErrOutcomeUnknown {
		return false
	}
	unknown := target == ErrUnavailable && errors.Is(e.error, ErrOutcomeUnknown)
	return unknown || errors.Is(e.error, target)
}

func (e beforehandError) As(target any) bool { return errors.As(e.error, target) }

// rivals returns the entries of other records that have to be fenced before the
// target may gain keys, and refuses what would make two records of one identity.
func (a *attempt) rivals(ctx context.Context, to target, next *codec.Record, gained []key) ([]*judged, error) {
	var fences []*judged
	for _, k := range gained {
		list, err := a.judge(ctx, k)
		if err != nil {
			return nil, err
		}
		for _, j := range list {
			switch {
			case j.entry.Ref == to.ref:
				if j.entry.Base > to.view.seq() { // rule 4
					a.store.memory.outdate(to.view.name, j.entry.Base)
					return nil, outrun("a record was behind the index")
				}
			case j.state == pendingCreate, j.state == pendingGain:
				fences = append(fences, j)
			case j.state == holder:
				if err := excludes(k, j.view.record, next); err != nil {
					return nil, a.refuse(err)
				}
				if j.changing() {
					fences = append(fences, j)
				}
			}
		}
	}
	return fences, nil
}

// excludes reports why a record may not gain a key that another one holds.
func excludes(k key, other, next *codec.Record) error {
	switch {
	case k.kind == byUser && compatible(other.ClientID, next.ClientID):
		return fmt.Errorf("%w: the user has another record", ErrConflict)
	case (k.kind == byGrant || k.kind == byRefresh) && other.UserName == next.UserName:
		return fmt.Errorf("%w: the %s token belongs to another record", ErrConflict, k.kind)
	case k.kind == byAccess && other.UserName == next.UserName && slices.Equal(indexKeys(other), []key{k}):
		return fmt.Errorf("%w: the access token belongs to another record", ErrConflict)
	}
	return nil
}

// fence makes a pending entry dead: where the record is missing by creating its
// tombstone, where it is there by a touch, a write that only raises its number.
func (a *attempt) fence(ctx context.Context, j *judged) error {
	if rule.Off(rule.Fence) {
		return nil
	}
	// An id that somebody chose may come to life yet.
	r := (&codec.Record{Chosen: codec.ChosenRef(j.entry.Ref)}).Bury(time.Now())
	kind := codec.KindTombstone
	if j.view.record != nil {
		touched := *j.view.record
		r, kind = &touched, touched.Kind
	}
	_, err := a.store.write(ctx, j.view, kind, asRecord(r))
	return err
}
