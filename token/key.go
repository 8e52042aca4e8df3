package token

import (
	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/internal/rule"
)

// A key is what a record is found by, beside its id. Keys stand in the index as
// hashes of kind and value.
type key struct {
	kind  keyKind
	value string
}

type keyKind string

const (
	byUser    keyKind = "user"
	byAccess  keyKind = "access"
	byGrant   keyKind = "grant"
	byRefresh keyKind = "refresh"
)

// keyOf returns the key of a kind that r has, with an empty value if it has none.
func keyOf(r *codec.Record, kind keyKind) key {
	switch kind {
	case byUser:
		return key{kind, r.UserName}
	case byAccess:
		return key{kind, r.AccessToken}
	case byGrant:
		return key{kind, r.GrantToken}
	default:
		return key{kind, r.RefreshToken}
	}
}

// queryKeys returns the keys of a query in the order in which they decide. An
// access token says which record is meant only if the query names no client: with
// one it is what a save brings, not what it looks for.
func queryKeys(q *codec.Record) []key {
	kinds := []keyKind{byUser, byAccess, byGrant, byRefresh}
	if q.ClientID != "" || q.ClientSecret != "" {
		kinds = []keyKind{byUser, byGrant, byRefresh}
	}
	return present(q, kinds)
}

// indexKeys returns the keys under which a record has to stand in the index. An
// access token changes by the hour, so it stands there only as long as the record
// has no other key.
func indexKeys(r *codec.Record) []key {
	if r == nil {
		return nil
	}
	if keys := present(r, []keyKind{byUser, byGrant, byRefresh}); len(keys) > 0 {
		return keys
	}
	return present(r, []keyKind{byAccess})
}

func present(r *codec.Record, kinds []keyKind) []key {
	var keys []key
	for _, kind := range kinds {
		if k := keyOf(r, kind); k.value != "" {
			keys = append(keys, k)
		}
	}
	return keys
}

// holds reports whether a record has a key. The index only says where to look;
// this says whether it was right, so that a stale or damaged index can hide a
// record but never return a wrong one.
func holds(r *codec.Record, k key) bool {
	return r.Live() && (keyOf(r, k.kind) == k || rule.Off(rule.Recheck))
}

// compatible reports whether two client ids can be of one record: they are equal,
// or one is not known.
func compatible(a, b string) bool { return a == b || a == "" || b == "" }

// admits reports whether a query that leads to r by k means r. Keys other than the
// user's lead a query that names a user to records without one only: two users
// never share a record.
func admits(q *codec.Record, k key, r *codec.Record) bool {
	if k.kind != byUser && q.UserName != "" && r.UserName != "" {
		return false
	}
	return compatible(q.ClientID, r.ClientID)
}

// choose picks the record that a query means among those that its key k leads to,
// in the order in which they came to hold it; -1: none. Of several records of one
// user the one with the very client of the query is meant.
func choose(q *codec.Record, k key, found []*codec.Record) (int, error) {
	first, fits := -1, 0
	for i, r := range found {
		if !admits(q, k, r) {
			continue
		}
		if k.kind == byUser && q.ClientID != "" && r.ClientID == q.ClientID {
			return i, nil
		}
		if fits++; fits == 1 {
			first = i
		}
	}
	if k.kind == byUser && fits > 1 {
		return -1, ErrAmbiguous
	}
	return first, nil
}
