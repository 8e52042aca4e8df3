package vaultstore

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file sends requests, and repeats them while a cluster has no leader.

// The bounds of one request, within those of the context.
const (
	callTimeout = 15 * time.Second
	// patience is for how long a request that was refused or not answered is repeated: a
	// cluster that loses its leader has another one in less, as a rule.
	patience = 30 * time.Second
)

// A request is one of Vault's API.
type request struct {
	op, name string
	method   string
	path     string
	params   url.Values
	body     any
	how      driver.Freshness
	seen     *attempts // nil: nobody asks
	looks    *attempts // those that it is to explain; nil: none
	began    time.Time // what it is part of; zero: it begins now
}

// Attempts are what is known of the requests of one write.
type attempts struct {
	// unsure: one may have been applied, or may still be, though it was not answered so.
	unsure bool
	// resent: the client repeated one by itself, after an answer that nobody saw. One that
	// it sent to another node, as it was told to, is none.
	resent bool
	// moved: the last one went to another node, as a first one told the client. That may
	// have tried before to pass it on itself.
	moved bool
	// late: Vault could not be asked at once what became of them, and others had the time
	// to write.
	late bool
}

// call sends a request and repeats it until it is answered.
func (d *Driver) call(ctx context.Context, r request) ([]byte, *driver.Error) {
	if r.began.IsZero() {
		r.began = time.Now()
	}
	for try := 0; ; try++ {
		body, e := d.send(ctx, r)
		if e == nil {
			return body, nil
		}
		if !passes(e.Kind) || time.Since(r.began) > patience {
			if !errors.Is(e.Kind, errNone) {
				e = final(e)
			}
			return body, e
		}
		if r.looks != nil && e.Hint != behindHint { // another node, or the same one in a moment
			r.looks.late = true
		}
		if err := pause(ctx, try, e); err != nil {
			e = final(e)
			e.Cause = errors.Join(err, e.Cause)
			return nil, e
		}
	}
}

// send makes one request, with one more after a login if the token was refused.
func (d *Driver) send(ctx context.Context, r request) ([]byte, *driver.Error) {
	token := d.client.Token()
	body, e := d.sendOnce(ctx, r)
	if e != nil && e.Hint == permissionHint && token == "" {
		e.Hint = expiredHint // who has no token is denied, and is not told why
	}
	if e == nil || d.login.do == nil || !errors.Is(e.Kind, driver.ErrPermission) {
		return body, e
	}
	again, err := d.login.anew(ctx, d.client, token, e.Hint != permissionHint)
	switch {
	case err != nil:
		return nil, failedLogin(ctx, r.name, err)
	case !again:
		return nil, e
	}
	return d.sendOnce(ctx, r)
}

// sendOnce makes one request. The body of an answer that says that there is nothing is
// returned with the error.
//
// The client's methods that are not deprecated hide a 404 whose text says that there is
// no such mount, or take a client that is copied while somebody may set its token.
func (d *Driver) sendOnce(ctx context.Context, r request) ([]byte, *driver.Error) {
	if err := ctx.Err(); err != nil {
		return nil, failed(ctx, r.op, r.name, err)
	}
	if strings.ContainsFunc(d.client.Token(), unicode.IsControl) {
		return nil, &driver.Error{Op: r.op, Name: r.name, Kind: driver.ErrPermission, Hint: brokenHint}
	}
	req := d.client.NewRequest(r.method, "/v1/"+r.path)
	req.WrapTTL = "" // whatever the client or its environment asks to be wrapped
	maps.Copy(req.Params, r.params)
	if r.how == driver.Fresh {
		if req.Headers == nil {
			req.Headers = http.Header{}
		}
		d.written.require(req.Headers)
	}
	if r.body != nil {
		if err := req.SetJSONBody(r.body); err != nil {
			return nil, &driver.Error{Op: r.op, Name: r.name, Kind: driver.ErrInvalid, Cause: err}
		}
	}
	var sent sendings
	bounded, cancel := context.WithTimeout(sent.watch(ctx), callTimeout)
	defer cancel()
	resp, err := d.client.RawRequestWithContext(bounded, req) //nolint:staticcheck // see above
	body, err := d.receive(resp, err)
	if err == nil {
		return body, nil
	}
	if r.seen != nil {
		some, repeated, moved := sent.count()
		r.seen.unsure = r.seen.unsure || some && tellsNothing(err)
		r.seen.resent = r.seen.resent || repeated
		r.seen.moved = moved
	}
	e := failed(ctx, r.op, r.name, err)
	if errors.Is(e.Kind, errNone) && !vaults(body) {
		e.Kind, e.Hint = driver.ErrUnavailable, foreignHint
	}
	return body, e
}

// vaults reports whether an answer that says that there is nothing is Vault's: a list of
// errors without one, or the data of a version without a value. Others answer 404 too, and
// absence is believed of Vault only.
func vaults(body []byte) bool {
	var answer struct {
		Errors *[]string       `json:"errors"`
		Data   json.RawMessage `json:"data"`
	}
	return json.Unmarshal(body, &answer) == nil && (answer.Errors != nil || answer.Data != nil)
}

// Sendings are how often the client sent one request, and where to.
type sendings struct {
	mu    sync.Mutex
	asked bool
	to    string
	got   map[string]int
}

func (s *sendings) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(hostPort string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.asked, s.to = true, hostPort
		},
		GotConn: func(httptrace.GotConnInfo) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.got == nil {
				s.got = map[string]int{}
			}
			s.got[s.to]++
		},
	})
}

// count reports whether the request was sent, whether twice to one place, and whether to
// several. One that never got a connection was not sent. An HTTP client that does not say
// whether it asks for one is taken to have sent it.
func (s *sendings) count() (some, repeated, moved bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.got {
		repeated = repeated || n > 1
	}
	return len(s.got) > 0 || !s.asked, repeated, len(s.got) > 1
}

// receive reads an answer.
func (d *Driver) receive(resp *api.Response, err error) ([]byte, error) {
	if resp == nil {
		return nil, err
	}
	defer resp.Body.Close()
	d.written.note(resp)
	body, bad := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return body, err
	case bad != nil:
		return nil, bad
	case resp.StatusCode >= http.StatusMultipleChoices:
		return nil, errRedirects // the client follows one
	}
	return body, nil
}

var errRedirects = errors.New("redirected twice, or by a client that does not follow")

// maxAnswer bounds what is read of an answer: the list of half a million names is less.
const maxAnswer = 64 << 20

// Written is how far Vault Enterprise was after the last write of this driver that it
// answered. Performance standbys that are asked to be as far answer 412, and not from
// before it.
//
// https://developer.hashicorp.com/vault/docs/enterprise/consistency
type written struct {
	mu     sync.Mutex
	states []string
	// refused is since when all answers are 412.
	refused time.Time
}

func (w *written) require(h http.Header) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.states {
		h.Add(api.HeaderIndex, s)
	}
}

// note notes the state that an answer tells. One that nobody reaches, of a cluster that
// was restored from a backup, is forgotten.
func (w *written) note(resp *api.Response) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := resp.Header.Get(api.HeaderIndex)
	switch {
	case state != "":
		w.states, w.refused = api.MergeReplicationStates(w.states, state), time.Time{}
	case resp.StatusCode != http.StatusPreconditionFailed:
		w.refused = time.Time{}
	case w.refused.IsZero():
		w.refused = time.Now()
	case time.Since(w.refused) > patience/2:
		w.states, w.refused = nil, time.Time{}
	}
}

// The waits between two sendings of a request: random and growing.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second
	quotaPause = 5 // times as long after a quota error
)

func pause(ctx context.Context, try int, last *driver.Error) error {
	top := min(firstPause<<min(try, 10), maxPause)
	switch {
	case errors.Is(last.Kind, driver.ErrQuota):
		top *= quotaPause
	case last.Hint == behindHint:
		top = firstPause // there are others, and this one follows soon
	}
	timer := time.NewTimer(rand.N(top) + time.Millisecond) //nolint:gosec // nobody gains from guessing a wait
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
