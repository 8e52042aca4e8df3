package tokensource

import (
	"cmp"
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

	"github.com/tokenkeep/tokenkeep/token"
)

// This file is how a record goes.

// Revoke revokes the tokens of the record at the provider (RFC 7009), and deletes the record. No process refreshes
// them meanwhile. If the provider cannot revoke tokens, or does not answer, the record is left as it is: the error is
// [errors.ErrUnsupported] or [ErrProvider]. New tokens that are not stored yet are stored before, since they are the
// ones that count: [ErrNotPersisted] if that fails. A record that is not there is [token.ErrNotFound]. If the user logs in
// meanwhile, that login stays, but for one that is stored in the very moment of the deletion.
//
// Once the provider was asked, Revoke goes on until the record is deleted, whatever becomes of ctx, for half a minute at
// most with the default Timeout.
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
	if err := s.Flush(ctx); err != nil {
		return err
	}
	t, _, err := s.find(ctx)
	if err != nil {
		return err
	}
	d, leave, _, err := sit(ctx, recordKey{s.store, t.ID}, true)
	if err != nil {
		return err
	}
	defer leave()
	if d.unsaved != nil { // of another source of this process
		d.unsaved.next = time.Time{}
		if next, err := s.saveLate(ctx, d); err != nil || d.unsaved != nil {
			return cmp.Or(err, next.error())
		}
		if t, err = s.store.ReadToken(ctx, t.ID); err != nil {
			return err
		}
	}
	for nap := time.Duration(0); ; {
		r, err := s.consider(t)
		if err != nil {
			return err
		}
		conf, err := s.confFor(t)
		if err != nil {
			return err
		}
		if held := s.held(d, r.state); held > 0 {
			nap = min(r.nap(nap), held)
			err = sleep(ctx, nap)
		} else {
			l := &lease{id: r.ID, name: rand.Text(), began: time.Now(), refresh: r.RefreshToken, before: r.state}
			if err = s.take(ctx, d, l); err == nil { // who holds the lease is alone with the tokens
				return s.revokeUnder(ctx, d, l, conf, t)
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

// revokeUnder revokes the tokens of a record under a lease, and deletes it.
func (s *Source) revokeUnder(ctx context.Context, d *desk, l *lease, conf *oauth2.Config, t *token.OAuthToken) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.leaseTime())
	defer cancel()
	if err := s.askToRevoke(ctx, conf, t); err != nil {
		return errors.Join(err, s.giveBack(ctx, d, l, func(*State) {}))
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		t, err := s.store.ReadToken(ctx, l.id)
		if err == nil {
			st, broken := StateOf(t)
			if broken == nil && (st.Holder != l.name || !l.untouched(t, st)) {
				return nil // the user has logged in meanwhile
			}
			err = s.store.DeleteToken(ctx, l.id)
		}
		switch {
		case err == nil, errors.Is(err, token.ErrNotFound):
			return nil
		case hopeless(err) || sleep(ctx, wait) != nil:
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
		if conf.ClientSecret != "" {
			form.Set("client_secret", conf.ClientSecret)
		}
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
