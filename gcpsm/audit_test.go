package gcpsm_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
)

// What the crash tests look at when a run is over.

// audit makes sure that the secrets hold what they may hold, and that a process that
// has just started finds it and can go on.
func (r *crash) audit() {
	d := r.deed
	got := r.live()
	possible := append([][]string{d.was, d.is}, d.between...)
	sure := r.err != nil && !errors.Is(r.err, token.ErrOutcomeUnknown) && d.between == nil
	switch {
	case !slices.ContainsFunc(possible, func(p []string) bool { return slices.Equal(p, got) }):
		r.Errorf("the records are %q", got)
	case r.err == nil && !slices.Equal(got, d.is), r.beside && !r.fate.gap && !slices.Equal(got, d.is):
		r.Errorf("it was acknowledged, and the records are %q", got)
	case sure && !r.beside && !slices.Equal(got, d.was):
		r.Errorf("the error was %v, and the records are %q", r.err, got)
	case r.err != nil && !r.fate.dies && !r.fate.gap:
		r.Errorf("the operation of a process that goes on ended in %v", r.err)
	}
	for _, name := range r.Names() {
		if n := r.Active(name); n > 3 && !r.fate.gap {
			r.Errorf("%d versions of %s are charged for", n, name)
		}
	}
	fresh := r.open()
	r.finds(fresh, got)
	if err := d.do(r.Context(), fresh); err != nil {
		r.Fatalf("a process that does it again: %v", err)
	}
	if got := r.live(); !slices.Equal(got, d.is) {
		r.Errorf("after it was done again the records are %q", got)
	}
	r.finds(r.open(), d.is)
	r.sweeps(fresh)
}

// finds makes sure that a store finds the records, by each key the same one, and no
// others.
func (r *crash) finds(s *token.Store, want []string) {
	listed, err := s.GetTokens(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	got := []string{}
	for _, one := range listed {
		got = append(got, describe(one))
		for _, q := range []*token.OAuthToken{
			{ID: one.ID}, {UserSignature: one.UserSignature}, {RefreshToken: one.RefreshToken},
		} {
			if q.ID == "" && q.UserSignature.Name == "" && q.RefreshToken.IsZero() {
				continue
			}
			asked := describe(q)
			if found, err := s.FindToken(r.Context(), q); err != nil || found.ID != one.ID || describe(found) != describe(one) {
				r.Errorf("the record %q is not found by %q: %v", describe(one), asked, err)
			}
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		r.Errorf("listed are %q, want %q", got, want)
	}
}

// sweeps makes sure that later writes destroy what dead processes left.
func (r *crash) sweeps(s *token.Store) {
	left := func() (names []string) {
		for _, name := range r.Names() {
			if r.Active(name) > 1 {
				names = append(names, name)
			}
		}
		return names
	}
	if len(left()) == 0 {
		return
	}
	r.Settle() // what is left is found in a list
	for n := range 16 {
		for _, words := range r.deed.is {
			user, _, _ := strings.Cut(words, " ")
			if err := s.SaveToken(r.Context(), tok(fmt.Sprintf("%s R%s-%d", user, user, n))); err != nil {
				r.Fatal(err)
			}
		}
	}
	for _, name := range left() {
		if rec := r.record(name); rec != nil && rec.Live() {
			r.Errorf("%d versions of %s are charged for after 16 writes", r.Active(name), name)
		}
	}
}

func describe(t *token.OAuthToken) string {
	return strings.Join(strings.Fields(t.UserSignature.Name+" "+t.RefreshToken.Reveal()+" "+t.AccessToken.Reveal()), " ")
}

// live returns the records that hold a token, as the secrets say and not a store.
func (s *service) live() []string {
	found := []string{}
	for _, name := range s.Names() {
		if r := s.record(name); r != nil && r.Live() {
			found = append(found, strings.Join(strings.Fields(r.UserName+" "+r.RefreshToken+" "+r.AccessToken), " "))
		}
	}
	slices.Sort(found)
	return found
}

var logged = regexp.MustCompile(`(?s)^\{"seen":(\d+),(.*)$`)

// record returns what a secret holds, nil for the index and for secrets without a
// version. It panics if the newest valid version cannot be read.
func (s *service) record(name string) *codec.Record {
	if !strings.Contains(name, "__token-") {
		return nil
	}
	var head *codec.Record
	for _, v := range s.Versions(name) {
		parts := logged.FindSubmatch(v.Payload)
		if parts == nil { // it is destroyed
			head = nil
			continue
		}
		if seen, err := strconv.ParseInt(string(parts[1]), 10, 64); err != nil || seen != v.Number-1 {
			continue
		}
		r, err := codec.DecodeRecord(append([]byte("{"), parts[2]...))
		if err != nil {
			panic(fmt.Sprintf("a record that cannot be read: %v", err))
		}
		head = r
	}
	return head
}
