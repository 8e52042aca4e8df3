package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
)

// A query is how to look for a token by one of its keys. It is empty if the token has no
// such key.
type query func(t *token.OAuthToken) token.OAuthToken

func byID(t *token.OAuthToken) token.OAuthToken { return token.OAuthToken{ID: t.ID} }
func byRefresh(t *token.OAuthToken) token.OAuthToken {
	return token.OAuthToken{RefreshToken: t.RefreshToken}
}
func byGrant(t *token.OAuthToken) token.OAuthToken { return token.OAuthToken{GrantToken: t.GrantToken} }
func byAccess(t *token.OAuthToken) token.OAuthToken {
	return token.OAuthToken{AccessToken: t.AccessToken}
}

// byUser names the client too: a user may have a token of each of several clients.
func byUser(t *token.OAuthToken) token.OAuthToken {
	if t.UserSignature.Name == "" {
		return token.OAuthToken{}
	}
	return token.OAuthToken{UserSignature: t.UserSignature, ClientID: t.ClientID}
}

func (s *story) find(ctx context.Context) (string, error) {
	text, err := table(func(w *tabwriter.Writer) error {
		for _, k := range []struct {
			name string
			by   query
			how  string
		}{
			{"id", byID, "the id is the name of the secret"},
			{"user", byUser, "the index says where"},
			{"refresh token", byRefresh, "the index says where"},
			{"grant token", byGrant, "the index says where"},
			{"access token", byAccess, "indexed only as the only key, else all are read"},
		} {
			before, tokens := s.service.calls.Load(), unique(s.tokens, k.by)
			for _, t := range tokens {
				q := k.by(t)
				found, err := s.one.FindToken(ctx, &q)
				if err != nil || found.ID != t.ID {
					return unexpected(fmt.Sprintf("token %s is not found by its %s", printable(t.ID), k.name), err)
				}
			}
			fmt.Fprintf(w, "by %s\t%d found\t%s\t%s\n", k.name, len(tokens), plural(int(s.service.calls.Load()-before), "call"), k.how)
		}
		return nil
	})
	return text + s.service.kind.finds, err
}

// unique returns the tokens that have a key which no other one has: what two users share
// finds the record that held it first.
func unique(tokens []*token.OAuthToken, by query) []*token.OAuthToken {
	text := func(t *token.OAuthToken) string {
		q := by(t)
		return q.ID + q.UserSignature.Name + "\x00" + q.ClientID + q.RefreshToken.Reveal() + q.GrantToken.Reveal() + q.AccessToken.Reveal()
	}
	times := map[string]int{text(&token.OAuthToken{}): 2}
	for _, t := range tokens {
		times[text(t)]++
	}
	return slices.DeleteFunc(slices.Clone(tokens), func(t *token.OAuthToken) bool { return times[text(t)] > 1 })
}

func (s *story) rotate(ctx context.Context) (string, error) {
	tokens := unique(s.tokens, byRefresh)
	if len(tokens) == 0 {
		return "No token has a refresh token of its own.", nil
	}
	t, next := tokens[0], token.NewSecret("rotated-by-quickstart")
	if err := s.one.SaveToken(ctx, &token.OAuthToken{ID: t.ID, RefreshToken: next}); err != nil {
		return "", err
	}
	old := byRefresh(t)
	if _, err := s.one.FindToken(ctx, &old); !errors.Is(err, token.ErrNotFound) {
		return "", unexpected("the old refresh token still finds the record", err)
	}
	found, err := s.one.FindToken(ctx, &token.OAuthToken{RefreshToken: next})
	if err != nil || found.ID != t.ID {
		return "", unexpected("the new refresh token does not find the record", err)
	}
	return fmt.Sprintf("Token %s gets a new one, which finds the record; the old one does not any more.\n"+
		"The save names the id and the new refresh token only: all else stays.", printable(t.ID)), nil
}

func (s *story) list(ctx context.Context) (string, error) {
	tokens, err := s.one.GetTokens(ctx)
	if err != nil {
		return "", err
	}
	place := func(t *token.OAuthToken) int {
		return slices.IndexFunc(s.tokens, func(x *token.OAuthToken) bool { return x.ID == t.ID })
	}
	slices.SortFunc(tokens, func(a, b *token.OAuthToken) int { return cmp.Compare(place(a), place(b)) })
	text, err := table(func(w *tabwriter.Writer) error {
		fmt.Fprintln(w, "ID\tUSER\tREFRESH\tACCESS\tGRANT\tEXPIRES")
		for _, t := range tokens {
			expires := "-"
			if !t.Expiry.IsZero() {
				expires = t.Expiry.UTC().Format(time.DateOnly)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", cell(t.ID), cell(t.UserSignature.Name),
				cell(t.RefreshToken), cell(t.AccessToken), cell(t.GrantToken), expires)
		}
		return nil
	})
	return text + "\nSecrets print as REDACTED. To read one takes a call of Reveal.", err
}
