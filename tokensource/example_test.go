package tokensource_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
	"github.com/tokenkeep/tokenkeep/tokensource"
)

// Two programs share the tokens of one user: the first logs in, the second calls an API with the token
// that it finds.
func ExampleSource() {
	// An OAuth server, and an API that tells which token it saw.
	mux := http.NewServeMux()
	mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"access-1","refresh_token":"refresh-1","token_type":"Bearer","expires_in":3600}`)
	})
	mux.HandleFunc("/api", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Authorization"))
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	store, err := memstore.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	conf := &oauth2.Config{ClientID: "my-client", ClientSecret: "my-secret", Endpoint: oauth2.Endpoint{
		TokenURL: server.URL + "/token", AuthStyle: oauth2.AuthStyleInHeader,
	}}
	ana := &token.OAuthToken{UserSignature: token.UserSignature{Name: "ana@example.com"}}

	ctx := context.Background()
	first, err := tokensource.New(store, conf, ana, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := first.Token(); errors.Is(err, token.ErrNotFound) {
		fmt.Println("Ana has to log in")
	}
	if _, err := first.Exchange(ctx, "the code that her browser brought"); err != nil {
		fmt.Println(err)
		return
	}

	second, err := tokensource.New(store, conf, ana, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api", http.NoBody)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := second.Client(ctx).Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(string(body), err)

	// Output:
	// Ana has to log in
	// Bearer access-1 <nil>
}

// What a record says of its refresh tells why a user has to log in again, and since when.
func ExampleStateOf() {
	record := &token.OAuthToken{ID: "ana", RefreshToken: token.NewSecret("refresh-1")}
	state, err := tokensource.StateOf(record)
	if err != nil {
		fmt.Println(err)
		return
	}
	if state.Reauth == "" && state.Holder == "" {
		fmt.Println("nobody refreshes it at the moment")
	}
	// Output: nobody refreshes it at the moment
}
