package gcpsmtest

import (
	"slices"
	"strings"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/protobuf/proto"
)

// updateSecret changes the metadata that the mask names, and no version.
func (s *Server) updateSecret(in *pb.UpdateSecretRequest) (*pb.Secret, error) {
	r, err := s.parse(in.GetSecret().GetName(), secretName)
	if err != nil {
		return nil, err
	}
	if len(in.GetUpdateMask().GetPaths()) == 0 {
		return nil, errRequired("update_mask")
	}
	if err := s.admit(updating, r); err != nil {
		return nil, err
	}
	old := s.newest(r)
	given := in.GetSecret().GetEtag()
	switch {
	case old == nil:
		return nil, errNoSecret(r)
	case given != "" && given != old.meta.GetEtag():
		return nil, errEtag(r.name(), given, old.meta.GetEtag())
	}
	now := s.now()
	meta := proto.CloneOf(old.meta)
	from := proto.CloneOf(in.GetSecret())
	for _, path := range in.GetUpdateMask().GetPaths() {
		if err := s.set(meta, from, path, now); err != nil {
			return nil, err
		}
	}
	for _, err := range []error{s.checkReplication(meta), checkSecret(meta, old)} {
		if err != nil {
			return nil, err
		}
	}
	// A rotation that was planned earlier may be due by now.
	if slices.ContainsFunc(in.GetUpdateMask().GetPaths(), func(path string) bool { return strings.HasPrefix(path, "rotation") }) {
		if err := checkRotation(meta, now); err != nil {
			return nil, err
		}
	}
	meta.Etag = s.etag()
	sec := old.clone()
	sec.meta = meta
	s.store(r, sec)
	return meta, nil
}

// set copies one field. A field that is named and not set is cleared.
func (s *Server) set(to, from *pb.Secret, path string, now time.Time) error {
	switch path {
	case "labels":
		to.Labels = from.GetLabels()
	case "annotations":
		to.Annotations = from.GetAnnotations()
	case "version_aliases":
		to.VersionAliases = from.GetVersionAliases()
	case "topics":
		to.Topics = from.GetTopics()
	case "rotation":
		to.Rotation = from.GetRotation()
	case "rotation.next_rotation_time":
		rotation(to).NextRotationTime = from.GetRotation().GetNextRotationTime()
	case "rotation.rotation_period":
		rotation(to).RotationPeriod = from.GetRotation().GetRotationPeriod()
	case "version_destroy_ttl":
		to.VersionDestroyTtl = from.GetVersionDestroyTtl()
	case "expire_time", "ttl":
		if err := expireTime(from, now); err != nil {
			return err
		}
		to.Expiration = from.GetExpiration()
	case "customer_managed_encryption":
		to.CustomerManagedEncryption = from.GetCustomerManagedEncryption()
	case "replication", "replication.automatic.customer_managed_encryption", "replication.user_managed.replicas":
		if !samePlaces(to.GetReplication(), from.GetReplication()) {
			return errImmutable("secret.replication")
		}
		to.Replication = from.GetReplication()
	case "name", "create_time", "tags", "secret_type":
		return errImmutable("secret." + path)
	default:
		return errMask(path)
	}
	return nil
}

func rotation(sec *pb.Secret) *pb.Rotation {
	if sec.GetRotation() == nil {
		sec.Rotation = &pb.Rotation{}
	}
	return sec.GetRotation()
}

// samePlaces tells whether two replications differ in their keys at most. "The
// replication policy cannot be changed after the Secret has been created."
func samePlaces(a, b *pb.Replication) bool {
	if (a.GetAutomatic() == nil) != (b.GetAutomatic() == nil) {
		return false
	}
	x, y := a.GetUserManaged().GetReplicas(), b.GetUserManaged().GetReplicas()
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i].GetLocation() != y[i].GetLocation() {
			return false
		}
	}
	return true
}
