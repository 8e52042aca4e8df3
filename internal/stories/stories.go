// Package stories tells what users see of a store, and holds a store on any driver
// to it: each sentence of the contract is a subtest. The drivers' own promises are
// tested by package drivertest; here they are under the engine, as users have them.
//
//	func TestStories(t *testing.T) {
//		stories.Run(t, func(t *testing.T) stories.Service { ... })
//	}
package stories

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/token"
)

// A Service is one service with nothing in it. What is written has to be seen at
// once by all its stores, and a secret must take several hundred writes.
type Service struct {
	// Open returns a new store on the service, as another process has it: all under
	// one prefix, sharing nothing but the service.
	Open func() *token.Store
	// Neighbour returns a store under another prefix of the same service.
	Neighbour func() *token.Store
}

// Run tells every story, each on a service of its own.
func Run(t *testing.T, serve func(t *testing.T) Service) {
	for _, chapter := range []struct {
		name    string
		stories []story
	}{
		{"the six methods", methods},
		{"deleting and listing", lists},
		{"which record is meant", which},
		{"what an update keeps", merges},
		{"ids", ids},
		{"under concurrency", races},
	} {
		t.Run(chapter.name, func(t *testing.T) {
			for _, s := range chapter.stories {
				t.Run(s.sentence, func(t *testing.T) { s.tell(newStage(t, serve)) })
			}
		})
	}
}

// A story is a sentence about a store, and its test.
type story struct {
	sentence string
	tell     func(*stage)
}

// A stage is where one story is told.
type stage struct {
	*testing.T
	Service
	serve func(t *testing.T) Service
	// store is the one that most of the story is about.
	store *token.Store
}

func newStage(t *testing.T, serve func(t *testing.T) Service) *stage {
	service := serve(t)
	return &stage{t, service, serve, service.Open()}
}

// scene tells a part of the story on a stage of its own.
func (st *stage) scene(sentence string, tell func(*stage)) {
	st.Run(sentence, func(t *testing.T) { tell(newStage(t, st.serve)) })
}

// tok makes a token from texts such as "user U1" and "refresh R1".
func tok(fields ...string) *token.OAuthToken {
	t := &token.OAuthToken{}
	for _, f := range fields {
		kind, value, _ := strings.Cut(f, " ")
		switch kind {
		case "id":
			t.ID = value
		case "user":
			t.UserSignature.Name = value
		case "client":
			t.ClientID = value
		case "secret":
			t.ClientSecret = token.NewSecret(value)
		case "grant":
			t.GrantToken = token.NewSecret(value)
		case "refresh":
			t.RefreshToken = token.NewSecret(value)
		case "access":
			t.AccessToken = token.NewSecret(value)
		case "domain":
			t.APIDomain = value
		case "mark":
			t.Extra = map[string]token.Secret{value: token.NewSecret("set")}
		default:
			panic("no field " + kind)
		}
	}
	return t
}

// full is a token with every field set.
func full() *token.OAuthToken {
	t := tok("user ann@example.com:60001", "client c1", "secret s1", "grant G1", "refresh R1", "access A1", "domain https://api.example.com")
	t.Expiry = time.UnixMilli(1893456000123).UTC()
	t.RedirectURL = "https://app.example.com/cb?a=1&b=<2>"
	t.TokenType = "Bearer"
	t.Scopes = []string{"modules.ALL", "users.READ"}
	t.Extra = map[string]token.Secret{"id_token": token.NewSecret("I1"), "instance_url": token.NewSecret("https://eu.example.com")}
	return t
}

// save saves a token made of fields and returns its id.
func (st *stage) save(fields ...string) string {
	st.Helper()
	return st.saveToken(tok(fields...))
}

func (st *stage) saveToken(t *token.OAuthToken) string {
	st.Helper()
	if err := st.store.SaveToken(st.Context(), t); err != nil {
		st.Fatalf("SaveToken: %v", err)
	}
	if t.ID == "" {
		st.Fatal("SaveToken set no id")
	}
	return t.ID
}

// refused saves a token made of fields, which must end in an error, leave the
// argument as it was and write nothing.
func (st *stage) refused(want error, fields ...string) {
	st.Helper()
	before := st.all()
	argument := tok(fields...)
	err := st.store.SaveToken(st.Context(), argument)
	if !errors.Is(err, want) {
		st.Fatalf("SaveToken(%q): %v, want %v", fields, err, want)
	}
	st.same(argument, tok(fields...))
	st.same(st.all(), before)
}

// byID returns the record with an id, as a process sees it that has just started.
func (st *stage) byID(id string) *token.OAuthToken {
	st.Helper()
	t, err := st.Open().FindTokenByID(st.Context(), id)
	if err != nil {
		st.Fatalf("FindTokenByID: %v", err)
	}
	return t
}

// finds tells that fields find the record with an id, in the store of the story and
// in one of a process that has just started.
func (st *stage) finds(id string, fields ...string) {
	st.Helper()
	for i, s := range []*token.Store{st.store, st.Open()} {
		t, err := s.FindToken(st.Context(), tok(fields...))
		switch {
		case err != nil:
			st.Fatalf("FindToken(%q) in store %d: %v", fields, i, err)
		case t.ID != id:
			st.Fatalf("FindToken(%q) in store %d found another record", fields, i)
		}
	}
}

// findsNot tells that fields find nothing: the error is want.
func (st *stage) findsNot(want error, fields ...string) {
	st.Helper()
	for i, s := range []*token.Store{st.store, st.Open()} {
		query := tok(fields...)
		t, err := s.FindToken(st.Context(), query)
		if t != nil || !errors.Is(err, want) {
			st.Fatalf("FindToken(%q) in store %d: %v, %v, want %v", fields, i, t, err, want)
		}
		st.same(query, tok(fields...))
	}
}

// all returns all records, as a process sees them that has just started.
func (st *stage) all() []*token.OAuthToken {
	st.Helper()
	tokens, err := st.Open().GetTokens(st.Context())
	if err != nil {
		st.Fatalf("GetTokens: %v", err)
	}
	return tokens
}

// counts tells how many records there are.
func (st *stage) counts(want int) {
	st.Helper()
	if got := len(st.all()); got != want {
		st.Fatalf("there are %d records, want %d", got, want)
	}
}

// same tells that two values are equal. What is secret is compared and not shown.
func (st *stage) same(got, want any) {
	st.Helper()
	if !cmp.Equal(got, want) {
		st.Fatalf("got  %s\nwant %s", show(got), show(want))
	}
}

func show(v any) string {
	if tokens, ok := v.([]*token.OAuthToken); ok {
		var b strings.Builder
		for _, t := range tokens {
			_, _ = fmt.Fprintf(&b, "\n%+v", *t)
		}
		return b.String()
	}
	return fmt.Sprintf("%+v", v)
}

// fails tells which error something ended in.
func (st *stage) fails(err, want error) {
	st.Helper()
	if !errors.Is(err, want) {
		st.Fatalf("the error is %v, want %v", err, want)
	}
}

// succeeds tells that there was no error.
func (st *stage) succeeds(err error) {
	st.Helper()
	if err != nil {
		st.Fatal(err)
	}
}
