package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// FindToken finds the record that the given fields of query identify, fills the
// empty fields of query from it (given fields win) and returns query.
//
// Keys are tried in this order; the first that applies and matches decides:
//
//  1. ID, if set, and then nothing else.
//  2. The user name: the record with that name and a compatible client (the client
//     ids are equal, or one side has none). If several fit, [ErrAmbiguous].
//  3. The access token, if query has neither client id nor client secret.
//  4. The grant token, with a compatible client.
//  5. The refresh token, with a compatible client.
//
// If query names a user, keys 3 to 5 match only records that have none yet. A
// token that several users hold finds the record that held it first. A query by
// nothing but an access token reads every record if the index does not have it.
//
// The errors are those of the service, and [ErrNotFound] if no record is meant,
// [ErrInvalid] if query names nothing that a record could be found by. query is
// unchanged then. Options.MaxAge and Options.MaxStale let what this store remembers
// answer; a record that only its access token leads to among those with other keys is
// never found so.
func (s *Store) FindToken(ctx context.Context, query *OAuthToken) (*OAuthToken, error) {
	q, err := toRecord(query)
	if err != nil {
		return nil, fmt.Errorf("tokenkeep: find token: %w", err)
	}
	found, err := s.find(ctx, "find token", q)
	if err != nil {
		return nil, err
	}
	given := query.Expiry
	filled := merge(q, found)
	*query = *fromRecord(filled)
	if !given.IsZero() {
		query.Expiry = given // with what is finer than a millisecond
	}
	return query, nil
}

// FindTokenByID returns the record with an id: [ErrNotFound] if there is none. It
// takes one call to the service, or none if Options.MaxAge allows that.
func (s *Store) FindTokenByID(ctx context.Context, id string) (*OAuthToken, error) {
	if err := checkID(id); err != nil {
		return nil, fmt.Errorf("tokenkeep: find token by id: %w", err)
	}
	found, err := s.find(ctx, "find token by id", &codec.Record{ID: id})
	if err != nil {
		return nil, err
	}
	return fromRecord(found), nil
}

// ReadToken is [Store.FindTokenByID] that always asks the service, whatever this store
// remembers and whatever the options are: to see what another process has just written. It is
// as current as the service's ordinary read, and takes one call to it.
func (s *Store) ReadToken(ctx context.Context, id string) (*OAuthToken, error) {
	if err := checkID(id); err != nil {
		return nil, fmt.Errorf("tokenkeep: read token: %w", err)
	}
	var found *codec.Record
	err := s.run(ctx, "read token", func(ctx context.Context) (err error) {
		found, err = s.byID(ctx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return fromRecord(found), nil
}

// look asks the service for the record that q means.
func (s *Store) look(ctx context.Context, q *codec.Record) (*codec.Record, error) {
	switch {
	case q.ID != "":
		return s.byID(ctx, q.ID)
	case len(queryKeys(q)) == 0:
		return nil, fmt.Errorf("%w: the query names no id, user, grant, refresh or (without a client) access token", ErrInvalid)
	}
	return s.byKeys(ctx, q)
}

// byID reads a record by its id. A miss is asked for once more, with the strongest
// read that the service has.
func (s *Store) byID(ctx context.Context, id string) (*codec.Record, error) {
	for i, ref := range places(id) {
		for _, how := range []driver.Freshness{driver.Any, driver.Fresh}[min(i, 1):] {
			v, err := s.readOne(ctx, how, codec.NameOf(ref))
			if err != nil {
				return nil, err
			}
			if v.live() {
				return v.record, checkSameID(v, id)
			}
			if v.gone || v.record != nil && !v.record.Chosen {
				break // nothing brings this one back to life
			}
		}
	}
	return nil, ErrNotFound
}

// places returns the refs under which the record with an id may be. One that has the form of
// those that stores make can be this store's own. Or it is another store's, and was brought
// here: then it is a chosen one.
func places(id string) []string {
	if codec.MadeForm(id) {
		return []string{id, codec.RefOfChosen(id)}
	}
	return []string{codec.RefOf(id)}
}

// checkSameID makes sure that a secret is the one of the id that its name says.
func checkSameID(v *view, id string) error {
	if v.record.ID != id {
		return corrupt(v.name, fmt.Errorf("it holds the record of another id"))
	}
	return nil
}

// byKeys finds a record through the index: first as it is remembered, and, if that
// leads nowhere, as the service has it now.
func (s *Store) byKeys(ctx context.Context, q *codec.Record) (*codec.Record, error) {
	found, sure, err := s.lookUp(ctx, q, true)
	if errors.Is(err, errVerify) || found == nil && err == nil && !sure {
		found, _, err = s.lookUp(ctx, q, false)
	}
	if found == nil && err == nil && onlyAccess(q) {
		var v *view
		if v, err = s.scan(ctx, q); v != nil {
			found = v.record
		}
	}
	if found == nil && err == nil {
		err = ErrNotFound
	}
	return found, err
}

// lookUp finds the record that the keys of q lead to, or nil; sure tells that a
// better look would find no more.
func (s *Store) lookUp(ctx context.Context, q *codec.Record, trust bool) (found *codec.Record, sure bool, err error) {
	x, err := s.openIndex(ctx, trust)
	if err != nil {
		return nil, false, err
	}
	sure = true
	for n, k := range queryKeys(q) {
		entries, err := x.entries(ctx, k, trust)
		if err != nil {
			return nil, false, err
		}
		if len(entries) == 0 {
			continue
		}
		sure = false
		how := freshness(trust)
		records, err := s.holders(ctx, how, k, entries)
		if err != nil {
			return nil, false, err
		}
		if i, err := choose(q, k, records); err != nil || i >= 0 {
			if err != nil {
				return nil, false, err
			}
			if n > 0 && x.remembered {
				return nil, false, nil // that the keys before it lead nowhere may be old
			}
			return records[i], true, nil
		}
	}
	return nil, sure && !x.remembered, nil
}

// holders reads the records of entries and returns those that hold the key.
func (s *Store) holders(ctx context.Context, how driver.Freshness, k key, entries []codec.Entry) ([]*codec.Record, error) {
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = codec.NameOf(e.Ref)
	}
	views, err := s.read(ctx, how, names...)
	if err != nil {
		return nil, err
	}
	var records []*codec.Record
	for _, v := range views {
		if v.err != nil {
			return nil, v.err
		}
		if holds(v.record, k) {
			records = append(records, v.record)
		}
	}
	return records, nil
}

// onlyAccess reports whether q can be found by nothing but its access token.
func onlyAccess(q *codec.Record) bool {
	keys := queryKeys(q)
	return len(keys) == 1 && keys[0].kind == byAccess
}

// scan looks for an access token in every record: those that have other keys do
// not stand in the index under it.
func (s *Store) scan(ctx context.Context, q *codec.Record) (*view, error) {
	var found *view
	for v, err := range s.records(ctx, driver.Any) {
		switch {
		case err != nil:
			return nil, err
		case !holds(v.record, keyOf(q, byAccess)):
		case found != nil:
			return nil, ErrAmbiguous
		default:
			found = v
		}
	}
	return found, nil
}
