package token

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file finds records of one identity. The protocol lets none come to be; a secret that was
// copied, or written by another tool, can be one.

// duplicates looks at the records that have a key in common.
func (r *repair) duplicates(ctx context.Context) error {
	r.reached(phaseDuplicates, "")
	if r.done(phaseDuplicates) {
		return nil
	}
	groups, err := r.groups(ctx)
	if err != nil {
		return err
	}
	for i, g := range groups {
		r.progress(phaseDuplicates, i, len(groups))
		if err := r.failed(ctx, r.resolve(ctx, g)); err != nil {
			return err
		}
	}
	r.progress(phaseDuplicates, len(groups), len(groups))
	return nil
}

// A group are the refs of records that have keys in common, two of which exclude each other
// or both a third one.
type group struct {
	refs []string
	hash codec.Hash // of a key that some of them have in common
}

// groups returns what may be duplicates.
func (r *repair) groups(ctx context.Context) ([]*group, error) {
	of := make(map[string]*group)
	keys := r.survey.keys
	for n := 0; n < len(keys); {
		h, from := keys[n].hash, n
		for n < len(keys) && keys[n].hash == h {
			n++
		}
		if n-from < 2 {
			continue
		}
		var refs []string
		for _, k := range keys[from:n] {
			refs = append(refs, r.survey.refs[k.at])
		}
		views, err := r.readAll(ctx, refs)
		if err != nil {
			return nil, err
		}
		for _, pair := range excluding(views) {
			join(of, h, pair[0].ref, pair[1].ref)
		}
	}
	var groups []*group
	for _, ref := range slices.Sorted(maps.Keys(of)) {
		if g := of[ref]; g.refs[0] == ref {
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// join puts two refs into one group.
func join(of map[string]*group, h codec.Hash, a, b string) {
	g, other := of[a], of[b]
	if g == nil {
		g = &group{hash: h, refs: []string{a}}
	}
	more := []string{b}
	switch {
	case other == g:
		return
	case other != nil:
		more = other.refs
	}
	g.refs = append(g.refs, more...)
	slices.Sort(g.refs)
	for _, ref := range g.refs {
		of[ref] = g
	}
}

// A twin is a record that is there now.
type twin struct {
	ref  string
	view *view
}

// readAll reads records, and returns those that live.
func (r *repair) readAll(ctx context.Context, refs []string) ([]twin, error) {
	var live []twin
	for page := range slices.Chunk(refs, pageSize) {
		views, err := r.readEach(ctx, driver.Fresh, page)
		if err != nil {
			return nil, err
		}
		for i, v := range views {
			if v.live() && ailing(page[i], v) == nil {
				live = append(live, twin{page[i], v})
			}
		}
	}
	return live, nil
}

// excluding returns the pairs of records that cannot be beside each other.
func excluding(list []twin) (pairs [][2]twin) {
	byName := make(map[string][]twin) // two users never exclude each other
	for _, t := range list {
		byName[t.view.record.UserName] = append(byName[t.view.record.UserName], t)
	}
	for _, user := range slices.Sorted(maps.Keys(byName)) {
		same := byName[user]
		for i, a := range same {
			for _, b := range same[i+1:] {
				if exclude(a.view.record, b.view.record) {
					pairs = append(pairs, [2]twin{a, b})
				}
			}
		}
	}
	return pairs
}

// exclude reports whether two records cannot be beside each other: because of a key that
// both have.
func exclude(a, b *codec.Record) bool {
	had := indexKeys(b)
	return slices.ContainsFunc(indexKeys(a), func(k key) bool {
		return slices.Contains(had, k) && excludes(k, b, a) != nil
	})
}

// resolve lists duplicates, and lets the rule decide. It is asked until no two records are
// left that exclude each other, or it lets them be.
func (r *repair) resolve(ctx context.Context, g *group) error {
	for left := g.refs; ; {
		var d *Duplicate
		var next []string
		err := r.store.retry(ctx, func(ctx context.Context) error {
			found, rest, err := r.decide(ctx, g.hash, left)
			if found != nil { // and not where all was done by a try before
				d, next = found, rest
			}
			return err
		})
		if d != nil {
			r.report.Duplicates = append(r.report.Duplicates, *d)
			r.count(DuplicateRecord).Found++
			if err == nil && d.Kept != "" && !r.opts.DryRun {
				r.count(DuplicateRecord).Fixed++
			}
		}
		if err != nil || d == nil || d.Kept == "" {
			return err
		}
		left = next
		if err := r.find(ctx, left); err != nil {
			return err
		}
	}
}

// find makes sure that records are found that others were in the way of.
func (r *repair) find(ctx context.Context, refs []string) error {
	if r.shape == nil {
		return nil
	}
	var keys []keyAt
	for _, k := range r.survey.keys {
		if slices.Contains(refs, r.survey.refs[k.at]) {
			keys = append(keys, k)
		}
	}
	return r.miss(ctx, keys)
}

// decide looks at the records of a group as they are now. It returns them if some exclude
// each other, and which are left after the rule has chosen.
func (r *repair) decide(ctx context.Context, h codec.Hash, refs []string) (*Duplicate, []string, error) {
	list, err := r.readAll(ctx, refs)
	if err != nil {
		return nil, nil, err
	}
	pairs := excluding(list)
	list = slices.DeleteFunc(list, func(t twin) bool {
		return !slices.ContainsFunc(pairs, func(p [2]twin) bool { return p[0].ref == t.ref || p[1].ref == t.ref })
	})
	if len(list) == 0 {
		return nil, nil, nil
	}
	if list, err = r.oldestFirst(ctx, h, list); err != nil {
		return nil, nil, err
	}
	d := &Duplicate{Differ: differences(list)}
	copies := make([]*OAuthToken, len(list))
	for i, t := range list {
		d.IDs = append(d.IDs, t.view.record.ID)
		copies[i] = fromRecord(t.view.record)
	}
	var kept *codec.Record
	if r.opts.Duplicates != nil {
		d.Kept = r.opts.Duplicates(copies)
		at := slices.Index(d.IDs, d.Kept)
		if at < 0 && d.Kept != "" {
			d.Kept = ""
			err = fmt.Errorf("%w: the rule for duplicates names none of its records", ErrInvalid)
		}
		if at >= 0 {
			kept = list[at].view.record
		}
	}
	var left []string
	var graves []*grave
	for _, t := range list {
		switch {
		case kept == nil:
			r.twins[t.ref] = true
		case !exclude(kept, t.view.record) || t.view.record == kept:
			left = append(left, t.ref)
		case r.opts.DryRun:
			r.twins[t.ref] = true
		default:
			was := t.view.record
			tombstone, err := r.store.write(ctx, t.view, codec.KindTombstone, asRecord(was.Bury(time.Now())))
			if err != nil {
				r.store.cleanUp(ctx, graves)
				return d, left, err
			}
			r.owner.memory.keep(tombstone)
			graves = append(graves, &grave{t.ref, was, tombstone})
		}
	}
	r.store.cleanUp(ctx, graves)
	return d, left, err
}

// oldestFirst puts records in the order in which they came to hold a key, as far as the
// index tells.
func (r *repair) oldestFirst(ctx context.Context, h codec.Hash, list []twin) ([]twin, error) {
	var entries []codec.Entry
	if r.shape != nil {
		leaf, err := r.leafOf(ctx, h)
		if err != nil {
			return nil, err
		}
		entries = leaf.index.Entries[h]
	}
	at := func(t twin) int {
		if i := entryOf(entries, t.ref); i >= 0 {
			return i
		}
		return len(entries)
	}
	slices.SortStableFunc(list, func(a, b twin) int {
		if at(a) != at(b) {
			return at(a) - at(b)
		}
		return compareAge(a.ref, b.ref)
	})
	return list, nil
}

// differences names the fields in which records differ.
func differences(list []twin) (fields []string) {
	first := list[0].view.record
	differ := func(name string, same func(r *codec.Record) bool) {
		if slices.ContainsFunc(list, func(t twin) bool { return !same(t.view.record) }) {
			fields = append(fields, name)
		}
	}
	differ("UserSignature", func(r *codec.Record) bool { return r.UserName == first.UserName })
	differ("ClientID", func(r *codec.Record) bool { return r.ClientID == first.ClientID })
	differ("ClientSecret", func(r *codec.Record) bool { return r.ClientSecret == first.ClientSecret })
	differ("GrantToken", func(r *codec.Record) bool { return r.GrantToken == first.GrantToken })
	differ("RefreshToken", func(r *codec.Record) bool { return r.RefreshToken == first.RefreshToken })
	differ("AccessToken", func(r *codec.Record) bool { return r.AccessToken == first.AccessToken })
	differ("Expiry", func(r *codec.Record) bool { return r.Expiry.Equal(first.Expiry) })
	differ("RedirectURL", func(r *codec.Record) bool { return r.RedirectURL == first.RedirectURL })
	differ("APIDomain", func(r *codec.Record) bool { return r.APIDomain == first.APIDomain })
	differ("TokenType", func(r *codec.Record) bool { return r.TokenType == first.TokenType })
	differ("Scopes", func(r *codec.Record) bool { return slices.Equal(r.Scopes, first.Scopes) })
	differ("Extra", func(r *codec.Record) bool { return maps.Equal(r.Extra, first.Extra) })
	return fields
}
