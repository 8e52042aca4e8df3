// Command worker is a program that works with the tokens of a few users, one of many: it has a
// source for each user, asks for tokens again and again, and uses them. It writes
// down what it got (package said). It ends when its standard input does.
//
// Its environment says what it works with:
//
//	WORKER_NAME      its User-Agent
//	WORKER_SERVICE   "aws" or "vault"
//	WORKER_STORE     the URL of the service
//	WORKER_KEY       the token for Vault
//	WORKER_OAUTH     the URL of the OAuth server
//	WORKER_SECRET    that of the OAuth client
//	WORKER_USERS     the users, with spaces between
//	WORKER_TIMEOUT   Options.Timeout of its sources
//	WORKER_PAUSE     about how long it waits between two calls for one user
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/integration/refresh/oauthserver/client"
	"github.com/tokenkeep/tokenkeep/integration/refresh/said"
	"github.com/tokenkeep/tokenkeep/integration/refresh/service"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

// A worker is what main makes of the environment.
type worker struct {
	oauth string
	pause time.Duration
	http  *http.Client
	lines *said.Writer
}

func run() error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	timeout, err := time.ParseDuration(os.Getenv("WORKER_TIMEOUT"))
	if err != nil {
		return err
	}
	w := &worker{oauth: os.Getenv("WORKER_OAUTH"), lines: said.NewWriter(os.Stdout), http: &http.Client{
		Transport: agent{os.Getenv("WORKER_NAME"), &http.Transport{MaxIdleConnsPerHost: 4}},
	}}
	if w.pause, err = time.ParseDuration(os.Getenv("WORKER_PAUSE")); err != nil {
		return err
	}
	through := counter{&http.Transport{MaxIdleConnsPerHost: 4}}
	users := strings.Fields(os.Getenv("WORKER_USERS"))
	stores, err := service.Stores(os.Getenv("WORKER_SERVICE"), os.Getenv("WORKER_STORE"), os.Getenv("WORKER_KEY"), users, through)
	if err != nil {
		return err
	}
	conf := client.Config(w.oauth, os.Getenv("WORKER_SECRET"))
	// As the default has it, a connection for each request.
	tokens := &http.Client{Transport: agent{os.Getenv("WORKER_NAME"), &http.Transport{DisableKeepAlives: true}}}
	options := &tokensource.Options{Provider: client.Provider(w.oauth), HTTPClient: tokens, Timeout: timeout, Logger: logger(w.lines)}
	var all sync.WaitGroup
	ends := make(chan error)
	for _, user := range users {
		source, err := tokensource.New(stores[user], conf, &token.OAuthToken{UserSignature: token.UserSignature{Name: user}}, options)
		if err != nil {
			return err
		}
		all.Go(func() { ends <- w.work(ctx, source, user) })
	}
	go func() { all.Wait(); close(ends) }()
	var errs []error
	for err := range ends {
		errs = append(errs, err)
	}
	end := said.Line{Ended: "well"}
	if err := errors.Join(errs...); err != nil {
		end.Ended = err.Error()
	}
	w.lines.Write(end)
	return nil
}

// work asks for tokens of a user until ctx ends, and stores then what is not stored yet.
func (w *worker) work(ctx context.Context, source *tokensource.Source, user string) error {
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return flush(ctx, source)
		case <-time.After(w.pause/2 + rand.N(w.pause)): //nolint:gosec // a wait needs no secrecy
		}
		w.ask(ctx, source, user, first)
	}
}

func flush(ctx context.Context, source *tokensource.Source) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return source.Flush(ctx)
}

// ask asks for a token and uses it.
func (w *worker) ask(ctx context.Context, source *tokensource.Source, user string, first bool) {
	c := &call{user: user}
	began := time.Now()
	tok, err := source.TokenContext(context.WithValue(ctx, callKey{}, c))
	l := &said.Call{User: user, Took: time.Since(began), Stored: int(c.stored.Load()), How: said.Warm}
	switch {
	case first:
		l.How = said.First
	case c.refreshed.Load():
		l.How = said.Refreshed
	case l.Stored > 0 || l.Took > time.Millisecond:
		l.How = said.Found
	}
	if reauth, ok := errors.AsType[*tokensource.ReauthError](err); ok {
		l.Cause = string(reauth.Cause)
	}
	if err != nil {
		l.Err = err.Error()
	}
	if tok != nil {
		l.Access, l.Left = said.Fingerprint(tok.AccessToken), time.Until(tok.Expiry)
		if l.Used = w.use(ctx, tok); l.Used != user && l.Used != said.NoAnswer {
			source.Reject(tok)
		}
	}
	if ctx.Err() == nil { // otherwise it tells nothing
		w.lines.Write(said.Line{Call: l})
	}
}

// use does what the token is for, and returns what the resource server answers.
func (w *worker) use(ctx context.Context, tok *oauth2.Token) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.oauth+"/resource", http.NoBody)
	if err != nil {
		return said.NoAnswer
	}
	tok.SetAuthHeader(r)
	resp, err := w.http.Do(r)
	if err != nil {
		return said.NoAnswer
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return said.NoAnswer
	}
	return string(body)
}

// agent is a transport that says whose requests they are.
type agent struct {
	name string
	base http.RoundTripper
}

// RoundTrip names the worker.
func (a agent) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", a.name)
	return a.base.RoundTrip(r)
}
