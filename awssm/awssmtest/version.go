package awssmtest

type versionsOutput struct {
	ARN       string
	Name      string
	NextToken string `json:",omitempty"`
	Versions  []versionEntry
}

type versionEntry struct {
	CreatedDate      epoch
	KmsKeyIDs        []string `json:"KmsKeyIds"`
	LastAccessedDate *epoch   `json:",omitempty"`
	VersionID        string   `json:"VersionId"`
	VersionStages    []string `json:",omitempty"`
}

// listSecretVersionIDs lists the versions with labels, with IncludeDeprecated
// all, oldest first.
func (s *Server) listSecretVersionIDs(in *input) (any, *Error) {
	const operation = "ListSecretVersionIds"
	if e := checkRange(in.MaxResults, "maxResults", maxPage); e != nil {
		return nil, e
	}
	sec, e := s.read(operation, in.SecretID)
	if e != nil {
		return nil, e
	}
	after, e := readCursor(in.NextToken, operation, sec.arn)
	if e != nil {
		return nil, e
	}
	left := maxPage
	if in.MaxResults != nil {
		left = *in.MaxResults
	}
	all := in.IncludeDeprecated != nil && *in.IncludeDeprecated
	out := versionsOutput{ARN: sec.arn, Name: sec.name, Versions: []versionEntry{}}
	last := 0
	for _, v := range sec.versions {
		if after != nil && v.seq <= after.Seq || len(v.stages) == 0 && !all {
			continue
		}
		if left == 0 {
			out.NextToken = cursor{Operation: operation, Order: sec.arn, Seq: last}.String()
			break
		}
		left--
		last = v.seq
		key := v.kmsKey
		if key == "" {
			key = "DefaultEncryptionKey" // [seen]
		}
		out.Versions = append(out.Versions, versionEntry{
			CreatedDate:      epoch{v.created},
			KmsKeyIDs:        []string{key},
			LastAccessedDate: epochOrNil(s.cells[sec.name].accessed[v.id]),
			VersionID:        v.id,
			VersionStages:    v.stages,
		})
	}
	return out, nil
}
