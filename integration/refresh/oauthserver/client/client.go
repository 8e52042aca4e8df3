// Package client is how a program sees the OAuth server of package oauthserver: it does
// not link fosite.
package client

import (
	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// The one client that the server knows.
const (
	ID       = "tokenkeep"
	Callback = "http://127.0.0.1/callback"
)

// Config is that of the client of the server at a URL.
func Config(url, secret string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: ID, ClientSecret: secret, RedirectURL: Callback, Scopes: []string{"offline"},
		Endpoint: oauth2.Endpoint{AuthURL: url + "/auth", TokenURL: url + "/token", AuthStyle: oauth2.AuthStyleInHeader},
	}
}

// Provider describes the server at a URL.
func Provider(url string) provider.Provider {
	return provider.Provider{Name: "fosite", Rotation: provider.SingleUse, RevokeURL: url + "/revoke"}
}
