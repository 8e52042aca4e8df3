package tokensource

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// This file is the protocol: who may spend a refresh token. docs/refresh.md says why it is safe; its
// rules are named here, and in visit.go and unsaved.go, by their numbers:
//
//  1. Intent: a refresh token is sent only by who has written a name of his own into the record, by
//     compare-and-set, from a state in which nobody held it. That is the lease.
//  2. Time: the holder sends it early enough for the request to end within the lease.
//  3. Lapse: another one takes the lease over only after he has known it, by his own clock, for
//     as long as it says.
//  4. Fence: new tokens are stored only over the refresh token that was spent for them, and only if nobody
//     has stored others since and nobody else holds it.
//  5. Belief: a refusal of the provider counts once its holder has written it into the record, which
//     he can only while the record is as he left it.
//  6. Keeping: tokens that the provider issued are kept in memory until they are stored, or others are.

// What may come in between. The record is looked at again then.
var (
	errMoved = errors.New("the record changed")
	errLost  = errors.New("another process was faster")
	errHeld  = errors.New("another process took the refresh over")
)

// How long the parts of a lease are, in terms of the Timeout T of a request: T and half of it for the lease
// to be written, T for the request, and T and a quarter for storing what comes of it: 30 seconds in all, if T is 8.

// leaseTime is for how long a lease is good.
func (s *Source) leaseTime() time.Duration { return s.sendTime() + s.timeout + s.commitTime() }

// sendTime is how long after the beginning of its lease at the latest a refresh token is sent.
func (s *Source) sendTime() time.Duration { return s.timeout * 3 / 2 }

// commitTime is for how long new tokens are tried to be stored before a call returns with
// ErrNotPersisted.
func (s *Source) commitTime() time.Duration { return s.timeout * 5 / 4 }

// longestLease is the lease of a source with the longest Timeout.
const longestLease = maxTimeout * 15 / 4

// A lease is the right to spend a refresh token.
type lease struct {
	id      string       // the record's
	name    string       // random: the holder's, and then that of the tokens that came of it
	began   time.Time    // before the lease was written
	refresh token.Secret // what is spent
	before  State        // what the record said when nobody held it
	// unresolved is how many requests before the last one never told what came of them.
	unresolved int
}

// refresh takes the lease and spends the refresh token. It returns what the source returns from
// now on, or why there is nothing new.
func (s *Source) refresh(ctx context.Context, d *desk, r *reading) (*current, error) {
	conf, err := s.confFor(r.OAuthToken)
	if err != nil {
		return nil, err
	}
	l := &lease{id: r.ID, name: rand.Text(), began: time.Now(), refresh: r.RefreshToken, before: r.state}
	if !s.provider.Unleased && !rule.Off(rule.Intent) {
		if err := s.take(ctx, d, l); err != nil {
			return nil, err
		}
	}
	// From here on the refresh token may be spent: who asked for it cannot call it back.
	ctx = context.WithoutCancel(ctx)
	issued, refusal := s.redeem(ctx, conf, l)
	if refusal != nil {
		return nil, s.refused(ctx, d, l, refusal)
	}
	return s.save(ctx, d, &unsaved{lease: l, issued: issued, took: took(r.state, age(l.began))})
}

// took is how long the next refresh is expected to take: one that was slow counts for half.
func took(before State, now time.Duration) time.Duration {
	if before.TookMillis > 0 {
		now = (now + millis(before.TookMillis)) / 2
	}
	return max(now, time.Millisecond)
}

// take writes the intent (rule 1). It proves that the record can be written, too, before the
// refresh token is spent.
func (s *Source) take(ctx context.Context, d *desk, l *lease) error {
	err := s.store.TryUpdateToken(ctx, l.id, func(t *token.OAuthToken) error {
		st, err := StateOf(t)
		if err != nil {
			return err
		}
		if st != l.before || !t.RefreshToken.Equal(l.refresh) {
			return errMoved
		}
		l.unresolved = st.Unresolved
		if st.Holder != "" && !slices.Contains(d.unsent, st.Holder) {
			l.unresolved++
		}
		st.Fingerprint = fingerprint(l.refresh)
		st.Holder, st.IntentMillis, st.LeaseMillis = l.name, time.Now().UnixMilli(), s.leaseTime().Milliseconds()
		st.Unresolved, st.RetryMillis = l.unresolved, 0
		return st.put(t)
	})
	switch {
	case errors.Is(err, token.ErrConflict):
		return errLost
	case errors.Is(err, token.ErrOutcomeUnknown):
		d.unsent = append(d.unsent, l.name) // if it was written after all, it need not lapse
		return err
	case err != nil:
		return err
	}
	d.seen, d.unsent = sighting{}, nil
	if late := age(l.began); late > s.sendTime() && !rule.Off(rule.Time) { // rule 2
		d.unsent = append(d.unsent, l.name)
		return fmt.Errorf("%w: it took %v to announce a refresh in the record", token.ErrUnavailable, late.Round(time.Millisecond))
	}
	return nil
}

// refused writes down what it means that the provider issued no token, and returns the error.
func (s *Source) refused(ctx context.Context, d *desk, l *lease, why *ProviderError) error {
	cause := Refused
	if l.unresolved > 0 && s.provider.Rotation != provider.Reusable {
		cause = Interrupted
	}
	var note func(*State)
	switch {
	case why.Kind == provider.Dead:
		note = func(st *State) { st.Reauth, st.ReauthMillis = cause, time.Now().UnixMilli() }
	case s.provider.Unleased:
		return why // nothing was written
	case why.unsent, why.Kind == provider.Unclear && s.provider.Rotation == provider.Reusable:
		note = func(*State) {} // the refresh token is as good as it was
	case why.Kind == provider.Unclear:
		return why // the lease stays: who takes it over knows that something is unresolved
	default:
		note = func(st *State) { st.RetryMillis = time.Now().Add(why.wait).UnixMilli() }
	}
	err := s.giveBack(ctx, d, l, note)
	switch {
	case why.Kind != provider.Dead:
		return why // what was to be noted would have saved others some time, no more
	case rule.Off(rule.Belief):
	case err != nil: // rule 5: as a rule errMoved
		return err
	}
	s.log.ErrorContext(ctx, "the user has to log in again", "record", l.id, "cause", cause, "error", why)
	return &ReauthError{ID: l.id, Cause: cause, provider: why}
}

// giveBack ends a lease without new tokens, and notes what there is to say.
func (s *Source) giveBack(ctx context.Context, d *desk, l *lease, note func(*State)) error {
	ctx, cancel := context.WithTimeout(ctx, s.commitTime())
	defer cancel()
	return s.store.UpdateToken(ctx, l.id, func(t *token.OAuthToken) error {
		st, err := StateOf(t)
		if err != nil {
			return err
		}
		if mine := st.Holder == l.name || s.provider.Unleased && s.held(d, st) <= 0; !mine || !l.untouched(t, st) {
			return errMoved
		}
		st.Fingerprint = fingerprint(t.RefreshToken)
		st.Holder, st.IntentMillis, st.LeaseMillis, st.Unresolved = "", 0, 0, l.unresolved
		note(&st)
		return st.put(t)
	})
}

// untouched reports whether a record holds the refresh token that l is for, and no tokens that
// somebody stored since.
func (l *lease) untouched(t *token.OAuthToken, st State) bool {
	return t.RefreshToken.Equal(l.refresh) && st.Exchange == l.before.Exchange
}
