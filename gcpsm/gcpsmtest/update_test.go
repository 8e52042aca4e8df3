package gcpsmtest_test

import (
	"testing"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

func TestUpdateSecret(t *testing.T) {
	clock := gcpsmtest.NewClock(noon)
	_, client := start(t, gcpsmtest.WithClock(clock.Now))
	must(client.CreateSecret(t.Context(), &pb.CreateSecretRequest{Parent: project, SecretId: "n", Secret: with(func(s *pb.Secret) {
		s.Labels = map[string]string{"old": "label"}
		s.Annotations = map[string]string{"old": "annotation"}
		s.Topics = []*pb.Topic{{Name: "projects/p/topics/t"}}
	})}))(t)
	must(add(t.Context(), client, "n", "v"))(t)
	get := func() *pb.Secret {
		return must(client.GetSecret(t.Context(), &pb.GetSecretRequest{Name: project + "/secrets/n"}))(t)
	}
	update := func(sec *pb.Secret, paths ...string) (*pb.Secret, error) {
		if sec.GetName() == "" {
			sec.Name = project + "/secrets/n"
		}
		return client.UpdateSecret(t.Context(), &pb.UpdateSecretRequest{Secret: sec, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
	}
	t.Run("only what the mask names changes, and the etag", func(t *testing.T) {
		old := get()
		got := must(update(&pb.Secret{
			Labels: map[string]string{"new": "label"}, Annotations: map[string]string{"new": "annotation"},
		}, "labels"))(t)
		if diff := cmp.Diff(map[string]string{"new": "label"}, got.GetLabels()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(old.GetAnnotations(), got.GetAnnotations()); diff != "" {
			t.Error(diff)
		}
		if got.GetEtag() == old.GetEtag() || got.String() != get().String() {
			t.Errorf("was %v\nis  %v\ngot %v", old, get(), got)
		}
	})
	t.Run("a field that is named and not set is cleared", func(t *testing.T) {
		if got := must(update(&pb.Secret{}, "annotations", "labels"))(t); got.GetAnnotations() != nil || got.GetLabels() != nil {
			t.Error(got)
		}
	})
	t.Run("adding a version does not change the secret's etag", func(t *testing.T) {
		old := get().GetEtag()
		must(add(t.Context(), client, "n", "w"))(t)
		if got := get().GetEtag(); got != old {
			t.Errorf("etag %s became %s", old, got)
		}
	})
	t.Run("an etag has to be the newest", func(t *testing.T) {
		old := get().GetEtag()
		must(update(&pb.Secret{Etag: old, Labels: map[string]string{"a": "b"}}, "labels"))(t)
		_, err := update(&pb.Secret{Etag: old}, "labels")
		wantError(t, err, codes.FailedPrecondition, "etag")
		if len(get().GetLabels()) != 1 {
			t.Error("the update was applied")
		}
	})
	t.Run("everything else that can change", func(t *testing.T) {
		got := must(update(&pb.Secret{
			VersionDestroyTtl: durationpb.New(48 * time.Hour),
			VersionAliases:    map[string]int64{"good": 1},
			Expiration:        &pb.Secret_Ttl{Ttl: durationpb.New(time.Hour)},
			Topics:            []*pb.Topic{{Name: "projects/p/topics/u"}},
			Rotation:          &pb.Rotation{NextRotationTime: timestamppb.New(noon.Add(time.Hour)), RotationPeriod: durationpb.New(2 * time.Hour)},
		}, "version_destroy_ttl", "version_aliases", "ttl", "topics", "rotation.next_rotation_time", "rotation.rotation_period"))(t)
		if got.GetVersionDestroyTtl().AsDuration() != 48*time.Hour || got.GetVersionAliases()["good"] != 1 ||
			!got.GetExpireTime().AsTime().Equal(noon.Add(time.Hour)) || got.GetTopics()[0].GetName() != "projects/p/topics/u" ||
			got.GetRotation().GetRotationPeriod().AsDuration() != 2*time.Hour {
			t.Error(got)
		}
		got = must(update(&pb.Secret{}, "expire_time", "rotation", "version_destroy_ttl", "version_aliases"))(t)
		if got.GetExpiration() != nil || got.GetRotation() != nil || got.GetVersionDestroyTtl() != nil || got.GetVersionAliases() != nil {
			t.Error(got)
		}
	})
	t.Run("a secret may have 50 aliases", func(t *testing.T) {
		must(update(&pb.Secret{VersionAliases: many(50, int64(1))}, "version_aliases"))(t)
	})
	for _, test := range unacceptable {
		t.Run(test.name+" is refused", func(t *testing.T) {
			sec := &pb.Secret{}
			test.set(sec)
			if test.name == "rotation without a topic" {
				_, err := update(sec, "rotation", "topics")
				wantError(t, err, codes.InvalidArgument, test.text)
				return
			}
			old := get()
			_, err := update(sec, test.path)
			wantError(t, err, codes.InvalidArgument, test.text)
			if get().String() != old.String() {
				t.Error("the update was applied")
			}
		})
	}
	t.Run("replication keeps its places and may change its keys", func(t *testing.T) {
		_, err := update(placed("us-east1"), "replication")
		wantError(t, err, codes.InvalidArgument, "replication")
		key := with(func(s *pb.Secret) {
			s.GetReplication().GetAutomatic().CustomerManagedEncryption = encryption(keyIn("global"))
		})
		must(update(key, "replication"))(t)
		v := must(add(t.Context(), client, "n", "encrypted"))(t)
		want := keyIn("global") + "/cryptoKeyVersions/1"
		if got := v.GetReplicationStatus().GetAutomatic().GetCustomerManagedEncryption().GetKmsKeyVersionName(); got != want {
			t.Errorf("the new version's key is %q", got)
		}
		first := must(client.GetSecretVersion(t.Context(), &pb.GetSecretVersionRequest{Name: versionName("n", "1")}))(t)
		if got := first.GetReplicationStatus().GetAutomatic().GetCustomerManagedEncryption(); got != nil {
			t.Errorf("the old version's key is %v", got)
		}
	})
	t.Run("replicas keep their places and may change their keys", func(t *testing.T) {
		must(client.CreateSecret(t.Context(), &pb.CreateSecretRequest{Parent: project, SecretId: "r", Secret: placed("a", "b")}))(t)
		named := func(sec *pb.Secret) *pb.Secret {
			sec.Name = project + "/secrets/r"
			return sec
		}
		_, err := update(named(placed("a", "c")), "replication")
		wantError(t, err, codes.InvalidArgument, "replication")
		_, err = update(named(placed("a")), "replication")
		wantError(t, err, codes.InvalidArgument, "replication")
		must(update(named(placed("a "+keyIn("a"), "b "+keyIn("b"))), "replication.user_managed.replicas"))(t)
		v := must(add(t.Context(), client, "r", "v"))(t)
		replicas := v.GetReplicationStatus().GetUserManaged().GetReplicas()
		if len(replicas) != 2 || replicas[1].GetLocation() != "b" || replicas[1].GetCustomerManagedEncryption().GetKmsKeyVersionName() == "" {
			t.Error(v)
		}
	})
	for _, path := range []string{"name", "create_time", "tags", "secret_type", "etag", "*", "nonsense", "labels.a", "versionAliases"} {
		t.Run("the mask "+path+" is refused", func(t *testing.T) {
			_, err := update(&pb.Secret{Labels: map[string]string{"a": "z"}}, path)
			wantError(t, err, codes.InvalidArgument, "")
		})
	}
	t.Run("a mask is required", func(t *testing.T) {
		_, err := update(&pb.Secret{})
		wantError(t, err, codes.InvalidArgument, "update_mask")
	})
	t.Run("a missing secret is NOT_FOUND", func(t *testing.T) {
		_, err := update(&pb.Secret{Name: project + "/secrets/missing"}, "labels")
		wantError(t, err, codes.NotFound, "/secrets/missing] not found.")
	})
	t.Run("encryption of regional secrets is refused", func(t *testing.T) {
		_, err := update(&pb.Secret{CustomerManagedEncryption: encryption(keyIn("global"))}, "customer_managed_encryption")
		wantError(t, err, codes.InvalidArgument, "global secret")
	})
	t.Run("a rotation that is due does not stand in the way of other updates", func(t *testing.T) {
		must(update(&pb.Secret{Rotation: &pb.Rotation{NextRotationTime: timestamppb.New(noon.Add(time.Hour))}}, "rotation"))(t)
		clock.Advance(2 * time.Hour)
		must(update(&pb.Secret{}, "labels"))(t)
		_, err := update(&pb.Secret{Rotation: &pb.Rotation{NextRotationTime: timestamppb.New(noon.Add(time.Hour))}}, "rotation")
		wantError(t, err, codes.InvalidArgument, "in the future")
		must(update(&pb.Secret{}, "rotation"))(t)
	})
}
