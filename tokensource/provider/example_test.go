package provider_test

import (
	"fmt"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// A server that has no preset. Its refresh tokens may be used again for a minute, and it
// has an error of its own for those that are over.
func Example() {
	acme := provider.Provider{
		Name: "acme",
		Endpoint: oauth2.Endpoint{
			AuthURL:   "https://id.acme.example/authorize",
			TokenURL:  "https://id.acme.example/token",
			AuthStyle: oauth2.AuthStyleInHeader,
		},
		Rotation: provider.Leeway,
		Grace:    time.Minute,
		Judge: func(r provider.Refusal) provider.Verdict {
			if r.Code == "session_over" {
				return provider.Verdict{Kind: provider.Dead}
			}
			return provider.Standard(r)
		},
		RevokeURL: "https://id.acme.example/revoke",
	}

	fmt.Println(acme.Rotation)
	fmt.Println(acme.Judge(provider.Refusal{Status: 400, Code: "session_over"}).Kind == provider.Dead)
	fmt.Println(acme.Judge(provider.Refusal{Status: 429, Wait: time.Minute}).Wait)
	// Output:
	// leeway
	// true
	// 1m0s
}

// The api_domain of a stored token says which data center its refresh token belongs to.
func ExampleZohoDataCenter() {
	dc, err := provider.ZohoDataCenter("https://www.zohoapis.ca")
	if err != nil {
		fmt.Println(err)
		return
	}
	zoho, err := provider.Zoho(dc)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(zoho.Endpoint.TokenURL)
	// Output: https://accounts.zohocloud.ca/oauth/v2/token
}

// An application of Okta whose grace period is a minute, and one whose tokens are persistent.
func ExampleOkta() {
	web, err := provider.Okta("https://acme.okta.com/oauth2/default", &provider.Setting{Rotation: provider.Leeway, Grace: time.Minute})
	fmt.Println(web.Rotation, web.Grace, err)

	native, err := provider.Okta("https://acme.okta.com", &provider.Setting{Rotation: provider.Reusable})
	fmt.Println(native.Rotation, err)
	// Output:
	// leeway 1m0s <nil>
	// reusable <nil>
}
