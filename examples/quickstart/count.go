package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
)

// count looks at what is there, through a store of its own, which remembers nothing. The
// services may list what is new a little late: if something is missing, it looks again for
// some seconds.
func (s *story) count(ctx context.Context) (string, error) {
	var notes int
	for try := range 5 {
		if err := wait(ctx, time.Duration(try)*s.patience); err != nil {
			return "", err
		}
		store, err := s.service.store()
		if err != nil {
			return "", err
		}
		records, err := store.GetTokens(ctx)
		if err != nil {
			return "", err
		}
		s.stored, s.lost, notes = len(records), 0, 0
		for _, t := range s.tokens {
			i := slices.IndexFunc(records, func(r *token.OAuthToken) bool { return sameToken(t, r) })
			if i < 0 {
				s.lost++
				continue
			}
			for w := range workers {
				if !records[i].Extra[note(w)].IsZero() {
					notes++
				}
			}
		}
		if s.lost == 0 && notes == workers*len(s.tokens) {
			break
		}
	}
	// Beside the list, which comes from the index, stands what was ever created.
	s.duplicated = max(s.stored, s.service.recordSecrets(), len(s.tokens)) - len(s.tokens)
	switch {
	case s.duplicated > 0 || s.lost > 0:
		return "", fmt.Errorf("of %s %d have a record as it should be; %s are listed, and %s of records were created",
			plural(len(s.tokens), "token"), len(s.tokens)-s.lost, plural(s.stored, "record"), plural(s.service.recordSecrets(), "secret"))
	case notes != workers*len(s.tokens):
		return "", fmt.Errorf("of %d notes %d are there: updates were lost", workers*len(s.tokens), notes)
	}
	return fmt.Sprintf("%d imported, %d stored: each token has one record, with all that the file says\n"+
		"and all %d notes. It is %s.", len(s.tokens), s.stored, notes, s.service.kind.list), nil
}

// sameToken reports whether a record holds all that was imported.
func sameToken(t, r *token.OAuthToken) bool {
	return t.ID == r.ID && t.UserSignature == r.UserSignature &&
		t.ClientID == r.ClientID && t.ClientSecret.Equal(r.ClientSecret) &&
		t.GrantToken.Equal(r.GrantToken) && t.RefreshToken.Equal(r.RefreshToken) && t.AccessToken.Equal(r.AccessToken) &&
		t.Expiry.Equal(r.Expiry) && t.RedirectURL == r.RedirectURL && t.APIDomain == r.APIDomain
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
