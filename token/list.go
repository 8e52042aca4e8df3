package token

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// pageSize is how many records are read, and held, at a time when all are wanted:
// a multiple of what services read in one batch (AWS: 20).
const pageSize = 100

// GetTokens returns all records, ordered by id as far as the store made the ids.
// If some cannot be read, it returns the others and an error that says which.
func (s *Store) GetTokens(ctx context.Context) ([]*OAuthToken, error) {
	var tokens []*OAuthToken
	var errs []error
	for t, err := range s.All(ctx) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		tokens = append(tokens, t)
	}
	return tokens, errors.Join(errs...)
}

// All yields all records, in the order of [Store.GetTokens], reading as many at a
// time as fill a page. A record that cannot be read is yielded as an error, and
// the others follow; an error of the service ends it. Records that are saved or
// deleted meanwhile may be yielded or not, and what other processes wrote may be
// missing for as long as the service's listings lag: to see what a record holds now,
// find it.
func (s *Store) All(ctx context.Context) iter.Seq2[*OAuthToken, error] {
	return func(yield func(*OAuthToken, error) bool) {
		for v, err := range s.records(ctx, driver.Lax) {
			if err != nil {
				if !yield(nil, fmt.Errorf("tokenkeep: get tokens: %w", err)) {
					return
				}
				continue
			}
			if !yield(fromRecord(v.record), nil) {
				return
			}
		}
	}
}

// records yields all live records. It lists from the index: the service's own
// listing lags and wants wider rights.
func (s *Store) records(ctx context.Context, how driver.Freshness) iter.Seq2[*view, error] {
	return func(yield func(*view, error) bool) {
		for last, more := "", true; more; {
			refs, err := s.refsAfter(ctx, last, s.refsAtOnce)
			if err != nil {
				yield(nil, err)
				return
			}
			if more = len(refs) == s.refsAtOnce; more {
				last = refs[len(refs)-1]
			}
			for page := range slices.Chunk(refs, pageSize) {
				views, err := s.readPage(ctx, how, page)
				if err != nil {
					yield(nil, err)
					return
				}
				for _, v := range views {
					if v.err != nil && !yield(nil, v.err) {
						return
					}
					if v.live() && !yield(v, nil) {
						return
					}
				}
			}
		}
	}
}

// refsAtOnce is how many refs a listing holds. A larger store is listed in so many parts,
// in the order of the refs, and for each part the index is read once: some hundred secrets
// beside tens of thousands of records.
const refsAtOnce = 50_000

// refsAfter returns the refs of records that stand anywhere in the index: the first n after
// one, sorted.
func (s *Store) refsAfter(ctx context.Context, last string, n int) (refs []string, err error) {
	trim := func(n int) {
		slices.Sort(refs)
		refs = slices.Compact(refs)
		refs = refs[:min(n, len(refs))]
	}
	err = s.retry(ctx, func(ctx context.Context) error {
		refs = nil
		x, err := s.openIndex(ctx, false)
		if err != nil {
			return err
		}
		return x.eachLeaf(ctx, func(leaf *view) {
			for _, list := range leaf.index.Entries {
				for _, e := range list {
					if e.Ref > last {
						refs = append(refs, e.Ref)
					}
				}
			}
			if len(refs) > 2*n {
				trim(n)
			}
		})
	})
	trim(n)
	return refs, err
}

func (s *Store) readPage(ctx context.Context, how driver.Freshness, refs []string) (views []*view, err error) {
	names := make([]string, len(refs))
	for i, ref := range refs {
		names[i] = codec.NameOf(ref)
	}
	err = s.retry(ctx, func(ctx context.Context) error {
		return s.patiently(ctx, func() (err error) { // a list may be more than a service serves at once
			views, err = s.read(ctx, how, names...)
			return err
		})
	})
	return views, err
}
