package gcpsmtest

// An operation is a kind of request: what it needs to be allowed and counted.
type operation struct {
	permission string
	group      group // of requests that share a quota of the project
}

// A group of requests shares a quota per project.
type group int

const (
	accesses group = iota
	reads
	writes
)

// https://cloud.google.com/secret-manager/docs/access-control has the permissions.
var (
	creating         = operation{"secretmanager.secrets.create", writes}
	gettingSecret    = operation{"secretmanager.secrets.get", reads}
	listingSecrets   = operation{"secretmanager.secrets.list", reads}
	updating         = operation{"secretmanager.secrets.update", writes}
	deleting         = operation{"secretmanager.secrets.delete", writes}
	adding           = operation{"secretmanager.versions.add", writes}
	gettingVersion   = operation{"secretmanager.versions.get", reads}
	listingVersions  = operation{"secretmanager.versions.list", reads}
	accessing        = operation{"secretmanager.versions.access", accesses}
	enablingVersion  = operation{"secretmanager.versions.enable", writes}
	disablingVersion = operation{"secretmanager.versions.disable", writes}
	destroying       = operation{"secretmanager.versions.destroy", writes}
)

// admit asks the policy, then the quotas. Permission comes first, before the
// secret is looked for: who may not look cannot tell a missing secret.
func (s *Server) admit(op operation, r resource) error {
	if s.policy != nil && !s.policy(op.permission, r.secret) {
		return errDenied(op.permission, r.asked)
	}
	if s.grantsOnSecrets && op != creating && op != listingSecrets && s.newest(r) == nil {
		return errDenied(op.permission, r.asked)
	}
	if s.quotas != nil {
		return s.spend(op, r)
	}
	return nil
}
