package vaultstore_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

// What the operations of a store cost in requests. docs/vault.md promises it.

func (s *service) store(t testing.TB) *token.Store {
	t.Helper()
	store, err := vaultstore.New(s.sdk(t), mount, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func user(n int) *token.OAuthToken {
	return &token.OAuthToken{
		UserSignature: token.UserSignature{Name: fmt.Sprintf("user-%d", n)},
		RefreshToken:  token.NewSecret(fmt.Sprintf("refresh-%d", n)),
		AccessToken:   token.NewSecret(fmt.Sprintf("access-%d", n)),
	}
}

// save saves the tokens of n users and returns their ids.
func save(t testing.TB, store *token.Store, n int) []string {
	t.Helper()
	ids := make([]string, n)
	for i := range ids {
		u := user(i)
		if err := store.SaveToken(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		ids[i] = u.ID
	}
	return ids
}

func find(user, refresh string) *token.OAuthToken {
	q := &token.OAuthToken{UserSignature: token.UserSignature{Name: user}}
	if refresh != "" {
		q.RefreshToken = token.NewSecret(refresh)
	}
	return q
}

// kinds are what the operations are called here.
var kinds = map[string]string{
	"GET data":                   "read",
	"PUT data":                   "write",
	"PUT destroy":                "destroy",
	"DELETE metadata":            "delete",
	"LIST metadata":              "list",
	"GET config":                 "config",
	"GET sys/internal/ui/mounts": "mount",
}

// requests counts them by kind while f runs. Its error must be want.
func (s *service) requests(t testing.TB, want error, f func() error) map[string]int {
	t.Helper()
	s.ResetCalls()
	if err := f(); !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	counts := map[string]int{}
	for operation, n := range s.CountCalls() {
		counts[kinds[operation]] += n
	}
	return counts
}

// costs says what an operation should cost.
type costs = map[string]int

// Where the mount keeps one version, nothing has to be destroyed.
func TestWhatAStoreCosts(t *testing.T) {
	for _, keeps := range []int{1, 10} {
		t.Run(fmt.Sprint("the mount keeps ", keeps), func(t *testing.T) { whatAStoreCosts(t, keeps) })
	}
}

func whatAStoreCosts(t *testing.T, keeps int) {
	findUser := func(n int) func(*token.Store) error {
		return func(st *token.Store) error {
			_, err := st.FindToken(t.Context(), find(fmt.Sprint("user-", n), ""))
			return err
		}
	}
	findRefresh := func(n int) func(*token.Store) error {
		return func(st *token.Store) error {
			_, err := st.FindToken(t.Context(), find("", fmt.Sprint("refresh-", n)))
			return err
		}
	}
	var ids []string
	byID := func(st *token.Store) error { _, err := st.FindTokenByID(t.Context(), ids[0]); return err }
	saveUser := func(u *token.OAuthToken) func(*token.Store) error {
		return func(st *token.Store) error { return st.SaveToken(t.Context(), u) }
	}
	newAccess := func(q *token.OAuthToken) func(*token.Store) error {
		q.AccessToken = token.NewSecret("another")
		return saveUser(q)
	}
	newAccessByID := func(st *token.Store) error {
		return st.SaveToken(t.Context(), &token.OAuthToken{ID: ids[0], AccessToken: token.NewSecret("another")})
	}
	update := func(st *token.Store) error {
		return st.UpdateToken(t.Context(), ids[0], func(u *token.OAuthToken) error {
			u.AccessToken = token.NewSecret("another")
			return nil
		})
	}
	remove := func(st *token.Store) error { return st.DeleteToken(t.Context(), ids[0]) }
	rotated := user(0)
	rotated.RefreshToken = token.NewSecret("another")

	// A destruction is one for each write that replaces something. Config is asked for once,
	// by the first of them.
	for _, c := range []struct {
		what  string
		first func(*token.Store) error // what the store has done before
		then  func(*token.Store) error
		want  costs
		old   int // versions to destroy
		known bool
		err   error
	}{
		{what: "FindTokenByID, cold", then: byID, want: costs{"read": 1}},
		{what: "FindTokenByID, record known", first: byID, then: byID, want: costs{"read": 1}},
		{
			what: "FindTokenByID, a miss", first: byID,
			then: func(st *token.Store) error { _, err := st.FindTokenByID(t.Context(), "none"); return err },
			want: costs{"read": 2}, err: token.ErrNotFound,
		},
		{what: "FindToken by user, cold", then: findUser(0), want: costs{"read": 2}},
		{what: "FindToken by refresh token, cold", then: findRefresh(0), want: costs{"read": 2}},
		{what: "FindToken by user, index known", first: findUser(1), then: findUser(0), want: costs{"read": 1}},
		{what: "FindToken by refresh token, index known", first: findUser(1), then: findRefresh(0), want: costs{"read": 1}},
		{what: "FindToken by user, index and record known", first: findUser(0), then: findUser(0), want: costs{"read": 1}},
		{what: "FindToken, a miss, cold", then: findUser(9), want: costs{"read": 1}, err: token.ErrNotFound},
		{what: "FindToken, a miss, index known", first: findUser(0), then: findUser(9), want: costs{"read": 1}, err: token.ErrNotFound},

		{what: "SaveToken, nothing new, record known", first: findUser(0), then: saveUser(user(0)), want: costs{"read": 1}},
		{what: "SaveToken, nothing new, cold", then: saveUser(user(0)), want: costs{"read": 2}},
		{
			what: "SaveToken, new access token, record read before", first: findUser(0), then: newAccess(find("user-0", "")),
			want: costs{"write": 1}, old: 1,
		},
		{
			what: "SaveToken, new access token, record written before", first: newAccess(user(0)),
			then: func(st *token.Store) error { return st.SaveToken(t.Context(), user(0)) },
			want: costs{"write": 1}, old: 1, known: true,
		},
		{what: "SaveToken, new access token, by id, cold", then: newAccessByID, want: costs{"read": 1, "write": 1}, old: 1},
		{what: "SaveToken, new access token, by user, cold", then: newAccess(find("user-0", "")), want: costs{"read": 2, "write": 1}, old: 1},
		{what: "UpdateToken, record read before", first: byID, then: update, want: costs{"write": 1}, old: 1},
		{what: "UpdateToken, cold", then: update, want: costs{"read": 1, "write": 1}, old: 1},

		{what: "SaveToken, insert, index known and current", first: findUser(0), then: saveUser(user(9)), want: costs{"write": 2}, old: 1},
		{what: "SaveToken, insert, index written before", first: saveUser(user(8)), then: saveUser(user(9)), want: costs{"write": 2}, old: 1, known: true},
		{what: "SaveToken, insert, cold", then: saveUser(user(9)), want: costs{"read": 1, "write": 2}, old: 1},
		{what: "SaveToken, a rotated refresh token, record known", first: findUser(0), then: saveUser(rotated), want: costs{"write": 2}, old: 2},

		{what: "DeleteToken, record and index known", first: findUser(0), then: remove, want: costs{"write": 2}, old: 2},
		{what: "DeleteToken, cold", then: remove, want: costs{"read": 2, "write": 2}, old: 2},
		{
			what: "DeleteToken, a miss", first: byID,
			then: func(st *token.Store) error { return st.DeleteToken(t.Context(), "none") },
			want: costs{"read": 2}, err: token.ErrNotFound,
		},
		{
			what: "DeleteTokens, three records, cold",
			then: func(st *token.Store) error { return st.DeleteTokens(t.Context()) },
			want: costs{"read": 1 + 3, "write": 3 + 1}, old: 3 + 1,
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := start(t)
			s.SetMountConfig(mount, keeps, false, 0)
			ids = save(t, s.store(t), 3)
			store := s.store(t)
			if c.first != nil {
				if err := c.first(store); err != nil {
					t.Fatal(err)
				}
			}
			want := maps.Clone(c.want)
			if c.old > 0 && keeps > 1 {
				want["destroy"] = c.old
			}
			got := s.requests(t, c.err, func() error { return c.then(store) })
			if n := got["config"]; c.old > 0 && !c.known && n == 0 || n > 1 && !strings.Contains(c.what, "DeleteTokens") {
				t.Errorf("the config is read %d times", n)
			}
			delete(got, "config")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// The first operation of a process in an empty store looks at the mount: once.
func TestWhatAnEmptyStoreCosts(t *testing.T) {
	for _, c := range []struct {
		what string
		do   func(*token.Store) error
		want costs
		err  error
	}{
		{
			what: "the first insert",
			do:   func(st *token.Store) error { return st.SaveToken(t.Context(), user(0)) },
			want: costs{"mount": 1, "config": 1, "read": 1, "list": 1, "write": 2},
		},
		{
			what: "FindToken",
			do:   func(st *token.Store) error { _, err := st.FindToken(t.Context(), find("user-0", "")); return err },
			want: costs{"mount": 1, "config": 1, "read": 1, "list": 1}, err: token.ErrNotFound,
		},
		{
			what: "GetTokens",
			do:   func(st *token.Store) error { _, err := st.GetTokens(t.Context()); return err },
			want: costs{"mount": 1, "config": 1, "read": 1, "list": 1},
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := start(t)
			store := s.store(t)
			if diff := cmp.Diff(c.want, s.requests(t, c.err, func() error { return c.do(store) })); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatGetTokensCosts(t *testing.T) {
	for _, n := range []int{1, 20, 105} {
		t.Run(fmt.Sprintf("%d records", n), func(t *testing.T) {
			s := start(t)
			save(t, s.store(t), n)
			store := s.store(t)
			for _, what := range []string{"cold", "records and index known"} {
				got := 0
				if diff := cmp.Diff(costs{"read": 1 + n}, s.requests(t, nil, func() error {
					tokens, err := store.GetTokens(t.Context())
					got = len(tokens)
					return err
				})); diff != "" {
					t.Errorf("%s: requests (-want +got):\n%s", what, diff)
				}
				if got != n {
					t.Errorf("%s: %d tokens, want %d", what, got, n)
				}
			}
		})
	}
}

// No token and no user stands in clear where a store keeps more than the record.
func TestWhatAStoreLeavesInVault(t *testing.T) {
	s := start(t)
	ids := save(t, s.store(t), 2)
	want := []string{prefix + "/index", prefix + "/token-" + ids[0], prefix + "/token-" + ids[1]}
	slices.Sort(want)
	if diff := cmp.Diff(want, s.Names(mount)); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	index, _ := s.holds("index")
	for _, text := range []string{"user-0", "refresh-0", "access-0"} {
		if strings.Contains(index, text) {
			t.Errorf("the index holds %q in clear", text)
		}
	}
}
