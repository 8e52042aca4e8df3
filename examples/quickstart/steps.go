package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/zohofile"
)

const workers = 16

// A story is one run. The two stores share nothing but the service, as those of two
// machines do.
type story struct {
	service  *service
	one, two *token.Store

	file   string
	tokens []*token.OAuthToken // as imported, with their ids

	stored, duplicated, lost int // what count found
	patience                 time.Duration
}

func (s *story) read(context.Context) (text string, err error) {
	data, name := sample, "sdk_tokens.txt (built in)"
	if s.file != "" {
		name = s.file
		if data, err = os.ReadFile(s.file); err != nil {
			return "", err
		}
	}
	if s.tokens, err = zohofile.Read(bytes.NewReader(data)); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if len(s.tokens) == 0 {
		return "", fmt.Errorf("%s: it has no tokens", name)
	}
	return fmt.Sprintf("%s in %s.", plural(len(s.tokens), "token"), printable(name)), nil
}

func (s *story) save(ctx context.Context) (string, error) {
	if err := s.one.SaveTokens(ctx, s.tokens); err != nil {
		return "", err
	}
	return fmt.Sprintf("Each is a secret of its own now. Beside %s stands the index, which finds them.",
		plural(len(s.tokens), "secret")), nil
}

// saveAtOnce saves every token from every worker, as if it had come from a login: without
// its id. Each worker adds a note of its own, so that a lost update would show.
func (s *story) saveAtOnce(ctx context.Context) (string, error) {
	var wg sync.WaitGroup
	var errs [workers]error
	for w := range workers {
		store := s.one
		if w%2 == 1 {
			store = s.two
		}
		wg.Go(func() {
			for _, t := range s.tokens {
				again := *t
				if findable(t) {
					again.ID = ""
				}
				again.Extra = map[string]token.Secret{note(w): token.NewSecret(rand.Text())}
				if errs[w] = store.SaveToken(ctx, &again); errs[w] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return "Every worker saves every token without its id, as a login does, and adds a note\n" +
		"of its own. No lock is held: a write that another one overtook is done anew.", errors.Join(errs[:]...)
}

func note(worker int) string { return fmt.Sprintf("note-%02d", worker) }

// findable reports whether a token finds its record without its id.
func findable(t *token.OAuthToken) bool {
	return t.UserSignature.Name != "" || !t.RefreshToken.IsZero() || !t.GrantToken.IsZero() ||
		t.ClientID == "" && t.ClientSecret.IsZero()
}

func (s *story) remove(ctx context.Context) (string, error) {
	id := s.tokens[len(s.tokens)-1].ID
	if err := s.one.DeleteToken(ctx, id); err != nil {
		return "", err
	}
	if _, err := s.one.FindTokenByID(ctx, id); !errors.Is(err, token.ErrNotFound) {
		return "", unexpected("the deleted token is still found", err)
	}
	left, err := s.one.GetTokens(ctx)
	if err != nil || len(left) != s.stored-1 {
		return "", unexpected("it is not exactly one token that is gone", err)
	}
	return fmt.Sprintf("Token %s is gone, %d of %d are left. The last line says what step 4 counted.",
		printable(id), len(left), s.stored), nil
}

// unexpected is the error of a check that failed, or of the call that kept it from being made.
func unexpected(what string, err error) error {
	if err != nil && !errors.Is(err, token.ErrNotFound) {
		return err
	}
	return errors.New(what)
}
