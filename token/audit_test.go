package token_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// An audit watches what is written during a run, and says afterwards what the
// contract forbids. It looks at the secrets themselves, not through a store.
type audit struct {
	service *memstore.Driver
	was     map[string]*codec.Record
	raw     map[string][]byte
	// applied counts the writes by which a mark came to stand in a record; buried
	// are the marks of records that were deleted.
	applied map[string]int
	buried  map[string]bool
	// unrepaired: no repair is made at the end.
	unrepaired bool
}

func newAudit(service *memstore.Driver) *audit {
	a := &audit{service: service, raw: map[string][]byte{}, applied: map[string]int{}, buried: map[string]bool{}}
	a.was = a.records()
	return a
}

// after compares the records with what they were one call before.
func (a *audit) after() {
	is := a.records()
	for name, r := range is {
		old := a.was[name]
		if old != nil && old.Write == r.Write {
			continue
		}
		for mark := range r.Extra {
			if old == nil || old.Extra[mark] == "" {
				a.applied[mark]++
			}
		}
		if old.Live() && !r.Live() {
			for mark := range old.Extra {
				a.buried[mark] = true
			}
		}
	}
	a.was = is
}

// records returns all records as they are now, tombstones included.
func (a *audit) records() map[string]*codec.Record {
	records := map[string]*codec.Record{}
	for name, value := range a.service.Dump() {
		if _, ok := codec.RefOfName(name); !ok {
			continue
		}
		if old := a.was[name]; old != nil && bytes.Equal(a.raw[name], value) {
			records[name] = old
			continue
		}
		r, err := codec.DecodeRecord(value)
		if err != nil {
			panic(fmt.Sprintf("a record that cannot be read: %v", err))
		}
		records[name], a.raw[name] = r, value
	}
	return records
}

// problems returns everything that is wrong after a run.
func (a *audit) problems(results []result) []string {
	var bad []string
	add := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	live := a.live()
	ids := slices.Sorted(maps.Keys(live))
	for i, x := range ids {
		for _, y := range ids[i+1:] {
			if why := sameIdentity(live[x], live[y]); why != "" {
				add("records %s and %s: %s", x, y, why)
			}
		}
	}
	a.checkIndex(live, add)
	a.checkMarks(live, results, add)
	a.checkReaders(live, add)
	if !a.unrepaired {
		a.checkRepair(add)
	}
	return bad
}

// live returns the records that live, by id.
func (a *audit) live() map[string]*codec.Record {
	live := map[string]*codec.Record{}
	for _, r := range a.records() {
		if r.Live() {
			live[r.ID] = r
		}
	}
	return live
}

// sameIdentity says why two records may not both exist.
func sameIdentity(x, y *codec.Record) string {
	fits := x.ClientID == y.ClientID || x.ClientID == "" || y.ClientID == ""
	switch {
	case x.UserName != "" && x.UserName == y.UserName && fits:
		return "one user and client"
	case x.UserName != y.UserName:
		return ""
	case x.GrantToken != "" && x.GrantToken == y.GrantToken:
		return "one grant token"
	case x.RefreshToken != "" && x.RefreshToken == y.RefreshToken:
		return "one refresh token"
	case accessOnly(x) && accessOnly(y) && x.AccessToken == y.AccessToken && fits && x.ClientID == "" && y.ClientID == "":
		return "one access token and nothing else"
	}
	return ""
}

func accessOnly(r *codec.Record) bool {
	return r.UserName == "" && r.GrantToken == "" && r.RefreshToken == ""
}

// keysOf are the keys under which a record has to stand in the index.
func keysOf(r *codec.Record) map[string]string {
	keys := map[string]string{"user": r.UserName, "grant": r.GrantToken, "refresh": r.RefreshToken}
	if accessOnly(r) {
		keys["access"] = r.AccessToken
	}
	maps.DeleteFunc(keys, func(_, v string) bool { return v == "" })
	return keys
}

// checkIndex makes sure that every live record stands in the index under each key.
func (a *audit) checkIndex(live map[string]*codec.Record, add func(string, ...any)) {
	secrets := map[string]*codec.Index{}
	for name, value := range a.service.Dump() {
		if strings.HasPrefix(name, codec.RootName) {
			x, err := codec.DecodeIndex(value)
			if err != nil {
				add("secret %s: %v", name, err)
				return
			}
			secrets[name] = x
		}
	}
	root := secrets[codec.RootName]
	if root == nil {
		if len(live) > 0 {
			add("there are %d records and no index", len(live))
		}
		return
	}
	key, entries := root.Key, map[codec.Hash][]codec.Entry{}
	collect(secrets, root, entries, add)
	for id, r := range live {
		for kind, value := range keysOf(r) {
			list := entries[codec.NewHash(key, kind, value)]
			at := slices.IndexFunc(list, func(e codec.Entry) bool {
				return e.Ref == codec.RefOf(id) || e.Ref == codec.RefOfChosen(id) // an id that was made under another key
			})
			if at < 0 {
				add("record %s does not stand in the index by its %s", id, kind)
			} else if list[at].Base > r.Seq {
				add("record %s is behind the index", id)
			}
		}
	}
}

// collect gathers the entries of the leaves that an index secret leads to. Those that do
// not exist yet have the entries that were handed on.
func collect(secrets map[string]*codec.Index, x *codec.Index, entries map[codec.Hash][]codec.Entry, add func(string, ...any)) {
	if x.Live() {
		maps.Copy(entries, x.Entries)
		return
	}
	for prefix, name := range x.Leaves {
		switch leaf := secrets[name]; {
		case leaf != nil:
			collect(secrets, leaf, entries, add)
		case x.Kind == codec.KindSealed || x.Moving:
			maps.Copy(entries, x.Part(prefix).Entries)
		default:
			add("leaf %s is missing", name)
		}
	}
}

// checkMarks makes sure that what was acknowledged is there, once, and what was
// refused is not.
func (a *audit) checkMarks(live map[string]*codec.Record, results []result, add func(string, ...any)) {
	for _, res := range results {
		if errors.Is(res.err, errWentBack) {
			add("%s: %v", res.op.name, res.err)
		}
		if !res.op.save || errors.Is(res.err, errWentBack) {
			continue
		}
		var where []string
		for id, r := range live {
			if r.Extra[res.mark] != "" {
				where = append(where, id)
			}
		}
		sure := res.err != nil && !errors.Is(res.err, token.ErrOutcomeUnknown) && !res.crashed
		switch {
		case res.err == nil && len(where) == 0 && !a.buried[res.mark]:
			add("%s was acknowledged and is lost", res.op.name)
		case len(where) > 1 || a.applied[res.mark] > 1:
			add("%s was applied twice", res.op.name)
		case sure && a.applied[res.mark] > 0:
			add("%s returned %v and was applied", res.op.name, res.err)
		}
	}
}

// checkReaders makes sure that a new process finds each record by each key, and can
// save to it, whatever others left behind.
func (a *audit) checkReaders(live map[string]*codec.Record, add func(string, ...any)) {
	ctx := context.Background()
	s := simulatedStore(a.service.Under(""), 99, 20)
	find := func(id, by string, q *token.OAuthToken) {
		got, err := s.FindToken(ctx, q)
		switch {
		case errors.Is(err, token.ErrAmbiguous):
		case err != nil:
			add("record %s is not found by its %s: %v", id, by, err)
		case by != "refresh" && by != "grant" && got.ID != id:
			add("record %s: its %s finds record %s", id, by, got.ID)
		}
	}
	for id, r := range live {
		find(id, "id", &token.OAuthToken{ID: id})
		if r.UserName != "" {
			find(id, "user", &token.OAuthToken{UserSignature: token.UserSignature{Name: r.UserName}, ClientID: r.ClientID})
		}
		if r.RefreshToken != "" {
			find(id, "refresh", &token.OAuthToken{RefreshToken: token.NewSecret(r.RefreshToken)})
		}
		if r.GrantToken != "" {
			find(id, "grant", &token.OAuthToken{GrantToken: token.NewSecret(r.GrantToken)})
		}
		if accessOnly(r) && r.ClientID == "" {
			find(id, "access", &token.OAuthToken{AccessToken: token.NewSecret(r.AccessToken)})
		}
	}
	listed, err := s.GetTokens(ctx)
	if err != nil || len(listed) != len(live) {
		add("%d records are listed of %d: %v", len(listed), len(live), err)
	}
	for _, name := range []string{"U1", "U2"} {
		err := s.SaveToken(ctx, &token.OAuthToken{UserSignature: token.UserSignature{Name: name}, ClientID: "c1", AccessToken: token.NewSecret("later")})
		if err != nil && !errors.Is(err, token.ErrAmbiguous) {
			add("a later save of %s: %v", name, err)
		}
	}
	for _, r := range live {
		if r.RefreshToken == "" || r.UserName != "" {
			continue
		}
		q := &token.OAuthToken{ClientID: r.ClientID, RefreshToken: token.NewSecret(r.RefreshToken), AccessToken: token.NewSecret("later")}
		if err := s.SaveToken(ctx, q); err != nil && !errors.Is(err, token.ErrConflict) {
			add("a later save of record %s: %v", r.ID, err)
		}
	}
	after := a.records()
	for x, r := range after {
		for y, o := range after {
			if x < y && r.Live() && o.Live() && sameIdentity(r, o) != "" {
				add("after a later save, records %s and %s: %s", x, y, sameIdentity(r, o))
			}
		}
	}
}
