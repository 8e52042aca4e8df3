package awssmtest

import (
	"slices"
)

// Names returns the names of all secrets, sorted, also of those that are
// scheduled for deletion. It is never stale.
func (s *Server) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := []string{}
	for name := range s.cells {
		if s.newest(name) != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Value returns what AWSCURRENT of the secret holds, and its version id. It is
// false if there is no such secret or it has no value. It is never stale and
// asks neither policy nor key; secrets scheduled for deletion show theirs, too.
func (s *Server) Value(name string) (value, versionID string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec := s.newest(name)
	if sec == nil {
		return "", "", false
	}
	v := sec.holder(current)
	if v == nil {
		return "", "", false
	}
	if v.text != nil {
		return *v.text, v.id, true
	}
	return string(v.binary), v.id, true
}

// SetValue does what an operator does in the console: it gives the secret a new
// version with a random id and moves AWSCURRENT there. A secret that does not
// exist is created. The service's limits hold for operators; the policy of
// [WithPolicy] is for the program under test. It is no [Call].
func (s *Server) SetValue(name, value string) (versionID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	policy := s.policy
	s.policy = nil
	defer func() { s.policy = policy }()

	id := randomUUID()
	in := &input{Name: &name, SecretID: &name, ClientRequestToken: &id, SecretString: &value}
	write := s.putSecretValue
	if s.newest(name) == nil {
		write = s.createSecret
	}
	if _, e := write(in); e != nil {
		return "", e
	}
	return id, nil
}

// Purge removes a secret at once and without trace: its name is free. Purging
// what does not exist does nothing.
func (s *Server) Purge(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest(name) != nil {
		s.store(name, nil)
	}
}
