package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource"
)

type server struct {
	store *token.Store
	conf  *oauth2.Config
	api   string

	mu      sync.Mutex
	sources map[string]*tokensource.Source // by user
}

// serve answers requests until ctx ends.
func (s *server) serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{user}", s.answer)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	return s.end(ctx, srv)
}

// end waits for the requests that have begun.
func (s *server) end(ctx context.Context, srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 9*time.Second) // Cloud Run waits for ten
	defer cancel()
	err := srv.Shutdown(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, source := range s.sources {
		err = errors.Join(err, source.Flush(ctx)) // waits for a refresh that is on, and stores what is not stored yet
	}
	return err
}

// answer answers with what the API says to a user.
func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	user := r.PathValue("user")
	source, err := s.source(user)
	if err == nil {
		err = s.ask(w, r, source)
	}
	switch {
	case errors.Is(err, token.ErrNotFound), errors.Is(err, tokensource.ErrNeedsReauth):
		s.forget(user)
		http.Error(w, "the user has to log in", http.StatusUnauthorized)
	case err != nil:
		slog.ErrorContext(r.Context(), "no answer", "error", err)
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	}
}

// source returns the source of a user, the same one each time: it holds the token that is good at the moment.
func (s *server) source(user string) (*tokensource.Source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept := s.sources[user]; kept != nil {
		return kept, nil
	}
	who := &token.OAuthToken{UserSignature: token.UserSignature{Name: user}}
	source, err := tokensource.New(s.store, s.conf, who, nil)
	if err == nil {
		s.sources[user] = source
	}
	return source, err
}

// forget forgets the source of a user: none is kept for a name that is made up, and one who logs in again gets another.
func (s *server) forget(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sources, user)
}

// ask calls the API with a token of source, and passes the answer on.
func (s *server) ask(w http.ResponseWriter, r *http.Request, source *tokensource.Source) error {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, s.api, nil)
	if err != nil {
		return err
	}
	resp, err := source.Client(r.Context()).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // if that breaks off, so does the answer
	return nil
}
