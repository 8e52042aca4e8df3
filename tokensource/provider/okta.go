package provider

import (
	"regexp"
	"time"

	"golang.org/x/oauth2"
)

// Okta returns the preset for an authorization server of Okta: that of the org if the issuer is
// https://acme.okta.com, a custom one if it is such as https://acme.okta.com/oauth2/default. The
// set says what is set for the application under "Refresh token behavior"; nil is Leeway with a
// Grace of half a minute. A config has to ask for the scope offline_access, or there is no refresh
// token.
//
// "Rotate token after every use" is Leeway if there is a grace period, which is half a minute
// unless it is changed, and at most a minute, and SingleUse if it is 0; a persistent token, which
// web and native applications have by default, is Reusable. Who uses a spent token later loses all
// of its family: https://developer.okta.com/docs/guides/refresh-tokens/main/.
//
// The client is authenticated in the header, as by default (client_secret_basic); a public client
// has no secret, and sets AuthStyleInParams in its config. The URLs, and errors as in RFC 6749:
// https://developer.okta.com/docs/reference/api/oidc/. Who asks too often gets status 429, with
// headers of Okta's own: https://developer.okta.com/docs/reference/rl-best-practices/. A token of
// either kind can be revoked:
// https://developer.okta.com/docs/api/openapi/okta-oauth/oauth/orgas/revoke. A response says how
// long its access token lives; an hour is an assumption for one that does not.
func Okta(issuer string, set *Setting) (Provider, error) {
	s := Setting{Rotation: Leeway, Grace: 30 * time.Second}
	if set != nil {
		s = *set
	}
	if err := s.check("okta", time.Minute); err != nil {
		return Provider{}, err
	}
	u, err := site("okta", issuer)
	if err != nil {
		return Provider{}, err
	}
	if u.Path == "" {
		u.Path = "/oauth2"
	} else if !oktaServer.MatchString(u.Path) || u.Path == "/oauth2/v1" {
		return Provider{}, invalid("okta", "the issuer is neither https://host nor https://host/oauth2/id")
	}
	base := u.String() + "/v1"
	return Provider{
		Name: "okta",
		Endpoint: oauth2.Endpoint{
			AuthURL:       base + "/authorize",
			TokenURL:      base + "/token",
			DeviceAuthURL: base + "/device/authorize",
			AuthStyle:     oauth2.AuthStyleInHeader,
		},
		Rotation:  s.Rotation,
		Grace:     s.Grace,
		Lifetime:  time.Hour,
		Judge:     Standard,
		RevokeURL: base + "/revoke",
	}, nil
}

// oktaServer is the path of a custom authorization server.
var oktaServer = regexp.MustCompile(`^/oauth2/[A-Za-z0-9_-]+$`)
