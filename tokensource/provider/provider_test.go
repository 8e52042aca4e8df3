package provider

import (
	"cmp"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/endpoints"
)

// must returns the provider of a preset whose arguments are good.
func must(p Provider, err error) Provider {
	if err != nil {
		panic(err)
	}
	return p
}

// presets holds each of them, by its name.
var presets = map[string]Provider{
	"zoho":       must(Zoho(ZohoEU)),
	"google":     Google(),
	"microsoft":  must(Microsoft("common")),
	"okta":       must(Okta("https://acme.okta.com", nil)),
	"auth0":      must(Auth0("acme.eu.auth0.com", nil)),
	"salesforce": must(Salesforce("https://login.salesforce.com", nil)),
	"slack":      Slack(),
}

// An answer is the response of a token endpoint. Its status is 200 unless it says otherwise.
type answer struct {
	status     int
	retryAfter string
	body       string
}

// refresh has x/oauth2 refresh a token at a server that answers so, and returns what comes of
// it and the request. There has to be one request only: a refresh token that was sent twice may be lost.
func refresh(t *testing.T, p Provider, a answer) (*oauth2.Token, *http.Request, error) {
	t.Helper()
	var requests atomic.Int32
	var last atomic.Pointer[http.Request]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		last.Store(r)
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		if a.retryAfter != "" {
			w.Header().Set("Retry-After", a.retryAfter)
		}
		w.WriteHeader(cmp.Or(a.status, http.StatusOK))
		if _, err := w.Write([]byte(a.body)); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()

	conf := oauth2.Config{ClientID: "client", ClientSecret: "secret", Endpoint: p.Endpoint}
	conf.Endpoint.TokenURL = server.URL
	got, err := conf.TokenSource(t.Context(), &oauth2.Token{RefreshToken: "r1"}).Token()
	if n := requests.Load(); n != 1 {
		t.Errorf("the refresh token was sent %d times", n)
	}
	return got, last.Load(), err
}

// verdict is what p says of an answer that x/oauth2 takes for a refusal.
func verdict(t *testing.T, p Provider, a answer) Verdict {
	t.Helper()
	_, _, err := refresh(t, p, a)
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		t.Fatalf("x/oauth2 returned %v, which is no RetrieveError", err)
	}
	seconds, _ := strconv.Atoi(refused.Response.Header.Get("Retry-After"))
	judge := p.Judge
	if judge == nil {
		judge = Standard
	}
	return judge(Refusal{
		Status:      refused.Response.StatusCode,
		Code:        refused.ErrorCode,
		Description: refused.ErrorDescription,
		Wait:        time.Duration(seconds) * time.Second,
	})
}

func TestStandardJudgesByRFC6749AndByTheStatus(t *testing.T) {
	for name, c := range map[string]struct {
		answer answer
		want   Verdict
	}{
		"a grant that is not good is dead":                 {answer{400, "", `{"error":"invalid_grant"}`}, Verdict{Kind: Dead}},
		"case does not count":                              {answer{400, "", `{"error":"INVALID_GRANT"}`}, Verdict{Kind: Dead}},
		"an error with 200 is one":                         {answer{200, "", `{"error":"invalid_grant"}`}, Verdict{Kind: Dead}},
		"a client that is not known is a misconfiguration": {answer{401, "", `{"error":"invalid_client"}`}, Verdict{Kind: Misconfigured}},
		"a client that may not is too":                     {answer{400, "", `{"error":"unauthorized_client"}`}, Verdict{Kind: Misconfigured}},
		"a bad request is too":                             {answer{400, "", `{"error":"invalid_request"}`}, Verdict{Kind: Misconfigured}},
		"a bad scope is too":                               {answer{400, "", `{"error":"invalid_scope"}`}, Verdict{Kind: Misconfigured}},
		"a grant type that is not supported is too":        {answer{400, "", `{"error":"unsupported_grant_type"}`}, Verdict{Kind: Misconfigured}},
		"a busy server is asked later":                     {answer{503, "", `{"error":"temporarily_unavailable"}`}, Verdict{Kind: Later}},
		"a server that counts says when":                   {answer{400, "7", `{"error":"slow_down"}`}, Verdict{Kind: Later, Wait: 7 * time.Second}},
		"429 needs no code":                                {answer{429, "30", `<html>`}, Verdict{Kind: Later, Wait: 30 * time.Second}},
		"429 is later whatever the code is":                {answer{429, "", `{"error":"quota"}`}, Verdict{Kind: Later}},
		"401 needs no code":                                {answer{401, "", ``}, Verdict{Kind: Misconfigured}},
		"404 is a wrong URL":                               {answer{404, "", `<html>`}, Verdict{Kind: Misconfigured}},
		"405 is a wrong URL":                               {answer{405, "", ``}, Verdict{Kind: Misconfigured}},
		"what is not understood is unclear":                {answer{400, "", `{"error":"internal_error"}`}, Verdict{}},
		"a failure of the server is unclear":               {answer{500, "", `{"error":"server_error"}`}, Verdict{}},
		"a failure of a proxy is unclear":                  {answer{502, "", `<html>`}, Verdict{}},
	} {
		t.Run(name, func(t *testing.T) {
			own := Provider{Endpoint: oauth2.Endpoint{AuthStyle: oauth2.AuthStyleInHeader}}
			if got := verdict(t, own, c.answer); got != c.want {
				t.Errorf("judged %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestTheZeroProviderDoesNoHarm(t *testing.T) {
	var p Provider
	if p.Rotation != SingleUse || p.Unleased || p.Grace != 0 {
		t.Errorf("the zero value is %+v", p)
	}
}

func TestARotationSaysItsName(t *testing.T) {
	for r, want := range map[Rotation]string{SingleUse: "single-use", Leeway: "leeway", Reusable: "reusable"} {
		if got := r.String(); got != want {
			t.Errorf("%d is %q, want %q", r, got, want)
		}
	}
}

func TestAPresetIsWhole(t *testing.T) {
	for name, p := range presets {
		t.Run(name, func(t *testing.T) {
			if p.Name != name {
				t.Errorf("its name is %q", p.Name)
			}
			for _, text := range []string{p.Endpoint.AuthURL, p.Endpoint.TokenURL, p.RevokeURL} {
				if text == "" && name == "microsoft" {
					continue // has no endpoint that revokes
				}
				u, err := url.Parse(text)
				if err != nil || u.Scheme != "https" || !hostForm.MatchString(u.Host) || u.Path == "" {
					t.Errorf("%q is no URL of an endpoint", text)
				}
			}
			if p.Endpoint.AuthStyle != oauth2.AuthStyleInHeader && p.Endpoint.AuthStyle != oauth2.AuthStyleInParams {
				t.Error("x/oauth2 would find out how the client is authenticated, and send a refresh token twice")
			}
			if p.Unleased && p.Rotation != Reusable {
				t.Errorf("its tokens are %v, and it is unleased", p.Rotation)
			}
			if (p.Grace > 0) != (p.Rotation == Leeway) {
				t.Errorf("its tokens are %v, with a grace of %v", p.Rotation, p.Grace)
			}
		})
	}
}

func TestAPresetSaysWhatBecomesOfAUsedToken(t *testing.T) {
	type said struct {
		Rotation Rotation
		Grace    time.Duration
		Unleased bool
		Lifetime time.Duration
	}
	want := map[string]said{
		"zoho":       {Rotation: Reusable, Lifetime: time.Hour},
		"google":     {Rotation: Reusable, Lifetime: time.Hour, Unleased: true},
		"microsoft":  {Rotation: Reusable, Lifetime: time.Hour},
		"okta":       {Rotation: Leeway, Grace: 30 * time.Second, Lifetime: time.Hour},
		"auth0":      {Rotation: SingleUse, Lifetime: time.Hour},
		"salesforce": {Rotation: SingleUse, Lifetime: 15 * time.Minute},
		"slack":      {Rotation: SingleUse}, // a token that does not say lives for ever
	}
	got := map[string]said{}
	for name, p := range presets {
		got[name] = said{p.Rotation, p.Grace, p.Unleased, p.Lifetime}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAClientIsAuthenticatedWhereItsServerLooks(t *testing.T) {
	inHeader := map[string]bool{"okta": true, "slack": true}
	for name, p := range presets {
		t.Run(name, func(t *testing.T) {
			_, r, err := refresh(t, p, answer{body: `{"access_token":"a2","token_type":"Bearer"}`})
			if err != nil {
				t.Fatal(err)
			}
			id, secret, header := r.BasicAuth()
			if !header {
				id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
			}
			if header != inHeader[name] || id != "client" || secret != "secret" {
				t.Errorf("sent %q and %q, in the header: %v", id, secret, header)
			}
			if got := r.PostForm.Get("grant_type"); got != "refresh_token" || r.PostForm.Get("refresh_token") != "r1" {
				t.Errorf("sent the form %v", r.PostForm)
			}
		})
	}
}

// Where x/oauth2 knows a server too, the URLs are the same.
func TestTheURLsAreThoseOfXOAuth2(t *testing.T) {
	for name, want := range map[string]oauth2.Endpoint{
		"google":    endpoints.Google,
		"microsoft": endpoints.AzureAD("common"),
		"slack":     endpoints.Slack,
	} {
		got := presets[name].Endpoint
		if got.AuthURL != want.AuthURL || got.TokenURL != want.TokenURL {
			t.Errorf("%s: %s and %s, want %s and %s", name, got.AuthURL, got.TokenURL, want.AuthURL, want.TokenURL)
		}
	}
}
