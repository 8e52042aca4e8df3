package provider

import (
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Salesforce returns the preset for Salesforce. The login is the URL where its users log in:
// https://login.salesforce.com, https://test.salesforce.com for sandboxes, the My Domain of an org,
// or a site of Experience Cloud with its path. The set says whether the app has "Enable Refresh
// Token Rotation"; nil is SingleUse, that it has. A config has to ask for the scope refresh_token,
// or there is none.
//
// With rotation, a token is spent by its use, and whoever uses it again ends the session of its
// user: https://help.salesforce.com/s/articleView?id=005316711&type=1. No time is known in which it
// may be used again. Without, it is Reusable:
// https://help.salesforce.com/apex/HTViewHelpDoc?id=remoteaccess_oauth_refresh_token_flow.htm.
//
// Responses do not say how long an access token lives, which is the session timeout of the app, its
// user's profile or the org: two hours by default, and a quarter of an hour at least, which is what
// the preset assumes, since a refresh too many does no harm. Set Lifetime to what is set there.
//   - https://developer.salesforce.com/docs/platform/api-metadata/guide/meta-error-handling-session-exp.html
//   - https://developer.salesforce.com/docs/atlas.en-us.api_meta.meta/api_meta/meta_profilesessionsetting.htm
//
// Two refreshes at once with one token are refused with invalid_grant and the words "token request
// is already being processed", which is not for good:
// https://help.salesforce.com/s/articleView?id=release-notes.rn_security_refresh_token_requests.htm&release=250&type=5
// and
// https://help.salesforce.com/s/articleView?id=release-notes.rn_security_refresh_token_error.htm&release=252&type=5.
// But the other request may spend the token, so that it means Later only where tokens are Reusable.
// Nor is an address that is not allowed for good. The names of errors are those of Salesforce's own
// SDK, https://github.com/forcedotcom/SalesforceMobileSDK-iOS; what they mean for a refresh is an
// assumption.
//
// The client is authenticated in the body; a refresh token is revoked with the access tokens that
// it got:
// https://developer.salesforce.com/docs/platform/mobile-sdk/guide/oauth-revoking-tokens.html.
func Salesforce(login string, set *Setting) (Provider, error) {
	var s Setting
	if set != nil {
		s = *set
	}
	if err := s.check("salesforce", 0); err != nil {
		return Provider{}, err
	}
	u, err := site("salesforce", login)
	if err != nil {
		return Provider{}, err
	}
	if strings.Contains(u.Path+"/", "/services/") {
		return Provider{}, invalid("salesforce", "the URL is that of an endpoint, not where users log in")
	}
	base := u.String() + "/services/oauth2"
	return Provider{
		Name: "salesforce",
		Endpoint: oauth2.Endpoint{
			AuthURL:   base + "/authorize",
			TokenURL:  base + "/token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
		Rotation:  s.Rotation,
		Lifetime:  15 * time.Minute,
		Judge:     func(r Refusal) Verdict { return judgeSalesforce(r, s.Rotation) },
		RevokeURL: base + "/revoke",
	}, nil
}

func judgeSalesforce(r Refusal, rotation Rotation) Verdict {
	switch strings.ToLower(r.Code) {
	case "invalid_grant":
		switch strings.ToLower(r.Description) {
		case "token request is already being processed":
			if rotation == Reusable {
				return Verdict{Kind: Later, Wait: r.Wait}
			}
			return Verdict{Kind: Unclear}
		case "ip restricted or invalid login hours", "ip restricted":
			return Verdict{Kind: Misconfigured}
		}
	case "inactive_user":
		return Verdict{Kind: Dead}
	case "inactive_org", "invalid_client_id", "invalid_client_credentials":
		return Verdict{Kind: Misconfigured}
	case "rate_limit_exceeded":
		return Verdict{Kind: Later, Wait: r.Wait}
	}
	return Standard(r)
}
