// Package tokensource refreshes OAuth tokens that a [token.Store] keeps, so that of any number of
// processes exactly one spends a refresh token.
//
// A [Source] is an oauth2.TokenSource for one record:
//
//	source, err := tokensource.New(store, conf, &token.OAuthToken{UserSignature: user}, nil)
//	...
//	client := source.Client(ctx) // sends Ana's access token with each request
//
// As long as the access token is good, nothing is asked of the store or the provider. Some time before
// it expires one process refreshes it: it writes its intent into the record, by compare-and-set,
// before it sends the refresh token to the provider, and writes the new tokens after it. The other
// processes go on with the token that they have, and find the new one in the record.
//
// What happens when a process dies in between, when answers are lost and when the store fails is told in
// docs/refresh.md of the repository, with the reasons why it is safe. Package provider says what is
// particular about OAuth servers.
package tokensource

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// Options configure a [Source]. The zero value, and nil, are good defaults.
type Options struct {
	// Provider describes the OAuth server, such as provider.Google(). The zero value does no
	// harm with any server that follows RFC 6749.
	Provider provider.Provider

	// HTTPClient sends what goes to the provider. Its redirects are not followed, and its Transport must not repeat a
	// POST by itself: a refresh token would be sent twice. Nil: one on [http.DefaultTransport], but with a connection
	// for each request, since one on an old connection that breaks may or may not have spent the refresh token.
	HTTPClient *http.Client

	// Timeout bounds each request to the provider. Zero: 8 seconds. At least one second, at most a
	// minute. How long other processes wait before they take over the refresh of one that died follows
	// from it: three and three quarters of it, half a minute if it is 8 seconds.
	Timeout time.Duration

	// Logger is told of refreshes, and of what goes wrong while the token at hand is still good. It
	// is never told a token, a client secret or a user. Nil: nobody is told.
	Logger *slog.Logger
}

const (
	defaultTimeout = 8 * time.Second
	minTimeout     = time.Second
	maxTimeout     = time.Minute
)

// A Source returns the access token of one record, and refreshes it when that is due. It is safe for
// concurrent use, and there may be any number of them for one record in any number of processes. Make one
// for each record that a program works with, and keep it: it holds the token that is good at the moment.
type Source struct {
	store    *token.Store
	conf     oauth2.Config
	provider provider.Provider
	who      token.OAuthToken
	client   *http.Client
	log      *slog.Logger
	timeout  time.Duration
	instance string // random: what the jitter of this source is made from

	current atomic.Pointer[current]

	failures atomic.Int32  // in a row
	storing  chan struct{} // holds one element while a login is stored

	mu       sync.Mutex
	id       string        // of the record, once it was found
	flight   *flight       // the one that is on
	rejected []rejection   // the last few
	login    *unsavedLogin // what Exchange could not store
	issue    issue         // of the access token that the record had when it was read last
}

// A rejection is an access token that a resource server refused, and the exchange that it came of: what
// another one brings is another token, even if it looks the same.
type rejection struct {
	access   token.Secret
	exchange string
}

var _ oauth2.TokenSource = (*Source)(nil)

// New returns the source of the record that who names as for [token.Store.FindToken]: by its ID, or by its
// user, or by a token that it holds. who is copied. It does no I/O: the record may come to be
// later, by [Source.Exchange] for example.
//
// conf is the OAuth client. What its Endpoint leaves empty is the provider's, and an AuthStyle that neither names is HTTP
// Basic: to find it out, as x/oauth2 does, takes two requests with one refresh token. If conf has no ClientID, the client
// is the one that the record names. opts may be nil.
func New(store *token.Store, conf *oauth2.Config, who *token.OAuthToken, opts *Options) (*Source, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	s := &Source{
		store:    store,
		provider: o.Provider,
		client:   withoutRedirects(o.HTTPClient),
		log:      cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		timeout:  cmp.Or(o.Timeout, defaultTimeout),
		instance: rand.Text(),
		storing:  make(chan struct{}, 1),
	}
	s.provider.Name = cmp.Or(s.provider.Name, "provider")
	invalid := func(why string) (*Source, error) {
		return nil, fmt.Errorf("tokenkeep: new token source: %w: %s", token.ErrInvalid, why)
	}
	switch {
	case store == nil:
		return invalid("the store is nil")
	case conf == nil:
		return invalid("the oauth2.Config is nil")
	case who == nil:
		return invalid("the token that names the record is nil")
	case who.ID == "" && who.UserSignature.Name == "" && who.AccessToken.IsZero() && who.GrantToken.IsZero() && who.RefreshToken.IsZero():
		return invalid("the token names no id, user, grant, refresh or access token")
	case o.Timeout != 0 && (o.Timeout < minTimeout || o.Timeout > maxTimeout):
		return invalid(fmt.Sprintf("Timeout is neither 0 nor between %v and %v", minTimeout, maxTimeout))
	case s.provider.Unleased && s.provider.Rotation != provider.Reusable:
		return invalid("a provider whose refresh tokens are " + s.provider.Rotation.String() + " cannot be Unleased")
	case s.provider.Grace < 0 || s.provider.Lifetime < 0:
		return invalid("the provider's Grace or Lifetime is negative")
	}
	s.conf = oauth2.Config{ClientID: conf.ClientID, ClientSecret: conf.ClientSecret, RedirectURL: conf.RedirectURL, Scopes: conf.Scopes, Endpoint: conf.Endpoint}
	e := &s.conf.Endpoint
	e.AuthURL = cmp.Or(e.AuthURL, s.provider.Endpoint.AuthURL)
	e.TokenURL = cmp.Or(e.TokenURL, s.provider.Endpoint.TokenURL)
	// x/oauth2 would find out the style by sending the refresh token twice.
	e.AuthStyle = cmp.Or(e.AuthStyle, s.provider.Endpoint.AuthStyle, oauth2.AuthStyleInHeader)
	if e.TokenURL == "" {
		return invalid("neither the oauth2.Config nor the provider has a TokenURL")
	}
	s.who, s.id = *who, who.ID
	if s.who.ClientID == "" && !onlyAccess(who) {
		s.who.ClientID = conf.ClientID
	}
	return s, nil
}

// withoutRedirects returns a client that follows no redirects, which would send a refresh token twice, and
// without one of the caller's keeps no connection.
func withoutRedirects(c *http.Client) *http.Client {
	if c == nil {
		c = &http.Client{Transport: http.DefaultTransport}
		if t, ok := http.DefaultTransport.(*http.Transport); ok {
			t = t.Clone()
			t.DisableKeepAlives = true
			c.Transport = t
		}
	}
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// onlyAccess reports whether t names a record by nothing but its access token: that finds a
// record only if no client is named.
func onlyAccess(t *token.OAuthToken) bool {
	return t.ID == "" && t.UserSignature.Name == "" && t.GrantToken.IsZero() && t.RefreshToken.IsZero()
}

// AuthCodeURL returns the address of the page on which the user consents, as oauth2.Config.AuthCodeURL does, at the provider's
// address if the config names none.
func (s *Source) AuthCodeURL(state string, opts ...oauth2.AuthCodeOption) string {
	return s.conf.AuthCodeURL(state, opts...)
}

// Token is [Source.TokenContext] without a context. It makes a Source an oauth2.TokenSource.
func (s *Source) Token() (*oauth2.Token, error) { return s.TokenContext(context.Background()) }

// TokenContext returns an access token that is good for some seconds at least. It makes no call as long as the one
// that it returned before is not due; then one of the calls that need it refreshes it, if no other process
// does. If it is good still, the other calls return it meanwhile, and so does the one if the refresh fails, or
// ctx ends first.
//
// The token has no refresh token: nobody but the source may spend that one. Its Extra are what the record has, such
// as id_token. Do not change it, since it is the one that others get.
//
// The errors are those of the store, [ErrNeedsReauth], [ErrProvider], and
// [ErrNotPersisted], beside which the token is returned: it is good. There is none in the store: [token.ErrNotFound], log in with
// [Source.Exchange]. Another process refreshes and ctx ends first: the error of ctx.
//
// A call that ends early because of ctx does not take the refresh with it once the refresh token was sent: that goes
// on until its answer is stored, for half a minute at most with the default Timeout.
func (s *Source) TokenContext(ctx context.Context) (*oauth2.Token, error) {
	if c := s.current.Load(); c != nil && time.Now().Before(c.until) {
		return c.token, c.err
	}
	return s.join(ctx)
}

// Reject says that a resource server refused t: it was revoked, for example. The next call
// refreshes, unless another process did. Not every 401 is a reason: what a resource server refuses to any
// token would be refreshed for each time.
func (s *Source) Reject(t *oauth2.Token) {
	if t == nil || t.AccessToken == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := rejection{access: token.NewSecret(t.AccessToken), exchange: s.issue.exchange}
	if !r.access.Equal(s.issue.access) {
		return // the record has another one already
	}
	s.rejected = append(s.rejected, r)
	s.rejected = s.rejected[max(0, len(s.rejected)-8):]
	if c := s.current.Load(); c != nil && c.token != nil && c.token.AccessToken == t.AccessToken {
		s.current.Store(nil)
		s.flight = nil // what one that is on will find may be this token
	}
}

// Client returns an HTTP client that authorizes each request with a token of s, which is asked for under the
// context of the request, not under ctx: give requests one (http.NewRequestWithContext). The client below it is that of ctx (oauth2.HTTPClient), as for oauth2.NewClient. A
// token that is not stored yet ([ErrNotPersisted]) is used.
func (s *Source) Client(ctx context.Context) *http.Client {
	t := &transport{source: s, base: http.DefaultTransport}
	c := &http.Client{Transport: t}
	if below, ok := ctx.Value(oauth2.HTTPClient).(*http.Client); ok && below != nil {
		t.base = cmp.Or(below.Transport, t.base)
		c.CheckRedirect, c.Jar, c.Timeout = below.CheckRedirect, below.Jar, below.Timeout
	}
	return c
}

// A transport authorizes requests.
type transport struct {
	source *Source
	base   http.RoundTripper
}

// RoundTrip does what http.RoundTripper asks for: the request that it got stays as it is.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	tok, err := t.source.TokenContext(r.Context())
	if tok == nil || err != nil && !errors.Is(err, ErrNotPersisted) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	r = r.Clone(r.Context())
	tok.SetAuthHeader(r)
	return t.base.RoundTrip(r)
}
