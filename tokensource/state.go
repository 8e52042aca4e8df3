package tokensource

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
)

// StateName is the name in [token.OAuthToken.Extra] under which a record says how far its
// refresh is. Its value is JSON, and holds no secret. Leave it as it is: a record without it
// is one that nobody refreshes at the moment.
const StateName = "tokenkeep.refresh"

// A State is what a record says of its refresh. It is about one refresh token: in a record
// that was given another one since, by a login for example, it says nothing but its Generation.
type State struct {
	// Generation grows by one with each refresh, and with each login by Exchange.
	Generation int64 `json:"generation,omitempty"`
	// Exchange is the random name of the refresh or login that the tokens are from.
	Exchange string `json:"exchange,omitempty"`
	// Fingerprint is a hash of the refresh token that all the rest is about.
	Fingerprint string `json:"fingerprint,omitempty"`
	// LifetimeMillis is how long the access token lives from its issue, 0 if that is not known.
	LifetimeMillis int64 `json:"lifetime_ms,omitempty"`
	// TookMillis is how long the last refresh took, from the lease on.
	TookMillis int64 `json:"took_ms,omitempty"`

	// Holder is the random name of the refresh that may be spending the refresh token now;
	// empty if none is. IntentMillis is when it began, by its clock, in milliseconds since the
	// epoch, and LeaseMillis for how long at most it may send the refresh token.
	Holder       string `json:"holder,omitempty"`
	IntentMillis int64  `json:"intent_time,omitempty"`
	LeaseMillis  int64  `json:"lease_ms,omitempty"`
	// Unresolved is how many refreshes before Holder's began to spend the refresh token and
	// never told what came of it.
	Unresolved int `json:"unresolved,omitempty"`

	// RetryMillis is when the provider may be asked again, by the clock of who wrote it, in
	// milliseconds since the epoch: it was asked too much, or refused the client. 0: at any time.
	RetryMillis int64 `json:"retry_time,omitempty"`

	// Reauth says why the refresh token is of no use any more, so that the user has to log in
	// again; empty if it is of use, as far as is known. ReauthMillis is when that was found out.
	Reauth       Cause `json:"needs_reauth,omitempty"`
	ReauthMillis int64 `json:"needs_reauth_time,omitempty"`
}

// A Cause is why a user has to log in again.
type Cause string

// The causes.
const (
	// Refused: the provider refuses the refresh token. The user or an administrator revoked it, or
	// it expired.
	Refused Cause = "refused"
	// Interrupted: the provider refuses the refresh token after a refresh that ended between
	// spending it and storing the new one, because of a crash or a lost answer.
	Interrupted Cause = "crash_between_redeem_and_commit"
	// NoRefreshToken: the record has none.
	NoRefreshToken Cause = "no_refresh_token"
)

// StateOf returns what a record says of its refresh: the zero State if it says nothing.
func StateOf(t *token.OAuthToken) (State, error) {
	var s State
	text := t.Extra[StateName].Reveal()
	if text == "" {
		return s, nil
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("%w: what Extra[%q] holds is not a refresh state", token.ErrCorrupt, StateName)
	}
	if s.Fingerprint != fingerprint(t.RefreshToken) {
		s = State{Generation: s.Generation}
	}
	return s, nil
}

// put writes a state into a record.
func (s State) put(t *token.OAuthToken) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if t.Extra == nil {
		t.Extra = make(map[string]token.Secret)
	}
	t.Extra[StateName] = token.NewSecret(string(text))
	return nil
}

// fingerprint is a hash of a refresh token: of what is as random as one, it says nothing. The empty
// token has none.
func fingerprint(refresh token.Secret) string {
	if refresh.IsZero() {
		return ""
	}
	sum := sha256.Sum256([]byte("tokenkeep refresh token\x00" + refresh.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

func millis(d int64) time.Duration { return time.Duration(d) * time.Millisecond }
