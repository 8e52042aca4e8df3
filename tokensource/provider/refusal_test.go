package provider

import (
	"testing"
	"time"
)

// refusals is how the servers refuse, as they document it or were seen to do it: the
// comment of each preset says where.
var refusals = map[string]map[string]struct {
	answer answer
	want   Verdict
}{
	"zoho": {
		"too many access tokens in ten minutes": {answer{status: 400, body: `{"error_description":"You have made too many requests continuously. Please try again after some time.","error":"Access Denied","status":"failure"}`},
			Verdict{Kind: Later, Wait: 10 * time.Minute}},
		"the same with status 200": {answer{body: `{"error":"Access Denied"}`},
			Verdict{Kind: Later, Wait: 10 * time.Minute}},
		"the same in Chinese": {answer{status: 400, body: `{"error_description":"您已连续提出过多请求，请稍后再试。","error":"拒绝访问","status":"failure"}`},
			Verdict{Kind: Later, Wait: 10 * time.Minute}},
		"the same as a name": {answer{body: `{"error":"access_denied"}`},
			Verdict{Kind: Later, Wait: 10 * time.Minute}},
		"a refresh token that is not good": {answer{body: `{"error":"invalid_code"}`}, Verdict{Kind: Dead}},
		"the same while the server fails":  {answer{status: 503, body: `{"error":"invalid_code"}`}, Verdict{}},
		"a client of another data center":  {answer{body: `{"error":"invalid_client"}`}, Verdict{Kind: Misconfigured}},
		"a wrong client secret":            {answer{body: `{"error":"invalid_client_secret"}`}, Verdict{Kind: Misconfigured}},
		"a wrong redirect URL":             {answer{body: `{"error":"invalid_redirect_uri"}`}, Verdict{Kind: Misconfigured}},
		"a name that is not known":         {answer{body: `{"error":"general_error"}`}, Verdict{}},
		"a failure without a name":         {answer{status: 400, body: `{}`}, Verdict{}},
	},
	"google": {
		"a token that expired or was revoked": {answer{status: 400, body: `{"error":"invalid_grant","error_description":"Token has been expired or revoked."}`},
			Verdict{Kind: Dead}},
		"a session that is over": {answer{status: 400, body: `{"error":"invalid_grant","error_description":"reauth related error (invalid_rapt)","error_uri":"https://support.google.com/a/answer/9368756","error_subtype":"invalid_rapt"}`},
			Verdict{Kind: Dead}},
		"a client that was deleted": {answer{status: 401, body: `{"error":"deleted_client","error_description":"The OAuth client was deleted."}`},
			Verdict{Kind: Misconfigured}},
		"a client that is not known":      {answer{status: 401, body: `{"error":"invalid_client"}`}, Verdict{Kind: Misconfigured}},
		"an administrator's policy":       {answer{status: 400, body: `{"error":"admin_policy_enforced"}`}, Verdict{Kind: Misconfigured}},
		"a failure of the server":         {answer{status: 500, body: `{"error":"internal_failure"}`}, Verdict{Kind: Later}},
		"a failure that says when":        {answer{status: 503, retryAfter: "3", body: `{"error":"server_error"}`}, Verdict{Kind: Later, Wait: 3 * time.Second}},
		"too many tokens in a short time": {answer{status: 403, body: `{"error":"rate_limit_exceeded"}`}, Verdict{Kind: Later}},
	},
	"microsoft": {
		"a token that expired or was revoked": {answer{status: 400, body: `{"error":"invalid_grant","error_description":"AADSTS50173: The provided grant has expired due to it being revoked, a fresh auth token is needed.","error_codes":[50173]}`},
			Verdict{Kind: Dead}},
		"a loop of requests": {answer{status: 400, body: `{"error":"invalid_grant","error_description":"AADSTS50196: The server terminated an operation because it encountered a loop while processing a request.","error_codes":[50196]}`},
			Verdict{Kind: Later, Wait: 5 * time.Minute}},
		"a code that only begins alike": {answer{status: 400, body: `{"error":"invalid_grant","error_description":"AADSTS501961: Something else."}`},
			Verdict{Kind: Dead}},
		"a consent that is missing": {answer{status: 400, body: `{"error":"invalid_grant","error_description":"AADSTS65001: The user or administrator has not consented to use the application.","error_codes":[65001],"suberror":"consent_required"}`},
			Verdict{Kind: Dead}},
		"another step of the user": {answer{status: 400, body: `{"error":"interaction_required","error_description":"AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication.","error_codes":[50076],"suberror":"basic_action"}`},
			Verdict{Kind: Dead}},
		"another login": {answer{status: 400, body: `{"error":"login_required"}`}, Verdict{Kind: Dead}},
		"a scope that is not valid": {answer{status: 400, body: `{"error":"invalid_scope","error_description":"AADSTS70011: The provided value for the input parameter 'scope' isn't valid.","error_codes":[70011]}`},
			Verdict{Kind: Misconfigured}},
		"a resource that does not exist": {answer{status: 400, body: `{"error":"invalid_resource"}`}, Verdict{Kind: Misconfigured}},
		"a secret that expired": {answer{status: 401, body: `{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys are expired."}`},
			Verdict{Kind: Misconfigured}},
		"a busy server":           {answer{status: 503, body: `{"error":"temporarily_unavailable"}`}, Verdict{Kind: Later}},
		"a failure of the server": {answer{status: 500, body: `{"error":"server_error"}`}, Verdict{Kind: Later}},
		"too many requests":       {answer{status: 429, retryAfter: "60", body: ``}, Verdict{Kind: Later, Wait: time.Minute}},
	},
	"okta": {
		"a token that expired, was revoked or is spent": {answer{status: 400, body: `{"error":"invalid_grant","error_description":"The refresh token is invalid or expired."}`},
			Verdict{Kind: Dead}},
		"a client that is not known": {answer{status: 401, body: `{"error":"invalid_client","error_description":"The client secret supplied for a confidential client is invalid."}`},
			Verdict{Kind: Misconfigured}},
		"too many requests": {answer{status: 429, body: `{"errorCode":"E0000047","errorSummary":"API call exceeded rate limit due to too many requests."}`},
			Verdict{Kind: Later}},
		"a failure of the server": {answer{status: 500, body: `{"error":"server_error"}`}, Verdict{}},
	},
	"auth0": {
		"a token that expired, was revoked or is spent": {answer{status: 403, body: `{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}`},
			Verdict{Kind: Dead}},
		"a client that is not known": {answer{status: 401, body: `{"error":"access_denied","error_description":"Unauthorized"}`},
			Verdict{Kind: Misconfigured}},
		"too many requests": {answer{status: 429, body: `{"error":"too_many_requests"}`}, Verdict{Kind: Later}},
	},
	"salesforce": {
		"a token that expired, was revoked or is spent": {answer{status: 400, body: `{"error":"invalid_grant","error_description":"expired access/refresh token"}`},
			Verdict{Kind: Dead}},
		"another refresh that may spend the token": {answer{status: 400, body: `{"error":"invalid_grant","error_description":"token request is already being processed"}`},
			Verdict{}},
		"a user who is inactive":  {answer{status: 400, body: `{"error":"inactive_user","error_description":"user is inactive"}`}, Verdict{Kind: Dead}},
		"an org that is closed":   {answer{status: 400, body: `{"error":"inactive_org","error_description":"organization is locked, closed, or suspended"}`}, Verdict{Kind: Misconfigured}},
		"an address that may not": {answer{status: 400, body: `{"error":"invalid_grant","error_description":"ip restricted or invalid login hours"}`}, Verdict{Kind: Misconfigured}},
		"a client that is not known": {answer{status: 400, body: `{"error":"invalid_client_id","error_description":"client identifier invalid"}`},
			Verdict{Kind: Misconfigured}},
		"a wrong client secret": {answer{status: 400, body: `{"error":"invalid_client","error_description":"invalid client credentials"}`},
			Verdict{Kind: Misconfigured}},
		"too many logins": {answer{status: 400, body: `{"error":"rate_limit_exceeded","error_description":"number of logins exceeded"}`},
			Verdict{Kind: Later}},
	},
	"slack": {
		"a token that is not good":    {answer{body: `{"ok":false,"error":"invalid_refresh_token"}`}, Verdict{Kind: Dead}},
		"a token that expired":        {answer{body: `{"ok":false,"error":"token_expired"}`}, Verdict{Kind: Dead}},
		"a token that was revoked":    {answer{body: `{"ok":false,"error":"token_revoked"}`}, Verdict{Kind: Dead}},
		"a user who was deleted":      {answer{body: `{"ok":false,"error":"account_inactive"}`}, Verdict{Kind: Dead}},
		"a client that is not known":  {answer{body: `{"ok":false,"error":"invalid_client_id"}`}, Verdict{Kind: Misconfigured}},
		"a wrong client secret":       {answer{body: `{"ok":false,"error":"bad_client_secret"}`}, Verdict{Kind: Misconfigured}},
		"an app without rotation":     {answer{body: `{"ok":false,"error":"token_rotation_not_enabled"}`}, Verdict{Kind: Misconfigured}},
		"too many requests":           {answer{status: 429, retryAfter: "30", body: `{"ok":false,"error":"ratelimited"}`}, Verdict{Kind: Later, Wait: 30 * time.Second}},
		"a failure that may be half":  {answer{body: `{"ok":false,"error":"internal_error"}`}, Verdict{}},
		"another failure of the kind": {answer{body: `{"ok":false,"error":"fatal_error"}`}, Verdict{}},
	},
}

func TestARefusalMeansWhatItsServerSays(t *testing.T) {
	for name, p := range presets {
		if len(refusals[name]) == 0 {
			t.Errorf("no refusal of %s is tried", name)
		}
		for what, c := range refusals[name] {
			t.Run(name+" refuses: "+what, func(t *testing.T) {
				if got := verdict(t, p, c.answer); got != c.want {
					t.Errorf("judged %+v, want %+v", got, c.want)
				}
			})
		}
	}
}

func TestTwoRefreshesOfAReusableTokenOfSalesforceAreNotForGood(t *testing.T) {
	p := must(Salesforce("https://acme.my.salesforce.com", &Setting{Rotation: Reusable}))
	a := answer{status: 400, body: `{"error":"invalid_grant","error_description":"token request is already being processed"}`}
	if got := verdict(t, p, a); got.Kind != Later {
		t.Errorf("judged %+v, want Later", got)
	}
}
