package gcpsmtest

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A Call is one request that reached the service. Each attempt of a retrying
// client is a call; a request that a fault duplicates is one.
type Call struct {
	// Method is the API's name for it, "AddSecretVersion".
	Method string
	// Resource is the name or the parent in the request, as the client wrote it.
	Resource string
	// Secret is the id of the secret: the part of the name after "secrets", for
	// CreateSecret the secret_id, for ListSecrets empty.
	Secret string
	// Version is the version as the client named it, a number, an alias or
	// "latest", or empty.
	Version string
	// Code is what was answered; OK also for a request still being served.
	Code codes.Code
	// Lost tells that a fault kept the answer: it cut the connection, or waited
	// until the client left.
	Lost bool
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

// CountCalls returns how often each method is in Calls. Methods that were not
// called are not in the map.
func (s *Server) CountCalls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for _, c := range s.calls {
		counts[c.Method]++
	}
	return counts
}

// ResetCalls forgets all calls.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

func (s *Server) record(req *request) *Call {
	call := &Call{Method: req.method, Resource: req.resource, Secret: req.secret, Version: req.version}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
	return call
}

func (s *Server) finish(call *Call, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call.Lost = a.lost
	if !a.lost {
		call.Code = status.Code(a.err)
	}
}
