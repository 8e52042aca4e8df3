package tokensource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token"
)

// This file is how new tokens get into the record.

// unsaved are tokens that a provider issued and that are not stored yet. The refresh token among them may be the
// only one that is good.
type unsaved struct {
	lease  *lease
	issued *oauth2.Token
	took   time.Duration // what the next refresh is expected to take
	tries  int
	next   time.Time // when to try again
}

// errTriedNow is why new tokens are not tried to be stored.
var errTriedNow = errors.New("it was tried a moment ago")

const (
	lateTime    = 5 * time.Second // for another try to store them
	firstRetry  = time.Second
	longestWait = 10 * time.Minute
	// longestRetry is how long at most a source waits before it tries again to store them.
	longestRetry = 30 * time.Second
)

// save stores new tokens. What cannot be stored in time stays at the desk (rule 6).
func (s *Source) save(ctx context.Context, d *desk, u *unsaved) (*current, error) {
	ctx, cancel := context.WithTimeout(ctx, s.commitTime())
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		next, err := s.commit(ctx, u)
		switch {
		case err == nil:
			return next, s.bornDead(next)
		case errors.Is(err, errMoved), errors.Is(err, token.ErrNotFound):
			s.log.WarnContext(ctx, "new tokens dropped: others were stored, or the record was deleted", "record", u.lease.id)
			return nil, err
		case hopeless(err) || sleep(ctx, wait) != nil:
			if !rule.Off(rule.Keep) {
				d.unsaved = u
			}
			s.log.ErrorContext(ctx, "new tokens are not stored yet", "record", u.lease.id, "error", err)
			return u.current(err), nil
		}
	}
}

// hopeless reports whether an error will not go away in some seconds.
func hopeless(err error) bool {
	return errors.Is(err, token.ErrPermission) || errors.Is(err, token.ErrTooLarge) || errors.Is(err, token.ErrInvalid)
}

// saveLate tries again to store what is unsaved at the desk of a record. It returns nil and no error if the
// record has other tokens by now.
func (s *Source) saveLate(ctx context.Context, d *desk) (*current, error) {
	u := d.unsaved
	if wait := time.Until(u.next); wait > 0 {
		return u.current(errTriedNow), nil
	}
	ctx, cancel := context.WithTimeout(ctx, lateTime)
	defer cancel()
	next, err := s.commit(ctx, u)
	switch {
	case err == nil:
		d.unsaved = nil
		return next, s.bornDead(next)
	case errors.Is(err, errMoved):
		d.unsaved = nil
		return nil, nil
	case errors.Is(err, token.ErrNotFound):
		d.unsaved = nil
		return nil, err
	}
	return u.current(err), nil
}

// commit writes new tokens into their record (rule 4). Written already, they are not written
// again.
func (s *Source) commit(ctx context.Context, u *unsaved) (*current, error) {
	var stored *token.OAuthToken
	err := s.store.UpdateToken(ctx, u.lease.id, func(t *token.OAuthToken) error {
		stored = t
		st, err := StateOf(t)
		switch {
		case err != nil:
			return err
		case st.Exchange == u.lease.name:
			return nil
		case rule.Off(rule.Fenced):
		case !u.lease.untouched(t, st):
			return errMoved
		case st.Holder != "" && st.Holder != u.lease.name:
			// Somebody took the lease over and has not told yet what came of it. If the provider
			// refuses him, these tokens are the ones that are good.
			return errHeld
		}
		return s.fill(t, u)
	})
	if err != nil {
		u.tries++
		u.next = time.Now().Add(min(firstRetry<<min(u.tries, 10), longestRetry))
		return nil, err
	}
	r, err := s.consider(stored)
	s.log.InfoContext(ctx, "token refreshed", "record", r.ID, "generation", r.state.Generation, "took", age(u.lease.began).Round(time.Millisecond))
	return r.current, err
}

// fill puts new tokens into a record.
func (s *Source) fill(t *token.OAuthToken, u *unsaved) error {
	st, err := StateOf(t)
	if err != nil {
		return err
	}
	s.put(t, u.issued)
	unresolved := 0
	if st.Reauth != "" {
		// Somebody was refused who thought these tokens lost: the provider may have revoked them, too.
		unresolved = 1
	}
	return State{
		Generation:     st.Generation + 1,
		Exchange:       u.lease.name,
		Fingerprint:    fingerprint(t.RefreshToken),
		LifetimeMillis: lifetime(u.issued, u.lease.began).Milliseconds(),
		TookMillis:     u.took.Milliseconds(),
		Unresolved:     unresolved,
	}.put(t)
}

// put puts what a provider issued into a record. What it does not say stays as it is, but for the
// expiry.
func (s *Source) put(t *token.OAuthToken, issued *oauth2.Token) {
	t.AccessToken, t.Expiry = token.NewSecret(issued.AccessToken), issued.Expiry.Round(0)
	if issued.RefreshToken != "" {
		t.RefreshToken = token.NewSecret(issued.RefreshToken)
	}
	if issued.TokenType != "" {
		t.TokenType = issued.TokenType
	}
	if scope, ok := issued.Extra("scope").(string); ok && scope != "" {
		t.Scopes = strings.FieldsFunc(scope, func(c rune) bool { return c == ' ' || c == ',' })
	}
	for _, name := range append([]string{"api_domain", "id_token", "instance_url", "id"}, s.provider.Extra...) {
		value, ok := issued.Extra(name).(string)
		switch {
		case !ok || value == "":
		case name == "api_domain":
			t.APIDomain = value
		default:
			if t.Extra == nil {
				t.Extra = make(map[string]token.Secret)
			}
			t.Extra[name] = token.NewSecret(value)
		}
	}
}

// lifetime is how long an access token lives from its issue, 0 if that is not known.
func lifetime(issued *oauth2.Token, at time.Time) time.Duration {
	if issued.Expiry.IsZero() {
		return 0
	}
	return max(0, issued.Expiry.Sub(at))
}

// bornDead returns an error if the access token that was just issued is too old to be returned.
func (s *Source) bornDead(c *current) error {
	if c.good() {
		return nil
	}
	return &ProviderError{Provider: s.provider.Name, what: "the access token had expired when it came"}
}

// current returns what can be returned of tokens that are not stored.
func (u *unsaved) current(why error) *current {
	err := fmt.Errorf("tokenkeep: token: %w: %w", ErrNotPersisted, why)
	c := &current{err: err, until: u.next, dies: time.Now().Add(unknown)}
	if !u.issued.Expiry.IsZero() {
		c.dies = u.issued.Expiry.Round(0)
	}
	if time.Now().Before(c.dies) {
		t := *u.issued
		t.RefreshToken = ""
		c.token = &t
	}
	return c
}

// Flush stores what is not stored yet (see [ErrNotPersisted]). Call it before the program ends. It returns nil
// if there is nothing left to be stored.
func (s *Source) Flush(ctx context.Context) error {
	s.mu.Lock()
	id := s.id
	if s.login != nil {
		s.login.next = time.Time{}
	}
	s.mu.Unlock()
	if next, err := s.saveLogin(ctx); next != nil || err != nil {
		return errors.Join(err, next.error())
	}
	if id == "" {
		return nil
	}
	d, leave, err := sit(ctx, recordKey{s.store, id})
	if err != nil {
		return during("flush", err)
	}
	defer leave()
	if d.unsaved == nil {
		return nil
	}
	d.unsaved.next = time.Time{}
	next, err := s.saveLate(ctx, d)
	if err != nil {
		return during("flush", err)
	}
	return next.error()
}

// error returns the error of c, which may be nil.
func (c *current) error() error {
	if c == nil {
		return nil
	}
	return c.err
}
