package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token"
)

var onGoogle = kind{
	name:  "gcpsm",
	title: "Google Secret Manager",
	flags: []string{"gcp", "endpoint"},
	calls: "requests that Google's client sent, repetitions included",
	list:  "two reads of the index, and one of each record",
	finds: "\nThe finds by id come first, so they also look for what the other store has written.",
	quota: "Google takes 600 writes a minute in a project. Wait a minute, or try a shorter file.",
	open:  openGoogle,
}

// parentForm is what -gcp takes; the location is its group.
var parentForm = regexp.MustCompile(`^projects/[a-z0-9.:-]+(?:/locations/([a-z0-9-]+))?$`)

// setParent is the flag -gcp.
func (o *options) setParent(text string) error {
	if !parentForm.MatchString(text) {
		return errors.New("it is not projects/PROJECT or projects/PROJECT/locations/LOCATION")
	}
	o.gcp = text
	return nil
}

func openGoogle(ctx context.Context, o options, s *service) error {
	dial := []option.ClientOption{option.WithGRPCDialOption(grpc.WithChainUnaryInterceptor(s.watchGoogle))}
	var opts gcpsm.Options
	if o.gcp == "" { // no credentials leave the process, and there are no quotas to keep
		opts.Pace = gcpsm.Pace{SecretAdds: -1, ProjectWrites: -1}
		dial = append(dial, option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	}
	parent, stop := cmp.Or(o.gcp, "projects/quickstart"), s.close
	switch {
	case o.endpoint != "":
		if host, port, err := net.SplitHostPort(o.endpoint); err != nil || host == "" || port == "" {
			return errors.New("-endpoint is not a host and a port like localhost:9090")
		}
		s.what = parent + " at " + o.endpoint
	case o.gcp != "":
		s.what = "Google Secret Manager, in your " + parent
		if location := parentForm.FindStringSubmatch(parent)[1]; location != "" {
			o.endpoint = "secretmanager." + location + ".rep.googleapis.com:443"
		}
	default:
		double := gcpsmtest.NewServer()
		s.inProcess()
		stop, o.endpoint = double.Close, double.Addr
	}
	if o.endpoint != "" {
		dial = append(dial, option.WithEndpoint(o.endpoint))
	}
	client, err := secretmanager.NewClient(ctx, dial...)
	if err != nil {
		return fmt.Errorf("the client of Google Secret Manager: %w", err)
	}
	s.close = func() {
		_ = client.Close()
		stop()
	}
	// An id has two underscores where a prefix has a slash.
	s.under = parent + "/secrets/" + strings.ReplaceAll(s.prefix, "/", "__") + "__"
	s.store = func() (*token.Store, error) { return gcpsm.New(client, parent, s.prefix, &opts) }
	d, err := gcpsm.NewDriver(client, parent, s.prefix, &opts)
	s.remove = func(ctx context.Context, name string) error { return d.Delete(ctx, strings.TrimPrefix(name, s.under)) }
	return err
}

// watchGoogle stands below all that repeats a request: each of them comes by here.
func (s *service) watchGoogle(ctx context.Context, method string, in, out any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	s.calls.Add(1)
	if create, ok := in.(*secretmanagerpb.CreateSecretRequest); ok {
		s.note(create.GetParent() + "/secrets/" + create.GetSecretId())
		var cancel context.CancelFunc
		ctx, cancel = uncut(ctx)
		defer cancel()
	}
	return invoke(ctx, method, in, out, conn, opts...)
}
