package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource"
)

// A function lives for many invocations, one at a time. Between them the process is frozen.
type function struct {
	store   *token.Store
	conf    *oauth2.Config
	api     string
	sources map[string]*tokensource.Source // by user
}

func (f *function) handle(ctx context.Context, event []byte) ([]byte, error) {
	var in struct {
		User string `json:"user"`
	}
	if err := json.Unmarshal(event, &in); err != nil || in.User == "" {
		return nil, errors.New(`the event is not like {"user": "ana@example.com"}`)
	}
	text, err := f.ask(ctx, in.User)
	if err != nil {
		return nil, err // tokensource.ErrNeedsReauth or token.ErrNotFound: the user has to log in
	}
	return json.Marshal(map[string]string{"answer": text})
}

// ask returns what the API says to a user.
func (f *function) ask(ctx context.Context, user string) (text string, err error) {
	source := f.sources[user] // with the access token of the invocation before
	if source == nil {
		who := &token.OAuthToken{UserSignature: token.UserSignature{Name: user}}
		if source, err = tokensource.New(f.store, f.conf, who, nil); err != nil {
			return "", err
		}
		f.sources[user] = source
	}
	defer func() { err = errors.Join(err, source.Flush(ctx)) }() // once there is an answer, Lambda freezes the process
	return get(ctx, source.Client(ctx), f.api)
}

func get(ctx context.Context, client *http.Client, url string) (text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the API says %s", resp.Status)
	}
	return string(body), err
}
