package gcpsm_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/token"
)

// cached opens a store whose finds may be answered with what is so old.
func (s *service) cached(t testing.TB, maxAge time.Duration) *token.Store {
	t.Helper()
	opts := unpaced()
	opts.Store.MaxAge = maxAge
	return s.paced(t, parent, opts)
}

// What was read is asked for anew by the number that follows: it does not exist, and no
// payload is sent. Only a head that was not read for five minutes is read again.
func TestWarmFindsMakeNoRequestAndOldAnswersAreRevalidatedByOne(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		ids := save(t, s.store(t), 1)
		store := s.cached(t, time.Minute)
		finds := map[string]func() error{
			"by id": func() error { _, err := store.FindTokenByID(t.Context(), ids[0]); return err },
			"by user": func() error {
				_, err := store.FindToken(t.Context(), find("user-0", ""))
				return err
			},
			"by refresh token": func() error {
				_, err := store.FindToken(t.Context(), find("", "refresh-0"))
				return err
			},
		}
		if err := finds["by user"](); err != nil {
			t.Fatal(err)
		}
		for what, do := range finds {
			if diff := cmp.Diff(costs{}, s.requests(t, nil, do)); diff != "" {
				t.Errorf("%s, warm: requests (-want +got):\n%s", what, diff)
			}
			pass(time.Minute + 1)
			if diff := cmp.Diff(costs{"read": 1}, s.requests(t, nil, do)); diff != "" {
				t.Errorf("%s, after MaxAge: requests (-want +got):\n%s", what, diff)
			}
			for _, c := range s.Calls() {
				if c.Code.String() != "NotFound" {
					t.Errorf("%s, after MaxAge: the answer is %s, and was to bring no payload", what, c.Code)
				}
			}
			if diff := cmp.Diff(costs{}, s.requests(t, nil, do)); diff != "" {
				t.Errorf("%s, after that: requests (-want +got):\n%s", what, diff)
			}
		}
		pass(5 * time.Minute)
		if diff := cmp.Diff(costs{"read": 2}, s.requests(t, nil, finds["by id"])); diff != "" {
			t.Errorf("after five minutes: requests (-want +got):\n%s", diff)
		}
	})
}

func TestReadTokenAsksWhatTheNumberAboveHoldsThoughTheRecordIsCached(t *testing.T) {
	s := start(t)
	ids := save(t, s.store(t), 1)
	store, other := s.cached(t, time.Hour), s.store(t)
	read := func() error { _, err := store.ReadToken(t.Context(), ids[0]); return err }
	if err := read(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(costs{"read": 1}, s.requests(t, nil, read)); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if err := other.SaveToken(t.Context(), &token.OAuthToken{ID: ids[0], AccessToken: token.NewSecret("theirs")}); err != nil {
		t.Fatal(err)
	}
	found, err := store.ReadToken(t.Context(), ids[0])
	if err != nil || found.AccessToken.Reveal() != "theirs" {
		t.Errorf("it shows what was before: %v", err)
	}
}

func TestTryUpdateTokenIsOneWriteAndALostRaceTakesALookAtWhoWasFaster(t *testing.T) {
	s := start(t)
	ids := save(t, s.store(t), 1)
	mine, other := s.store(t), s.store(t)
	try := func(store *token.Store, access string) func() error {
		return func() error {
			return store.TryUpdateToken(t.Context(), ids[0], func(u *token.OAuthToken) error {
				u.AccessToken = token.NewSecret(access)
				return nil
			})
		}
	}
	for _, store := range []*token.Store{mine, other} {
		if _, err := store.FindTokenByID(t.Context(), ids[0]); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(costs{"add": 1, "destroy": 1}, s.requests(t, nil, try(other, "theirs"))); diff != "" {
		t.Errorf("won: requests (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(costs{"add": 1, "read": 1}, s.requests(t, token.ErrConflict, try(mine, "mine"))); diff != "" {
		t.Errorf("lost: requests (-want +got):\n%s", diff)
	}
}
