package gcpsmtest_test

import (
	"testing"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

func TestPolicy(t *testing.T) {
	var forbidden string // "permission id"
	srv, client := start(t, gcpsmtest.WithPolicy(func(permission, id string) bool { return permission+" "+id != forbidden }))
	create(t, client, "n")
	must(add(t.Context(), client, "n", "v"))(t)
	ctx, secret, version := t.Context(), project+"/secrets/n", versionName("n", "1")

	for _, test := range []struct {
		permission, id, resource string
		call                     func() error
	}{
		{"secretmanager.secrets.create", "new", project, func() error {
			_, err := client.CreateSecret(ctx, &pb.CreateSecretRequest{Parent: project, SecretId: "new", Secret: automatic()})
			return err
		}},
		{"secretmanager.secrets.get", "n", secret, func() error {
			_, err := client.GetSecret(ctx, &pb.GetSecretRequest{Name: secret})
			return err
		}},
		{"secretmanager.secrets.list", "", project, func() error {
			_, err := all(client.ListSecrets(ctx, &pb.ListSecretsRequest{Parent: project}).Next)
			return err
		}},
		{"secretmanager.secrets.update", "n", secret, func() error {
			mask := &fieldmaskpb.FieldMask{Paths: []string{"labels"}}
			_, err := client.UpdateSecret(ctx, &pb.UpdateSecretRequest{Secret: &pb.Secret{Name: secret}, UpdateMask: mask})
			return err
		}},
		{"secretmanager.versions.add", "n", secret, func() error {
			_, err := add(ctx, client, "n", "v")
			return err
		}},
		{"secretmanager.versions.get", "n", version, func() error {
			_, err := client.GetSecretVersion(ctx, &pb.GetSecretVersionRequest{Name: version})
			return err
		}},
		{"secretmanager.versions.access", "n", version, func() error {
			_, err := access(ctx, client, "n", "1")
			return err
		}},
		{"secretmanager.versions.list", "n", secret, func() error {
			_, err := all(client.ListSecretVersions(ctx, &pb.ListSecretVersionsRequest{Parent: secret}).Next)
			return err
		}},
		{"secretmanager.versions.disable", "n", version, func() error {
			_, err := client.DisableSecretVersion(ctx, &pb.DisableSecretVersionRequest{Name: version})
			return err
		}},
		{"secretmanager.versions.enable", "n", version, func() error {
			_, err := client.EnableSecretVersion(ctx, &pb.EnableSecretVersionRequest{Name: version})
			return err
		}},
		{"secretmanager.versions.destroy", "n", version, func() error {
			_, err := client.DestroySecretVersion(ctx, &pb.DestroySecretVersionRequest{Name: version})
			return err
		}},
		{"secretmanager.secrets.delete", "n", secret, func() error {
			return client.DeleteSecret(ctx, &pb.DeleteSecretRequest{Name: secret})
		}},
	} {
		t.Run("it needs "+test.permission, func(t *testing.T) {
			forbidden = test.permission + " " + test.id
			err := test.call()
			wantError(t, err, codes.PermissionDenied, "Permission '"+test.permission+"' denied for resource '"+test.resource+"' (or it may not exist).")
			if info, ok := status.Convert(err).Details()[0].(*errdetails.ErrorInfo); !ok || info.GetReason() != "IAM_PERMISSION_DENIED" {
				t.Error(status.Convert(err).Details())
			}
			forbidden = ""
			if err := test.call(); err != nil {
				t.Errorf("allowed, and %v", err)
			}
		})
	}
	t.Run("a forbidden secret looks the same whether or not it exists", func(t *testing.T) {
		forbidden = "secretmanager.versions.access missing"
		_, err := access(ctx, client, "missing", "latest")
		wantError(t, err, codes.PermissionDenied, "")
	})
	t.Run("an operator is not asked", func(t *testing.T) {
		forbidden = "secretmanager.versions.add op"
		must(srv.SetValue(project+"/secrets/op", "x"))(t)
	})
}

func TestGrantsOnSecrets(t *testing.T) {
	_, client := start(t, gcpsmtest.WithGrantsOnSecrets())
	_, err := access(t.Context(), client, "n", "1")
	wantError(t, err, codes.PermissionDenied, "Permission 'secretmanager.versions.access' denied")
	_, err = add(t.Context(), client, "n", "v")
	wantError(t, err, codes.PermissionDenied, "")
	want(t, list(t, client, ""), "")
	create(t, client, "n")
	_, err = access(t.Context(), client, "n", "1")
	wantError(t, err, codes.NotFound, "")
}
