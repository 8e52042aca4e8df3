package awssmtest

// NoAnswer is the Err of a [Call] whose answer a fault lost.
const NoAnswer = "(no answer)"

// A Call is one request that reached the service: signed, well-formed, naming
// an operation. Each attempt of a retrying client is a call; a request that a
// fault duplicates is one.
type Call struct {
	// Operation is the API's name for it, "GetSecretValue".
	Operation string
	// SecretID is the secret as the client named it: SecretId, for CreateSecret
	// its Name, for BatchGetSecretValue the SecretIdList joined by spaces, for
	// lists empty.
	SecretID string
	// Err is the error code that was answered, empty for success and for a
	// request still being served, NoAnswer if the connection was cut. Errors
	// of single secrets within BatchGetSecretValue do not count.
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

func (s *Server) record(req *request) *Call {
	call := &Call{Operation: req.operation, SecretID: req.secretID()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
	return call
}

func (s *Server) finish(call *Call, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case a.lost:
		call.Err = NoAnswer
	case a.err != nil:
		call.Err = a.err.Code
	}
}
