package awssmtest

import "slices"

// putSecretValue adds a version.
func (s *Server) putSecretValue(in *input) (any, *Error) {
	for _, e := range []*Error{checkValue(in), checkStages(in.VersionStages)} {
		if e != nil {
			return nil, e
		}
	}
	old, e := s.findLive("PutSecretValue", in.SecretID)
	if e != nil {
		return nil, e
	}
	if !in.hasValue() {
		return nil, errNoValue()
	}
	v, sec, e := s.putVersion(old, in, in.VersionStages)
	if e != nil {
		return nil, e
	}
	if sec != old {
		s.store(sec.name, sec)
	}
	return secretOutput{ARN: sec.arn, Name: sec.name, VersionID: v.id, VersionStages: v.stages}, nil
}

// updateSecret changes description and key, and adds a version if there is a
// value. Against its documentation AWS takes the same token with the same value
// again, as PutSecretValue does.
func (s *Server) updateSecret(in *input) (any, *Error) {
	for _, e := range []*Error{checkDescription(in), checkValue(in)} {
		if e != nil {
			return nil, e
		}
	}
	old, e := s.findLive("UpdateSecret", in.SecretID)
	if e != nil {
		return nil, e
	}
	sec := old
	if in.Description != nil || in.KmsKeyID != nil {
		sec = old.clone(s.now())
		s.describe(sec, in)
		if e := s.reencrypt(sec); e != nil {
			return nil, e
		}
	}
	out := secretOutput{ARN: old.arn, Name: old.name}
	if in.hasValue() {
		var v *version
		if v, sec, e = s.putVersion(sec, in, nil); e != nil {
			return nil, e
		}
		out.VersionID = v.id
	}
	if sec != old {
		s.store(sec.name, sec)
	}
	return out, nil
}

// putVersion returns the version with the request's token and the state that
// has it: old itself if the version is there already. "If you call this
// operation with a ClientRequestToken that matches an existing version's
// VersionId, and you specify the same secret data, the operation succeeds but
// does nothing. However, if the secret data is different, then the operation
// fails because you can't modify an existing version." Nothing includes the
// labels: a late repetition does not move AWSCURRENT back.
func (s *Server) putVersion(old *secret, in *input, stages []string) (*version, *secret, *Error) {
	if v := old.version(*in.ClientRequestToken); v != nil {
		if !v.same(in) {
			return nil, nil, errTokenTaken(v.id, old.arn)
		}
		return v, old, nil
	}
	sec := old.clone(s.now())
	v, e := s.addVersion(sec, in, stages)
	return v, sec, e
}

// addVersion adds a version to a state that nobody has seen yet. "If you don't
// include VersionStages, then Secrets Manager automatically moves AWSCURRENT to
// this version. If this operation creates the first version for the secret,
// then Secrets Manager automatically attaches AWSCURRENT to it."
func (s *Server) addVersion(sec *secret, in *input, stages []string) (*version, *Error) {
	if s.keyDisabled(sec.kmsKey) {
		return nil, errEncryption()
	}
	now := s.now()
	if s.versionQuota {
		if e := sec.makeRoom(now); e != nil {
			return nil, e
		}
	}
	s.created++
	sec.versions = append(sec.versions, version{
		id:      *in.ClientRequestToken,
		seq:     s.created,
		text:    in.SecretString,
		binary:  in.SecretBinary,
		created: now,
		kmsKey:  sec.kmsKey,
	})
	v := &sec.versions[len(sec.versions)-1]
	if len(stages) == 0 || len(sec.versions) == 1 || slices.Contains(stages, current) {
		sec.move(current, v)
	}
	for _, stage := range stages {
		sec.move(stage, v)
	}
	if sec.labels() > maxStages {
		return nil, errLabelQuota()
	}
	return v, nil
}
