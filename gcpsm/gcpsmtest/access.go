package gcpsmtest

import (
	"bytes"
	"strconv"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
)

// accessSecretVersion returns a payload with its checksum, which the service
// computes where the client sent none.
func (s *Server) accessSecretVersion(in *pb.AccessSecretVersionRequest) (*pb.AccessSecretVersionResponse, error) {
	v, r, err := s.version(accessing, in.GetName())
	if err != nil {
		return nil, err
	}
	if v.state != pb.SecretVersion_ENABLED {
		return nil, errState(r.at(v.number), v.state.String())
	}
	return &pb.AccessSecretVersionResponse{
		Name: r.at(v.number),
		Payload: &pb.SecretPayload{
			Data:       bytes.Clone(v.payload),
			DataCrc32C: new(checksum(v.payload)),
		},
	}, nil
}

func (s *Server) getSecretVersion(in *pb.GetSecretVersionRequest) (*pb.SecretVersion, error) {
	v, r, err := s.version(gettingVersion, in.GetName())
	if err != nil {
		return nil, err
	}
	return v.message(r), nil
}

// version returns the version that a name means. Which number latest or an alias
// stands for may be old news; the version with that number is seen as it is now.
func (s *Server) version(op operation, name string) (*version, resource, error) {
	r, err := s.parse(name, versionName)
	if err != nil {
		return nil, r, err
	}
	if err := s.admit(op, r); err != nil {
		return nil, r, err
	}
	n, ok := number(r.version)
	if !ok {
		if old := s.seen(r); old != nil {
			n = old.resolve(r.version)
		}
		switch {
		case n != 0:
			r.version = strconv.FormatInt(n, 10)
		case r.version == latest:
			return nil, r, errNoLatest(r)
		}
	}
	sec := s.newest(r)
	if sec == nil {
		return nil, r, errNoVersion(r)
	}
	v := sec.find(n)
	if v == nil {
		return nil, r, errNoVersion(r)
	}
	return v, r, nil
}
