package provider

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/oauth2"
)

// A DataCenter of Zoho holds the accounts of its region. It is written as the end of its host
// names: "eu" is that of accounts.zoho.eu and www.zohoapis.eu.
type DataCenter string

// Zoho's data centers, as in
//   - https://www.zoho.com/accounts/protocol/oauth/multi-dc.html: com, eu, in, com.au, jp, ca, sa, uk
//   - https://www.zoho.com/crm/developer/docs/api/multi-dc.html: com.cn
//   - https://www.zoho.com/workdrive/developer/docs/api/v1/getting-started-multi-dc-support.html: ae
const (
	ZohoUS DataCenter = "com"
	ZohoEU DataCenter = "eu"
	ZohoIN DataCenter = "in"
	ZohoAU DataCenter = "com.au"
	ZohoJP DataCenter = "jp"
	ZohoCA DataCenter = "ca" // its hosts end in zohocloud.ca
	ZohoSA DataCenter = "sa"
	ZohoCN DataCenter = "com.cn"
	ZohoUK DataCenter = "uk"
	ZohoAE DataCenter = "ae"
)

var zohoDataCenters = []DataCenter{ZohoUS, ZohoEU, ZohoIN, ZohoAU, ZohoJP, ZohoCA, ZohoSA, ZohoCN, ZohoUK, ZohoAE}

// domain is that of the accounts.
func (dc DataCenter) domain() string {
	if dc == ZohoCA {
		return "zohocloud.ca"
	}
	return "zoho." + string(dc)
}

// ZohoDataCenter returns the data center that a URL of Zoho belongs to: the api_domain of a token,
// such as https://www.zohoapis.eu, that of a sandbox too, or the accounts-server that comes with an
// authorization code. It refuses what it does not know, since a refresh token must not be sent
// elsewhere.
//
// The pairs of hosts are those of https://www.bigin.com/developer/docs/apis/multi-dc.html; that
// zohoapis.uk belongs to zoho.uk is an assumption.
func ZohoDataCenter(url string) (DataCenter, error) {
	u, err := site("zoho", strings.TrimSpace(url))
	if err != nil {
		return "", err
	}
	host := "." + strings.ToLower(u.Hostname())
	for _, dc := range zohoDataCenters {
		if strings.HasSuffix(host, ".zohoapis."+string(dc)) || strings.HasSuffix(host, "."+dc.domain()) {
			return dc, nil
		}
	}
	return "", invalid("zoho", "no data center is known by this URL")
}

// Zoho returns the preset for the accounts of one data center.
//
// Refresh tokens do not rotate and do not expire, but one gets only ten access tokens in ten
// minutes: "the access token creation will be blocked for the rest of the ten minutes", so that
// refreshes have to be announced although the token can be reused. Access tokens live for an hour.
//   - https://www.zoho.com/accounts/protocol/oauth/web-apps/access-token-expiry.html
//   - https://www.zoho.com/crm/developer/docs/api/v8/token-validity.html
//
// The client is authenticated in the body:
// https://www.zoho.com/assist/api/generate-access-token.html. Either kind of token can be revoked:
// https://www.zoho.com/accounts/protocol/oauth/revoke-refresh-token.html.
//
// Errors come with status 200 or 400. A client that is not known, or not in this data center, is
// Misconfigured: https://docs.catalyst.zoho.com/en/faq/sdk/invalid-client-refresh-token/. One that
// asks too often is told "Access Denied":
// https://help.zoho.com/portal/en/community/topic/kaizen-43-tokens-and-limitations. These words are
// translated for callers elsewhere (seen in https://github.com/guanguans/notify: "拒绝访问"), while
// other errors are names such as invalid_code, so that any code that is no such name is taken for
// this. What Zoho documents of invalid_code is an authorization code that is not good; that it
// stands for a refresh token that is not good either was seen, and is an assumption.
//
// If a response has expires_in_sec, its expires_in counts milliseconds, as Zoho's own SDK takes it:
// https://github.com/zoho/zohocrm-python-sdk-8.0. The api_domain is found with Extra of the token.
func Zoho(dc DataCenter) (Provider, error) {
	if !slices.Contains(zohoDataCenters, dc) {
		return Provider{}, invalid("zoho", "this is none of its data centers")
	}
	accounts := "https://accounts." + dc.domain()
	return Provider{
		Name: "zoho",
		Endpoint: oauth2.Endpoint{
			AuthURL:   accounts + "/oauth/v2/auth",
			TokenURL:  accounts + "/oauth/v2/token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
		Rotation:  Reusable,
		Lifetime:  time.Hour,
		Adapt:     adaptZoho,
		Judge:     judgeZoho,
		RevokeURL: accounts + "/oauth/v2/token/revoke",
	}, nil
}

func adaptZoho(t *oauth2.Token) (*oauth2.Token, error) {
	var seconds float64
	if _, err := fmt.Sscan(fmt.Sprint(t.Extra("expires_in_sec")), &seconds); err != nil || seconds < 1 || seconds > math.MaxInt32 {
		return t, nil //nolint:nilerr // it says none
	}
	t.ExpiresIn = int64(seconds)
	t.Expiry = time.Now().Add(time.Duration(t.ExpiresIn) * time.Second)
	return t, nil
}

func judgeZoho(r Refusal) Verdict {
	if r.Status >= 500 {
		return Verdict{Kind: Unclear}
	}
	switch code := strings.ToLower(r.Code); {
	case code == "access_denied", strings.ContainsFunc(code, func(c rune) bool { return c == ' ' || c > unicode.MaxASCII }):
		return Verdict{Kind: Later, Wait: 10 * time.Minute}
	case code == "invalid_code":
		return Verdict{Kind: Dead}
	case code == "invalid_client_secret", code == "invalid_redirect_uri":
		return Verdict{Kind: Misconfigured}
	}
	return Standard(r)
}
