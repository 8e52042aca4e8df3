package provider

import (
	"strings"

	"golang.org/x/oauth2"
)

// Slack returns the preset for Slack apps, of which those with token rotation have refresh tokens.
//
// A refresh token is revoked by its use, which returns another one, and an access token lives for
// twelve hours, which responses say: https://docs.slack.dev/authentication/using-token-rotation. A
// response that does not is one of an app without rotation, whose tokens do not expire and cannot
// be refreshed. That a spent token cannot be used again for a short while is an assumption, for
// Slack does not say.
//
// A response is about the bot's token, and may have that of the user who installed the app too,
// with a refresh token of its own: it is found as JSON in Extra under "authed_user", and has to be
// kept as a record of its own. If no scope of a bot was asked for, there is no other token, and x/oauth2
// finds none in the response to the authorization code. The response to the refresh of a user's
// token is like that of a bot's. The schema, the examples and the names of errors:
// https://docs.slack.dev/reference/methods/oauth.v2.access. The token_type is "bot" or "user",
// which x/oauth2 would write into the header Authorization; what Slack expects there is Bearer:
// https://docs.slack.dev/apis/web-api/. So it is made Bearer.
//
// Slack prefers that the client is authenticated in the header (same page). Errors come with status
// 200, "ok": false and a name; those of tokens that are revoked or expired, or of a deleted user,
// are documented for other methods, and are taken to mean the same here. After internal_error and
// fatal_error "it's possible some aspect of the operation succeeded", so that they are Unclear, as
// is any other that is not known. Who asks too often gets 429 and Retry-After:
// https://docs.slack.dev/apis/web-api/rate-limits.
//
// What is revoked is an access token, by itself:
// https://docs.slack.dev/reference/methods/auth.revoke.
func Slack() Provider {
	return Provider{
		Name: "slack",
		Endpoint: oauth2.Endpoint{
			AuthURL:   "https://slack.com/oauth/v2/authorize",
			TokenURL:  "https://slack.com/api/oauth.v2.access",
			AuthStyle: oauth2.AuthStyleInHeader,
		},
		Rotation:      SingleUse,
		Adapt:         adaptSlack,
		Judge:         judgeSlack,
		RevokeURL:     "https://slack.com/api/auth.revoke",
		RevokesBearer: true,
		Extra:         []string{"authed_user"},
	}
}

func adaptSlack(t *oauth2.Token) (*oauth2.Token, error) {
	t.TokenType = "Bearer"
	return t, nil
}

func judgeSlack(r Refusal) Verdict {
	switch strings.ToLower(r.Code) {
	case "invalid_refresh_token", "token_expired", "token_revoked", "account_inactive":
		return Verdict{Kind: Dead}
	case "bad_client_secret", "invalid_client_id", "invalid_grant_type", "accesslimited", "token_rotation_not_enabled":
		return Verdict{Kind: Misconfigured}
	case "ratelimited", "rate_limited":
		return Verdict{Kind: Later, Wait: r.Wait}
	}
	return Standard(r)
}
