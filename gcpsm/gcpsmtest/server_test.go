package gcpsmtest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

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
	t.Run("a server and its client run in a bubble, over bufconn", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := gcpsmtest.NewServer(gcpsmtest.WithListener(bufconn.Listen(1<<20)), gcpsmtest.WithLatency(3*time.Second))
			defer srv.Close()
			client := must(srv.Client(t.Context()))(t)
			begun := time.Now()
			create(t, client, "a")
			must(add(t.Context(), client, "a", "v"))(t)
			if got := must(access(t.Context(), client, "a", "latest"))(t); got != "v" {
				t.Error(got)
			}
			if d := time.Since(begun); d != 9*time.Second {
				t.Errorf("three requests took %s", d)
			}
		})
	})
}
