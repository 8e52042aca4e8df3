package provider

import (
	"math"
	"time"

	"golang.org/x/oauth2"
)

// Auth0 returns the preset for a tenant of Auth0, which is named by its domain, such as
// acme.eu.auth0.com or one of its own. The set says what is set for the application under "Refresh
// Token Rotation"; nil is SingleUse. A config has to ask for the scope offline_access, or there is
// no refresh token.
//
// If rotation is on, a token is SingleUse, and with a "Rotation Overlap Period" Leeway; there is
// none by default. If rotation is off, it is Reusable. Who uses a spent token later loses all of
// its family:
//   - https://auth0.com/docs/secure/tokens/refresh-tokens/configure-refresh-token-rotation
//   - https://auth0.com/docs/secure/tokens/refresh-tokens/refresh-token-rotation
//
// The client is authenticated in the body:
// https://auth0.com/docs/secure/tokens/refresh-tokens/use-refresh-tokens. A refresh token can be
// revoked, and all that descend from the same login with it:
// https://auth0.com/docs/secure/tokens/refresh-tokens/revoke-refresh-tokens.
//
// A token that is spent, expired or revoked gets 403 with invalid_grant:
// https://support.auth0.com/center/s/article/troubleshoot-refresh-token-unknown-or-invalid-before-expiry-403-unknown-or-invalid-refresh-token.
// That a client that is not known gets 401, and one that asks too often 429, is an assumption, for
// the codes of these are not those of RFC 6749. A response says how long its access token lives; an
// hour is an assumption for one that does not.
func Auth0(domain string, set *Setting) (Provider, error) {
	var s Setting
	if set != nil {
		s = *set
	}
	if err := s.check("auth0", math.MaxInt64); err != nil {
		return Provider{}, err
	}
	u, err := site("auth0", domain)
	if err != nil {
		return Provider{}, err
	}
	if u.Path != "" {
		return Provider{}, invalid("auth0", "the domain has a path")
	}
	base := u.String()
	return Provider{
		Name: "auth0",
		Endpoint: oauth2.Endpoint{
			AuthURL:       base + "/authorize",
			TokenURL:      base + "/oauth/token",
			DeviceAuthURL: base + "/oauth/device/code",
			AuthStyle:     oauth2.AuthStyleInParams,
		},
		Rotation:  s.Rotation,
		Grace:     s.Grace,
		Lifetime:  time.Hour,
		Judge:     Standard,
		RevokeURL: base + "/oauth/revoke",
	}, nil
}
