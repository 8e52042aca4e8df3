package token_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// A counter writes down the calls to a driver: "get index, put token".
type counter struct {
	mu    sync.Mutex
	calls []string
}

func count(d *memstore.Driver) *counter {
	c := &counter{}
	d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.calls = append(c.calls, describe(call))
		return memstore.Fault{}
	})
	return c
}

// describe names a call: the secrets by their kind, or by their number.
func describe(call memstore.Call) string {
	switch len(call.Names) {
	case 0:
		return string(call.Op)
	case 1:
		kind, _, _ := strings.Cut(call.Names[0], "-")
		return string(call.Op) + " " + kind
	}
	return fmt.Sprintf("%s %d", call.Op, len(call.Names))
}

// want compares the calls since the last time.
func (c *counter) want(t *testing.T, what, calls string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := strings.Join(c.calls, ", "); got != calls {
		t.Errorf("%s makes the calls %q, want %q", what, got, calls)
	}
	c.calls = nil
}

func TestNumberOfCalls(t *testing.T) {
	find := func(words ...string) func(context.Context, *token.Store) error {
		return func(ctx context.Context, s *token.Store) error {
			_, err := s.FindToken(ctx, tok(words...))
			return err
		}
	}
	byID := func(id string) func(context.Context, *token.Store) error {
		return func(ctx context.Context, s *token.Store) error {
			_, err := s.FindTokenByID(ctx, id)
			return err
		}
	}
	save := func(words ...string) func(context.Context, *token.Store) error {
		return func(ctx context.Context, s *token.Store) error { return s.SaveToken(ctx, tok(words...)) }
	}
	update := func(id string) func(context.Context, *token.Store) error {
		return func(ctx context.Context, s *token.Store) error { return s.UpdateToken(ctx, id, change1) }
	}
	try := func(id string) func(context.Context, *token.Store) error {
		return func(ctx context.Context, s *token.Store) error { return s.TryUpdateToken(ctx, id, change1) }
	}
	read := func(id string) func(context.Context, *token.Store) error {
		return func(ctx context.Context, s *token.Store) error { return second(s.ReadToken(ctx, id)) }
	}
	remove := func(id string) func(context.Context, *token.Store) error {
		return func(ctx context.Context, s *token.Store) error { return s.DeleteToken(ctx, id) }
	}
	list := func(ctx context.Context, s *token.Store) error { _, err := s.GetTokens(ctx); return err }
	nothing := func(context.Context, *token.Store) error { return nil }

	for _, c := range []struct {
		what   string
		before func(context.Context, *token.Store) error // what the process did before
		do     func(context.Context, *token.Store) error
		calls  string
		err    error
	}{
		{"FindTokenByID, cold", nothing, byID("chosen"), "get token", nil},
		{"FindTokenByID, after it was read", byID("chosen"), byID("chosen"), "get token", nil},
		{"FindTokenByID, a miss", nothing, byID("none"), "get token, get token", token.ErrNotFound},
		{"FindToken by id", nothing, find("#chosen"), "get token", nil},
		{"FindToken by user, cold", nothing, find("U1"), "get index, get token", nil},
		{"FindToken by refresh token, cold", nothing, find("R1"), "get index, get token", nil},
		{"FindToken by user, index known", find("U2"), find("U1"), "get token", nil},
		{"FindToken by refresh token, index known", find("U2"), find("R1"), "get token", nil},
		{"FindToken by grant token, index known", find("U2"), find("G1"), "get token", nil},
		{"FindToken by an access token that is the only key, index known", find("U2"), find("A5"), "get token", nil},
		{"FindToken by an access token of a record with other keys, index known", find("U2"), find("A1"), "get index, get index, get 5", nil},
		{"FindToken, a miss, cold", nothing, find("U9"), "get index", token.ErrNotFound},
		{"FindToken, a miss, index known", find("U2"), find("U9"), "get index", token.ErrNotFound},
		{"FindToken, a miss by every key, index known", find("U2"), find("U9", "G9", "R9"), "get index", token.ErrNotFound},
		{"FindToken, another client, index known", find("U2"), find("U1", "c2"), "get token, get index, get token", token.ErrNotFound},
		{"SaveToken, nothing new, record known", find("#chosen"), save("#chosen", "R4"), "get token", nil},
		{"SaveToken, nothing new, cold", nothing, save("#chosen", "R4"), "get token", nil},
		{"SaveToken of a new access token by id, record read before", find("#chosen"), save("#chosen", "A9"), "put token", nil},
		{"SaveToken of a new access token by user, record read before", find("U1"), save("U1", "A9"), "put token", nil},
		{"SaveToken of a new access token by refresh token, record read before", find("R1"), save("R1", "A9", "c1"), "put token", nil},
		{"SaveToken of a new access token by id, cold", nothing, save("#chosen", "A9"), "get token, put token", nil},
		{"SaveToken of a new access token by user, cold", nothing, save("U1", "A9"), "get index, get token, put token", nil},
		{"SaveToken, insert, index known", find("U2"), save("U9", "R9"), "put index, put token", nil},
		{"SaveToken, insert, cold", nothing, save("U9", "R9"), "get index, put index, put token", nil},
		{"SaveToken, insert under a chosen id, index known", find("U2"), save("#new", "U9", "R9"), "get token, put index, put token", nil},
		{"SaveToken, rotation, record read before", find("U1"), save("U1", "R9"), "put index, put token", nil},
		{"SaveToken, adoption, record read before", find("R3"), save("U9", "R3"), "put index, put token", nil},
		{"SaveToken, the second user of a refresh token, index known", find("U2"), save("U9", "R1"), "get token, put index, put token", nil},
		{"SaveToken without a match and without a token, index known", find("U2"), save("U9"), "get index", token.ErrInvalid},
		{"SaveToken of another user under an id, cold", nothing, save("#chosen", "U9"), "get token, get token", token.ErrConflict},
		{"SaveToken of another user under an id, record read before", find("#chosen"), save("#chosen", "U9"), "get token", token.ErrConflict},
		{"UpdateToken, record read before", find("#chosen"), update("chosen"), "put token", nil},
		{"UpdateToken, cold", nothing, update("chosen"), "get token, put token", nil},
		{"UpdateToken, a miss", nothing, update("none"), "get token, get token", token.ErrNotFound},
		{"TryUpdateToken, record read before", find("#chosen"), try("chosen"), "put token", nil},
		{"TryUpdateToken, cold", nothing, try("chosen"), "get token, put token", nil},
		{"TryUpdateToken, a miss", nothing, try("none"), "get token, get token", token.ErrNotFound},
		{"ReadToken, cold", nothing, read("chosen"), "get token", nil},
		{"ReadToken, after it was read", byID("chosen"), read("chosen"), "get token", nil},
		{"ReadToken, a miss", nothing, read("none"), "get token, get token", token.ErrNotFound},
		{"DeleteToken, record and index known", find("U4"), remove("chosen"), "put token, put index", nil},
		{"DeleteToken, cold", nothing, remove("chosen"), "get token, put token, get index, put index", nil},
		{"DeleteToken, a miss", nothing, remove("none"), "get token, get token", token.ErrNotFound},
		{"GetTokens", nothing, list, "get index, get 5", nil},
		{"GetTokens, index known", find("U2"), list, "get index, get 5", nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			for _, opts := range []token.Options{{}, {MaxAge: time.Hour, MaxStale: time.Hour}} {
				d := stocked(t)
				s := with(t, d, opts)
				if err := c.before(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				calls := count(d)
				err := c.do(t.Context(), s)
				if opts.MaxAge > 0 && c.what == "FindTokenByID, after it was read" {
					c.calls = "" // the one that can be answered from memory
				}
				calls.want(t, fmt.Sprintf("%s, %+v", c.what, opts), c.calls)
				wantErr(t, err, c.err)
			}
		})
	}
}

func TestNumberOfCallsOfAStoreThatUsesItself(t *testing.T) {
	d := memstore.NewDriver()
	s := open(t, d)
	calls := count(d)
	first := tok("U1", "c1", "R1", "A1")
	step := func(what string, err error, want string) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		calls.want(t, what, want)
	}
	step("the first save of all", s.SaveToken(t.Context(), first), "get index, names, put index, put token")
	step("the next user", s.SaveToken(t.Context(), tok("U2", "c1", "R2", "A2")), "put index, put token")
	step("an update after the insert", s.SaveToken(t.Context(), tok("U1", "A3")), "put token")
	step("the same once more", s.SaveToken(t.Context(), tok("U1", "A3")), "get token")
	_, err := s.FindToken(t.Context(), tok("U1"))
	step("a find after it", err, "get token")
	step("several tokens", s.SaveTokens(t.Context(), []*token.OAuthToken{tok("U1", "A4"), tok("U2", "A4")}), "put token, put token")
	step("a deletion", s.DeleteToken(t.Context(), first.ID), "put token, put index")
	step("a save of the deleted", s.SaveToken(t.Context(), tok("U1", "c1", "R1")), "put index, put token")
	step("the deletion of all", s.DeleteTokens(t.Context()), "get index, get 2, put token, put token, put index")
	_, err = s.GetTokens(t.Context())
	step("a list of nothing", err, "get index")
}

func TestAnEmptyStoreIsAskedOnceWhetherItIsEmpty(t *testing.T) {
	d := memstore.NewDriver()
	calls := count(d)
	_, err := open(t, d).FindToken(t.Context(), tok("U1"))
	wantErr(t, err, token.ErrNotFound)
	calls.want(t, "FindToken", "get index, names")
	_, err = open(t, d).GetTokens(t.Context())
	wantErr(t, err, nil)
	calls.want(t, "GetTokens", "get index, names")
}

func TestListsReadAHundredRecordsAtATime(t *testing.T) {
	d := memstore.NewDriver()
	s := open(t, d)
	for i := range 230 {
		if err := s.SaveToken(t.Context(), tok(fmt.Sprint("R", i))); err != nil {
			t.Fatal(err)
		}
	}
	calls := count(d)
	listed, err := s.GetTokens(t.Context())
	if err != nil || len(listed) != 230 {
		t.Fatalf("%d records: %v", len(listed), err)
	}
	calls.want(t, "GetTokens", "get index, get 100, get 100, get 30")
	for _, err := range s.All(t.Context()) {
		wantErr(t, err, nil)
		break
	}
	calls.want(t, "All that is stopped early", "get index, get 100")
}
