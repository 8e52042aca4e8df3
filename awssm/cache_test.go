package awssm_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/token"
)

// cached opens a store whose finds may be answered with what is so old.
func (s *service) cached(t testing.TB, maxAge time.Duration) *token.Store {
	t.Helper()
	store, err := awssm.New(s.sdk(t), prefix, &awssm.Options{Store: token.Options{MaxAge: maxAge}})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestWarmFindsMakeNoRequestAndOldAnswersAreReadAgainByOne(t *testing.T) {
	s := start(t)
	ids := save(t, s.store(t), 1)
	for maxAge, want := range map[time.Duration]map[string]int{
		time.Hour:       {},
		time.Nanosecond: {"reads": 1}, // it has passed by then
	} {
		store := s.cached(t, maxAge)
		for _, warm := range []bool{false, true} {
			for what, do := range map[string]func() error{
				"by user": func() error { _, err := store.FindToken(t.Context(), user(0)); return err },
				"by id":   func() error { _, err := store.FindTokenByID(t.Context(), ids[0]); return err },
				"by refresh token": func() error {
					_, err := store.FindToken(t.Context(), &token.OAuthToken{RefreshToken: user(0).RefreshToken})
					return err
				},
			} {
				got := s.requests(t, do)
				if diff := cmp.Diff(want, got); warm && diff != "" {
					t.Errorf("%s, with %v: requests (-want +got):\n%s", what, maxAge, diff)
				}
			}
		}
	}
}

func TestReadTokenIsOneRequestThoughTheRecordIsCached(t *testing.T) {
	s := start(t)
	ids := save(t, s.store(t), 1)
	store := s.cached(t, time.Hour)
	for range 2 {
		got := s.requests(t, func() error { _, err := store.ReadToken(t.Context(), ids[0]); return err })
		if diff := cmp.Diff(map[string]int{"reads": 1}, got); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	}
}

func TestTryUpdateTokenIsOneWriteAndALostRaceTakesALookAtWhoWasFaster(t *testing.T) {
	s := start(t)
	ids := save(t, s.store(t), 1)
	mine, other := s.store(t), s.store(t)
	for _, store := range []*token.Store{mine, other} {
		if _, err := store.FindTokenByID(t.Context(), ids[0]); err != nil {
			t.Fatal(err)
		}
	}
	for i, store := range []*token.Store{other, mine} {
		var err error
		got := s.requests(t, func() error {
			err = store.TryUpdateToken(t.Context(), ids[0], func(u *token.OAuthToken) error {
				u.AccessToken = token.NewSecret([]string{"theirs", "mine"}[i])
				return nil
			})
			return nil
		})
		if lost := errors.Is(err, token.ErrConflict); err != nil && !lost || lost != (i == 1) {
			t.Errorf("writer %d: %v", i, err)
		}
		want := map[string]int{"writes": 1}
		if i == 1 {
			want["reads"] = 1
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("writer %d: requests (-want +got):\n%s", i, diff)
		}
	}
}
