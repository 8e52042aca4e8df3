package vaultstore_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

func TestWarmFindsMakeNoRequestAndOldAnswersAndReadTokenTakeOne(t *testing.T) {
	s := start(t)
	ids := save(t, s.store(t), 1)
	for maxAge, want := range map[time.Duration]costs{
		time.Hour:       {},
		time.Nanosecond: {"read": 1}, // it has passed by then
	} {
		store, err := vaultstore.New(s.sdk(t), mount, prefix, &vaultstore.Options{Store: token.Options{MaxAge: maxAge}})
		if err != nil {
			t.Fatal(err)
		}
		byID := func() error { _, err := store.FindTokenByID(t.Context(), ids[0]); return err }
		byUser := func() error { _, err := store.FindToken(t.Context(), find("user-0", "")); return err }
		if err := byUser(); err != nil {
			t.Fatal(err)
		}
		for what, do := range map[string]func() error{"by id": byID, "by user": byUser} {
			if diff := cmp.Diff(want, s.requests(t, nil, do)); diff != "" {
				t.Errorf("%s, with %v: requests (-want +got):\n%s", what, maxAge, diff)
			}
		}
		read := func() error { _, err := store.ReadToken(t.Context(), ids[0]); return err }
		if diff := cmp.Diff(costs{"read": 1}, s.requests(t, nil, read)); diff != "" {
			t.Errorf("ReadToken: requests (-want +got):\n%s", diff)
		}
	}
}
