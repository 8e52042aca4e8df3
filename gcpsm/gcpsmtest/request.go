package gcpsmtest

import (
	"path"
	"strings"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/protobuf/proto"
)

// A request is one call of the API, and what can be said of it before it is
// checked.
type request struct {
	method   string // "AddSecretVersion"
	in       proto.Message
	resource string
	secret   string
	version  string
}

func newRequest(fullMethod string, in proto.Message) *request {
	r := &request{method: path.Base(fullMethod), in: in}
	switch in := in.(type) {
	case interface{ GetName() string }:
		r.resource = in.GetName()
	case interface{ GetParent() string }:
		r.resource = in.GetParent()
	case interface{ GetSecret() *pb.Secret }: // UpdateSecret; CreateSecret has a parent, too
		r.resource = in.GetSecret().GetName()
	case interface{ GetResource() string }: // of IAM
		r.resource = in.GetResource()
	}
	if in, ok := in.(*pb.CreateSecretRequest); ok {
		r.secret = in.GetSecretId()
		return r
	}
	parts := strings.Split(r.resource, "/")
	for i := 0; i+1 < len(parts); i += 2 {
		switch parts[i] {
		case "secrets":
			r.secret = parts[i+1]
		case "versions":
			r.version = parts[i+1]
		}
	}
	return r
}
