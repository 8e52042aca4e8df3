package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/examples/authserver"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource"
)

const processes = 20

type story struct {
	server  *authserver.Server
	secrets *awssmtest.Server

	first *oauth2.Token         // of the login
	all   []*tokensource.Source // one for each process

	refreshes, spent, reused int
}

// process returns the source of a process. Its store is its own: it shares nothing with the others but the service.
func (s *story) process(ctx context.Context) (*tokensource.Source, error) {
	client, err := s.secrets.Client(ctx)
	if err != nil {
		return nil, err
	}
	store, err := awssm.New(client, "prod/oauth", nil)
	if err != nil {
		return nil, err
	}
	ana := &token.OAuthToken{UserSignature: token.UserSignature{Name: "ana@example.com"}, ClientSecret: token.NewSecret(authserver.ClientSecret)}
	return tokensource.New(store, s.server.Config(), ana, nil)
}

// each does something in all processes at once.
func (s *story) each(do func(*tokensource.Source) error) error {
	var wg sync.WaitGroup
	errs := make([]error, len(s.all))
	for i, p := range s.all {
		wg.Go(func() { errs[i] = do(p) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// get calls the API.
func (s *story) get(ctx context.Context, c *http.Client) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.API(), nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// refresh has every process ask for a token, and makes sure that they get the same one.
func (s *story) refresh(ctx context.Context) error {
	var got sync.Map
	err := s.each(func(p *tokensource.Source) error {
		t, err := p.TokenContext(ctx)
		if err == nil {
			got.Store(t.AccessToken, true)
		}
		return err
	})
	n := 0
	got.Range(func(any, any) bool { n++; return true })
	if s.refreshes++; err == nil && n != 1 {
		err = fmt.Errorf("there are %d tokens", n)
	}
	_, s.spent, s.reused = s.server.Count()
	return err
}

// wait waits until a time has come.
func wait(ctx context.Context, until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
