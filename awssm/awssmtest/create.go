package awssmtest

type secretOutput struct {
	ARN           string
	Name          string
	VersionID     string   `json:"VersionId,omitempty"`
	VersionStages []string `json:",omitempty"`
}

// createSecret makes a secret, with its first version if there is a value.
func (s *Server) createSecret(in *input) (any, *Error) {
	for _, e := range []*Error{checkNewName(in.Name), checkDescription(in), checkTags(in.Tags), checkValue(in)} {
		if e != nil {
			return nil, e
		}
	}
	name := *in.Name
	if e := s.permit("CreateSecret", name, name); e != nil {
		return nil, e
	}
	if len(in.Tags) > 0 {
		if e := s.permit("TagResource", name, name); e != nil {
			return nil, e
		}
	}
	if len(in.AddReplicaRegions) > 0 {
		return nil, errNotServed("AddReplicaRegions")
	}
	if old := s.newest(name); old != nil {
		return createAgain(old, in)
	}
	if len(s.cells) >= maxSecrets && s.exist() >= maxSecrets {
		return nil, errSecretQuota()
	}

	now := s.now()
	s.created++
	sec := &secret{name: name, arn: s.arnOf(name), seq: s.created, created: now, changed: now}
	s.describe(sec, in)
	if e := sec.tag(in.Tags); e != nil {
		return nil, e
	}
	out := secretOutput{ARN: sec.arn, Name: name}
	if in.hasValue() {
		v, e := s.addVersion(sec, in, nil)
		if e != nil {
			return nil, e
		}
		out.VersionID = v.id
	}
	s.store(name, sec)
	return out, nil
}

// createAgain answers CreateSecret of a name that exists: fine if it is the same
// request again, which the token and the value tell.
func createAgain(old *secret, in *input) (any, *Error) {
	if old.scheduled() {
		return nil, errNameScheduled()
	}
	if !in.hasValue() {
		return nil, errNameTaken(old.name)
	}
	v := old.version(*in.ClientRequestToken)
	switch {
	case v == nil:
		return nil, errNameTaken(old.name)
	case !v.same(in):
		return nil, errTokenTaken(v.id, old.arn)
	}
	return secretOutput{ARN: old.arn, Name: old.name, VersionID: v.id}, nil
}

// describe takes over description and key where the request has them.
func (s *Server) describe(sec *secret, in *input) {
	if in.Description != nil {
		sec.description = *in.Description
	}
	if in.KmsKeyID != nil {
		sec.kmsKey = *in.KmsKeyID
	}
}
