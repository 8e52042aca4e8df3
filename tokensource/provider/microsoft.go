package provider

import (
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Microsoft returns the preset for Microsoft Entra ID. The tenant is the id or a domain of a
// directory, or "common", "organizations" or "consumers":
// https://learn.microsoft.com/entra/identity-platform/v2-protocols#endpoints. For a national cloud,
// set the URLs in the Endpoint of the config. A config has to ask for the scope offline_access, or
// there is no refresh token.
//
// Each use of a refresh token returns another one, and "the Microsoft identity platform doesn't
// revoke old refresh tokens when used to fetch new access tokens":
// https://learn.microsoft.com/entra/identity-platform/refresh-tokens. So they are Reusable.
// Refreshes are announced all the same, since fifteen equal requests in five minutes are taken for
// a loop, and answered with invalid_grant and AADSTS50196 in its text, which is not for good:
// https://learn.microsoft.com/entra/identity-platform/reference-breaking-changes. Microsoft says
// that the text may change; if it does, such a token is taken for Dead, as any other with
// invalid_grant is.
//
// The errors are those of https://learn.microsoft.com/entra/identity-platform/reference-error-codes
// and, where a user is needed, of
// https://learn.microsoft.com/javascript/api/@azure/msal-node/interactionrequiredautherrorcodes.
// The client is authenticated in the body:
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow. A response says how
// long its access token lives, an hour by default; a token cannot be revoked by its client.
func Microsoft(tenant string) (Provider, error) {
	if tenant != "common" && tenant != "organizations" && tenant != "consumers" &&
		!tenantID(tenant) && !hostForm.MatchString(tenant) {
		return Provider{}, invalid("microsoft", "the tenant is no id, no domain, and none of common, organizations and consumers")
	}
	base := "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0"
	return Provider{
		Name: "microsoft",
		Endpoint: oauth2.Endpoint{
			AuthURL:       base + "/authorize",
			TokenURL:      base + "/token",
			DeviceAuthURL: base + "/devicecode",
			AuthStyle:     oauth2.AuthStyleInParams,
		},
		Rotation: Reusable,
		Lifetime: time.Hour,
		Judge:    judgeMicrosoft,
	}, nil
}

// tenantID reports whether s is the id of a directory, a GUID.
func tenantID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range s {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !strings.ContainsRune("0123456789abcdefABCDEF", c) {
			return false
		}
	}
	return true
}

func judgeMicrosoft(r Refusal) Verdict {
	switch strings.ToLower(r.Code) {
	case "invalid_grant":
		if strings.Contains(r.Description, "AADSTS50196:") {
			return Verdict{Kind: Later, Wait: max(r.Wait, 5*time.Minute)}
		}
	case "interaction_required", "consent_required", "login_required", "bad_token":
		return Verdict{Kind: Dead}
	case "invalid_resource":
		return Verdict{Kind: Misconfigured}
	case "server_error":
		return Verdict{Kind: Later, Wait: r.Wait}
	}
	return Standard(r)
}
