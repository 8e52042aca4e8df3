package tokensource

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// This file is what is said to the provider. x/oauth2 says it.

// usualWait is how long a provider is left alone that does not say how long.
const usualWait = 30 * time.Second

// confFor returns the OAuth client that refreshes a record: the source's, or the record's own if the source
// names none.
func (s *Source) confFor(t *token.OAuthToken) (*oauth2.Config, error) {
	conf := s.conf
	if conf.ClientID == "" {
		conf.ClientID = t.ClientID
	}
	switch {
	case conf.ClientID == "":
		return nil, fmt.Errorf("%w: neither the oauth2.Config nor the record names a client", token.ErrInvalid)
	case t.ClientID != "" && t.ClientID != conf.ClientID:
		// Its refresh token would be refused to this one.
		return nil, fmt.Errorf("%w: record %q is that of another client than the oauth2.Config names", token.ErrInvalid, t.ID)
	case conf.ClientSecret == "":
		conf.ClientSecret = t.ClientSecret.Reveal()
	}
	return &conf, nil
}

// redeem spends a refresh token, and again if the answer was lost and the provider allows that.
func (s *Source) redeem(ctx context.Context, conf *oauth2.Config, l *lease) (*oauth2.Token, *ProviderError) {
	again := s.provider.Rotation == provider.Reusable || s.provider.Rotation == provider.Leeway
	for began := time.Now(); ; {
		issued, err := s.ask(ctx, func(ctx context.Context) (*oauth2.Token, error) {
			return conf.TokenSource(ctx, &oauth2.Token{RefreshToken: l.refresh.Reveal()}).Token()
		}, conf.ClientSecret, l.refresh.Reveal())
		if err == nil || err.Kind != provider.Unclear || !again {
			return issued, err
		}
		if again = false; sleep(ctx, time.Second) != nil || age(l.began) > s.sendTime() {
			return nil, err
		}
		if s.provider.Rotation == provider.Leeway && age(began)+s.timeout > s.provider.Grace {
			return nil, err
		}
		l.unresolved++
	}
}

// ask makes a request of a token endpoint. It goes out once: what is unclear is not repeated here.
func (s *Source) ask(ctx context.Context, request func(context.Context) (*oauth2.Token, error), secrets ...string) (*oauth2.Token, *ProviderError) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, s.client), s.timeout)
	defer cancel()
	began := time.Now()
	issued, err := request(ctx)
	if err == nil && s.provider.Adapt != nil {
		issued, err = s.provider.Adapt(issued)
	}
	if err == nil && (issued == nil || issued.AccessToken == "") {
		err = errNoToken
	}
	if err != nil {
		return nil, s.judge(err, secrets)
	}
	t := *issued
	switch {
	case !t.Expiry.IsZero():
		t.Expiry = t.Expiry.Add(-time.Since(began)) // x/oauth2 counts from the answer, the server from the request
	case s.provider.Lifetime > 0:
		t.Expiry = began.Add(s.provider.Lifetime)
	}
	return &t, nil
}

var errNoToken = errors.New("the answer has no access token")

// judge says what an error of x/oauth2 means. The secrets are what was sent.
func (s *Source) judge(err error, secrets []string) *ProviderError {
	e := &ProviderError{Provider: s.provider.Name, cause: err, wait: usualWait}
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.Response != nil:
		r := provider.Refusal{Status: refused.Response.StatusCode, Code: refused.ErrorCode, Description: refused.ErrorDescription, Wait: retryAfter(refused.Response)}
		verdict := provider.Standard(r)
		if s.provider.Judge != nil {
			verdict = s.provider.Judge(r)
		}
		e.what, e.Status, e.Code, e.Kind = "it issued no token", r.Status, plain(r.Code, secrets...), verdict.Kind
		if verdict.Wait > 0 {
			e.wait = min(verdict.Wait, longestWait)
		}
	case neverSent(err):
		e.what, e.Kind, e.unsent = "it cannot be reached", provider.Later, true
	case errors.Is(err, context.DeadlineExceeded):
		e.what = "it did not answer in time"
	default:
		e.what = "its answer was lost, or is none"
	}
	return e
}

// neverSent reports whether a request certainly did not leave: the connection could not be made.
func neverSent(err error) bool {
	var dial *net.OpError
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &dial) && dial.Op == "dial" || errors.As(err, &name) || errors.As(err, &certificate)
}

// retryAfter reads the header Retry-After, 0 if there is none.
func retryAfter(r *http.Response) time.Duration {
	text := r.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(min(seconds, int(longestWait/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
