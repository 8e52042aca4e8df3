package gcpsmtest_test

import (
	"testing"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

func TestLag(t *testing.T) {
	const lag = time.Hour
	clock := gcpsmtest.NewClock(noon)
	srv, client := start(t, gcpsmtest.WithClock(clock.Now), gcpsmtest.WithLag(lag))
	ctx := t.Context()
	latest := func() string {
		got, err := access(ctx, client, "n", "latest")
		if err != nil {
			return status.Code(err).String()
		}
		return got
	}
	get := func() error {
		_, err := client.GetSecret(ctx, &pb.GetSecretRequest{Name: project + "/secrets/n"})
		return err
	}
	t.Run("a new secret is missing for exactly the lag, its versions by number are not", func(t *testing.T) {
		create(t, client, "n")
		must(add(ctx, client, "n", "1"))(t)
		clock.Advance(lag - time.Nanosecond)
		wantError(t, get(), codes.NotFound, "")
		want(t, list(t, client, ""), "")
		if got := latest(); got != "NotFound" {
			t.Error(got)
		}
		must(access(ctx, client, "n", "1"))(t)
		must(client.GetSecretVersion(ctx, &pb.GetSecretVersionRequest{Name: versionName("n", "1")}))(t)
		_, err := client.CreateSecret(ctx, &pb.CreateSecretRequest{Parent: project, SecretId: "n", Secret: automatic()})
		wantError(t, err, codes.AlreadyExists, "")
		clock.Advance(time.Nanosecond)
		if err := get(); err != nil {
			t.Error(err)
		}
		want(t, list(t, client, ""), "n")
		want(t, listVersions(t, client, "n", ""), "1")
		if got := latest(); got != "1" {
			t.Error(got)
		}
	})
	t.Run("latest is old for exactly the lag, after each of several changes", func(t *testing.T) {
		must(add(ctx, client, "n", "2"))(t)
		clock.Advance(lag / 2)
		must(add(ctx, client, "n", "3"))(t)
		if got := latest(); got != "1" {
			t.Error(got)
		}
		want(t, listVersions(t, client, "n", ""), "1")
		clock.Advance(lag / 2)
		if got := latest(); got != "2" {
			t.Error(got)
		}
		clock.Advance(lag / 2)
		if got := latest(); got != "3" {
			t.Error(got)
		}
	})
	t.Run("a late latest may be destroyed by now", func(t *testing.T) {
		must(add(ctx, client, "n", "4"))(t)
		must(client.DestroySecretVersion(ctx, &pb.DestroySecretVersionRequest{Name: versionName("n", "3")}))(t)
		_, err := access(ctx, client, "n", "latest")
		wantError(t, err, codes.FailedPrecondition, "versions/3] is in DESTROYED state.")
		clock.Advance(lag)
		if got := latest(); got != "4" {
			t.Error(got)
		}
	})
	t.Run("aliases and metadata are late", func(t *testing.T) {
		alias := &pb.Secret{Name: project + "/secrets/n", VersionAliases: map[string]int64{"good": 2}}
		mask := &fieldmaskpb.FieldMask{Paths: []string{"version_aliases"}}
		must(client.UpdateSecret(ctx, &pb.UpdateSecretRequest{Secret: alias, UpdateMask: mask}))(t)
		_, err := access(ctx, client, "n", "good")
		wantError(t, err, codes.NotFound, "")
		clock.Advance(lag)
		if got := must(access(ctx, client, "n", "good"))(t); got != "2" {
			t.Error(got)
		}
	})
	t.Run("a deleted secret is seen for exactly the lag, but not its versions", func(t *testing.T) {
		if err := client.DeleteSecret(ctx, &pb.DeleteSecretRequest{Name: project + "/secrets/n"}); err != nil {
			t.Fatal(err)
		}
		clock.Advance(lag - time.Nanosecond)
		if err := get(); err != nil {
			t.Error(err)
		}
		want(t, list(t, client, ""), "n")
		_, err := access(ctx, client, "n", "latest")
		wantError(t, err, codes.NotFound, "versions/4] not found.")
		clock.Advance(time.Nanosecond)
		wantError(t, get(), codes.NotFound, "")
		want(t, list(t, client, ""), "")
	})
	t.Run("after Settle all is seen that was written before it", func(t *testing.T) {
		create(t, client, "n")
		must(add(ctx, client, "n", "1"))(t)
		srv.Settle()
		if got := latest(); got != "1" {
			t.Error(got)
		}
		must(add(ctx, client, "n", "2"))(t)
		if got := latest(); got != "1" {
			t.Error(got)
		}
	})
}
