package gcpsmtest_test

import (
	"strings"
	"testing"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

func TestRegional(t *testing.T) {
	const parent = project + "/locations/europe-west1"
	srv, client := start(t, gcpsmtest.WithLocation("europe-west1"))
	try := func(parent string, sec *pb.Secret) (*pb.Secret, error) {
		return client.CreateSecret(t.Context(), &pb.CreateSecretRequest{Parent: parent, SecretId: "n", Secret: sec})
	}
	t.Run("a regional secret has no replication", func(t *testing.T) {
		_, err := try(parent, automatic())
		wantError(t, err, codes.InvalidArgument, "replication")
	})
	t.Run("its key is in its region", func(t *testing.T) {
		_, err := try(parent, &pb.Secret{CustomerManagedEncryption: encryption(keyIn("us-east1"))})
		wantError(t, err, codes.InvalidArgument, "europe-west1")
	})
	t.Run("it can be created, written, read, listed and updated", func(t *testing.T) {
		sec := must(try(parent, &pb.Secret{CustomerManagedEncryption: encryption(keyIn("europe-west1"))}))(t)
		if !strings.HasSuffix(sec.GetName(), "/locations/europe-west1/secrets/n") || sec.GetReplication() != nil {
			t.Error(sec)
		}
		v := must(client.AddSecretVersion(t.Context(), &pb.AddSecretVersionRequest{Parent: parent + "/secrets/n", Payload: &pb.SecretPayload{Data: []byte("v")}}))(t)
		if v.GetName() != sec.GetName()+"/versions/1" || v.GetReplicationStatus() != nil || v.GetCustomerManagedEncryption().GetKmsKeyVersionName() == "" {
			t.Error(v)
		}
		out := must(client.AccessSecretVersion(t.Context(), &pb.AccessSecretVersionRequest{Name: parent + "/secrets/n/versions/latest"}))(t)
		if string(out.GetPayload().GetData()) != "v" || out.GetName() != v.GetName() {
			t.Error(out)
		}
		want(t, must(all(client.ListSecrets(t.Context(), &pb.ListSecretsRequest{Parent: parent}).Next))(t), "n")
		must(client.UpdateSecret(t.Context(), &pb.UpdateSecretRequest{
			Secret: &pb.Secret{Name: sec.GetName()}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"customer_managed_encryption"}},
		}))(t)
		must(srv.SetValue(parent+"/secrets/op", "x"))(t)
	})
	t.Run("another location is refused", func(t *testing.T) {
		_, err := try(project+"/locations/us-east1", &pb.Secret{})
		wantError(t, err, codes.InvalidArgument, "us-east1")
	})
	t.Run("global names are refused", func(t *testing.T) {
		_, err := try(project, &pb.Secret{})
		wantError(t, err, codes.InvalidArgument, "expected format [projects/*/locations/*]")
		_, err = access(t.Context(), client, "n", "1")
		wantError(t, err, codes.InvalidArgument, "expected format [projects/*/locations/*/secrets/*/versions/*]")
	})
	t.Run("the global service refuses regional names", func(t *testing.T) {
		_, client := start(t)
		_, err := client.AccessSecretVersion(t.Context(), &pb.AccessSecretVersionRequest{Name: parent + "/secrets/n/versions/1"})
		wantError(t, err, codes.InvalidArgument, "expected format [projects/*/secrets/*/versions/*]")
	})
}
