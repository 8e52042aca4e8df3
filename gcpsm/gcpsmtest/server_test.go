package gcpsmtest_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

const project = "projects/example"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func start(t *testing.T, opts ...gcpsmtest.Option) (*gcpsmtest.Server, *secretmanager.Client) {
	t.Helper()
	srv := gcpsmtest.NewServer(opts...)
	t.Cleanup(srv.Close)
	client, err := srv.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return srv, client
}

// must keeps the output of calls that have to succeed.
func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func automatic() *pb.Secret {
	return &pb.Secret{Replication: &pb.Replication{Replication: &pb.Replication_Automatic_{Automatic: &pb.Replication_Automatic{}}}}
}

func create(t *testing.T, client *secretmanager.Client, id string) *pb.Secret {
	t.Helper()
	return must(client.CreateSecret(t.Context(), &pb.CreateSecretRequest{Parent: project, SecretId: id, Secret: automatic()}))(t)
}

func add(ctx context.Context, client *secretmanager.Client, id, payload string) (*pb.SecretVersion, error) {
	return client.AddSecretVersion(ctx, &pb.AddSecretVersionRequest{
		Parent: project + "/secrets/" + id, Payload: &pb.SecretPayload{Data: []byte(payload)},
	})
}

func access(ctx context.Context, client *secretmanager.Client, id, version string) (string, error) {
	out, err := client.AccessSecretVersion(ctx, &pb.AccessSecretVersionRequest{Name: versionName(id, version)})
	return string(out.GetPayload().GetData()), err
}

func versionName(id, version string) string {
	return project + "/secrets/" + id + "/versions/" + version
}

// payloads shows what a secret holds, "1=old 2=new".
func payloads(srv *gcpsmtest.Server, id string) string {
	var list []string
	for _, v := range srv.Versions(project + "/secrets/" + id) {
		list = append(list, fmt.Sprintf("%d=%s", v.Number, v.Payload))
	}
	return strings.Join(list, " ")
}

// wantError checks the code of an error and that its message has text.
func wantError(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), text) {
		t.Fatalf("error = %v\nwant    %s: ...%s...", err, code, text)
	}
}

func TestServer(t *testing.T) {
	t.Run("a secret that was created can be read", func(t *testing.T) {
		srv, client := start(t)
		created := create(t, client, "key")
		v := must(add(t.Context(), client, "key", "hunter2"))(t)
		if v.GetName() != created.GetName()+"/versions/1" || v.GetState() != pb.SecretVersion_ENABLED {
			t.Errorf("added %v", v)
		}
		for _, version := range []string{"1", "latest"} {
			if got := must(access(t.Context(), client, "key", version))(t); got != "hunter2" {
				t.Errorf("%s = %q", version, got)
			}
		}
		if names := srv.Names(); fmt.Sprint(names) != "["+created.GetName()+"]" {
			t.Error(names)
		}
	})
	t.Run("close may be called twice and keeps the state", func(t *testing.T) {
		srv, client := start(t)
		create(t, client, "a")
		must(add(t.Context(), client, "a", "v"))(t)
		srv.Close()
		srv.Close()
		if value, n, ok := srv.Value(project + "/secrets/a"); !ok || value != "v" || n != 1 {
			t.Errorf("Value = %q, %d, %v", value, n, ok)
		}
	})
	t.Run("clients take options, and end with the server", func(t *testing.T) {
		srv, _ := start(t)
		dialed := 0
		dial := func(ctx context.Context, addr string) (net.Conn, error) {
			dialed++
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}
		client := must(srv.Client(t.Context(), option.WithGRPCDialOption(grpc.WithContextDialer(dial))))(t)
		create(t, client, "a")
		if dialed != 1 {
			t.Errorf("dialed %d times", dialed)
		}
		srv.Close()
		_, err := add(t.Context(), client, "a", "v")
		wantError(t, err, codes.Canceled, "closing")
	})
	t.Run("a client of the caller's own making works", func(t *testing.T) {
		srv, _ := start(t)
		client := must(secretmanager.NewClient(t.Context(), option.WithEndpoint(srv.Addr), option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials()))))(t)
		defer client.Close()
		create(t, client, "a")
	})
	t.Run("the listener may be the caller's", func(t *testing.T) {
		listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
		srv, client := start(t, gcpsmtest.WithListener(listener))
		if srv.Addr != listener.Addr().String() {
			t.Error(srv.Addr)
		}
		create(t, client, "a")
		srv.Close()
		if _, err := listener.Accept(); err == nil {
			t.Error("the listener is still open")
		}
	})
}
