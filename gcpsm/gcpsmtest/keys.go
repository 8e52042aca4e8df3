package gcpsmtest

import (
	"regexp"
	"slices"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
)

// Keys are where a version is stored and the KMS keys that encrypt it there.
// They are those of the secret when the version was added: "Updates to the Secret
// encryption configuration only apply to SecretVersions added afterwards."
type keys struct {
	regional bool
	replicas []replica // user-managed replication
	key      string    // of automatic replication or of a regional secret; may be empty
}

type replica struct{ location, key string }

func keysOf(sec *pb.Secret) *keys {
	k := &keys{}
	switch {
	case sec.GetReplication() == nil:
		k.regional = true
		k.key = sec.GetCustomerManagedEncryption().GetKmsKeyName()
	case sec.GetReplication().GetUserManaged() != nil:
		for _, r := range sec.GetReplication().GetUserManaged().GetReplicas() {
			k.replicas = append(k.replicas, replica{r.GetLocation(), r.GetCustomerManagedEncryption().GetKmsKeyName()})
		}
	default:
		k.key = sec.GetReplication().GetAutomatic().GetCustomerManagedEncryption().GetKmsKeyName()
	}
	return k
}

// describe fills in the version's replication status and key. Keys here have one
// version each.
func (k *keys) describe(v *pb.SecretVersion) {
	switch {
	case k.regional:
		v.CustomerManagedEncryption = keyStatus(k.key)
	case k.replicas != nil:
		u := &pb.ReplicationStatus_UserManagedStatus{}
		for _, r := range k.replicas {
			u.Replicas = append(u.Replicas, &pb.ReplicationStatus_UserManagedStatus_ReplicaStatus{
				Location: r.location, CustomerManagedEncryption: keyStatus(r.key),
			})
		}
		v.ReplicationStatus = &pb.ReplicationStatus{ReplicationStatus: &pb.ReplicationStatus_UserManaged{UserManaged: u}}
	default:
		a := &pb.ReplicationStatus_AutomaticStatus{CustomerManagedEncryption: keyStatus(k.key)}
		v.ReplicationStatus = &pb.ReplicationStatus{ReplicationStatus: &pb.ReplicationStatus_Automatic{Automatic: a}}
	}
}

func keyStatus(key string) *pb.CustomerManagedEncryptionStatus {
	if key == "" {
		return nil
	}
	return &pb.CustomerManagedEncryptionStatus{KmsKeyVersionName: key + "/cryptoKeyVersions/1"}
}

// automatic is the replication of a secret that names no places.
func automatic() *pb.Replication {
	return &pb.Replication{Replication: &pb.Replication_Automatic_{Automatic: &pb.Replication_Automatic{}}}
}

// checkReplication checks where a secret wants to be. "Replication: Optional.
// Immutable" in the API's types is required by the global service and refused by
// the regional ones.
//
// https://cloud.google.com/secret-manager/docs/choosing-replication
// https://cloud.google.com/secret-manager/docs/cmek
func (s *Server) checkReplication(sec *pb.Secret) error {
	if s.location != "" {
		if sec.GetReplication() != nil {
			return errRegionalReplication()
		}
		return checkKey(sec.GetCustomerManagedEncryption(), s.location)
	}
	if sec.GetCustomerManagedEncryption() != nil {
		return errGlobalEncryption()
	}
	switch r := sec.GetReplication().GetReplication().(type) {
	case *pb.Replication_Automatic_:
		return checkKey(r.Automatic.GetCustomerManagedEncryption(), "global")
	case *pb.Replication_UserManaged_:
		return checkReplicas(r.UserManaged.GetReplicas())
	}
	return errNoReplication()
}

// checkReplicas: at least one, each place once, and keys for all or for none.
func checkReplicas(replicas []*pb.Replication_UserManaged_Replica) error {
	if len(replicas) == 0 {
		return errNoReplicas()
	}
	var locations []string
	encrypted := 0
	for _, r := range replicas {
		if !locationPart.MatchString(r.GetLocation()) {
			return errReplicaLocation(r.GetLocation())
		}
		if slices.Contains(locations, r.GetLocation()) {
			return errReplicaTwice(r.GetLocation())
		}
		locations = append(locations, r.GetLocation())
		if r.GetCustomerManagedEncryption() != nil {
			encrypted++
		}
		if err := checkKey(r.GetCustomerManagedEncryption(), r.GetLocation()); err != nil {
			return err
		}
	}
	if encrypted != 0 && encrypted != len(replicas) {
		return errSomeKeys()
	}
	return nil
}

var keyName = regexp.MustCompile(`^projects/[^/]+/locations/([^/]+)/keyRings/[^/]+/cryptoKeys/[^/]+$`)

// checkKey: "Cloud KMS CryptoKeys must reside in the same location as the replica
// location", with automatic replication "in global".
func checkKey(e *pb.CustomerManagedEncryption, location string) error {
	if e == nil {
		return nil
	}
	parts := keyName.FindStringSubmatch(e.GetKmsKeyName())
	if parts == nil {
		return errKeyName(e.GetKmsKeyName())
	}
	if parts[1] != location {
		return errKeyLocation(e.GetKmsKeyName(), location)
	}
	return nil
}
