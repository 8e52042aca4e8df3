package gcpsmtest

import (
	"context"
	"net"
	"slices"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
)

// Client returns a client of the library cloud.google.com/go/secretmanager for
// the server, without authentication and in plain text, with a connection of its
// own. It differs from the library's default in one thing: the retries of
// AccessSecretVersion, the only ones that the library makes, on UNAVAILABLE and
// RESOURCE_EXHAUSTED, begin after milliseconds instead of two seconds. Opts are
// applied after the server's own; with grpc.WithContextDialer among them the
// client connects through that.
//
// The client is closed by the server's Close at the latest. A client made by
// other means needs the endpoint [Server.Addr], option.WithoutAuthentication and
// insecure transport credentials.
func (s *Server) Client(ctx context.Context, opts ...option.ClientOption) (*secretmanager.Client, error) {
	all := []option.ClientOption{
		option.WithEndpoint("passthrough:///" + s.Addr),
		option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}
	if l, ok := s.listener.(interface {
		DialContext(ctx context.Context) (net.Conn, error)
	}); ok {
		all = append(all, option.WithGRPCDialOption(grpc.WithContextDialer(
			func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) })))
	}
	client, err := secretmanager.NewClient(ctx, slices.Concat(all, opts)...)
	if err != nil {
		return nil, err
	}
	client.CallOptions.AccessSecretVersion = append(client.CallOptions.AccessSecretVersion, gax.WithRetry(func() gax.Retryer {
		return gax.OnCodes([]codes.Code{codes.Unavailable, codes.ResourceExhausted},
			gax.Backoff{Initial: 5 * time.Millisecond, Max: time.Minute, Multiplier: 2})
	}))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients = append(s.clients, client)
	return client, nil
}

// plaintext is insecure.NewCredentials, but a request finds the connection that
// it came on.
func plaintext() credentials.TransportCredentials {
	return plain{insecure.NewCredentials()}
}

type plain struct {
	credentials.TransportCredentials
}

// ServerHandshake shakes no hands.
func (plain) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c, connection{conn: c}, nil
}

// Clone keeps the wrapper.
func (p plain) Clone() credentials.TransportCredentials { return p }

// A connection is what a request knows about where it came from.
type connection struct {
	credentials.CommonAuthInfo
	conn net.Conn
}

// AuthType is the name of the security protocol.
func (connection) AuthType() string { return "insecure" }

// cut closes the connection that the request came on, with all other requests
// that are on it.
func cut(ctx context.Context) {
	if from, ok := peer.FromContext(ctx); ok {
		if c, ok := from.AuthInfo.(connection); ok {
			_ = c.conn.Close()
		}
	}
}
