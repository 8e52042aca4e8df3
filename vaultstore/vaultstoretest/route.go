package vaultstoretest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode"
)

type inboundKey struct{}

// routes puts together what a request goes through, in the order of http/handler.go.
// The mux is net/http's, as in Vault, because it redirects paths that are not clean.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/sys/health", s.health)
	mux.HandleFunc("/v1/sys/leader", s.leader)
	mux.HandleFunc("/v1/sys/seal-status", s.sealStatus)
	mux.HandleFunc("/v1/sys/init", s.sealStatus)
	for _, path := range []string{"/v1/sys/mounts", "/v1/sys/mounts/", "/v1/sys/capabilities-self"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { s.logical(w, r, true) })
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) { s.logical(w, r, false) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.front(w, r, mux) })
}

// answer serves a request. Nothing of it is written yet.
func (s *Server) answer(in *inbound) answer {
	w := &recorder{answer{header: http.Header{}}}
	s.handler.ServeHTTP(w, in.WithContext(context.WithValue(in.Context(), inboundKey{}, in)))
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.answer
}

// front is everything before the mux.
func (s *Server) front(w http.ResponseWriter, r *http.Request, next http.Handler) {
	in := r.Context().Value(inboundKey{}).(*inbound)
	if strings.ContainsFunc(r.URL.Path, func(c rune) bool { return !unicode.IsPrint(c) }) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if strings.HasPrefix(r.URL.Path, "/.well-known/") {
		respondError(w, http.StatusNotFound, nil)
		return
	}
	if name := r.Header.Get("X-Vault-Namespace"); name != "" {
		w.Header().Set("X-Vault-Namespace", name)
	}
	if text := r.URL.Query().Get("list"); text != "" && r.Method == http.MethodGet {
		if _, err := strconv.ParseBool(text); err != nil {
			respondError(w, http.StatusBadRequest, nil)
			return
		}
	}
	if s.overRate(in) {
		respondError(w, http.StatusTooManyRequests, fmt.Errorf("request path %q: rate limit quota exceeded", in.path()))
		return
	}
	if in.large {
		respondError(w, http.StatusRequestEntityTooLarge, errTooLarge)
		return
	}
	if s.jsonLimits {
		if err := checkJSON(in.body); err != nil {
			respondError(w, http.StatusInternalServerError, err)
			return
		}
	}
	next.ServeHTTP(w, r)
}

// logical serves a request that Vault's core handles.
func (s *Server) logical(w http.ResponseWriter, r *http.Request, inject bool) {
	in := r.Context().Value(inboundKey{}).(*inbound)
	s.core.mu.Lock()
	at := s.place(r.Header)
	leader := s.leaderURL()
	s.core.mu.Unlock()
	if at.redirect {
		s.respondStandby(w, r, leader)
		return
	}
	if at.status != 0 {
		respondError(w, at.status, at.err)
		return
	}
	req, bad := parse(in)
	if bad != nil {
		respondError(w, bad.status, bad.error)
		return
	}
	if r.URL.Path == "/v1/sys/step-down" && req.op != opUpdate {
		respondError(w, http.StatusMethodNotAllowed, nil)
		return
	}
	if r.Header.Get("X-Vault-Wrap-TTL") != "" {
		respondError(w, http.StatusBadRequest, errors.New("vaultstoretest does not wrap responses"))
		return
	}
	resp, index, err := s.process(req, r.Header, at.local)
	if errors.Is(err, errStandby) {
		s.respondStandby(w, r, leader)
		return
	}
	if index != "" {
		w.Header().Set(indexHeader, index)
	}
	respond(w, req, resp, err, inject)
}

// process runs a request: on the active node, or on a performance standby as far as
// that goes. It is one atomic step.
func (s *Server) process(req *request, h http.Header, local bool) (resp *response, index string, err error) {
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	sp, path, known := c.locate(h, req.path)
	if !known { // inferred
		return errorResponse(fmt.Sprintf("no handler for route %q. route entry not found.", path)), "", errUnsupportedPath
	}
	req.space, req.path = sp, path
	if local {
		seen := s.seen()
		if s.misses(h, seen) {
			return nil, "", errMissingState
		}
		if !strings.HasPrefix(path, "auth/") && !strings.HasPrefix(path, "sys/step-down") {
			again := *req
			again.tx = c.store.begin(c.now())
			again.tx.upTo, again.tx.ro = seen, true
			resp, err = c.handle(&again)
			if !errors.Is(err, errReadOnly) {
				return resp, "", err
			}
		}
		if at := s.placeForward(h); at.redirect {
			return nil, "", errStandby
		} else if at.status != 0 {
			return nil, "", at.err
		}
	}
	if len(c.nodes) > 1 && c.active == nil {
		return nil, "", errStandby
	}
	req.tx = c.store.begin(c.now())
	resp, err = c.handle(req)
	if c.enterprise && req.tx.wrote {
		index = c.indexState()
	}
	return resp, index, err
}

// respond writes what came of a request.
func respond(w http.ResponseWriter, req *request, resp *response, err error, inject bool) {
	status, wrong := outcome(req.op, resp, err)
	switch {
	case status != 0 || wrong != nil:
		var data any
		if resp != nil {
			data = resp.data["data"]
		}
		respondErrorData(w, status, wrong, data)
	case resp == nil:
		respondOK(w, nil)
	case resp.raw != nil && resp.raw.wrong != "":
		w.Header().Set("X-Vault-Raw-Error", resp.raw.wrong)
		w.WriteHeader(resp.raw.status)
	case resp.raw != nil:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(resp.raw.status)
		_, _ = w.Write(resp.raw.body)
	case inject:
		respondOK(w, injected(resp.wire(req.id)))
	default:
		respondOK(w, resp.wire(req.id))
	}
}
