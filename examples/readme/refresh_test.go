package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/tokenkeep/tokenkeep/examples/authserver"
	tokens "github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
	"github.com/tokenkeep/tokenkeep/tokensource"
)

// Another server is where Google's would be.
type another struct {
	url   *url.URL
	below http.RoundTripper
}

func (a another) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != a.url.Host {
		r = r.Clone(r.Context())
		r.URL = a.url
	}
	return a.below.RoundTrip(r)
}

func TestTheCodeForRefreshesWorks(t *testing.T) {
	srv := authserver.New()
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL + "/token")
	if err != nil {
		t.Fatal(err)
	}
	before := http.DefaultTransport
	http.DefaultTransport = another{u, before}
	t.Cleanup(func() { http.DefaultTransport = before })
	store, err := memstore.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	// get calls the API with the code of a login.
	get := func(ctx context.Context, code string) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.API(), nil)
		if err != nil {
			return "", err
		}
		ana := tokens.OAuthToken{UserSignature: tokens.UserSignature{Name: "ana"}}
		resp, err := call(ctx, store, ana, authserver.ClientSecret, code, req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	code := srv.Approve("ana")
	for range 2 { // the second time, the code is that of the record
		if got, err := get(t.Context(), code); got != "hello ana" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if _, err := get(t.Context(), "another code"); !errors.Is(err, tokensource.ErrProvider) {
		t.Errorf("another code: %v", err)
	}
}
