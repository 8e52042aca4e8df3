package provider

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// adapted is the token that a preset makes of a response.
func adapted(t *testing.T, p Provider, body string) *oauth2.Token {
	t.Helper()
	got, _, err := refresh(t, p, answer{body: body})
	if err != nil {
		t.Fatal(err)
	}
	if got, err = p.Adapt(got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestALifetimeOfZohoIsAnHourHoweverItIsTold(t *testing.T) {
	for name, body := range map[string]string{
		"in seconds":                        `{"access_token":"a2","expires_in":3600,"api_domain":"https://www.zohoapis.eu","token_type":"Bearer"}`,
		"in milliseconds, and in seconds":   `{"access_token":"a2","expires_in_sec":3600,"expires_in":3600000,"api_domain":"https://www.zohoapis.eu","token_type":"Bearer"}`,
		"in seconds only":                   `{"access_token":"a2","expires_in_sec":3600,"api_domain":"https://www.zohoapis.eu","token_type":"Bearer"}`,
		"in seconds twice":                  `{"access_token":"a2","expires_in_sec":3600,"expires_in":3600,"api_domain":"https://www.zohoapis.eu","token_type":"Bearer"}`,
		"in milliseconds as text, and both": `{"access_token":"a2","expires_in_sec":"3600","expires_in":"3600000","api_domain":"https://www.zohoapis.eu","token_type":"Bearer"}`,
	} {
		t.Run(name, func(t *testing.T) {
			got := adapted(t, presets["zoho"], body)
			if left := time.Until(got.Expiry); left < 59*time.Minute || left > time.Hour {
				t.Errorf("it has %v to live", left)
			}
			if got.ExpiresIn != 3600 {
				t.Errorf("it lives for %d seconds", got.ExpiresIn)
			}
			if got.AccessToken != "a2" || got.RefreshToken != "r1" {
				t.Error("the tokens changed")
			}
			if domain := got.Extra("api_domain"); domain != "https://www.zohoapis.eu" {
				t.Errorf("its api_domain is %v", domain)
			}
		})
	}
}

func TestALifetimeThatZohoDoesNotTellStaysUntold(t *testing.T) {
	for name, body := range map[string]string{
		"nothing is said": `{"access_token":"a2"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := adapted(t, presets["zoho"], body); !got.Expiry.IsZero() {
				t.Errorf("it expires at %v", got.Expiry)
			}
		})
	}
}

// The bodies are the examples of oauth.v2.access.
func TestATokenOfSlackIsABearerToken(t *testing.T) {
	for name, body := range map[string]string{
		"that of a bot":  `{"ok":true,"access_token":"xoxe.xoxb-1-..","token_type":"bot","scope":"commands","bot_user_id":"U0KRQLJ9H","app_id":"A0KRD7HC3","expires_in":43200,"refresh_token":"xoxe-1-...","team":{"name":"Slack Softball Team","id":"T9TK3CUKW"},"authed_user":{"id":"U1234","scope":"chat:write","access_token":"xoxe.xoxp-1234","expires_in":43200,"refresh_token":"xoxe-1-u...","token_type":"user"}}`,
		"that of a user": `{"ok":true,"access_token":"xoxe.xoxb-1-..","token_type":"user","user_id":"U1234","expires_in":43200,"refresh_token":"xoxe-1-..."}`,
	} {
		t.Run(name, func(t *testing.T) {
			got := adapted(t, Slack(), body)
			var r http.Request
			r.Header = http.Header{}
			got.SetAuthHeader(&r)
			if h := r.Header.Get("Authorization"); h != "Bearer xoxe.xoxb-1-.." {
				t.Errorf("it is sent as %q", h)
			}
			if got.RefreshToken != "xoxe-1-..." {
				t.Errorf("the next refresh token is %q", got.RefreshToken)
			}
			if left := time.Until(got.Expiry); left < 11*time.Hour || left > 12*time.Hour {
				t.Errorf("it has %v to live", left)
			}
		})
	}
}

func TestTheUsersTokenStaysBesideThatOfTheBot(t *testing.T) {
	got := adapted(t, Slack(), `{"ok":true,"access_token":"xoxb","token_type":"bot","authed_user":{"id":"U1234","access_token":"xoxp-1234"}}`)
	user, _ := got.Extra("authed_user").(map[string]any)
	if user["access_token"] != "xoxp-1234" {
		t.Errorf("the user is %v", user)
	}
}

func TestAResponseWithTheUsersTokenAloneIsNoneForXOAuth2(t *testing.T) {
	_, _, err := refresh(t, Slack(), answer{body: `{"ok":true,"app_id":"A0118NQPZZC","authed_user":{"id":"U065VRX1T0","access_token":"xoxp-yoda-yoda-yoda","token_type":"user"}}`})
	if err == nil || !strings.Contains(err.Error(), "missing access_token") {
		t.Errorf("x/oauth2 returned %v", err)
	}
}
