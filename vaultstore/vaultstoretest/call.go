package vaultstoretest

import (
	"net/http"
	"strings"
)

// NoAnswer is the Err of a [Call] whose answer a fault lost.
const NoAnswer = "(no answer)"

// A Call is one request that reached the server, whatever came of it. Each attempt
// of a retrying client is a call; a request that a fault duplicates is one, one that
// a client sends again after a redirect is two.
type Call struct {
	// Operation is the method and what it is about. Methods are GET, PUT, which
	// POST is the same as, PATCH, DELETE and LIST, also where the client says
	// "GET ?list=true". At a mount of KV version 2 it is about data, metadata,
	// delete, undelete, destroy, subkeys or config, as in "PUT data"; at one of
	// version 1 about "v1"; elsewhere about the path, as in "GET sys/health" or
	// "PUT auth/approle/login", and "GET sys/internal/ui/mounts".
	Operation string
	// Path is the API path without /v1/, and without the header's namespace, as
	// in "secret/data/app/key".
	Path string
	// Name is what the operation is about within its mount, as in "app/key".
	Name string
	// Namespace is what the header X-Vault-Namespace says.
	Namespace string
	// Status is what was answered, 0 for a request still being served and where
	// the connection was cut.
	Status int
	// Err is the first error that was answered, empty for success and for a
	// request still being served, NoAnswer if the connection was cut. A 404
	// without a text is an error with an empty Err.
	Err string
}

// Calls returns the calls since the start or the last ResetCalls, in the order
// in which they arrived.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := make([]Call, len(s.calls))
	for i, c := range s.calls {
		calls[i] = *c
	}
	return calls
}

// CountCalls returns how often each operation is in Calls. Operations that were
// not called are not in the map.
func (s *Server) CountCalls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for _, c := range s.calls {
		counts[c.Operation]++
	}
	return counts
}

// ResetCalls forgets all calls.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

// A description is what faults and calls know about a request.
type description struct {
	operation, path, name, namespace string
}

// describe finds out what a request is about, without judging it.
func (s *Server) describe(in *inbound) description {
	method := in.Method
	switch {
	case in.lists():
		method = "LIST"
	case method == http.MethodPost:
		method = http.MethodPut
	}
	d := description{path: in.path(), namespace: in.Header.Get("X-Vault-Namespace")}
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	sp, path, _ := s.core.locate(in.Header, d.path)
	m, rest := sp.find(path)
	switch {
	case m == nil:
		about := strings.TrimSuffix(path, "/")
		if name, ok := strings.CutPrefix(path, "sys/internal/ui/mounts/"); ok {
			about, d.name = "sys/internal/ui/mounts", name
		}
		d.operation = method + " " + about
	case m.version == 1:
		d.operation, d.name = method+" v1", rest
	default:
		about, name, _ := strings.Cut(rest, "/")
		d.operation, d.name = method+" "+about, name
	}
	return d
}

func (s *Server) record(d description) *Call {
	call := &Call{Operation: d.operation, Path: d.path, Name: d.name, Namespace: d.namespace}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
	return call
}

func (s *Server) finish(call *Call, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !a.lost {
		call.Status = a.status
	}
	call.Err = a.firstError()
}
