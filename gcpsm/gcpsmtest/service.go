package gcpsmtest

import (
	"context"

	"cloud.google.com/go/iam/apiv1/iampb"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// A service is the API as gRPC calls it. Each method is one atomic step.
type service struct {
	pb.UnimplementedSecretManagerServiceServer // methods to come
	s                                          *Server
}

// step performs a request while nothing else happens.
func step[In, Out any](s *Server, do func(In) (Out, error), in In) (Out, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return do(in)
}

func (v service) CreateSecret(_ context.Context, in *pb.CreateSecretRequest) (*pb.Secret, error) {
	return step(v.s, v.s.createSecret, in)
}

func (v service) GetSecret(_ context.Context, in *pb.GetSecretRequest) (*pb.Secret, error) {
	return step(v.s, v.s.getSecret, in)
}

func (v service) UpdateSecret(_ context.Context, in *pb.UpdateSecretRequest) (*pb.Secret, error) {
	return step(v.s, v.s.updateSecret, in)
}

func (v service) DeleteSecret(_ context.Context, in *pb.DeleteSecretRequest) (*emptypb.Empty, error) {
	return step(v.s, v.s.deleteSecret, in)
}

func (v service) ListSecrets(_ context.Context, in *pb.ListSecretsRequest) (*pb.ListSecretsResponse, error) {
	return step(v.s, v.s.listSecrets, in)
}

func (v service) AddSecretVersion(_ context.Context, in *pb.AddSecretVersionRequest) (*pb.SecretVersion, error) {
	return step(v.s, v.s.addSecretVersion, in)
}

func (v service) GetSecretVersion(_ context.Context, in *pb.GetSecretVersionRequest) (*pb.SecretVersion, error) {
	return step(v.s, v.s.getSecretVersion, in)
}

func (v service) AccessSecretVersion(_ context.Context, in *pb.AccessSecretVersionRequest) (*pb.AccessSecretVersionResponse, error) {
	return step(v.s, v.s.accessSecretVersion, in)
}

func (v service) ListSecretVersions(_ context.Context, in *pb.ListSecretVersionsRequest) (*pb.ListSecretVersionsResponse, error) {
	return step(v.s, v.s.listSecretVersions, in)
}

func (v service) EnableSecretVersion(_ context.Context, in *pb.EnableSecretVersionRequest) (*pb.SecretVersion, error) {
	return step(v.s, v.s.enableSecretVersion, in)
}

func (v service) DisableSecretVersion(_ context.Context, in *pb.DisableSecretVersionRequest) (*pb.SecretVersion, error) {
	return step(v.s, v.s.disableSecretVersion, in)
}

func (v service) DestroySecretVersion(_ context.Context, in *pb.DestroySecretVersionRequest) (*pb.SecretVersion, error) {
	return step(v.s, v.s.destroySecretVersion, in)
}

func (service) SetIamPolicy(context.Context, *iampb.SetIamPolicyRequest) (*iampb.Policy, error) {
	return nil, errNotServed("SetIamPolicy")
}

func (service) GetIamPolicy(context.Context, *iampb.GetIamPolicyRequest) (*iampb.Policy, error) {
	return nil, errNotServed("GetIamPolicy")
}

func (service) TestIamPermissions(context.Context, *iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error) {
	return nil, errNotServed("TestIamPermissions")
}

func (service) EnableManagedRotation(context.Context, *pb.EnableManagedRotationRequest) (*pb.SecretVersion, error) {
	return nil, errNotServed("EnableManagedRotation")
}

func (service) RotateSecret(context.Context, *pb.RotateSecretRequest) (*pb.SecretVersion, error) {
	return nil, errNotServed("RotateSecret")
}
