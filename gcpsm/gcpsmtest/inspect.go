package gcpsmtest

import (
	"bytes"
	"slices"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
)

// A Version is one version of a secret, as [Server.Versions] shows it.
type Version struct {
	Number  int64
	State   pb.SecretVersion_State
	Payload []byte // nil once destroyed
	Created time.Time
}

// Names returns the names of all secrets, sorted, in the service's form with the
// project's number. It is never late.
func (s *Server) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := []string{}
	for name, c := range s.cells {
		if s.advance(c); c.last() != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Versions returns the versions of the secret, the oldest first, destroyed ones
// too; numbers that are held or burnt are missing. The name may have the
// project's id or its number. The result is nil if there is no such secret. It is
// never late and asks no policy.
func (s *Server) Versions(name string) []Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec := s.look(name)
	if sec == nil {
		return nil
	}
	versions := []Version{}
	for _, v := range sec.versions {
		versions = append(versions, Version{v.number, v.state, bytes.Clone(v.payload), v.created})
	}
	return versions
}

// Active returns how many versions of the secret are enabled or disabled: those
// that Google charges for. Destroyed ones are free.
func (s *Server) Active(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	if sec := s.look(name); sec != nil {
		for _, v := range sec.versions {
			if v.active() {
				n++
			}
		}
	}
	return n
}

// Value returns the payload of the newest version and its number. It is false if
// there is no such secret, or it has no version, or the newest is destroyed. It
// is never late and asks no policy.
func (s *Server) Value(name string) (payload string, number int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec := s.look(name)
	if sec == nil || len(sec.versions) == 0 {
		return "", 0, false
	}
	v := sec.versions[len(sec.versions)-1]
	return string(v.payload), v.number, v.active()
}

// SetValue does what an operator does in the console: it adds a version to the
// secret, and creates the secret if there is none, in the global service with
// automatic replication. The service's limits hold for operators; policy and
// quotas are for the program under test. It is no [Call].
func (s *Server) SetValue(name, value string) (number int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	policy, quotas := s.policy, s.quotas
	s.policy, s.quotas = nil, nil
	defer func() { s.policy, s.quotas = policy, quotas }()

	r, err := s.parse(name, secretName)
	if err != nil {
		return 0, err
	}
	in := &pb.AddSecretVersionRequest{Parent: name, Payload: &pb.SecretPayload{Data: []byte(value)}}
	if err := checkPayload(in.GetPayload()); err != nil {
		return 0, err
	}
	if s.newest(r) == nil {
		create := &pb.CreateSecretRequest{Parent: r.scope, SecretId: r.secret, Secret: &pb.Secret{}}
		if s.location == "" {
			create.Secret.Replication = automatic()
		}
		if _, err := s.createSecret(create); err != nil {
			return 0, err
		}
	}
	t, err := s.take(in)
	if err != nil {
		return 0, err
	}
	_, err = s.fillIn(t)
	return t.number, err
}

// Purge removes a secret at once, as an operator does in the console. Purging
// what does not exist does nothing.
func (s *Server) Purge(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sec := s.look(name); sec != nil {
		s.store(sec.resource, nil)
	}
}

// look returns the newest state of a secret that somebody names correctly.
func (s *Server) look(name string) *secret {
	r, err := s.parse(name, secretName)
	if err != nil {
		return nil
	}
	return s.newest(r)
}
