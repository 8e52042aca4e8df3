package awssmtest

import "time"

type deleteOutput struct {
	ARN          string
	DeletionDate epoch
	Name         string
}

// deleteSecret schedules a deletion, or with ForceDeleteWithoutRecovery starts
// one. "Secrets Manager performs the actual deletion with an asynchronous
// background process." Until it is done the secret is scheduled for deletion.
func (s *Server) deleteSecret(in *input) (any, *Error) {
	force := in.ForceDeleteWithoutRecovery != nil && *in.ForceDeleteWithoutRecovery
	days := int64(maxRecoveryDays)
	if in.RecoveryWindowInDays != nil {
		if days = *in.RecoveryWindowInDays; force { // [emu]
			return nil, invalidParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
		}
		if days < minRecoveryDays || days > maxRecoveryDays { // [emu]
			return nil, invalidParameter("The RecoveryWindowInDays value must be between %d and %d days (inclusive).", minRecoveryDays, maxRecoveryDays)
		}
	}
	now := s.now()
	old, e := s.find("DeleteSecret", in.SecretID)
	switch {
	case e != nil && force && *e == *errNoSecret():
		// "If you forcibly delete an already deleted or nonexistent secret, the
		// operation does not return ResourceNotFoundException."
		name := nameOf(*in.SecretID)
		return deleteOutput{s.arnOf(name), epoch{now}, name}, nil
	case e != nil:
		return nil, e
	case old.scheduled() && !force:
		return nil, errScheduled() // [inf]
	}
	sec := old.clone(now)
	sec.deletion = now
	if !force {
		sec.deletion = now.Add(time.Duration(days) * 24 * time.Hour)
	}
	s.store(sec.name, sec)
	return deleteOutput{sec.arn, epoch{sec.deletion}, sec.name}, nil
}

// restoreSecret cancels a scheduled deletion. It does nothing to a secret that
// has none.
func (s *Server) restoreSecret(in *input) (any, *Error) {
	old, e := s.find("RestoreSecret", in.SecretID)
	if e != nil {
		return nil, e
	}
	if old.scheduled() {
		sec := old.clone(s.now())
		sec.deletion = time.Time{}
		s.store(sec.name, sec)
	}
	return secretOutput{ARN: old.arn, Name: old.name}, nil
}
