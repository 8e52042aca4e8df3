package token

import (
	"context"
	"errors"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file is how a save tries: on what is remembered first, and on the service's word
// before it refuses.

// An attempt is one try of a save.
type attempt struct {
	store *Store
	// trust lets what is remembered stand for what the service would say. Nothing
	// unsafe follows, since every write is a compare-and-set; but what is refused
	// is refused on the service's word only.
	trust bool
	// remembered: something was taken from memory.
	remembered bool
	// made is the id that an earlier try made, and may have claimed keys for, if there was one.
	made   string
	index  *index
	judges map[key][]*judged
	// views are the records that this attempt has seen: it judges all keys by the same
	// state of a record.
	views map[string]*view
}

// errVerify asks for another attempt at once, with more certainty.
var errVerify = errors.New("what was remembered has to be read")

// attempt runs f on what is remembered, and again on what the service says if f
// would refuse.
func (s *Store) attempt(f func(*attempt) error) error {
	a := &attempt{trust: true}
	for {
		a = &attempt{store: s, trust: a.trust, index: a.unwritten(), judges: make(map[key][]*judged), views: make(map[string]*view)}
		err := f(a)
		if !errors.Is(err, errVerify) {
			return err
		}
		a.trust = false
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

// freshness says which read goes with trust in what is remembered.
func freshness(trust bool) driver.Freshness {
	if trust {
		return driver.Any
	}
	return driver.Fresh
}

// refuse returns err if it rests on the service's strongest reads, and asks to look
// again if it does not.
func (a *attempt) refuse(err error) error {
	if a.trust {
		return errVerify
	}
	return err
}

// open opens the index, once an attempt.
func (a *attempt) open(ctx context.Context) (*index, error) {
	var err error
	if a.index == nil {
		a.index, err = a.store.openIndex(ctx, a.trust)
	}
	return a.index, err
}

// recordOf returns where the record with an id is, or would be if somebody chose the id.
func (a *attempt) recordOf(ctx context.Context, id string) (to target, err error) {
	for _, ref := range places(id) {
		to.ref = ref
		if to.view, err = a.record(ctx, ref); err != nil || to.view.live() {
			break
		}
	}
	return to, err
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
		if a.trust && (a.views[name] == nil || a.views[name].absent()) {
			views[i] = a.store.memory.recall(name)
			a.remembered = a.remembered || views[i] != nil
		}
		if views[i] == nil {
			views[i] = a.views[name]
		}
		if views[i] == nil {
			names = append(names, name)
		}
	}
	how := freshness(a.trust)
	var read []*view
	if len(names) > 0 {
		var err error
		if read, err = a.store.read(ctx, how, names...); err != nil {
			return nil, err
		}
	}
	for i := range views {
		if views[i] == nil {
			views[i], read = read[0], read[1:]
		}
		if views[i].err != nil {
			return nil, views[i].err
		}
		a.views[views[i].name] = views[i]
	}
	return views, nil
}
