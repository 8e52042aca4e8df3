package stories

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tokenkeep/tokenkeep/token"
)

// Grow saves users with a store until the index is a quarter larger than the largest
// secret that the service takes, in bytes. A store that is opened then has to find and
// list all of them. Index returns the values of the index secrets.
func Grow(t *testing.T, most int, open func() *token.Store, index func() []string) {
	t.Helper()
	users, one := 0, open()
	size := func() (n int) {
		for _, value := range index() {
			if strings.Contains(value, `"kind":"index"`) { // and not what was sealed
				n += len(value)
			}
		}
		return n
	}
	for ; size() < most*5/4 && !t.Failed(); users += 200 {
		signUp(t, one, users, users+200)
	}
	secrets := index()
	for _, value := range secrets {
		if len(value) > most {
			t.Errorf("an index secret of %d bytes", len(value))
		}
	}
	store := open()
	for i := range users {
		u, err := store.FindToken(t.Context(), tok(fmt.Sprint("user ", i), fmt.Sprint("refresh R", i)))
		if err != nil || !u.AccessToken.Equal(token.NewSecret(fmt.Sprint("A", i))) {
			t.Errorf("user %d: %v", i, err)
		}
	}
	if all, err := store.GetTokens(t.Context()); len(all) != users || err != nil {
		t.Errorf("%d records are listed, want %d: %v", len(all), users, err)
	}
	t.Logf("%d users, %d index secrets", users, len(secrets))
}

// signUp saves users n to m, each of three keys, with sixteen goroutines.
func signUp(t *testing.T, s *token.Store, n, m int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := n + w; i < m; i += 16 {
				u := tok(fmt.Sprint("user ", i), fmt.Sprint("refresh R", i), fmt.Sprint("grant G", i), fmt.Sprint("access A", i))
				if err := s.SaveToken(t.Context(), u); err != nil {
					t.Errorf("user %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}
