package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	tokens "github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// What README says of costs and limits is measured here.

type service struct {
	*awssmtest.Server
	client *secretsmanager.Client
}

func start(t *testing.T) service {
	t.Helper()
	srv := awssmtest.NewServer()
	t.Cleanup(srv.Close)
	client, err := srv.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return service{srv, client}
}

func (s service) store(t *testing.T) *tokens.Store {
	t.Helper()
	store, err := awssm.New(s.client, "readme", nil)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestAnOperationCostsWhatTheReadmeSays(t *testing.T) {
	text := readme(t)
	find := func(q *tokens.OAuthToken) func(*tokens.Store) error {
		return func(s *tokens.Store) error { _, err := s.FindToken(t.Context(), q); return err }
	}
	save := func(x *tokens.OAuthToken) func(*tokens.Store) error {
		return func(s *tokens.Store) error { return s.SaveToken(t.Context(), x) }
	}
	access := func(x *tokens.OAuthToken) *tokens.OAuthToken {
		x.AccessToken = tokens.NewSecret("another")
		return x
	}
	// The store makes its id.
	made := &tokens.OAuthToken{UserSignature: tokens.UserSignature{Name: "made"}, RefreshToken: tokens.NewSecret("made")}
	cases := []struct {
		operation   string
		first, then func(*tokens.Store) error
	}{
		{"`FindTokenByID`", nil, func(s *tokens.Store) error { _, err := s.FindTokenByID(t.Context(), "id-0"); return err }},
		{"`FindToken` by user, refresh or grant token, first time", nil, find(byUser(0))},
		{"`FindToken` by user, refresh or grant token, index known", find(byUser(1)), find(byUser(0))},
		{"`FindToken` that finds nothing, index known", find(byUser(0)), find(byUser(99))},
		{"`SaveToken`, nothing new, record known", find(byUser(0)), save(user(0, ""))},
		{"`SaveToken`, new access token, record known", find(byUser(0)), save(access(user(0, "")))},
		{"`SaveToken`, new access token, by id, first time", nil, save(access(&tokens.OAuthToken{ID: "id-0"}))},
		{"`SaveToken`, new refresh token, record known", find(byUser(0)), save(&tokens.OAuthToken{ID: "id-0", RefreshToken: tokens.NewSecret("another")})},
		{"`SaveToken`, new record, index known", find(byUser(0)), save(user(50, ""))},
		{"`SaveToken`, new record with an id that you chose, index known", find(byUser(0)), save(user(50, "id-50"))},
		{"`DeleteToken`, record known", save(made), func(s *tokens.Store) error { return s.DeleteToken(t.Context(), made.ID) }},
		{"`GetTokens` of 20 records", nil, func(s *tokens.Store) error { _, err := s.GetTokens(t.Context()); return err }},
	}
	for _, c := range cases {
		t.Run(c.operation, func(t *testing.T) {
			s := start(t)
			for n := range 20 {
				saveAll(t.Context(), t, s.store(t), user(n, fmt.Sprintf("id-%d", n)))
			}
			store := s.store(t)
			if c.first != nil {
				if err := c.first(store); err != nil {
					t.Fatal(err)
				}
			}
			s.ResetCalls()
			if err := c.then(store); err != nil && !errors.Is(err, tokens.ErrNotFound) {
				t.Fatal(err)
			}
			reads, writes := 0, 0
			for operation, n := range s.CountCalls() {
				if strings.HasSuffix(operation, "GetSecretValue") {
					reads += n
				} else {
					writes += n
				}
			}
			if row := fmt.Sprintf("| %s | %d | %d |\n", c.operation, reads, writes); !strings.Contains(text, row) {
				t.Errorf("README.md has no row\n%s", row)
			}
		})
	}
	_, table, _ := strings.Cut(text, "| operation | reads | writes |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	if rows := strings.Count(table, "\n") + 1; rows != len(cases) {
		t.Errorf("%d rows in the table, %d of them measured", rows, len(cases))
	}
}

// An index secret grows by so much for each token, and another one is there when it is
// full.
func TestTheIndexHoldsAsManyTokensAsTheReadmeSays(t *testing.T) {
	for says, c := range map[string]struct {
		want, holds int // tokens, bytes
		rotate      bool
	}{
		"about 1,100 tokens that have a user and a refresh token": {1_100, 65_536, false},
		"about 720 once every refresh token was rotated":          {720, 65_536, true},
		"about 4,400 tokens": {4_400, 262_144, false},
		"and about 2,900.":   {2_900, 262_144, true},
	} {
		if !strings.Contains(strings.Join(strings.Fields(readme(t)), " "), says) { // in whatever lines
			t.Errorf("README.md does not say %q", says)
		}
		d := memstore.NewDriver()
		store, err := tokens.NewStore(d, nil)
		if err != nil {
			t.Fatal(err)
		}
		saved := 0
		size := func(to int) int {
			for n := saved; n < to; n++ {
				x := user(n, "")
				saveAll(t.Context(), t, store, x)
				if c.rotate {
					saveAll(t.Context(), t, store, &tokens.OAuthToken{ID: x.ID, RefreshToken: tokens.NewSecret(fmt.Sprintf("rotated.%d", n))})
				}
			}
			saved = to
			return len(d.Dump()["index"])
		}
		some := size(30) // after 16 writes the history of write ids is full
		each := float64(size(130)-some) / 100
		if holds := 30 + int((float64(c.holds)-float64(some))/each); holds < c.want*96/100 || holds > c.want*104/100 {
			t.Errorf("%q, and it is %.1f bytes for each, so about %d", says, each, holds)
		}
	}
}

// The clock is that of synctest.
func TestTheSecondClientOfAUserIsSeenAfterAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memstore.NewDriver()
		var stores [2]*tokens.Store
		for i := range stores {
			var err error
			if stores[i], err = tokens.NewStore(d, nil); err != nil {
				t.Fatal(err)
			}
			x := user(0, "")
			x.ClientID, x.RefreshToken = fmt.Sprint("client-", i), tokens.NewSecret(fmt.Sprint("refresh-", i))
			saveAll(t.Context(), t, stores[i], x)
		}
		_, err := stores[0].FindToken(t.Context(), byUser(0))
		wantErr(t, "without a client", err, nil)
		named := byUser(0)
		named.ClientID = "client-1"
		if found, err := stores[0].FindToken(t.Context(), named); err != nil || found.RefreshToken.Reveal() != "refresh-1" {
			t.Errorf("with the client: %v", err)
		}
		<-time.After(time.Hour + time.Second)
		_, err = stores[0].FindToken(t.Context(), byUser(0))
		wantErr(t, "without a client, an hour later", err, tokens.ErrAmbiguous)
	})
}

func TestAfterAHundredWritesOfTheIndexAllGoesOn(t *testing.T) {
	s := start(t)
	store := s.store(t)
	for n := range 250 {
		saveAll(t.Context(), t, store, user(n, ""))
	}
	found, err := s.store(t).FindToken(t.Context(), byUser(0))
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "a rotated token", store.SaveToken(t.Context(), &tokens.OAuthToken{ID: found.ID, RefreshToken: tokens.NewSecret("new")}), nil)
	wantErr(t, "a new access token", store.SaveToken(t.Context(), &tokens.OAuthToken{ID: found.ID, AccessToken: tokens.NewSecret("new")}), nil)
	wantErr(t, "a deletion", store.DeleteToken(t.Context(), found.ID), nil)
	_, err = store.FindToken(t.Context(), byUser(0))
	wantErr(t, "a find of what was deleted", err, tokens.ErrNotFound)
	if all, err := store.GetTokens(t.Context()); len(all) != 249 || err != nil {
		t.Errorf("%d tokens and %v, want 249", len(all), err)
	}
}

func TestADeletedIndexIsRestored(t *testing.T) {
	s := start(t)
	saveAll(t.Context(), t, s.store(t), user(0, "id-0"))
	name := "readme/index"
	if _, err := s.client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: &name}); err != nil {
		t.Fatal(err)
	}
	_, err := s.store(t).FindToken(t.Context(), byUser(0))
	wantErr(t, "find", err, tokens.ErrCorrupt)
	wantErr(t, "save", s.store(t).SaveToken(t.Context(), user(1, "")), tokens.ErrCorrupt)
	_, err = s.store(t).GetTokens(t.Context())
	wantErr(t, "list", err, tokens.ErrCorrupt)
	_, err = s.store(t).FindTokenByID(t.Context(), "id-0")
	wantErr(t, "find by id", err, nil)

	if _, err := s.client.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: &name}); err != nil {
		t.Fatal(err)
	}
	_, err = s.store(t).FindToken(t.Context(), byUser(0))
	wantErr(t, "find after the index was restored", err, nil)

	s.Purge(name)
	wantErr(t, "save after the index was removed", s.store(t).SaveToken(t.Context(), user(1, "")), tokens.ErrCorrupt)
	_, err = s.store(t).FindTokenByID(t.Context(), "id-0")
	wantErr(t, "find by id after the index was removed", err, nil)
}
