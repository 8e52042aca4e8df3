package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// A proxy stands in front of a Vault server, and loses, fails and delays requests as
// networks and load balancers do. Without faults it passes everything on.
type proxy struct {
	url     string
	forward http.Handler

	mu     sync.Mutex
	faults []*fault
	calls  map[string]int // requests that came, by operation
}

// A fault is what happens to requests.
type fault struct {
	// matches chooses requests; nil: all of them.
	matches func(*http.Request) bool
	// times is how often it still happens; negative: for ever.
	times int
	// chance is the probability with which it happens; 0: always.
	chance float64
	draw   *rand.Rand
	do     func(p *proxy, w http.ResponseWriter, r *http.Request)
}

// front starts a proxy in front of a server, for the length of a test.
func front(t testing.TB, server string) *proxy {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	return frontOf(t, func() *url.URL { return target })
}

// frontOf starts a proxy that asks for each request which server is to have it.
func frontOf(t testing.TB, target func() *url.URL) *proxy {
	t.Helper()
	pool := &http.Transport{MaxIdleConnsPerHost: 64}
	p := &proxy{calls: map[string]int{}, forward: &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target()) },
		Transport: pool,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	}}
	listening := httptest.NewServer(p)
	t.Cleanup(func() {
		listening.CloseClientConnections()
		listening.Close()
		pool.CloseIdleConnections()
	})
	p.url = listening.URL
	return p
}

// operation is what a request is called, such as "PUT data".
func operation(r *http.Request) string {
	method := r.Method
	switch {
	case r.URL.Query().Get("list") == "true":
		method = "LIST"
	case method == http.MethodPost:
		method = http.MethodPut
	}
	for _, endpoint := range []string{"data", "metadata", "destroy", "config"} {
		if strings.Contains(r.URL.Path+"/", "/"+endpoint+"/") {
			return method + " " + endpoint
		}
	}
	if strings.HasPrefix(r.URL.Path, "/v1/sys/internal/ui/mounts/") {
		return method + " mounts"
	}
	return method + " other"
}

// operations chooses requests by what they are called.
func operations(names ...string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		for _, name := range names {
			if operation(r) == name {
				return true
			}
		}
		return false
	}
}

var isWrite = operations("PUT data", "DELETE metadata", "PUT destroy")

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The server may have to have the whole request although its client has gone.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if f := p.pick(r); f != nil {
		f.do(p, w, r)
		return
	}
	p.forward.ServeHTTP(w, r)
}

// pick counts a request and returns what happens to it.
func (p *proxy) pick(r *http.Request) *fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[operation(r)]++
	for _, f := range p.faults {
		if f.times == 0 || f.matches != nil && !f.matches(r) || f.chance > 0 && f.draw.Float64() >= f.chance {
			continue
		}
		f.times--
		return f
	}
	return nil
}

// inject puts a fault to work, and returns what ends it.
func (p *proxy) inject(f *fault) (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, f)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		f.times = 0
	}
}

// counted returns the requests that came since the last time, by operation.
func (p *proxy) counted() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = map[string]int{}
	return calls
}

// apply lets the server serve a request whatever becomes of its client, and returns what
// it says.
func (p *proxy) apply(r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	p.forward.ServeHTTP(answer, r.WithContext(context.WithoutCancel(r.Context())))
	return answer
}

// loseAnswer serves a request and cuts the connection.
func loseAnswer(p *proxy, _ http.ResponseWriter, r *http.Request) {
	p.apply(r)
	panic(http.ErrAbortHandler)
}

// loseRequest cuts the connection before the server has the request.
func loseRequest(*proxy, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// badGateway serves a request and says that it could not be served.
func badGateway(p *proxy, w http.ResponseWriter, r *http.Request) {
	p.apply(r)
	w.WriteHeader(http.StatusBadGateway)
}

// twice lets the server serve a request two times; the client has the second answer.
func twice(p *proxy, w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // of memory
	var answer *httptest.ResponseRecorder
	for range 2 {
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer = p.apply(r)
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// refuse answers a request with a status and a text that repeats the whole of it.
func refuse(status int) func(*proxy, http.ResponseWriter, *http.Request) {
	return func(_ *proxy, w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // of memory
		text, _ := json.Marshal(map[string]any{"errors": []string{r.Method + " " + r.URL.String() + " " + string(body)}})
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(text)
	}
}
