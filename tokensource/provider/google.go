package provider

import (
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Google returns the preset for Google's accounts. A config has to ask for
// [oauth2.AccessTypeOffline], or there is no refresh token.
//
// A refresh token stays good until it is revoked or six months pass without a use, and what is
// limited is their number, not their use:
// https://developers.google.com/identity/protocols/oauth2#expiration. So refreshes at once do no
// harm, and are not announced. Access tokens live for an hour, and the client is authenticated in
// the body: https://developers.google.com/identity/protocols/oauth2/web-server#offline. To revoke a
// token of either kind ends the whole consent:
// https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke.
//
// invalid_grant is for good even if its error_subtype is invalid_rapt: the session that an
// administrator allows is over, and the user has to log in:
// https://support.google.com/a/answer/9368756. The errors that are worth another try are those of
// Google's own library:
// https://github.com/googleapis/google-auth-library-python/blob/main/google/oauth2/_client.py. A
// client that was deleted is told so by the token endpoint, as seen in
// https://github.com/kubeguard/guard/issues/346; that the endpoint uses the other names of
// https://developers.google.com/identity/protocols/oauth2/web-server#authorization-errors too, and
// rate_limit_exceeded, is an assumption.
func Google() Provider {
	return Provider{
		Name: "google",
		Endpoint: oauth2.Endpoint{
			AuthURL:       "https://accounts.google.com/o/oauth2/auth",
			TokenURL:      "https://oauth2.googleapis.com/token",
			DeviceAuthURL: "https://oauth2.googleapis.com/device/code",
			AuthStyle:     oauth2.AuthStyleInParams,
		},
		Rotation:  Reusable,
		Unleased:  true,
		Lifetime:  time.Hour,
		Judge:     judgeGoogle,
		RevokeURL: "https://oauth2.googleapis.com/revoke",
	}
}

func judgeGoogle(r Refusal) Verdict {
	switch strings.ToLower(r.Code) {
	case "internal_failure", "server_error", "rate_limit_exceeded":
		return Verdict{Kind: Later, Wait: r.Wait}
	case "admin_policy_enforced", "org_internal", "deleted_client", "disabled_client":
		return Verdict{Kind: Misconfigured}
	}
	return Standard(r)
}
