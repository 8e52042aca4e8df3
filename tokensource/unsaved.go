package tokensource

import (
	"context"
	"encoding/json"
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
	bare   bool          // without what else the provider said: it would be too large
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
		r, err := s.commit(ctx, d, u)
		switch {
		case err == nil && !r.current.good():
			return r.current, &ProviderError{Provider: s.provider.Name, what: "the access token had expired when it was stored"}
		case err == nil:
			return r.current, nil
		case errors.Is(err, errMoved), errors.Is(err, token.ErrNotFound):
			s.log.WarnContext(ctx, "new tokens dropped: others were stored, or the record was deleted", "record", u.lease.id)
			return nil, err
		case errors.Is(err, token.ErrTooLarge) && !u.bare:
			u.bare = true
			s.log.WarnContext(ctx, "new tokens do not fit into the record: stored without what came beside them", "record", u.lease.id)
		case hopeless(err) || sleep(ctx, wait) != nil:
			if !rule.Off(rule.Keep) {
				d.unsaved = u
			}
			s.log.ErrorContext(ctx, "new tokens are not stored yet", "record", u.lease.id, "error", err)
			return s.unstored(u, err), nil
		}
	}
}

// hopeless reports whether an error will not go away in some seconds.
func hopeless(err error) bool {
	return errors.Is(err, token.ErrPermission) || errors.Is(err, token.ErrTooLarge) || errors.Is(err, token.ErrInvalid)
}

// saveLate tries again to store what is unsaved at the desk of a record. It returns nil and no error if the
// record has to be read again: it has other tokens by now, or these are stored and too old to be returned.
func (s *Source) saveLate(ctx context.Context, d *desk) (*current, error) {
	u := d.unsaved
	if time.Now().Before(u.next) {
		return s.unstored(u, errTriedNow), nil
	}
	ctx, cancel := context.WithTimeout(ctx, lateTime)
	defer cancel()
	r, err := s.commit(ctx, d, u)
	switch {
	case err == nil:
		d.unsaved = nil
		if r.current.good() {
			return r.current, nil
		}
		return nil, nil
	case errors.Is(err, errMoved):
		d.unsaved = nil
		return nil, nil
	case errors.Is(err, token.ErrNotFound):
		d.unsaved = nil
		return nil, err
	}
	return s.unstored(u, err), nil
}

// commit writes new tokens into their record (rule 4). Written already, they are not written
// again.
func (s *Source) commit(ctx context.Context, d *desk, u *unsaved) (*reading, error) {
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
		case st.Holder != u.lease.name && s.held(d, st) > 0:
			// Somebody took the lease over and has not told yet what came of it. If the provider
			// refuses him, or he dies, these tokens are the ones that are good.
			return errHeld
		}
		return s.fill(t, st, u)
	})
	if err != nil {
		u.tries++
		u.next = time.Now().Add(min(firstRetry<<min(u.tries, 10), longestRetry))
		return nil, err
	}
	r, err := s.consider(stored)
	s.log.InfoContext(ctx, "token refreshed", "record", r.ID, "generation", r.state.Generation, "took", age(u.lease.began).Round(time.Millisecond))
	return r, err
}

// fill puts new tokens into a record, of which st is the state.
func (s *Source) fill(t *token.OAuthToken, st State, u *unsaved) error {
	next := State{
		Generation:     st.Generation + 1,
		Exchange:       u.lease.name,
		LifetimeMillis: lifetime(u.issued, u.lease.began).Milliseconds(),
		TookMillis:     u.took.Milliseconds(),
	}
	if st.Reauth != "" || st.Holder != "" && st.Holder != u.lease.name {
		// Somebody took these tokens for lost, and may have made the provider revoke them.
		next.Unresolved = 1
	}
	s.put(t, u.issued, u.bare)
	next.Fingerprint = fingerprint(t.RefreshToken)
	return next.put(t)
}

// put puts what a provider issued into a record, bare: its tokens only. What it does not say stays as it is, but for
// the expiry.
func (s *Source) put(t *token.OAuthToken, issued *oauth2.Token, bare bool) {
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
	if bare {
		return
	}
	for _, name := range append([]string{"api_domain", "id_token", "instance_url", "id"}, s.provider.Extra...) {
		value := text(issued.Extra(name))
		switch {
		case value == "":
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

// text is a member of a response as it is kept: what is no text, as JSON.
func text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	b, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(b)
}

// lifetime is how long an access token lives from its issue, 0 if that is not known.
func lifetime(issued *oauth2.Token, at time.Time) time.Duration {
	if issued.Expiry.IsZero() {
		return 0
	}
	return max(0, issued.Expiry.Sub(at))
}

// unstored returns what can be returned of tokens that are not stored.
func (s *Source) unstored(u *unsaved, why error) *current {
	var t token.OAuthToken
	s.put(&t, u.issued, u.bare)
	c := &current{token: tokenOf(&t, t.Expiry), until: u.next, dies: t.Expiry.Add(-min(margin, window(lifetime(u.issued, u.lease.began))/2))}
	if t.Expiry.IsZero() {
		c.dies = time.Now().Add(unknown)
	}
	s.mu.Lock()
	s.issue = issue{t.AccessToken, u.lease.name, time.Now().Round(0)} // so that it can be rejected
	rejected := s.isRejected(t.AccessToken, u.lease.name)
	s.mu.Unlock()
	if rejected || !c.good() {
		return &current{err: during("token", why), until: u.next}
	}
	c.err = fmt.Errorf("tokenkeep: token: %w: %w", ErrNotPersisted, why)
	if c.until.After(c.dies) {
		c.until = c.dies
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
	d, leave, _, err := sit(ctx, recordKey{s.store, id}, true)
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
