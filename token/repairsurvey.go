package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file is what a repair knows of all records at once: which there are, how often each
// was written, and the hashes of its keys. That is compared with the index leaf by leaf. It may
// be old, since the store goes on being used: so it is a ground for suspicion and for
// nothing else. What is suspected is read anew before it is called a problem.

// A survey is what was read of all records.
type survey struct {
	refs []string // sorted
	// By place in refs: the sequence numbers, 0 where nothing is, and what cannot be used.
	seqs []int64
	bad  []bool
	// keys are the hashes under which the live records have to stand in the index, sorted.
	keys []keyAt
}

// A keyAt is a key of the record at a place in refs.
type keyAt struct {
	hash codec.Hash
	at   uint32
}

func compareKeys(a, b keyAt) int {
	if c := a.hash.Compare(b.hash); c != 0 {
		return c
	}
	return int(a.at) - int(b.at)
}

// place returns the place of a ref, and whether it has one.
func (v *survey) place(ref string) (int, bool) { return slices.BinarySearch(v.refs, ref) }

// seq returns the sequence number of a record, 0 if it was not there.
func (v *survey) seq(ref string) int64 {
	if at, ok := v.place(ref); ok {
		return v.seqs[at]
	}
	return 0
}

// has reports whether the record at a place had a key.
func (v *survey) has(h codec.Hash, at int) bool {
	_, ok := slices.BinarySearchFunc(v.keys, keyAt{h, uint32(at)}, compareKeys) //nolint:gosec // fewer than 2^32
	return ok
}

// under returns the keys under a prefix of bits.
func (v *survey) under(prefix string) []keyAt {
	from, _ := slices.BinarySearchFunc(v.keys, keyAt{hash: firstUnder(prefix)}, compareKeys)
	rest := v.keys[from:]
	n, _ := slices.BinarySearchFunc(rest, prefix, func(k keyAt, prefix string) int {
		if k.hash.Under(prefix) {
			return -1
		}
		return 1
	})
	return rest[:n]
}

// firstUnder returns the lowest hash under a prefix.
func firstUnder(prefix string) (h codec.Hash) {
	for i, bit := range []byte(prefix) {
		h[i/8] |= (bit - '0') << (7 - i%8)
	}
	return h
}

// prefixAfter returns the prefix after a prefix and all below it; none if it is the last.
func prefixAfter(prefix string) (next string, more bool) {
	prefix = strings.TrimRight(prefix, "1")
	if prefix == "" {
		return "", false
	}
	return prefix[:len(prefix)-1] + "1", true
}

// list reads the names under the prefix. The listing may take any time, but not stand still for
// longer than an operation may take.
func (r *repair) list(ctx context.Context) error {
	r.refs, r.leaves = nil, nil
	bounded, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(r.store.timeout, func() { cancel(fmt.Errorf("%w: the listing stands still", ErrUnavailable)) })
	defer patience.Stop()
	for name, err := range r.store.driver.Names(bounded) {
		switch ref, isRecord := codec.RefOfName(name); {
		case err != nil && ctx.Err() == nil && bounded.Err() != nil:
			return context.Cause(bounded)
		case err != nil:
			return err
		case isRecord:
			r.refs = append(r.refs, ref)
		case isIndexName(name) && name != codec.RootName:
			r.leaves = append(r.leaves, name)
		}
		if n := len(r.refs) + len(r.leaves); n%1000 == 0 {
			patience.Reset(r.store.timeout)
			r.progress(phaseNames, n, 0)
		}
	}
	slices.Sort(r.refs)
	slices.Sort(r.leaves)
	r.progress(phaseNames, len(r.refs)+len(r.leaves), 0)
	return nil
}

// unlisted adds the refs that stand in an index secret and were not listed.
func (r *repair) unlisted(x *codec.Index, to map[string]bool) {
	for _, list := range x.Entries {
		for _, e := range list {
			if _, listed := slices.BinarySearch(r.refs, e.Ref); !listed {
				to[e.Ref] = true
			}
		}
	}
}

// addRefs adds refs that the listing did not have: it may be minutes behind.
func (r *repair) addRefs(more map[string]bool) {
	if len(more) == 0 {
		return
	}
	for ref := range more {
		r.refs = append(r.refs, ref)
	}
	slices.Sort(r.refs)
	r.refs = slices.Compact(r.refs)
}

// takeSurvey reads all records, a page at a time, and shows each to visit.
func (r *repair) takeSurvey(ctx context.Context, phase string, how driver.Freshness, hashKey []byte, visit func(ref string, v *view) error) error {
	n := len(r.refs)
	sv := &survey{refs: r.refs, seqs: make([]int64, n), bad: make([]bool, n)}
	for at := 0; at < n; at += pageSize {
		r.progress(phase, at, n)
		page := r.refs[at:min(at+pageSize, n)]
		r.reached(phase, codec.NameOf(page[0]))
		views, err := r.readEach(ctx, how, page)
		if err != nil {
			return err
		}
		for i, v := range views {
			sv.add(at+i, v, hashKey)
			if err := visit(page[i], v); err != nil {
				return err
			}
		}
	}
	r.progress(phase, n, n)
	slices.SortFunc(sv.keys, compareKeys)
	sv.keys = slices.Compact(sv.keys)
	r.survey = sv
	return nil
}

// add adds what was read of the record at a place.
func (v *survey) add(at int, read *view, hashKey []byte) {
	v.seqs[at], v.bad[at] = read.seq(), ailing(v.refs[at], read) != nil
	if v.bad[at] || !read.live() {
		return
	}
	for _, h := range hashes(read.record, hashKey) {
		v.keys = append(v.keys, keyAt{h, uint32(at)}) //nolint:gosec // fewer than 2^32
	}
}

// hashes returns the hashes under which a record has to stand in the index.
func hashes(r *codec.Record, hashKey []byte) []codec.Hash {
	keys := indexKeys(r)
	list := make([]codec.Hash, len(keys))
	for i, k := range keys {
		list[i] = codec.NewHash(hashKey, string(k.kind), k.value)
	}
	return list
}

// ailing reports what is wrong with a record's secret, which a hand has to mend.
func ailing(ref string, v *view) error {
	switch {
	case v.err != nil:
		return v.err
	case v.record != nil && v.record.ID != "" && !slices.Contains(places(v.record.ID), ref):
		return checkSameID(v, "")
	}
	return nil
}

// readEach reads records. If the service refuses some, the others are read all the same,
// and the refusal is in their views.
func (r *repair) readEach(ctx context.Context, how driver.Freshness, refs []string) ([]*view, error) {
	views, err := r.store.readPage(ctx, how, refs)
	if !errors.Is(err, ErrPermission) || len(refs) == 1 {
		if err != nil && errors.Is(err, ErrPermission) {
			return []*view{{name: codec.NameOf(refs[0]), err: err}}, nil
		}
		return views, err
	}
	views = nil
	for i := range refs {
		one, err := r.readEach(ctx, how, refs[i:i+1])
		if err != nil {
			return nil, err
		}
		views = append(views, one...)
	}
	return views, nil
}
