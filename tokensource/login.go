package tokensource

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// This file is how a record comes to be.

// An unsavedLogin is what the provider issued for a code, until it is stored.
type unsavedLogin struct {
	code   token.Secret
	client string
	issued *oauth2.Token
	began  time.Time // when the provider was asked
	took   time.Duration
	name   string   // random: that of the exchange
	before *reading // the record that there was, nil if there was none

	// These belong to who stores it: see the source's storing.
	bare  bool // without what else the provider said: it would be too large
	tries int

	next time.Time // when to try again; guarded by the source's mu
}

// Exchange does a first login, or another one: it exchanges an authorization code for tokens, and saves them in
// the record that the source is for, or in a new one. The record keeps the code as its grant token: a code that it
// holds already is not exchanged again, since a provider would revoke what it issued for it. opts are those of
// x/oauth2's Exchange, such as a PKCE verifier.
//
// The errors are [ErrProvider], those of the store, and [ErrNotPersisted], beside which the token is returned. It is also
// returned beside an error of the store that will not go away ([token.ErrConflict], [token.ErrInvalid],
// [token.ErrTooLarge]): then it is kept nowhere. Once
// the code was sent, Exchange goes on until the tokens are stored, whatever becomes of ctx, for less than half a minute
// with the default Timeout.
func (s *Source) Exchange(ctx context.Context, code string, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	next, err := s.exchange(ctx, code, opts)
	if err == nil {
		err = next.err
	}
	if next == nil || next.token == nil {
		return nil, during("exchange", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil // what one that is on will find is older
	s.current.Store(next)
	if err != nil {
		return next.token, during("exchange", err)
	}
	return next.token, nil
}

func (s *Source) exchange(ctx context.Context, code string, opts []oauth2.AuthCodeOption) (*current, error) {
	if code == "" {
		return nil, fmt.Errorf("%w: the code is empty", token.ErrInvalid)
	}
	grant := token.NewSecret(code)
	if s.waiting(grant) {
		if next, err := s.saveLogin(ctx); next != nil || err != nil {
			return next, err
		}
		// Somebody else has stored it a moment ago.
	}
	before, err := s.recordFor(ctx, grant)
	switch {
	case err != nil:
		return nil, err
	case before.hasCode(grant):
		return s.look(ctx)
	}
	whose := &s.who
	if before != nil {
		whose = before.OAuthToken
	}
	conf, err := s.confFor(whose) // which also refuses a record of another client
	if err != nil {
		return nil, err
	}
	// From here on the code may be spent: who asked for it cannot call it back.
	ctx = context.WithoutCancel(ctx)
	l := &unsavedLogin{code: grant, client: conf.ClientID, began: time.Now(), name: rand.Text(), before: before}
	var refusal *ProviderError
	l.issued, refusal = s.ask(ctx, func(ctx context.Context) (*oauth2.Token, error) { return conf.Exchange(ctx, code, opts...) }, conf.ClientSecret, code)
	if refusal != nil {
		return s.exchangedElsewhere(ctx, grant, refusal)
	}
	l.took = age(l.began)
	ctx, cancel := context.WithTimeout(ctx, s.commitTime())
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		next, err := s.saveOne(ctx, l)
		if next != nil {
			return next, err
		}
		if errors.Is(err, token.ErrNotFound) {
			l.before = nil // it was deleted meanwhile
		}
		if errors.Is(err, token.ErrInvalid) || errors.Is(err, token.ErrConflict) || errors.Is(err, token.ErrTooLarge) {
			next = s.unstoredLogin(l, err)
			next.err = during("exchange", err) // it never will be stored
			return next, nil
		}
		if errors.Is(err, token.ErrPermission) || sleep(ctx, wait) != nil {
			s.mu.Lock()
			s.login = l
			s.mu.Unlock()
			s.log.ErrorContext(ctx, "a login is not stored yet", "error", err)
			return s.unstoredLogin(l, err), nil
		}
	}
}

// waiting reports whether the login for a code waits to be stored, and lets it be tried now.
func (s *Source) waiting(grant token.Secret) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.login == nil || !s.login.code.Equal(grant) {
		return false
	}
	s.login.next = time.Time{}
	return true
}

// exchangedElsewhere returns what another process got for the code that was refused to this one: programs that are
// started with one code all exchange it at the same time.
func (s *Source) exchangedElsewhere(ctx context.Context, grant token.Secret, refusal *ProviderError) (*current, error) {
	for wait := 250 * time.Millisecond; refusal.Kind == provider.Dead && wait <= time.Second; wait *= 2 {
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		if r, err := s.recordFor(ctx, grant); err == nil && r.hasCode(grant) {
			return s.look(ctx)
		}
	}
	return nil, refusal
}

// recordFor returns the record that the source is for, as the service has it, or nil if there is none: the one
// that holds the code, if the source names neither a user nor an id.
func (s *Source) recordFor(ctx context.Context, grant token.Secret) (*reading, error) {
	t, sure, err := s.find(ctx)
	if errors.Is(err, token.ErrNotFound) && s.who.UserSignature.Name == "" && s.who.ID == "" {
		if t, err = s.store.FindToken(ctx, &token.OAuthToken{GrantToken: grant, ClientID: s.conf.ClientID}); err == nil {
			s.remember(t.ID)
		}
	}
	if err == nil && !sure {
		t, err = s.store.ReadToken(ctx, t.ID)
	}
	switch {
	case errors.Is(err, token.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return s.consider(t)
}

// hasCode reports whether a record holds what a code was exchanged for. r may be nil.
func (r *reading) hasCode(grant token.Secret) bool {
	return r != nil && r.GrantToken.Equal(grant) && !r.AccessToken.IsZero()
}

// saveOne saves a login. It returns no current if that failed.
func (s *Source) saveOne(ctx context.Context, l *unsavedLogin) (*current, error) {
	t, err := s.storeOnce(ctx, l)
	moved := errors.Is(err, errMoved)
	if err != nil && !moved {
		return nil, err
	}
	s.mu.Lock()
	if s.login != nil && !s.login.began.After(l.began) { // l, or an earlier one
		s.login = nil
	}
	s.id = t.ID
	s.mu.Unlock()
	if moved {
		s.log.WarnContext(ctx, "a login is dropped: the user has logged in once more")
		return s.look(ctx)
	}
	r, err := s.consider(t)
	if err == nil && !r.current.good() {
		return s.look(ctx)
	}
	s.log.InfoContext(ctx, "logged in", "record", t.ID)
	return r.current, err
}

// storeOnce tries to store a login, without what is too large beside its tokens.
func (s *Source) storeOnce(ctx context.Context, l *unsavedLogin) (*token.OAuthToken, error) {
	select {
	case s.storing <- struct{}{}:
		defer func() { <-s.storing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.tries++
	s.mu.Lock()
	l.next = time.Now().Add(longestRetry)
	s.mu.Unlock()
	t, err := s.storeLogin(ctx, l)
	if errors.Is(err, token.ErrTooLarge) && !l.bare {
		l.bare = true
		t, err = s.storeLogin(ctx, l)
	}
	return t, err
}

// storeLogin stores a login, and returns the record as it is then. The fence of a login (rule 4) is the code in the
// record: if it is that of this login, it was stored after all, and somebody may have refreshed its tokens since; if it is
// another one than before, the user has logged in once more.
func (s *Source) storeLogin(ctx context.Context, l *unsavedLogin) (*token.OAuthToken, error) {
	at, again := l.before, l.tries > 1
	if at == nil && again {
		var err error
		if at, err = s.recordFor(ctx, l.code); err != nil {
			return nil, err
		}
	}
	t := &token.OAuthToken{ID: s.who.ID}
	if at == nil {
		if err := s.fillLogin(t, l); err != nil {
			return nil, err
		}
		return t, s.store.SaveToken(ctx, t)
	}
	err := s.store.UpdateToken(ctx, at.ID, func(stored *token.OAuthToken) error {
		t = stored
		switch {
		case rule.Off(rule.Fenced):
		case stored.GrantToken.Equal(l.code) && !stored.AccessToken.IsZero():
			return nil
		case stored.GrantToken.Equal(l.code): // a record of nothing but the code
		case l.before == nil || !stored.GrantToken.Equal(l.before.GrantToken):
			return errMoved
		}
		return s.fillLogin(stored, l)
	})
	if errors.Is(err, token.ErrNotFound) && !again { // it was deleted a moment ago
		l.before = nil
		return s.storeLogin(ctx, l)
	}
	return t, err
}

// fillLogin puts a login into a record.
func (s *Source) fillLogin(t *token.OAuthToken, l *unsavedLogin) error {
	st, err := StateOf(t)
	if err != nil {
		return err
	}
	t.GrantToken, t.RedirectURL = l.code, s.conf.RedirectURL
	t.ClientID = cmp.Or(t.ClientID, l.client)
	t.UserSignature.Name = cmp.Or(t.UserSignature.Name, s.who.UserSignature.Name)
	if !s.who.ClientSecret.IsZero() {
		t.ClientSecret = s.who.ClientSecret
	}
	s.put(t, l.issued, l.bare)
	if l.issued.RefreshToken != "" { // another refresh token: nothing of what was said of the old one holds
		st = State{Generation: st.Generation + 1, Exchange: l.name, TookMillis: l.took.Milliseconds()}
	}
	st.LifetimeMillis = lifetime(l.issued, l.began).Milliseconds()
	st.Fingerprint = fingerprint(t.RefreshToken)
	return st.put(t)
}

// saveLogin tries again to save a login, if there is one that could not be saved.
func (s *Source) saveLogin(ctx context.Context) (*current, error) {
	s.mu.Lock()
	l := s.login
	s.mu.Unlock()
	if l == nil {
		return nil, nil
	}
	if now := s.unstoredLogin(l, errTriedNow); time.Now().Before(now.until) {
		return now, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lateTime)
	defer cancel()
	next, err := s.saveOne(ctx, l)
	if errors.Is(err, token.ErrNotFound) { // the record was deleted since
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.login == l {
			s.login = nil
		}
		return nil, err
	}
	if next == nil {
		return s.unstoredLogin(l, err), nil
	}
	return next, err
}

// unstoredLogin returns what can be returned of a login that is not stored.
func (s *Source) unstoredLogin(l *unsavedLogin, why error) *current {
	s.mu.Lock()
	next := l.next
	s.mu.Unlock()
	return s.unstored(&unsaved{lease: &lease{name: l.name, began: l.began}, issued: l.issued, next: next}, why)
}
