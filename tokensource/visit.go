package tokensource

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// This file is what a source does when it needs a token: it reads the record, and refreshes it, or
// waits for who does.

const (
	// Who finds an expired token takes his place in a crowd, so that not all want the lease at
	// once. Those in the first part go without another look; the others look again, and see the lease
	// of the first.
	crowd = 200 * time.Millisecond
	first = 25 * time.Millisecond

	// usualTook is how long a refresh is expected to take if the record does not say, and
	// longestNap how long at most one waits before he looks again.
	usualTook   = 500 * time.Millisecond
	shortestNap = 50 * time.Millisecond
	longestNap  = 5 * time.Second

	// farOff is how far apart the clocks of machines are at most, for a lease that nobody has
	// lived long enough to see lapse.
	farOff = 2 * time.Hour

	// An error is returned again without a look for firstCooldown, then for twice as long, and so
	// on; that the user has to log in again, for reauthCooldown.
	firstCooldown   = time.Second
	longestCooldown = 30 * time.Second
	reauthCooldown  = 10 * time.Second
)

// current is what Token returns without a call.
type current struct {
	token *oauth2.Token // nil: none
	err   error
	until time.Time // when to look again; by the wall clock
	dies  time.Time // when token is too old to be returned
}

// good reports whether there is a token that can be returned.
func (c *current) good() bool {
	return c != nil && c.token != nil && time.Now().Before(c.dies)
}

// again returns c with another time to look again.
func (c *current) again(in time.Duration) *current {
	next := *c
	next.until = time.Now().Round(0).Add(in)
	if next.until.After(c.dies) {
		next.until = c.dies
	}
	return &next
}

// A reading is a record as it was read, and what follows from it.
type reading struct {
	*token.OAuthToken
	state   State
	current *current
	// fresh: nothing has to be done before current says so.
	fresh bool
}

// An issue is an access token as it was seen first.
type issue struct {
	access   token.Secret
	exchange string
	at       time.Time // by the wall clock
}

// consider says what follows from a record.
func (s *Source) consider(t *token.OAuthToken) (*reading, error) {
	r := &reading{OAuthToken: t, current: &current{}}
	var err error
	if r.state, err = StateOf(t); err != nil {
		return r, fmt.Errorf("record %q: %w", t.ID, err)
	}
	now := time.Now().Round(0) // without a monotonic clock, since expiry is an instant
	s.mu.Lock()
	if !s.issue.access.Equal(t.AccessToken) || s.issue.exchange != r.state.Exchange {
		s.issue = issue{t.AccessToken, r.state.Exchange, now}
	}
	seen := s.issue.at
	rejected := s.isRejected(t.AccessToken, r.state.Exchange)
	s.mu.Unlock()
	if t.AccessToken.IsZero() || rejected {
		return r, nil
	}
	expiry, lifetime := t.Expiry, millis(r.state.LifetimeMillis)
	if expiry.IsZero() {
		lifetime = s.provider.Lifetime
	}
	// No token is good for longer than its lifetime from now on, whatever the clock of the machine says
	// that wrote its expiry.
	if latest := seen.Add(lifetime); lifetime > 0 && (expiry.IsZero() || expiry.After(latest)) {
		expiry = latest
	}
	renew, dies := now.Add(unknown), now.Add(unknown)
	if !expiry.IsZero() {
		w := window(lifetime)
		renew = expiry.Add(-w - time.Duration(jitter(s.instance, t.ID, r.state.Generation)*float64(w)))
		dies = expiry.Add(-min(margin, w/2))
	}
	if r.fresh = now.Before(renew); now.Before(dies) {
		r.current = &current{token: tokenOf(t, expiry), until: renew, dies: dies}
	}
	return r, nil
}

// isRejected reports whether a resource server refused an access token. The caller holds mu.
func (s *Source) isRejected(access token.Secret, exchange string) bool {
	return slices.ContainsFunc(s.rejected, func(r rejection) bool { return r.access.Equal(access) && r.exchange == exchange })
}

// tokenOf returns what a caller gets of a record: not the refresh token.
func tokenOf(t *token.OAuthToken, expiry time.Time) *oauth2.Token {
	extra := map[string]any{"api_domain": t.APIDomain}
	for name, value := range t.Extra {
		if name != StateName {
			extra[name] = value.Reveal()
		}
	}
	return (&oauth2.Token{AccessToken: t.AccessToken.Reveal(), TokenType: t.TokenType, Expiry: expiry}).WithExtra(extra)
}

// fly looks at the record, refreshes it if that is due and nobody else does, and returns what the
// source returns from now on.
func (s *Source) fly(ctx context.Context) *current {
	next, err := s.look(ctx)
	if err == nil {
		s.failures.Store(0)
		return next
	}
	if had := s.current.Load(); next == nil && had != nil && !errors.Is(err, token.ErrNotFound) {
		next = had // the record could not be read
	}
	wait := min(firstCooldown<<min(s.failures.Add(1)-1, 10), longestCooldown)
	switch {
	case ctx.Err() != nil, errors.Is(err, token.ErrNotFound): // nobody waits any more, or somebody is about to log in
		wait = 0
	case errors.Is(err, ErrNeedsReauth):
		wait = reauthCooldown
	}
	if next.good() {
		if ctx.Err() == nil {
			s.log.WarnContext(ctx, "token not refreshed, the one at hand is still good", "error", err)
		}
		return next.again(wait)
	}
	return &current{err: during("token", err), until: time.Now().Add(wait)}
}

// look does what fly says. Beside an error it returns what is at hand, if the record was read.
func (s *Source) look(ctx context.Context) (*current, error) {
	if next, err := s.saveLogin(ctx); next != nil || err != nil {
		return next, err
	}
	for {
		t, sure, err := s.find(ctx)
		if err != nil {
			return nil, err
		}
		r, err := s.consider(t)
		if err == nil && r.state.Reauth != "" && !sure {
			// What the store remembers may be older than the last login.
			if t, err = s.store.ReadToken(ctx, r.ID); err == nil {
				r, err = s.consider(t)
			}
		}
		if err != nil || r.fresh {
			if err == nil {
				clearDesk(recordKey{s.store, r.ID}, r)
			}
			return r.current, err
		}
		next, err := s.visit(ctx, r)
		if !errors.Is(err, token.ErrNotFound) || !s.forget() {
			return next, err
		}
		// The record is gone. If the user has logged in again, there is another one.
	}
}

// find reads the record; sure tells that it asked the service, whatever the store remembers.
func (s *Source) find(ctx context.Context) (t *token.OAuthToken, sure bool, err error) {
	s.mu.Lock()
	id, again := s.id, s.current.Load() != nil
	s.mu.Unlock()
	if id != "" {
		find := s.store.FindTokenByID // which may answer from what the store remembers
		if again {
			find = s.store.ReadToken
		}
		t, err := find(ctx, id)
		if !errors.Is(err, token.ErrNotFound) || !s.forget() {
			return t, again, err
		}
	}
	q := token.OAuthToken{
		UserSignature: s.who.UserSignature, ClientID: s.who.ClientID,
		GrantToken: s.who.GrantToken, RefreshToken: s.who.RefreshToken, AccessToken: s.who.AccessToken,
	}
	if t, err = s.store.FindToken(ctx, &q); err != nil {
		return nil, false, err
	}
	s.remember(t.ID)
	if s.who.GrantToken.IsZero() && s.who.RefreshToken.IsZero() && s.who.AccessToken.IsZero() {
		return t, false, nil
	}
	// FindToken lets the query's fields win, and these may be older than the record's.
	t, err = s.store.ReadToken(ctx, t.ID)
	return t, true, err
}

// remember remembers under which id the record was found.
func (s *Source) remember(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = id
}

// forget forgets under which id the record was found, and reports whether it may be found under
// another one.
func (s *Source) forget() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id != "" {
		abandon(recordKey{s.store, s.id})
	}
	if s.who.ID != "" || s.id == "" {
		return false
	}
	s.id = ""
	return true
}

// visit refreshes a record, or waits until somebody else has. Beside an error it returns what is
// at hand.
func (s *Source) visit(ctx context.Context, r *reading) (*current, error) {
	d, leave, waited, err := sit(ctx, recordKey{s.store, r.ID}, !r.current.good())
	if errors.Is(err, errBusy) {
		return r.current.again(r.nap(0)), nil
	}
	if err != nil {
		return r.current, err
	}
	defer leave()
	if d.unsaved != nil {
		if next, err := s.saveLate(ctx, d); next != nil || err != nil {
			return next, err
		}
		waited = true
	}
	if waited {
		if r, err = s.readAgain(ctx, r); err != nil || r.fresh {
			return r.current, err
		}
	}
	began := time.Now()
	thin := false // whether the crowd has thinned out
	for nap, holder := time.Duration(0), ""; ; {
		if r.state.Holder != holder {
			nap, holder = 0, r.state.Holder // another refresh, to be waited for anew
		}
		good, held := r.current.good(), s.held(d, r.state)
		switch place := s.place(r); {
		case r.state.Reauth != "":
			return r.current, &ReauthError{ID: r.ID, Cause: r.state.Reauth}
		case r.RefreshToken.IsZero():
			return r.current, &ReauthError{ID: r.ID, Cause: NoRefreshToken}
		case held > 0 && good:
			return r.current.again(r.nap(0)), nil
		case held > 0 && time.Since(began) > 2*max(s.leaseTime(), lasts(r.state)):
			return r.current, &ProviderError{Provider: s.provider.Name, Kind: provider.Later,
				what: fmt.Sprintf("for %v, others have asked it for tokens and got none", time.Since(began).Round(time.Second))}
		case held > 0:
			nap = min(r.nap(nap), held)
			err = sleep(ctx, nap)
		case s.leftAlone(r.state) > 0:
			return r.current, &ProviderError{Provider: s.provider.Name, Kind: provider.Later,
				what: fmt.Sprintf("it is left alone for another %v", s.leftAlone(r.state).Round(time.Second))}
		case !good && !thin && place > first:
			thin, err = true, sleep(ctx, place)
		default:
			var next *current
			if next, err = s.refresh(ctx, d, r); next != nil {
				return next, err
			}
			if errors.Is(err, errLost) && !good {
				err = sleep(ctx, r.nap(0))
			}
		}
		if err != nil && !errors.Is(err, errMoved) && !errors.Is(err, errLost) {
			return r.current, err
		}
		if r, err = s.readAgain(ctx, r); err != nil || r.fresh {
			d.seen = sighting{}
			return r.current, err
		}
	}
}

// readAgain reads a record again. Beside an error it returns what was read before.
func (s *Source) readAgain(ctx context.Context, r *reading) (*reading, error) {
	t, err := s.store.ReadToken(ctx, r.ID)
	if err != nil {
		return r, err
	}
	return s.consider(t)
}

// held returns for how long a record has to be taken for held by another process, 0 or less if it is
// not (rule 3).
func (s *Source) held(d *desk, st State) time.Duration {
	if st.Holder == "" || slices.Contains(d.unsent, st.Holder) || rule.Off(rule.Lapse) {
		return 0
	}
	if d.seen.holder != st.Holder {
		d.seen = sighting{holder: st.Holder, since: time.Now()}
	}
	if time.Now().UnixMilli()-st.IntentMillis > farOff.Milliseconds() {
		return 0
	}
	// The monotonic clock, which at worst stands still while the machine is suspended: to see a lease
	// lapse too late does no harm.
	return lasts(st) - time.Since(d.seen.since)
}

// lasts is how long the lease lasts that a record names.
func lasts(st State) time.Duration {
	if d := millis(st.LeaseMillis); d > 0 && d < longestLease {
		return d
	}
	return longestLease
}

// leftAlone returns for how long the provider has to be left alone. A time that is further off than
// any that is written comes from a clock that is wrong, and does not count.
func (s *Source) leftAlone(st State) time.Duration {
	if wait := time.Until(time.UnixMilli(st.RetryMillis)); st.RetryMillis != 0 && wait <= longestWait {
		return wait
	}
	return 0
}

// place is when it is this process's turn in a crowd.
func (s *Source) place(r *reading) time.Duration {
	return time.Duration(jitter(s.instance, r.ID, -1-r.state.Generation) * float64(crowd))
}

// nap is how long to wait for who refreshes: as long as it took the last time, and then longer each
// time; last is how long it was before.
func (r *reading) nap(last time.Duration) time.Duration {
	took := usualTook
	if r.state.TookMillis > 0 {
		took = millis(r.state.TookMillis)
	}
	if last == 0 {
		last = took * 5 / 4
	} else {
		last *= 2
	}
	last = min(max(last, shortestNap), longestNap)
	return last + rand.N(last/2) //nolint:gosec // a wait needs no secrecy
}
