package awssmtest

import "slices"

// defaultKey encrypts secrets that name no key.
const defaultKey = "alias/aws/secretsmanager"

// DisableKey makes a KMS key unusable, as disabling it in KMS does: values
// encrypted with it answer DecryptionFailure, new ones EncryptionFailure. Keys
// are compared as the clients spelled them; alias/aws/secretsmanager is the key
// of secrets that name none.
func (s *Server) DisableKey(id string) { s.setKey(id, true) }

// EnableKey undoes DisableKey.
func (s *Server) EnableKey(id string) { s.setKey(id, false) }

func (s *Server) setKey(id string, disabled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disabled[id] = disabled
}

func (s *Server) keyDisabled(id string) bool {
	if id == "" {
		id = defaultKey
	}
	return s.disabled[id]
}

// reencrypt moves the versions labelled AWSCURRENT, AWSPENDING or AWSPREVIOUS to
// the secret's key; others keep theirs, as do those that can't be decrypted.
func (s *Server) reencrypt(sec *secret) *Error {
	for i := range sec.versions {
		v := &sec.versions[i]
		labelled := slices.ContainsFunc(v.stages, func(stage string) bool {
			return stage == current || stage == pending || stage == previous
		})
		if !labelled || v.kmsKey == sec.kmsKey || s.keyDisabled(v.kmsKey) {
			continue
		}
		if s.keyDisabled(sec.kmsKey) {
			return errEncryption()
		}
		v.kmsKey = sec.kmsKey
	}
	return nil
}
