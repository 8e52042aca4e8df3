package tokensource

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token"
)

// This file is how a record comes to be, and how it goes.

// An unsavedLogin is what the provider issued for a code, until it is stored.
type unsavedLogin struct {
	token  *token.OAuthToken
	issued *oauth2.Token
	before *reading  // the record that there was, nil if there was none
	tries  int       // guarded by the source's mu, as is next
	next   time.Time // when to try again
}

// Exchange does a first login, or another one: it exchanges an authorization code for tokens, and saves
// them in the record that the source is for, as [token.Store.SaveToken] does. The record keeps the code as
// its grant token: a code that it holds already is not exchanged again, since a provider would revoke what it
// issued for it. opts are those of x/oauth2's Exchange, such as a PKCE verifier.
//
// The errors are [ErrProvider], those of the store, and [ErrNotPersisted], beside which the token is returned.
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
	before, err := s.holderOf(ctx, grant)
	if err != nil {
		return nil, err
	}
	if before != nil && before.GrantToken.Equal(grant) && !before.AccessToken.IsZero() {
		return s.look(ctx)
	}
	conf, err := s.confFor(&s.who)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", token.ErrInvalid, err)
	}
	began := time.Now()
	issued, refusal := s.ask(ctx, func(ctx context.Context) (*oauth2.Token, error) { return conf.Exchange(ctx, code, opts...) }, conf.ClientSecret, code)
	if refusal != nil {
		return nil, refusal
	}
	l := &unsavedLogin{issued: issued, before: before, token: &token.OAuthToken{
		ID: s.who.ID, UserSignature: s.who.UserSignature, ClientID: conf.ClientID, ClientSecret: s.who.ClientSecret, GrantToken: grant, RedirectURL: conf.RedirectURL,
	}}
	s.put(l.token, issued)
	if issued.RefreshToken != "" {
		err = State{
			Generation:     began.Unix(), // more than any before it, if the record was there
			Exchange:       rand.Text(),
			Fingerprint:    fingerprint(l.token.RefreshToken),
			LifetimeMillis: lifetime(issued, began).Milliseconds(),
			TookMillis:     took(State{}, age(began)).Milliseconds(),
		}.put(l.token)
	}
	if err != nil {
		return nil, err
	}
	// The code is spent, so who asked for it cannot call it back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.commitTime())
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		next, err := s.saveOne(ctx, l)
		if next != nil {
			return next, err
		}
		if hopeless(err) || errors.Is(err, token.ErrConflict) || errors.Is(err, token.ErrNotFound) || sleep(ctx, wait) != nil {
			s.mu.Lock()
			s.login = l
			s.mu.Unlock()
			return s.unsavedLogin(l, err), nil
		}
	}
}

// holderOf returns the record that the source is for, or nil if there is none: the one that holds the code, if the
// source is for no user.
func (s *Source) holderOf(ctx context.Context, grant token.Secret) (*reading, error) {
	t, err := s.find(ctx)
	if errors.Is(err, token.ErrNotFound) && s.who.UserSignature.Name == "" {
		if t, err = s.store.FindToken(ctx, &token.OAuthToken{GrantToken: grant, ClientID: s.conf.ClientID}); err == nil {
			s.remember(t.ID)
		}
	}
	if err != nil {
		if errors.Is(err, token.ErrNotFound) {
			err = nil
		}
		return nil, err
	}
	return s.consider(t)
}

// saveOne saves a login. It returns no current if that failed.
func (s *Source) saveOne(ctx context.Context, l *unsavedLogin) (*current, error) {
	s.mu.Lock()
	l.tries++
	again := l.tries > 1
	l.next = time.Now().Add(longestRetry)
	s.mu.Unlock()
	t := *l.token
	save := func() error { return s.store.SaveToken(ctx, &t) }
	if again {
		save = func() error { return s.saveAgain(ctx, l, &t) }
	}
	if err := save(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.id = t.ID
	if s.login == l {
		s.login = nil
	}
	s.mu.Unlock()
	r, err := s.consider(&t)
	if err != nil {
		return r.current, err
	}
	s.log.InfoContext(ctx, "logged in", "record", t.ID)
	return r.current, s.bornDead(r.current)
}

// saveAgain saves a login that could not be saved, as far as is known, and returns what is stored then in t. It is the
// fence of rule 4: if it was stored after all, somebody may have refreshed its tokens since, and if the user has logged
// in once more, that login is the one that counts.
func (s *Source) saveAgain(ctx context.Context, l *unsavedLogin, t *token.OAuthToken) error {
	now, err := s.holderOf(ctx, l.token.GrantToken)
	switch {
	case err != nil:
		return err
	case now == nil && l.before == nil:
		return s.store.SaveToken(ctx, t)
	case now == nil:
		return token.ErrNotFound // it was deleted since
	}
	return s.store.UpdateToken(ctx, now.ID, func(stored *token.OAuthToken) error {
		st, err := StateOf(stored)
		if err != nil {
			return err
		}
		untouched := l.before != nil && l.before.ID == now.ID && stored.RefreshToken.Equal(l.before.RefreshToken) && st.Exchange == l.before.state.Exchange
		if untouched && !stored.GrantToken.Equal(l.token.GrantToken) || rule.Off(rule.Fenced) {
			stored.GrantToken, stored.RedirectURL = l.token.GrantToken, l.token.RedirectURL
			s.put(stored, l.issued)
			if state := l.token.Extra[StateName]; !state.IsZero() {
				if stored.Extra == nil {
					stored.Extra = make(map[string]token.Secret)
				}
				stored.Extra[StateName] = state
			}
		}
		*t = *stored
		return nil
	})
}

// saveLogin tries again to save a login, if there is one that could not be saved.
func (s *Source) saveLogin(ctx context.Context) (*current, error) {
	s.mu.Lock()
	l := s.login
	s.mu.Unlock()
	if l == nil {
		return nil, nil
	}
	if now := s.unsavedLogin(l, errTriedNow); time.Now().Before(now.until) {
		return now, nil
	}
	next, err := s.saveOne(ctx, l)
	if errors.Is(err, token.ErrNotFound) { // the record was deleted since
		s.mu.Lock()
		defer s.mu.Unlock()
		s.login = nil
		return nil, err
	}
	if next == nil {
		return s.unsavedLogin(l, err), nil
	}
	return next, err
}

// unsavedLogin returns what can be returned of a login that is not stored.
func (s *Source) unsavedLogin(l *unsavedLogin, why error) *current {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (&unsaved{lease: &lease{id: l.token.ID}, issued: l.issued, next: l.next}).current(why)
}

// Revoke revokes the tokens of the record at the provider (RFC 7009), and deletes the record. No process refreshes
// them meanwhile. If the provider cannot revoke tokens, or does not answer, the record is left as it is: the error is
// [errors.ErrUnsupported] or [ErrProvider]. A record that is not there is [token.ErrNotFound].
func (s *Source) Revoke(ctx context.Context) error {
	if err := s.revoke(ctx); err != nil {
		return during("revoke", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	s.current.Store(nil)
	return nil
}

func (s *Source) revoke(ctx context.Context) error {
	if s.provider.RevokeURL == "" {
		return fmt.Errorf("%s: %w: it has no RevokeURL", s.provider.Name, errors.ErrUnsupported)
	}
	t, err := s.find(ctx)
	if err != nil {
		return err
	}
	d, leave, err := sit(ctx, recordKey{s.store, t.ID})
	if err != nil {
		return err
	}
	defer leave()
	for nap := time.Duration(0); ; {
		r, err := s.consider(t)
		if err != nil {
			return err
		}
		conf, err := s.confFor(t)
		if err != nil {
			return err
		}
		held := s.held(d, r.state)
		if held > 0 {
			nap = min(r.nap(nap), held)
			err = sleep(ctx, nap)
		} else {
			// Who holds the lease is alone with the tokens.
			err = s.take(ctx, d, &lease{id: r.ID, name: rand.Text(), began: time.Now(), refresh: r.RefreshToken, before: r.state})
			if err == nil {
				if err := s.askToRevoke(ctx, conf, t); err != nil {
					return err
				}
				d.unsaved, d.unsent, d.seen = nil, "", sighting{}
				return s.store.DeleteToken(ctx, r.ID)
			}
		}
		if err != nil && !errors.Is(err, errMoved) && !errors.Is(err, errLost) {
			return err
		}
		if t, err = s.store.ReadToken(ctx, r.ID); err != nil {
			return err
		}
	}
}

// askToRevoke makes the request.
func (s *Source) askToRevoke(ctx context.Context, conf *oauth2.Config, t *token.OAuthToken) error {
	what, hint := t.RefreshToken, "refresh_token"
	if what.IsZero() || s.provider.RevokesBearer {
		what, hint = t.AccessToken, "access_token"
	}
	form := url.Values{"token": {what.Reveal()}, "token_type_hint": {hint}}
	if conf.Endpoint.AuthStyle == oauth2.AuthStyleInParams {
		form.Set("client_id", conf.ClientID)
		form.Set("client_secret", conf.ClientSecret)
	}
	if s.provider.RevokesBearer {
		form = url.Values{}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.provider.RevokeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("%w: the provider's RevokeURL is none", token.ErrInvalid)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	switch {
	case s.provider.RevokesBearer:
		req.Header.Set("Authorization", "Bearer "+what.Reveal())
	case conf.Endpoint.AuthStyle == oauth2.AuthStyleInHeader:
		req.SetBasicAuth(url.QueryEscape(conf.ClientID), url.QueryEscape(conf.ClientSecret))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return s.judge(err, nil)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return s.judge(err, nil)
	}
	return s.judgeRevocation(resp.StatusCode, body)
}

// judgeRevocation reads the answer to a revocation. A token that the server does not know, or
// knows as revoked, is what was asked for (RFC 7009, section 2.2).
func (s *Source) judgeRevocation(status int, body []byte) error {
	var answer struct {
		OK    *bool  `json:"ok"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		answer.Error = "" // there need not be a body
	}
	switch answer.Error {
	case "invalid_token", "invalid_grant", "token_revoked", "token_expired", "invalid_auth", "account_inactive":
		return nil
	}
	if status/100 == 2 && answer.Error == "" && (answer.OK == nil || *answer.OK) {
		return nil
	}
	return &ProviderError{Provider: s.provider.Name, Status: status, Code: plain(answer.Error), what: "it revoked nothing"}
}
