package gcpsm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/token"
)

// What the operations of a store cost in requests. docs/gcp.md promises it.

func (s *service) store(t testing.TB) *token.Store { return s.paced(t, parent, unpaced()) }

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

// kinds are what the service's methods are called here.
var kinds = map[string]string{
	"AccessSecretVersion":  "read",
	"GetSecretVersion":     "resolve",
	"CreateSecret":         "create",
	"AddSecretVersion":     "add",
	"DestroySecretVersion": "destroy",
	"DeleteSecret":         "delete",
	"ListSecrets":          "list",
	"ListSecretVersions":   "list versions",
}

// requests counts them by kind while f runs. Its error must be want.
func (s *service) requests(t testing.TB, want error, f func() error) map[string]int {
	t.Helper()
	s.ResetCalls()
	if err := f(); !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	counts := map[string]int{}
	for method, n := range s.CountCalls() {
		counts[kinds[method]] += n
	}
	return counts
}

// costs says what an operation should cost.
type costs = map[string]int

func TestWhatAStoreCosts(t *testing.T) {
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

	for _, c := range []struct {
		what  string
		first func(*token.Store) error // what the store has done before
		then  func(*token.Store) error
		want  costs
		err   error
	}{
		{what: "FindTokenByID, cold", then: byID, want: costs{"read": 2}},
		{what: "FindTokenByID, record known", first: byID, then: byID, want: costs{"read": 1}},
		{
			what: "FindTokenByID, a miss",
			then: func(st *token.Store) error { _, err := st.FindTokenByID(t.Context(), "none"); return err },
			want: costs{"read": 4}, err: token.ErrNotFound,
		},
		{what: "FindToken by user, cold", then: findUser(0), want: costs{"read": 4}},
		{what: "FindToken by refresh token, cold", then: findRefresh(0), want: costs{"read": 4}},
		{what: "FindToken by user, index known", first: findUser(1), then: findUser(0), want: costs{"read": 2}},
		{what: "FindToken by refresh token, index known", first: findUser(1), then: findRefresh(0), want: costs{"read": 2}},
		{what: "FindToken by user, index and record known", first: findUser(0), then: findUser(0), want: costs{"read": 1}},
		{what: "FindToken by refresh token, index and record known", first: findUser(0), then: findRefresh(0), want: costs{"read": 1}},
		{what: "FindToken, a miss, cold", then: findUser(9), want: costs{"read": 2}, err: token.ErrNotFound},
		{what: "FindToken, a miss, index known", first: findUser(0), then: findUser(9), want: costs{"read": 2}, err: token.ErrNotFound},

		{what: "SaveToken, nothing new, record known", first: findUser(0), then: saveUser(user(0)), want: costs{"read": 1}},
		{what: "SaveToken, nothing new, cold", then: saveUser(user(0)), want: costs{"read": 4}},
		{
			what: "SaveToken, new access token, record read before", first: findUser(0), then: newAccess(find("user-0", "")),
			want: costs{"add": 1, "destroy": 1},
		},
		{
			what: "SaveToken, new access token, record written before", first: newAccess(user(0)),
			then: func(st *token.Store) error { return st.SaveToken(t.Context(), user(0)) },
			want: costs{"add": 1, "destroy": 1},
		},
		{what: "SaveToken, new access token, by id, cold", then: newAccessByID, want: costs{"read": 2, "add": 1, "destroy": 1}},
		{what: "SaveToken, new access token, by user, cold", then: newAccess(find("user-0", "")), want: costs{"read": 4, "add": 1, "destroy": 1}},
		{what: "UpdateToken, record read before", first: byID, then: update, want: costs{"add": 1, "destroy": 1}},
		{what: "UpdateToken, cold", then: update, want: costs{"read": 2, "add": 1, "destroy": 1}},

		{
			what: "SaveToken, insert, index known and current", first: findUser(0), then: saveUser(user(9)),
			want: costs{"create": 1, "add": 2, "destroy": 1},
		},
		{
			what: "SaveToken, insert, index written before", first: saveUser(user(8)), then: saveUser(user(9)),
			want: costs{"create": 1, "add": 2, "destroy": 1},
		},
		{what: "SaveToken, insert, cold", then: saveUser(user(9)), want: costs{"read": 2, "create": 1, "add": 2, "destroy": 1}},
		{what: "SaveToken, a rotated refresh token, record known", first: findUser(0), then: saveUser(rotated), want: costs{"add": 2, "destroy": 2}},

		{what: "DeleteToken, record and index known", first: findUser(0), then: remove, want: costs{"add": 2, "destroy": 2}},
		{what: "DeleteToken, cold", then: remove, want: costs{"read": 4, "add": 2, "destroy": 2}},
		{
			what: "DeleteToken, a miss",
			then: func(st *token.Store) error { return st.DeleteToken(t.Context(), "none") },
			want: costs{"read": 4}, err: token.ErrNotFound,
		},
		{
			what: "DeleteTokens, three records, cold",
			then: func(st *token.Store) error { return st.DeleteTokens(t.Context()) },
			want: costs{"read": 2 + 3*2, "add": 3 + 1, "destroy": 3 + 1},
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := start(t)
			ids = save(t, s.store(t), 3)
			store := s.store(t)
			if c.first != nil {
				if err := c.first(store); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(c.want, s.requests(t, c.err, func() error { return c.then(store) })); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

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
			want: costs{"read": 2, "list": 1, "create": 2, "add": 2},
		},
		{
			what: "FindToken",
			do:   func(st *token.Store) error { _, err := st.FindToken(t.Context(), find("user-0", "")); return err },
			want: costs{"read": 2, "list": 1}, err: token.ErrNotFound,
		},
		{
			what: "GetTokens",
			do:   func(st *token.Store) error { _, err := st.GetTokens(t.Context()); return err },
			want: costs{"read": 2, "list": 1},
		},
		{
			what: "DeleteTokens",
			do:   func(st *token.Store) error { return st.DeleteTokens(t.Context()) },
			want: costs{"read": 2, "list": 1},
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
			for _, c := range []struct {
				what string
				want costs
			}{
				{"cold", costs{"read": 2 + n}},
				{"records and index known", costs{"read": 2 + n}},
			} {
				got := 0
				if diff := cmp.Diff(c.want, s.requests(t, nil, func() error {
					tokens, err := store.GetTokens(t.Context())
					got = len(tokens)
					return err
				})); diff != "" {
					t.Errorf("%s: requests (-want +got):\n%s", c.what, diff)
				}
				if got != n {
					t.Errorf("%s: %d tokens, want %d", c.what, got, n)
				}
			}
		})
	}
}

// An hourly refresh is one add and one destruction; every sixteenth version asks what
// dead processes left.
func TestWhatARefreshCostsInTheLongRun(t *testing.T) {
	s := start(t)
	store := s.store(t)
	ids := save(t, store, 1)
	const refreshes = 64
	got := s.requests(t, nil, func() error {
		for n := range refreshes {
			u := find("user-0", "")
			u.AccessToken = token.NewSecret(fmt.Sprint("refreshed-", n))
			if err := store.SaveToken(t.Context(), u); err != nil {
				return err
			}
		}
		return nil
	})
	want := costs{"add": refreshes, "destroy": refreshes, "list versions": refreshes / 16}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if n := s.Active(secretOf(prefix, "token-"+ids[0])); n != 1 {
		t.Errorf("%d versions are charged for", n)
	}
}

// Who adds on top of what another process has replaced meanwhile looks who was faster,
// reads the secret anew (its own void version, the number above it and the head), and
// looks whether somebody came while it waited, before it adds again.
func TestWhatAWriteCostsAfterAnotherProcessWrote(t *testing.T) {
	s := start(t)
	ids := save(t, s.store(t), 1)
	mine, other := s.store(t), s.store(t)
	refresh := func(store *token.Store, access string) error {
		return store.SaveToken(t.Context(), &token.OAuthToken{ID: ids[0], AccessToken: token.NewSecret(access)})
	}
	for _, store := range []*token.Store{mine, other} {
		if _, err := store.FindTokenByID(t.Context(), ids[0]); err != nil {
			t.Fatal(err)
		}
	}
	if err := refresh(other, "theirs"); err != nil {
		t.Fatal(err)
	}
	want := costs{"read": 1 + 3 + 1, "add": 2, "destroy": 2}
	if diff := cmp.Diff(want, s.requests(t, nil, func() error { return refresh(mine, "mine") })); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// No token and no user stands in clear where a store keeps more than the record.
func TestWhatAStoreLeavesInTheService(t *testing.T) {
	s := start(t)
	ids := save(t, s.store(t), 2)
	want := map[string]bool{"index": true, "token-" + ids[0]: true, "token-" + ids[1]: true}
	got := map[string]bool{}
	for _, name := range s.Names() {
		_, short, _ := strings.Cut(name, "/secrets/app__oauth__")
		got[short] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	index, _, _ := s.Value(secretOf(prefix, "index"))
	for _, text := range []string{"user-0", "refresh-0", "access-0"} {
		if strings.Contains(index, text) {
			t.Errorf("the index holds %q in clear", text)
		}
	}
}
