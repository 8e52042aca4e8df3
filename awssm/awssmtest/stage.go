package awssmtest

import "slices"

// updateSecretVersionStage moves a label, attaches a new one, or removes one.
// "If the label is attached and you either do not specify RemoveFromVersionId,
// or the version ID does not match, then the operation fails."
func (s *Server) updateSecretVersionStage(in *input) (any, *Error) {
	if in.VersionStage == nil {
		return nil, errRequired("versionStage")
	}
	for _, e := range []*Error{
		checkLength(in.VersionStage, "versionStage", 1, maxStage),
		checkVersionID(in.MoveToVersionID, "MoveToVersionId"),
		checkVersionID(in.RemoveFromVersionID, "RemoveFromVersionId"),
	} {
		if e != nil {
			return nil, e
		}
	}
	old, e := s.findLive("UpdateSecretVersionStage", in.SecretID)
	if e != nil {
		return nil, e
	}
	sec := old.clone(s.now())
	if e := sec.relabel(*in.VersionStage, in.MoveToVersionID, in.RemoveFromVersionID); e != nil {
		return nil, e
	}
	s.store(sec.name, sec)
	return secretOutput{ARN: sec.arn, Name: sec.name}, nil
}

func (s *secret) relabel(stage string, toID, fromID *string) *Error {
	if toID == nil && fromID == nil {
		return invalidParameter("You must specify MoveToVersionId, RemoveFromVersionId, or both.") // [inf]
	}
	for _, id := range []*string{toID, fromID} {
		if id != nil && s.version(*id) == nil {
			return errNoVersion(*id) // [inf]
		}
	}
	holder := s.holder(stage)
	if toID == nil {
		if stage == current { // [seen] with this apostrophe
			return invalidParameter("You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed.")
		}
		if from := s.version(*fromID); slices.Contains(from.stages, stage) {
			from.detach(stage)
			return nil
		}
		return invalidParameter("Staging label %s is not attached to version %s.", stage, *fromID) // [inf]
	}
	to := s.version(*toID)
	if holder != nil && holder != to {
		if fromID == nil { // [seen]
			return invalidParameter("The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", stage, holder.id)
		}
	}
	if fromID != nil && (holder == nil || holder.id != *fromID) { // [emu]
		return invalidParameter("When you move staging label %s, if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label %s.", stage, stage)
	}
	s.move(stage, to)
	if s.labels() > maxStages {
		return errLabelQuota()
	}
	return nil
}
