package gcpsm_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tokenkeep/tokenkeep/token"
)

// index returns the values of the index secrets.
func (s *service) index() (values []string) {
	for _, name := range s.Names() {
		if _, short, ok := strings.Cut(name, "/secrets/app__oauth__"); ok && strings.HasPrefix(short, "index") {
			value, _, _ := s.Value(secretOf(prefix, short))
			values = append(values, value)
		}
	}
	return values
}

// The size of one secret does not bound a store: its index grows.
func TestTheIndexHoldsMoreThanASecretDoes(t *testing.T) {
	const most = 65_536
	s := start(t)
	one := s.store(t)
	users := 0
	size := func() (n int) {
		for _, value := range s.index() {
			if strings.Contains(value, `"kind":"index"`) { // and not what was sealed
				n += len(value)
			}
		}
		return n
	}
	for ; size() < most*5/4 && !t.Failed(); users += 200 {
		var wg sync.WaitGroup
		for w := range 16 {
			wg.Go(func() {
				for i := users + w; i < users+200; i += 16 {
					u := user(i)
					u.GrantToken = token.NewSecret(fmt.Sprintf("grant-%d", i))
					if err := one.SaveToken(t.Context(), u); err != nil {
						t.Errorf("token %d: %v", i, err)
					}
				}
			})
		}
		wg.Wait()
	}
	for _, value := range s.index() {
		if len(value) > most {
			t.Errorf("an index secret of %d bytes", len(value))
		}
	}
	store := s.store(t)
	for i := range users {
		u, err := store.FindToken(t.Context(), find(fmt.Sprintf("user-%d", i), fmt.Sprintf("refresh-%d", i)))
		if err != nil || u.AccessToken.Reveal() != fmt.Sprintf("access-%d", i) {
			t.Errorf("user %d: %v", i, err)
		}
	}
	if all, err := store.GetTokens(t.Context()); len(all) != users || err != nil {
		t.Errorf("%d records are listed, want %d: %v", len(all), users, err)
	}
	t.Logf("%d users, %d index secrets", users, len(s.index()))
}
