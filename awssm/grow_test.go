package awssm_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/stories"
	"github.com/tokenkeep/tokenkeep/token"
)

// The quotas and the sizes of one secret do not bound a store: its index grows. The
// double refuses the 101st version of a secret within 24 hours, and its clock stands.

// index returns the values of the index secrets.
func (s *service) index() (values []string) {
	for _, name := range s.Names() {
		if strings.HasPrefix(name, prefix+"/index") {
			value, _, _ := s.Value(name)
			values = append(values, value)
		}
	}
	return values
}

// imports saves users n to m, each of three keys, with so many workers.
func imports(t *testing.T, workers, n, m int, store func() *token.Store) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := n + w; i < m; i += workers {
				u := user(i)
				u.GrantToken = token.NewSecret(fmt.Sprintf("grant-%d", i))
				if err := store().SaveToken(t.Context(), u); err != nil {
					t.Errorf("token %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}

// found makes sure that a new store finds users and lists so many records.
func (s *service) found(t *testing.T, users int) {
	t.Helper()
	store := s.store(t)
	for i := range users {
		u, err := store.FindToken(t.Context(), find(fmt.Sprintf("user-%d", i), fmt.Sprintf("refresh-%d", i)))
		if err != nil || u.AccessToken.Reveal() != fmt.Sprintf("access-%d", i) {
			t.Errorf("user %d: %v", i, err)
		}
	}
	if all, err := s.store(t).GetTokens(t.Context()); len(all) != users || err != nil {
		t.Errorf("%d records are listed, want %d: %v", len(all), users, err)
	}
}

// tooOften counts the answers that say that a secret was written too often.
func (s *service) tooOften() (n int) {
	for _, c := range s.Calls() {
		if c.Err == "LimitExceededException" {
			n++
		}
	}
	return n
}

func TestAnImportMeetsNoQuota(t *testing.T) {
	for what, cold := range map[string]bool{"by one store": false, "each by a store that knows nothing": true} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			one, workers, users := s.store(t), 8, 1000
			store := func() *token.Store { return one }
			if cold {
				store, workers, users = func() *token.Store { return s.store(t) }, 2, 400
			}
			imports(t, workers, 0, users, store)
			if n := s.tooOften(); n > 0 {
				t.Errorf("%d writes were refused", n)
			}
			s.found(t, users)
			t.Logf("%d index secrets", len(s.index()))
		})
	}
}

func TestTheIndexHoldsMoreThanASecretDoes(t *testing.T) {
	s := start(t)
	stories.Grow(t, 65_536, func() *token.Store { return s.store(t) }, s.index)
}
