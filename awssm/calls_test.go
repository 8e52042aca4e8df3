package awssm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/token"
)

// What the operations of a store cost in requests. docs/aws.md promises it.

func (s *service) store(t testing.TB) *token.Store {
	t.Helper()
	store, err := awssm.New(s.sdk(t), prefix, nil)
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

// requests counts those that read, write and list while f runs.
func (s *service) requests(t testing.TB, f func() error) map[string]int {
	t.Helper()
	s.ResetCalls()
	if err := f(); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for operation, n := range s.CountCalls() {
		switch operation {
		case "GetSecretValue", "BatchGetSecretValue":
			counts["reads"] += n
		case "ListSecrets":
			counts["lists"] += n
		default:
			counts["writes"] += n
		}
	}
	return counts
}

func TestWhatAStoreCosts(t *testing.T) {
	s := start(t)
	ids := save(t, s.store(t), 3)
	warm := s.store(t)
	for what, c := range map[string]struct {
		store *token.Store
		first func(*token.Store) error // what the store has done before
		then  func(*token.Store) error
		want  map[string]int
	}{
		"FindTokenByID, cold": {
			then: func(st *token.Store) error { _, err := st.FindTokenByID(t.Context(), ids[0]); return err },
			want: map[string]int{"reads": 1},
		},
		"FindToken by user, cold": {
			then: func(st *token.Store) error { _, err := st.FindToken(t.Context(), find("user-0", "")); return err },
			want: map[string]int{"reads": 2},
		},
		"FindToken by refresh token, cold": {
			then: func(st *token.Store) error { _, err := st.FindToken(t.Context(), find("", "refresh-0")); return err },
			want: map[string]int{"reads": 2},
		},
		"FindToken by user, index known": {
			first: func(st *token.Store) error { _, err := st.FindToken(t.Context(), find("user-1", "")); return err },
			then:  func(st *token.Store) error { _, err := st.FindToken(t.Context(), find("user-0", "")); return err },
			want:  map[string]int{"reads": 1},
		},
		"FindToken by refresh token, index known": {
			first: func(st *token.Store) error { _, err := st.FindToken(t.Context(), find("user-1", "")); return err },
			then:  func(st *token.Store) error { _, err := st.FindToken(t.Context(), find("", "refresh-0")); return err },
			want:  map[string]int{"reads": 1},
		},
		"SaveToken, nothing new": {
			first: func(st *token.Store) error { _, err := st.FindToken(t.Context(), find("user-0", "")); return err },
			then:  func(st *token.Store) error { return st.SaveToken(t.Context(), user(0)) },
			want:  map[string]int{"reads": 1},
		},
		"SaveToken, nothing new, cold": {
			then: func(st *token.Store) error { return st.SaveToken(t.Context(), user(0)) },
			want: map[string]int{"reads": 2},
		},
		"SaveToken, new access token, record read before": {
			first: func(st *token.Store) error { _, err := st.FindToken(t.Context(), find("user-1", "")); return err },
			then: func(st *token.Store) error {
				u := user(1)
				u.AccessToken = token.NewSecret("another")
				return st.SaveToken(t.Context(), u)
			},
			want: map[string]int{"writes": 1},
		},
		"SaveToken, new access token, by id, cold": {
			then: func(st *token.Store) error {
				return st.SaveToken(t.Context(), &token.OAuthToken{ID: ids[2], AccessToken: token.NewSecret("another")})
			},
			want: map[string]int{"reads": 1, "writes": 1},
		},
		"SaveToken, insert, index known and current": {
			store: warm,
			first: func(st *token.Store) error { return st.SaveToken(t.Context(), user(100)) },
			then:  func(st *token.Store) error { return st.SaveToken(t.Context(), user(101)) },
			want:  map[string]int{"writes": 2},
		},
	} {
		t.Run(what, func(t *testing.T) {
			store := c.store
			if store == nil {
				store = s.store(t)
			}
			if c.first != nil {
				if err := c.first(store); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(c.want, s.requests(t, func() error { return c.then(store) })); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func find(user, refresh string) *token.OAuthToken {
	q := &token.OAuthToken{UserSignature: token.UserSignature{Name: user}}
	if refresh != "" {
		q.RefreshToken = token.NewSecret(refresh)
	}
	return q
}

func TestWhatGetTokensCosts(t *testing.T) {
	for _, n := range []int{0, 1, 20, 21, 45, 105} {
		t.Run(fmt.Sprintf("%d records", n), func(t *testing.T) {
			s := start(t)
			writer := s.store(t)
			save(t, writer, n)
			store, got := s.store(t), 0
			want := map[string]int{"reads": 1 + (n+19)/20}
			// Up to 40 writes a day the root is the only leaf. Then it names others, which
			// are read together.
			if leaves := len(s.index()) - 1; n > 40 {
				want["reads"]++
			} else if n > 0 && leaves != 0 {
				t.Errorf("%d leaves beside the root", leaves)
			}
			if n == 0 {
				want["lists"] = 1 // a store without an index is looked at before it is called empty
			}
			if diff := cmp.Diff(want, s.requests(t, func() error {
				tokens, err := store.GetTokens(t.Context())
				got = len(tokens)
				return err
			})); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if got != n {
				t.Errorf("%d tokens, want %d", got, n)
			}
		})
	}
}

// No token and no user stands in clear where a store keeps more than the record.
func TestWhatAStoreLeavesInTheService(t *testing.T) {
	s := start(t)
	ids := save(t, s.store(t), 2)
	want := []string{prefix + "/index", prefix + "/token-" + ids[0], prefix + "/token-" + ids[1]}
	if strings.Compare(ids[0], ids[1]) > 0 {
		want[1], want[2] = want[2], want[1]
	}
	if diff := cmp.Diff(want, s.Names()); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	index, _, _ := s.Value(prefix + "/index")
	for _, text := range []string{"user-0", "refresh-0", "access-0"} {
		if strings.Contains(index, text) {
			t.Errorf("the index holds %q in clear", text)
		}
	}
}
