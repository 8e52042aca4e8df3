package stories

import (
	"errors"
	"fmt"
	"sync"

	"github.com/tokenkeep/tokenkeep/token"
)

// crowd runs f in so many goroutines, spread over so many stores, and returns when
// all are done.
func (st *stage) crowd(goroutines, stores int, f func(i int, s *token.Store)) {
	st.Helper()
	open := make([]*token.Store, stores)
	for i := range open {
		open[i] = st.Open()
	}
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() { f(i, open[i%stores]) })
	}
	wg.Wait()
}

var races = []story{
	{"concurrent saves of one identity leave exactly one record", func(st *stage) {
		const n = 64
		saved := make([]*token.OAuthToken, n)
		st.crowd(n, 4, func(i int, s *token.Store) {
			saved[i] = tok("user U1", "client c1", "refresh R1", "access A1")
			if err := s.SaveToken(st.Context(), saved[i]); err != nil {
				st.Errorf("save %d: %v", i, err)
			}
		})
		st.counts(1)
		for i, t := range saved {
			if t.ID != saved[0].ID {
				st.Errorf("save %d was told another id", i)
			}
		}
		st.finds(saved[0].ID, "user U1")
		st.finds(saved[0].ID, "refresh R1")
	}},
	{"concurrent saves of a token with and without its user leave exactly one record", func(st *stage) {
		st.crowd(16, 4, func(i int, s *token.Store) {
			t := tok("client c1", "refresh R1")
			if i%2 == 0 {
				t.UserSignature.Name = "U1"
			}
			if err := s.SaveToken(st.Context(), t); err != nil {
				st.Errorf("save %d: %v", i, err)
			}
		})
		st.counts(1)
		st.finds(st.all()[0].ID, "user U1")
	}},
	{"concurrent saves of different users lose nobody", func(st *stage) {
		const n = 16
		st.crowd(n, 4, func(i int, s *token.Store) {
			if err := s.SaveToken(st.Context(), tok(fmt.Sprint("user U", i), "client c1", fmt.Sprint("refresh R", i))); err != nil {
				st.Errorf("save %d: %v", i, err)
			}
		})
		st.counts(n)
		for _, t := range st.all() {
			st.finds(t.ID, "user "+t.UserSignature.Name, "client c1")
		}
	}},
	{"concurrent updates of one record lose nothing", func(st *stage) {
		id := st.save("user U1", "refresh R1")
		const n = 32
		st.crowd(n, 4, func(i int, s *token.Store) {
			t := tok("user U1", fmt.Sprint("mark m", i))
			if err := s.SaveToken(st.Context(), t); err != nil || t.ID != id {
				st.Errorf("save %d: %v", i, err)
			}
		})
		extra := st.byID(id).Extra
		for i := range n {
			if extra[fmt.Sprint("m", i)].IsZero() {
				st.Errorf("save %d is lost", i)
			}
		}
		st.counts(1)
	}},
	{"fields that a concurrent save does not carry keep what the others wrote", func(st *stage) {
		id := st.save("user U1", "refresh R0")
		updates := []*token.OAuthToken{
			tok("user U1", "refresh R1"), tok("user U1", "grant G1"), tok("user U1", "access A1"), tok("user U1", "client c1"),
			tok("user U1", "secret s1"), tok("user U1", "domain d1"), {UserSignature: token.UserSignature{Name: "U1"}, Scopes: []string{"s"}},
			{UserSignature: token.UserSignature{Name: "U1"}, TokenType: "Bearer"}, {UserSignature: token.UserSignature{Name: "U1"}, RedirectURL: "u"},
		}
		st.crowd(len(updates), 3, func(i int, s *token.Store) {
			if err := s.SaveToken(st.Context(), updates[i]); err != nil {
				st.Errorf("save %d: %v", i, err)
			}
		})
		want := tok("id "+id, "user U1", "client c1", "secret s1", "grant G1", "refresh R1", "access A1", "domain d1")
		want.Scopes, want.TokenType, want.RedirectURL = []string{"s"}, "Bearer", "u"
		st.same(st.byID(id), want)
	}},
	{"concurrent calls of UpdateToken are applied one on top of the other", func(st *stage) {
		id := st.save("user U1", "refresh R1")
		const n = 16
		st.crowd(n, 4, func(i int, s *token.Store) {
			err := s.UpdateToken(st.Context(), id, func(t *token.OAuthToken) error { t.Scopes = append(t.Scopes, fmt.Sprint(i)); return nil })
			if err != nil {
				st.Errorf("update %d: %v", i, err)
			}
		})
		seen := map[string]bool{}
		for _, scope := range st.byID(id).Scopes {
			seen[scope] = true
		}
		if got := len(st.byID(id).Scopes); got != n || len(seen) != n {
			st.Errorf("%d of %d updates are there, %d of them once", got, n, len(seen))
		}
	}},
	{"a deletion during a save of the same record ends in one of the two orders, never in a mixture", func(st *stage) {
		for i := range 8 {
			user := fmt.Sprint("user U", i)
			id := st.save(user, fmt.Sprint("refresh R", i), "domain old")
			saved := tok(user, fmt.Sprint("refresh R", i), "access new")
			st.crowd(2, 2, func(i int, s *token.Store) {
				err := error(nil)
				if i == 0 {
					err = s.DeleteToken(st.Context(), id)
				} else {
					err = s.SaveToken(st.Context(), saved)
				}
				if err != nil {
					st.Errorf("goroutine %d: %v", i, err)
				}
			})
			_, err := st.Open().FindTokenByID(st.Context(), id)
			st.fails(err, token.ErrNotFound) // it is deleted in both
			switch t, err := st.Open().FindToken(st.Context(), tok(user)); {
			case errors.Is(err, token.ErrNotFound): // saved, then deleted
				if saved.ID != id {
					st.Fatal("the save went to a record that is not there")
				}
			case err != nil:
				st.Fatal(err)
			default: // deleted, then saved: nothing is left of the old one
				st.same(t, saved)
			}
		}
	}},
	{"of concurrent deletions of one record one succeeds", func(st *stage) {
		id := st.save("user U1", "refresh R1")
		var mu sync.Mutex
		won := 0
		st.crowd(16, 4, func(i int, s *token.Store) {
			switch err := s.DeleteToken(st.Context(), id); {
			case err == nil:
				mu.Lock()
				won++
				mu.Unlock()
			case !errors.Is(err, token.ErrNotFound):
				st.Errorf("deletion %d: %v", i, err)
			}
		})
		if won != 1 {
			st.Errorf("%d deletions succeeded", won)
		}
		st.counts(0)
	}},
	{"two records never come to hold one user, whatever ids the savers chose", func(st *stage) {
		ids := make([]string, 16)
		st.crowd(len(ids), 4, func(i int, s *token.Store) {
			t := tok(fmt.Sprint("id chosen", i), "user U1", "refresh R1")
			if err := s.SaveToken(st.Context(), t); err != nil {
				st.Errorf("save %d: %v", i, err)
			}
			ids[i] = t.ID
		})
		st.counts(1)
		for i, id := range ids {
			if id != ids[0] {
				st.Errorf("save %d was told another id", i)
			}
		}
	}},
	{"the same process sees its own writes at once", func(st *stage) {
		s := st.store
		for i := range 10 {
			t := tok("user U1", fmt.Sprint("refresh R", i), fmt.Sprint("access A", i))
			st.succeeds(s.SaveToken(st.Context(), t))
			for _, query := range []string{"user U1", "id " + t.ID, fmt.Sprint("refresh R", i)} {
				found, err := s.FindToken(st.Context(), tok(query))
				st.succeeds(err)
				if !found.AccessToken.Equal(t.AccessToken) {
					st.Fatalf("write %d is not seen by %q", i, query)
				}
			}
		}
	}},
	{"what one process saved every other one finds", func(st *stage) {
		others := []*token.Store{st.Open(), st.Open(), st.Open()}
		for i := range 6 {
			t := tok(fmt.Sprint("user U", i), fmt.Sprint("refresh R", i))
			st.succeeds(others[i%3].SaveToken(st.Context(), t))
			for j, s := range others {
				found, err := s.FindToken(st.Context(), tok(fmt.Sprint("user U", i)))
				if err != nil || found.ID != t.ID {
					st.Fatalf("store %d: %v", j, err)
				}
			}
			st.succeeds(others[(i+1)%3].SaveToken(st.Context(), tok(fmt.Sprint("user U", i), fmt.Sprint("refresh S", i))))
			for j, s := range others {
				if _, err := s.FindToken(st.Context(), tok(fmt.Sprint("refresh R", i))); !errors.Is(err, token.ErrNotFound) {
					st.Fatalf("store %d finds a rotated token: %v", j, err)
				}
			}
		}
	}},
}
