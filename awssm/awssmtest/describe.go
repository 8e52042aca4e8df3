package awssmtest

import "time"

// A description is what DescribeSecret and ListSecrets tell of a secret; they
// spell one member differently.
type description struct {
	ARN                    string
	CreatedDate            epoch
	DeletedDate            *epoch `json:",omitempty"`
	Description            string `json:",omitempty"`
	KmsKeyID               string `json:"KmsKeyId,omitempty"`
	LastAccessedDate       *epoch `json:",omitempty"`
	LastChangedDate        epoch
	Name                   string
	SecretVersionsToStages map[string][]string `json:",omitempty"` // ListSecrets
	Tags                   []tag               `json:",omitzero"`
	VersionIDsToStages     map[string][]string `json:"VersionIdsToStages,omitempty"` // DescribeSecret
}

// describeSecret works on secrets that are scheduled for deletion, too.
func (s *Server) describeSecret(in *input) (any, *Error) {
	sec, e := s.read("DescribeSecret", in.SecretID)
	if e != nil {
		return nil, e
	}
	d := s.description(sec)
	d.VersionIDsToStages = sec.stages()
	return d, nil
}

func (s *Server) description(sec *secret) description {
	return description{
		ARN:              sec.arn,
		CreatedDate:      epoch{sec.created},
		DeletedDate:      epochOrNil(sec.deletion),
		Description:      sec.description,
		KmsKeyID:         sec.kmsKey,
		LastAccessedDate: epochOrNil(s.accessed(sec)),
		LastChangedDate:  epoch{sec.changed},
		Name:             sec.name,
		Tags:             sec.tags,
	}
}

// stages maps the ids of the versions that have labels to their labels.
func (s *secret) stages() map[string][]string {
	stages := map[string][]string{}
	for _, v := range s.versions {
		if len(v.stages) > 0 {
			stages[v.id] = v.stages
		}
	}
	return stages
}

func epochOrNil(t time.Time) *epoch {
	if t.IsZero() {
		return nil
	}
	return &epoch{t}
}
