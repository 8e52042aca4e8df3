package scale

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"time"
)

// A wire hands requests of HTTP clients to a double in memory, and counts them.
type wire struct {
	serve func(w http.ResponseWriter, r *http.Request, body []byte)
	label func(r *http.Request, body []byte, status int, answer []byte) call
	tally *tally
	// instant: calls take no time, and do not count.
	instant func() bool
}

// Do implements the HTTP client of AWS's SDK.
func (w *wire) Do(r *http.Request) (*http.Response, error) { return w.RoundTrip(r) }

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	if err := w.travel(r.Context()); err != nil {
		return nil, err
	}
	in := r.Clone(context.WithoutCancel(r.Context())) // a service goes on without its client
	in.Body, in.RequestURI, in.Host = io.NopCloser(bytes.NewReader(body)), r.URL.RequestURI(), r.URL.Host
	out := httptest.NewRecorder()
	w.serve(out, in, body)
	if !w.instant() {
		note(r.Context(), w.tally, w.label(r, body, out.Code, out.Body.Bytes()))
	}
	if err := w.travel(r.Context()); err != nil {
		return nil, err
	}
	resp := out.Result()
	resp.Request, resp.ContentLength = r, int64(out.Body.Len())
	return resp, nil
}

// travel lets half of the latency pass.
func (w *wire) travel(ctx context.Context) error {
	if w.instant() {
		return ctx.Err()
	}
	timer := time.NewTimer(latency * time.Millisecond / 2)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
