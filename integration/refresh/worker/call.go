package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/tokenkeep/tokenkeep/integration/refresh/said"
)

// A call is one of Source.Token, as it is seen from below: it goes along in the context.
type call struct {
	user      string
	stored    atomic.Int64 // calls to the secret manager
	refreshed atomic.Bool
}

type callKey struct{}

// counter is a transport that counts the requests of each call.
type counter struct{ base http.RoundTripper }

// RoundTrip counts.
func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if of, ok := r.Context().Value(callKey{}).(*call); ok {
		of.stored.Add(1)
	}
	return c.base.RoundTrip(r)
}

// handler writes down what sources log.
type handler struct{ lines *said.Writer }

func logger(lines *said.Writer) *slog.Logger { return slog.New(handler{lines}) }

// Enabled is true: nothing is left out.
func (handler) Enabled(context.Context, slog.Level) bool { return true }

// Handle writes a line.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	l := &said.Log{Message: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			l.Err = a.Value.String()
		}
		return true
	})
	if of, ok := ctx.Value(callKey{}).(*call); ok {
		l.User = of.user
		if r.Message == said.Stored {
			of.refreshed.Store(true)
		}
	}
	h.lines.Write(said.Line{Log: l})
	return nil
}

// WithAttrs is not used by sources.
func (h handler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup is not used by sources.
func (h handler) WithGroup(string) slog.Handler { return h }
