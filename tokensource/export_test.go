package tokensource

import "github.com/tokenkeep/tokenkeep/token"

// PutState writes a state into a record, about the refresh token that it has.
func PutState(t *token.OAuthToken, s State) error {
	s.Fingerprint = fingerprint(t.RefreshToken)
	return s.put(t)
}

// Desks returns how many desks there are.
func Desks() int {
	desks.Lock()
	defer desks.Unlock()
	return len(desks.of)
}
