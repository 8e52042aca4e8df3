package provider

import (
	"strings"
	"testing"
	"time"
)

// Whether a preset finds a bad argument, and shows none: it may be a secret that got into
// the wrong place.
func refuses(t *testing.T, arg string, p Provider, err error) {
	t.Helper()
	if err == nil {
		t.Fatalf("%q was taken, for %+v", arg, p.Endpoint)
	}
	if p.Endpoint.TokenURL != "" {
		t.Error("half of a provider was returned")
	}
	if len(arg) > 5 && strings.Contains(err.Error(), arg) {
		t.Errorf("the error shows the argument: %v", err)
	}
}

func TestEachDataCenterOfZohoHasItsOwnHosts(t *testing.T) {
	for dc, domain := range map[DataCenter]string{
		"com": "zoho.com", "eu": "zoho.eu", "in": "zoho.in", "com.au": "zoho.com.au", "jp": "zoho.jp",
		"ca": "zohocloud.ca", "sa": "zoho.sa", "com.cn": "zoho.com.cn", "uk": "zoho.uk", "ae": "zoho.ae",
	} {
		t.Run(string(dc), func(t *testing.T) {
			p, err := Zoho(dc)
			if err != nil {
				t.Fatal(err)
			}
			accounts := "https://accounts." + domain
			if p.Endpoint.AuthURL != accounts+"/oauth/v2/auth" || p.Endpoint.TokenURL != accounts+"/oauth/v2/token" ||
				p.RevokeURL != accounts+"/oauth/v2/token/revoke" {
				t.Errorf("its URLs are %+v and %s", p.Endpoint, p.RevokeURL)
			}

			for _, url := range []string{
				accounts,
				accounts + "/",
				"accounts." + domain,
				"https://www.zohoapis." + string(dc),
				"https://sandbox.zohoapis." + string(dc) + "/",
				"https://WWW.ZohoAPIs." + string(dc),
				"https://www.zohoapis." + string(dc) + "\r",
				"https://api." + domain,
				"https://crm." + domain + "/crm/v8/users",
			} {
				if got, err := ZohoDataCenter(url); err != nil || got != dc {
					t.Errorf("%q is of %q, %v", url, got, err)
				}
			}
		})
	}
}

func TestADataCenterThatIsNoneIsRefused(t *testing.T) {
	for _, dc := range []DataCenter{"", "us", "EU", ".eu", "org", "eu/", "zoho.eu", "https://accounts.zoho.eu", "evil.example"} {
		p, err := Zoho(dc)
		refuses(t, string(dc), p, err)
	}
}

func TestAURLThatIsNotZohosIsRefused(t *testing.T) {
	for _, url := range []string{
		"", "eu", "https://", "://", "https://www.zohoapis.org", "https://www.zohoapis", "https://evilzohoapis.eu", "https://evilzoho.eu",
		"https://accounts.zoho.eu.evil.example", "https://www.zohoapis.eu@evil.example", "https://evil.example/accounts.zoho.eu",
		"https://evil.example?accounts.zoho.eu", "http://www.zohoapis.eu", "https://accounts.zoho.ca", "ftp://www.zohoapis.eu", "https://www.zohoapis.e\x00u",
	} {
		if dc, err := ZohoDataCenter(url); err == nil {
			t.Errorf("%q was taken for %q", url, dc)
		}
	}
}

func TestATenantOfMicrosoftIsAnIDOrADomain(t *testing.T) {
	for _, tenant := range []string{"common", "organizations", "consumers", "contoso.onmicrosoft.com", "contoso.com", "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"} {
		p, err := Microsoft(tenant)
		if err != nil || p.Endpoint.TokenURL != "https://login.microsoftonline.com/"+tenant+"/oauth2/v2.0/token" {
			t.Errorf("%q: %s, %v", tenant, p.Endpoint.TokenURL, err)
		}
	}
	for _, tenant := range []string{
		"", "contoso", "Common", "{tenant}", "a/b", "..", "contoso.com/", "https://contoso.com", "contoso.com?x=y", "contoso .com",
		"8eaef023-2b34-4da1-9baa-8bc8c9d6a49", "8eaef023-2b34-4da1-9baa-8bc8c9d6a49g", "8eaef0232b344da19baa8bc8c9d6a490----", "8eaef023+2b34+4da1+9baa+8bc8c9d6a490",
	} {
		p, err := Microsoft(tenant)
		refuses(t, tenant, p, err)
	}
}

func TestAnIssuerOfOktaIsAnOrgOrACustomServer(t *testing.T) {
	for issuer, base := range map[string]string{
		"https://acme.okta.com":                         "https://acme.okta.com/oauth2/v1",
		"https://acme.okta.com/":                        "https://acme.okta.com/oauth2/v1",
		"https://acme.okta.com/oauth2/default":          "https://acme.okta.com/oauth2/default/v1",
		"https://login.acme.example/oauth2/aus1gz9abc/": "https://login.acme.example/oauth2/aus1gz9abc/v1",
		"acme.oktapreview.com":                          "https://acme.oktapreview.com/oauth2/v1",
	} {
		p, err := Okta(issuer, nil)
		if err != nil {
			t.Errorf("%q: %v", issuer, err)
			continue
		}
		if p.Endpoint.AuthURL != base+"/authorize" || p.Endpoint.TokenURL != base+"/token" || p.RevokeURL != base+"/revoke" {
			t.Errorf("%q: %+v and %s", issuer, p.Endpoint, p.RevokeURL)
		}
	}
	for _, issuer := range append(badSites,
		"https://acme.okta.com/oauth2", "https://acme.okta.com/oauth2/v1", "https://acme.okta.com/oauth2/default/v1/token",
		"https://acme.okta.com/app", "https://{yourOktaDomain}/oauth2/default") {
		p, err := Okta(issuer, nil)
		refuses(t, issuer, p, err)
	}
}

func TestADomainOfAuth0IsAHost(t *testing.T) {
	for _, domain := range []string{"acme.eu.auth0.com", "https://acme.eu.auth0.com", "https://acme.eu.auth0.com/"} {
		p, err := Auth0(domain, nil)
		if err != nil {
			t.Errorf("%q: %v", domain, err)
			continue
		}
		const base = "https://acme.eu.auth0.com"
		if p.Endpoint.AuthURL != base+"/authorize" || p.Endpoint.TokenURL != base+"/oauth/token" || p.RevokeURL != base+"/oauth/revoke" {
			t.Errorf("%q: %+v and %s", domain, p.Endpoint, p.RevokeURL)
		}
	}
	for _, domain := range append(badSites, "YOUR_DOMAIN", "https://acme.eu.auth0.com/oauth/token") {
		p, err := Auth0(domain, nil)
		refuses(t, domain, p, err)
	}
}

func TestALoginOfSalesforceIsAHostOrASite(t *testing.T) {
	for login, base := range map[string]string{
		"https://login.salesforce.com":        "https://login.salesforce.com",
		"https://test.salesforce.com/":        "https://test.salesforce.com",
		"https://acme.my.salesforce.com":      "https://acme.my.salesforce.com",
		"acme--dev.sandbox.my.salesforce.com": "https://acme--dev.sandbox.my.salesforce.com",
		"https://acme.my.site.com/support":    "https://acme.my.site.com/support",
	} {
		p, err := Salesforce(login, nil)
		if err != nil {
			t.Errorf("%q: %v", login, err)
			continue
		}
		base += "/services/oauth2"
		if p.Endpoint.AuthURL != base+"/authorize" || p.Endpoint.TokenURL != base+"/token" || p.RevokeURL != base+"/revoke" {
			t.Errorf("%q: %+v and %s", login, p.Endpoint, p.RevokeURL)
		}
	}
	for _, login := range append(badSites, "https://login.salesforce.com/services/oauth2/token", "https://login.salesforce.com/services") {
		p, err := Salesforce(login, nil)
		refuses(t, login, p, err)
	}
}

// badSites are no URLs of servers.
var badSites = []string{
	"", "acme", "https://", "http://acme.example", "ftp://acme.example", "https://localhost", "https://ana:pass@acme.example",
	"https://acme.example?x=y", "https://acme.example?", "https://acme.example#x", "https://acme.example/a%2Fb", "https://10.0.0.1", "https://acme .example", "https:acme.example", "\x7f",
}

func TestASettingIsWhatTheServerCanBeSetTo(t *testing.T) {
	const (
		okta       = "https://acme.okta.com"
		auth0      = "acme.auth0.com"
		salesforce = "https://login.salesforce.com"
	)
	for name, c := range map[string]struct {
		preset func(string, *Setting) (Provider, error)
		where  string
		set    Setting
		good   bool
	}{
		"okta: single use":              {Okta, okta, Setting{}, true},
		"okta: reusable":                {Okta, okta, Setting{Rotation: Reusable}, true},
		"okta: the longest leeway":      {Okta, okta, Setting{Leeway, time.Minute}, true},
		"okta: a longer leeway":         {Okta, okta, Setting{Leeway, 61 * time.Second}, false},
		"okta: a leeway of nothing":     {Okta, okta, Setting{Leeway, 0}, false},
		"okta: a leeway of less":        {Okta, okta, Setting{Leeway, -time.Second}, false},
		"okta: reusable with a grace":   {Okta, okta, Setting{Reusable, time.Second}, false},
		"okta: single use with a grace": {Okta, okta, Setting{SingleUse, time.Second}, false},
		"okta: another rotation":        {Okta, okta, Setting{Rotation: 3}, false},
		"okta: another rotation below":  {Okta, okta, Setting{Rotation: -1}, false},
		"auth0: single use":             {Auth0, auth0, Setting{}, true},
		"auth0: reusable":               {Auth0, auth0, Setting{Rotation: Reusable}, true},
		"auth0: leeway":                 {Auth0, auth0, Setting{Leeway, 3 * time.Second}, true},
		"auth0: a leeway of nothing":    {Auth0, auth0, Setting{Leeway, 0}, false},
		"salesforce: single use":        {Salesforce, salesforce, Setting{}, true},
		"salesforce: reusable":          {Salesforce, salesforce, Setting{Rotation: Reusable}, true},
		"salesforce: leeway":            {Salesforce, salesforce, Setting{Leeway, time.Second}, false},
	} {
		t.Run(name, func(t *testing.T) {
			set := c.set
			p, err := c.preset(c.where, &set)
			if set != c.set {
				t.Error("the setting was changed")
			}
			if !c.good {
				refuses(t, "", p, err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.Rotation != c.set.Rotation || p.Grace != c.set.Grace || p.Unleased {
				t.Errorf("it is %v with a grace of %v, unleased: %v", p.Rotation, p.Grace, p.Unleased)
			}
		})
	}
}
