package gcpsmtest_test

import (
	"testing"

	"cloud.google.com/go/iam/apiv1/iampb"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
)

func TestUnserved(t *testing.T) {
	_, client := start(t)
	name := project + "/secrets/n"
	for method, call := range map[string]func() error{
		"GetIamPolicy": func() error {
			_, err := client.IAM(name).Policy(t.Context())
			return err
		},
		"SetIamPolicy": func() error {
			_, err := client.SetIamPolicy(t.Context(), &iampb.SetIamPolicyRequest{Resource: name})
			return err
		},
		"TestIamPermissions": func() error {
			_, err := client.TestIamPermissions(t.Context(), &iampb.TestIamPermissionsRequest{Resource: name})
			return err
		},
		"RotateSecret": func() error {
			_, err := client.RotateSecret(t.Context(), &pb.RotateSecretRequest{Parent: name})
			return err
		},
		"EnableManagedRotation": func() error {
			_, err := client.EnableManagedRotation(t.Context(), &pb.EnableManagedRotationRequest{Parent: name})
			return err
		},
	} {
		t.Run(method+" is UNIMPLEMENTED", func(t *testing.T) {
			wantError(t, call(), codes.Unimplemented, "gcpsmtest does not serve "+method)
		})
	}
}
