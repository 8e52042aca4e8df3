package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/examples/authserver"
	"github.com/tokenkeep/tokenkeep/tokensource"
)

func (s *story) login(ctx context.Context) (string, error) {
	web, err := s.process(ctx)
	if err != nil {
		return "", err
	}
	s.server.SetLifetime(3 * time.Second)
	s.first, err = web.Exchange(ctx, s.server.Approve("ana@example.com"))
	s.server.SetLifetime(time.Hour)
	return "The code that her browser brings is exchanged for tokens, which are one record in the\n" +
		"store now. This first access token lives for three seconds, those to come for an hour.", err
}

func (s *story) expire(ctx context.Context) (string, error) {
	for range processes {
		p, err := s.process(ctx)
		if err != nil {
			return "", err
		}
		s.all = append(s.all, p)
	}
	if err := wait(ctx, s.first.Expiry); err != nil {
		return "", err
	}
	return "One of them announces the refresh in the record, spends the refresh token, and stores\n" +
		"the new ones. The other 19 see that, and find them there: all 20 have the same.", s.refresh(ctx)
}

func (s *story) call(ctx context.Context) (string, error) {
	s.secrets.ResetCalls()
	err := s.each(func(p *tokensource.Source) error {
		for range 10 {
			if status, err := s.get(ctx, p.Client(ctx)); err != nil || status != http.StatusOK {
				return errors.Join(err, fmt.Errorf("the API says %d", status))
			}
		}
		return nil
	})
	return fmt.Sprintf("200 calls, and %d requests to AWS: as long as a token is good, a source asks nobody.",
		len(s.secrets.Calls())), err
}

func (s *story) reject(ctx context.Context) (string, error) {
	s.server.RevokeAccess()
	err := s.each(func(p *tokensource.Source) error {
		t, err := p.TokenContext(ctx)
		if err == nil {
			p.Reject(t) // as a program does that got 401
		}
		return err
	})
	return "Each of them says so to its source (Reject), and asks for another one. Again one\n" +
		"process refreshes.", errors.Join(err, s.refresh(ctx))
}

func (s *story) without(ctx context.Context) (string, error) {
	conf := s.server.Config()
	conf.ClientSecret = authserver.ClientSecret
	bo, err := conf.Exchange(ctx, s.server.Approve("bo@example.com"))
	if err != nil {
		return "", err
	}
	copied := &oauth2.Token{RefreshToken: bo.RefreshToken} // as of a file, say
	one, err := conf.TokenSource(ctx, copied).Token()
	if err != nil {
		return "", err
	}
	_, refused := conf.TokenSource(ctx, copied).Token()
	status, err := s.get(ctx, conf.Client(ctx, one))
	if err != nil || refused == nil || status != http.StatusUnauthorized {
		return "", errors.Join(err, errors.New("the second one did no harm"))
	}
	return "Bo logs in, and two programs refresh by themselves. The second one's refresh token is\n" +
		"spent. Now the API refuses the first one's new token, too: Bo has to log in again.", nil
}

func (s *story) withdraw(ctx context.Context) (string, error) {
	s.server.Revoke("ana@example.com")
	err := s.each(func(p *tokensource.Source) error {
		t, err := p.TokenContext(ctx)
		if err != nil {
			return err
		}
		p.Reject(t)
		if _, err = p.TokenContext(ctx); errors.Is(err, tokensource.ErrNeedsReauth) {
			return nil
		}
		return errors.Join(err, errors.New("a source goes on as if nothing had happened"))
	})
	return "The first process that refreshes learns it, and writes it down for the others. All 20\n" +
		"say: " + tokensource.ErrNeedsReauth.Error() + ".", err
}
