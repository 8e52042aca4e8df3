package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

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
//  5. A pending create that the saver's own key leads to is adopted.

// An attempt is one try of a save.
type attempt struct {
	store *Store
	// trust lets what is remembered stand for what the service would say. Nothing
	// unsafe follows, since every write is a compare-and-set; but what is refused
	// is refused on the service's word only.
	trust bool
	// remembered: something was taken from memory.
	remembered bool
	// unlock is set while this goroutine has the turn to write the index.
	unlock func()

	index  *index
	judges map[key][]*judged
	// absent are the records that this operation read and did not find. Who has to
	// begin anew for a turn to write the index need not look for them again: what
	// came since makes the compare-and-set fail.
	absent map[string]*view
	// scanned: all records were looked through for an access token, and none has it.
	scanned bool
}

// How an attempt asks to be begun anew at once, with more certainty.
var (
	errVerify = errors.New("what was remembered has to be read")
	errClaim  = errors.New("the index has to be written")
)

// attempt runs f on what is remembered, and again on what the service says if f
// would refuse, or when it is this goroutine's turn if f has to write the index.
func (s *Store) attempt(ctx context.Context, f func(*attempt) error) error {
	a := &attempt{trust: true}
	defer func() { a.release() }()
	for {
		a = &attempt{store: s, trust: a.trust, unlock: a.unlock, index: a.unwritten(), judges: make(map[key][]*judged), absent: a.absent, scanned: a.scanned}
		switch err := f(a); {
		case errors.Is(err, errVerify):
			a.trust, a.absent, a.scanned = false, nil, false
		case errors.Is(err, errClaim):
			if a.unlock, err = s.claiming.take(ctx, codec.RootName); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

func (a *attempt) release() {
	if a.unlock != nil {
		a.unlock()
		a.unlock = nil
	}
}

// unwritten returns the index that an attempt looked for, if there was none: to look
// again would mean to list all names again.
func (a *attempt) unwritten() *index {
	if a.index != nil && a.index.root.absent() && a.store.memory.recall(codec.RootName) == nil {
		return a.index
	}
	return nil
}

// refuse returns err if it rests on what the service said, and asks to look again
// if it does not.
func (a *attempt) refuse(err error) error {
	if a.trust && (a.remembered || a.index != nil && a.index.remembered) {
		return errVerify
	}
	return err
}

// record returns the view of a record, from memory if that is allowed.
func (a *attempt) record(ctx context.Context, ref string) (*view, error) {
	views, err := a.records(ctx, ref)
	if err != nil {
		return nil, err
	}
	return views[0], nil
}

// records returns the views of records, from memory as far as that is allowed and
// goes. A plain read may miss what is there; nothing is refused, and nothing made
// up, because of a miss that a fresh read or a compare-and-set does not confirm.
func (a *attempt) records(ctx context.Context, refs ...string) ([]*view, error) {
	views := make([]*view, len(refs))
	var names []string
	for i, ref := range refs {
		name := codec.NameOf(ref)
		if a.trust {
			views[i] = a.store.memory.recall(name)
			a.remembered = a.remembered || views[i] != nil
		}
		if views[i] == nil {
			views[i] = a.absent[name]
		}
		if views[i] == nil {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return views, nil
	}
	how := driver.Fresh
	if a.trust {
		how = driver.Any
	}
	read, err := a.store.read(ctx, how, names...)
	if err != nil {
		return nil, err
	}
	for i := range views {
		if views[i] == nil {
			views[i], read = read[0], read[1:]
		}
		if views[i].err != nil {
			return nil, views[i].err
		}
		if views[i].absent() && !views[i].gone {
			if a.absent == nil {
				a.absent = make(map[string]*view)
			}
			a.absent[views[i].name] = views[i]
		}
	}
	return views, nil
}

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
	if a.index == nil {
		x, err := a.store.openIndex(ctx, a.trust)
		if err != nil {
			return nil, err
		}
		a.index = x
	}
	entries, err := a.index.entries(ctx, k, a.trust)
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
		a.remembered = true
		return a.refuse(nil)
	}
	r, frame := &codec.Record{Chosen: true}, codec.Frame{Kind: codec.KindTombstone}
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

// commit writes next to the target, after claiming the keys that it gains.
func (a *attempt) commit(ctx context.Context, to target, next *codec.Record) error {
	var old *codec.Record
	if to.view.live() {
		old = to.view.record
		if sameContent(old, next) {
			return a.confirm(ctx, to)
		}
	}
	// The record is encoded before anything is written: if it is too large, nothing
	// has to be taken back.
	value, err := a.store.prepare(to.view, to.view.frame(), codec.KindToken, asRecord(next))
	if err != nil {
		return err
	}
	if gained := gains(old, next); len(gained) > 0 && !rule.Off(rule.Claim) {
		if a.unlock == nil {
			return errClaim
		}
		if err := a.claim(ctx, to, next, gained); err != nil {
			return err
		}
	}
	a.release()
	_, err = a.store.send(ctx, to.view, value)
	return err
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
		err = again("a record changed since it was seen")
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

// claim writes (key -> ref, base) for each gained key into the key's leaf.
func (a *attempt) claim(ctx context.Context, to target, next *codec.Record, gained []key) error {
	fences, err := a.rivals(ctx, to, next, gained)
	if err != nil {
		return err
	}
	leaves, err := a.claims(ctx, to, gained, fences)
	if err != nil {
		return err
	}
	// Rule 2. Fences come before the leaves: an entry may only go when it is dead.
	for _, j := range fences {
		if err := a.fence(ctx, j); err != nil {
			return beforehand(err)
		}
	}
	// Rule 3, and the order of rule 1.
	for _, l := range leaves {
		if _, err := a.store.send(ctx, l.old, l.new); err != nil {
			return beforehand(err)
		}
	}
	return nil
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
					return nil, again("a record was behind the index")
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
	}
	return nil
}

// fence makes a pending entry dead: where the record is missing by creating its
// tombstone, where it is there by a touch, a write that only raises its number.
func (a *attempt) fence(ctx context.Context, j *judged) error {
	if rule.Off(rule.Fence) {
		return nil
	}
	r := &codec.Record{Chosen: true} // nobody has used the id: it may come to life yet
	kind := codec.KindTombstone
	if j.view.record != nil {
		touched := *j.view.record
		r, kind = &touched, touched.Kind
	}
	_, err := a.store.write(ctx, j.view, kind, asRecord(r))
	return err
}

// claims encodes the leaves with the claims of the target, and without the entries
// that are dead, or will be when they are fenced.
func (a *attempt) claims(ctx context.Context, to target, gained []key, fences []*judged) ([]*leafWrite, error) {
	w := leafWrites{}
	for _, k := range gained {
		h, leaf, err := a.index.place(ctx, k, a.trust)
		if err != nil {
			return nil, err
		}
		claim := codec.Entry{Ref: to.ref, Base: to.view.seq()}
		if slices.Contains(leaf.index.Entries[h], claim) {
			continue
		}
		x := w.edit(leaf, k)
		if i := entryOf(x.Entries[h], to.ref); i >= 0 && holds(to.view.record, k) {
			x.Entries[h][i] = claim // it goes on holding the key, in its place
		} else {
			x.Entries[h] = append(without(x.Entries[h], to.ref), claim)
		}
	}
	for _, j := range fences {
		_, leaf, err := a.index.place(ctx, j.key, a.trust)
		if err != nil {
			return nil, err
		}
		w.edit(leaf, j.key)
	}
	if err := a.sweep(ctx, w, to, fences); err != nil {
		return nil, err
	}
	leaves := slices.SortedFunc(maps.Values(w), func(x, y *leafWrite) int {
		return cmp.Or(cmp.Compare(y.rank, x.rank), strings.Compare(x.old.name, y.old.name))
	})
	var err error
	for _, l := range leaves {
		l.new, err = a.store.prepare(l.old, l.old.frame(), codec.KindIndex, asIndex(l.index))
		if errors.Is(err, ErrTooLarge) {
			err = fmt.Errorf("the index is full: %w", err)
		}
		if err != nil {
			return nil, err
		}
	}
	return leaves, nil
}

// A leafWrite is an index secret and what shall become of it.
type leafWrite struct {
	rank  int // the user's leaf comes first
	index *codec.Index
	old   *view
	new   *view
}

// leafWrites are the leaves that are written, by name.
type leafWrites map[string]*leafWrite

// edit returns the entries of a leaf to be changed because of a key.
func (w leafWrites) edit(leaf *view, k key) *codec.Index {
	l := w[leaf.name]
	if l == nil {
		l = &leafWrite{old: leaf, index: leaf.index.Clone()}
		w[leaf.name] = l
	}
	if k.kind == byUser {
		l.rank = 1
	}
	return l.index
}

// sweep removes from leaves that are written anyway what is dead: entries that were
// judged so, those that get fenced, and what older states of the target left.
func (a *attempt) sweep(ctx context.Context, w leafWrites, to target, fences []*judged) error {
	drop := slices.Clone(fences)
	for _, list := range a.judges {
		drop = append(drop, slices.DeleteFunc(slices.Clone(list), func(j *judged) bool { return j.state != dead })...)
	}
	for _, j := range drop {
		h, leaf, err := a.index.place(ctx, j.key, a.trust)
		if err != nil {
			return err
		}
		if l := w[leaf.name]; l != nil && j.entry.Ref != to.ref && j.state != holder {
			l.index.Entries[h] = slices.DeleteFunc(l.index.Entries[h], func(e codec.Entry) bool { return e == j.entry })
		}
	}
	if !to.view.live() {
		return nil
	}
	held := make(map[codec.Hash]bool)
	for _, k := range present(to.view.record, []keyKind{byUser, byAccess, byGrant, byRefresh}) {
		h, _, err := a.index.place(ctx, k, a.trust)
		if err != nil {
			return err
		}
		held[h] = true
	}
	for _, l := range w {
		for h, list := range l.index.Entries {
			if i := entryOf(list, to.ref); i >= 0 && list[i].Base < to.view.seq() && !held[h] {
				l.index.Entries[h] = slices.Delete(list, i, i+1)
			}
		}
	}
	return nil
}

func entryOf(list []codec.Entry, ref string) int {
	return slices.IndexFunc(list, func(e codec.Entry) bool { return e.Ref == ref })
}

func without(list []codec.Entry, ref string) []codec.Entry {
	return slices.DeleteFunc(list, func(e codec.Entry) bool { return e.Ref == ref })
}
