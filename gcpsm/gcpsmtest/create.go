package gcpsmtest

import (
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// createSecret makes a secret without versions. A name that was deleted is free
// again, and its versions start at 1 again.
func (s *Server) createSecret(in *pb.CreateSecretRequest) (*pb.Secret, error) {
	r, err := s.parse(in.GetParent(), scopeName)
	if err != nil {
		return nil, err
	}
	r.secret = in.GetSecretId()
	now := s.now()
	switch {
	case !secretPart.MatchString(r.secret):
		return nil, errSecretID(r.secret)
	case in.GetSecret() == nil:
		return nil, errRequired("secret")
	case in.GetSecret().GetSecretType() != pb.Secret_SECRET_TYPE_UNSPECIFIED:
		return nil, errNotServed("secrets with a type")
	}
	meta := proto.CloneOf(in.GetSecret())
	for _, err := range []error{s.checkReplication(meta), expireTime(meta, now), checkSecret(meta, nil), checkRotation(meta, now)} {
		if err != nil {
			return nil, err
		}
	}
	if err := s.admit(creating, r); err != nil {
		return nil, err
	}
	if s.newest(r) != nil {
		return nil, errExists(r)
	}
	meta.Name = r.name()
	meta.CreateTime = timestamppb.New(now)
	meta.Etag = s.etag()
	meta.Tags = nil // "Input only."
	meta.PolicyMember = nil
	s.created++
	s.store(r, &secret{resource: r, seq: s.created, meta: meta, next: 1})
	return meta, nil
}

func (s *Server) getSecret(in *pb.GetSecretRequest) (*pb.Secret, error) {
	r, err := s.parse(in.GetName(), secretName)
	if err != nil {
		return nil, err
	}
	if err := s.admit(gettingSecret, r); err != nil {
		return nil, err
	}
	sec := s.seen(r)
	if sec == nil {
		return nil, errNoSecret(r)
	}
	return sec.meta, nil
}

// deleteSecret deletes the secret and all its versions, at once and for ever.
func (s *Server) deleteSecret(in *pb.DeleteSecretRequest) (*emptypb.Empty, error) {
	r, err := s.parse(in.GetName(), secretName)
	if err != nil {
		return nil, err
	}
	if err := s.admit(deleting, r); err != nil {
		return nil, err
	}
	sec := s.newest(r)
	switch {
	case sec == nil:
		return nil, errNoSecret(r)
	case in.GetEtag() != "" && in.GetEtag() != sec.meta.GetEtag():
		return nil, errEtag(r.name(), in.GetEtag(), sec.meta.GetEtag())
	}
	s.store(r, nil)
	return &emptypb.Empty{}, nil
}
