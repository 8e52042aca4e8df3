package awssmtest

import "slices"

type valueOutput struct {
	ARN           string
	CreatedDate   epoch
	Name          string
	SecretBinary  []byte   `json:",omitempty"`
	SecretString  *string  `json:",omitempty"`
	VersionID     string   `json:"VersionId"`
	VersionStages []string `json:",omitempty"`
}

func (s *Server) getSecretValue(in *input) (any, *Error) {
	if e := checkVersionID(in.VersionID, "VersionId"); e != nil {
		return nil, e
	}
	if e := checkLength(in.VersionStage, "versionStage", 1, maxStage); e != nil {
		return nil, e
	}
	sec, e := s.readLive("GetSecretValue", in.SecretID)
	if e != nil {
		return nil, e
	}
	v, e := sec.choose(in.VersionID, in.VersionStage)
	if e != nil {
		return nil, e
	}
	return s.decrypt(sec, v)
}

// choose returns the version that a read asks for: "If you include both
// VersionId and VersionStage, the two parameters must refer to the same secret
// version. If you don't specify either, Secrets Manager returns the AWSCURRENT
// version."
func (s *secret) choose(id, stage *string) (*version, *Error) {
	if id != nil {
		v := s.version(*id)
		if v == nil {
			return nil, errNoVersion(*id)
		}
		if stage != nil && !slices.Contains(v.stages, *stage) {
			return nil, errStageOfOther()
		}
		return v, nil
	}
	label := current
	if stage != nil {
		label = *stage
	}
	v := s.holder(label)
	if v == nil {
		return nil, errNoStage(label)
	}
	return v, nil
}

func (s *Server) decrypt(sec *secret, v *version) (*valueOutput, *Error) {
	if s.keyDisabled(v.kmsKey) {
		return nil, errDecryption()
	}
	s.touch(sec, v.id)
	return &valueOutput{
		ARN:           sec.arn,
		CreatedDate:   epoch{v.created},
		Name:          sec.name,
		SecretBinary:  v.binary,
		SecretString:  v.text,
		VersionID:     v.id,
		VersionStages: v.stages,
	}, nil
}

type batchOutput struct {
	Errors       []batchError
	NextToken    string `json:",omitempty"`
	SecretValues []*valueOutput
}

type batchError struct {
	ErrorCode string
	Message   string
	SecretID  string `json:"SecretId"`
}

// batchGetSecretValue reads the AWSCURRENT versions of up to 20 secrets. What
// goes wrong with one of them is in the output's Errors.
func (s *Server) batchGetSecretValue(in *input) (any, *Error) {
	if (in.SecretIDList == nil) == (in.Filters == nil) {
		return nil, invalidParameter("You must include Filters or SecretIdList, but not both.") // [doc], text ours
	}
	if in.SecretIDList == nil {
		return s.batchByFilter(in)
	}
	if e := checkCount(len(in.SecretIDList), "secretIdList", maxBatch); e != nil {
		return nil, e
	}
	if in.MaxResults != nil {
		return nil, invalidParameter("To use MaxResults, you must also use Filters.") // [doc], text ours
	}
	if e := s.permit("BatchGetSecretValue", "", "*"); e != nil {
		return nil, e
	}
	out := newBatch()
	for _, id := range in.SecretIDList {
		sec, e := s.readLive("GetSecretValue", &id)
		out.add(s, id, sec, e)
	}
	return out, nil
}

func (s *Server) batchByFilter(in *input) (any, *Error) {
	if e := checkRange(in.MaxResults, "maxResults", maxBatch); e != nil {
		return nil, e
	}
	for _, operation := range []string{"BatchGetSecretValue", "ListSecrets"} {
		if e := s.permit(operation, "", "*"); e != nil {
			return nil, e
		}
	}
	list, next, e := s.list("BatchGetSecretValue", in, maxBatch)
	if e != nil {
		return nil, e
	}
	out := newBatch()
	out.NextToken = next
	for _, sec := range list {
		out.add(s, sec.arn, sec, s.permit("GetSecretValue", sec.name, sec.arn))
	}
	return out, nil
}

func newBatch() *batchOutput {
	return &batchOutput{Errors: []batchError{}, SecretValues: []*valueOutput{}}
}

// add reads the value, unless there is an error already.
func (out *batchOutput) add(s *Server, id string, sec *secret, e *Error) {
	var v *version
	if e == nil {
		v, e = sec.choose(nil, nil)
	}
	var value *valueOutput
	if e == nil {
		value, e = s.decrypt(sec, v)
	}
	if e != nil {
		out.Errors = append(out.Errors, batchError{e.Code, e.Message, id})
		return
	}
	out.SecretValues = append(out.SecretValues, value)
}
