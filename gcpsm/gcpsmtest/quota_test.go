package gcpsmtest_test

import (
	"testing"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/google/go-cmp/cmp"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

// accessOnce reads without the library's retries.
func accessOnce(t *testing.T, client *secretmanager.Client, id, version string) error {
	_, err := client.AccessSecretVersion(t.Context(), &pb.AccessSecretVersionRequest{Name: versionName(id, version)},
		gax.WithRetry(func() gax.Retryer { return nil }))
	return err
}

func TestQuotas(t *testing.T) {
	enforce := func(t *testing.T, q gcpsmtest.Quotas, opts ...gcpsmtest.Option) (*gcpsmtest.Clock, *gcpsmtest.Server, *secretmanager.Client) {
		clock := gcpsmtest.NewClock(noon)
		srv, client := start(t, append(opts, gcpsmtest.WithClock(clock.Now), gcpsmtest.WithQuotas(q))...)
		return clock, srv, client
	}
	adds := func(t *testing.T, client *secretmanager.Client, n int) {
		t.Helper()
		for range n {
			must(add(t.Context(), client, "n", "v"))(t)
		}
	}
	tooMany := func(t *testing.T, err error) {
		t.Helper()
		wantError(t, err, codes.ResourceExhausted, "")
	}
	t.Run("a secret takes two new versions a second, and no more within any second", func(t *testing.T) {
		clock, srv, client := enforce(t, gcpsmtest.Quotas{})
		create(t, client, "n")
		create(t, client, "m")
		adds(t, client, 1)
		clock.Advance(600 * time.Millisecond)
		adds(t, client, 1)
		_, err := add(t.Context(), client, "n", "refused")
		tooMany(t, err)
		must(add(t.Context(), client, "m", "v"))(t)
		clock.Advance(400 * time.Millisecond)
		adds(t, client, 1)
		_, err = add(t.Context(), client, "n", "refused")
		tooMany(t, err)
		if got := payloads(srv, "n"); got != "1=v 2=v 3=v" {
			t.Errorf("a refused version was added: %s", got)
		}
	})
	t.Run("a secret takes 120 new versions a minute", func(t *testing.T) {
		clock, _, client := enforce(t, gcpsmtest.Quotas{SecretPerSecond: -1})
		create(t, client, "n")
		adds(t, client, 119)
		clock.Advance(time.Second)
		adds(t, client, 1)
		refused := func() {
			t.Helper()
			_, err := add(t.Context(), client, "n", "v")
			tooMany(t, err)
		}
		refused()
		clock.Advance(59*time.Second - time.Nanosecond)
		refused()
		clock.Advance(time.Nanosecond) // the first 119 are a minute old
		adds(t, client, 119)
		refused()
	})
	t.Run("updates of the secret count with its versions", func(t *testing.T) {
		_, _, client := enforce(t, gcpsmtest.Quotas{})
		create(t, client, "n")
		adds(t, client, 1)
		update := func() error {
			mask := &fieldmaskpb.FieldMask{Paths: []string{"labels"}}
			_, err := client.UpdateSecret(t.Context(), &pb.UpdateSecretRequest{Secret: &pb.Secret{Name: project + "/secrets/n"}, UpdateMask: mask})
			return err
		}
		if err := update(); err != nil {
			t.Error(err)
		}
		tooMany(t, update())
	})
	t.Run("a version's state changes once a second", func(t *testing.T) {
		clock, srv, client := enforce(t, gcpsmtest.Quotas{})
		create(t, client, "n")
		adds(t, client, 2)
		must(client.DisableSecretVersion(t.Context(), &pb.DisableSecretVersionRequest{Name: versionName("n", "1")}))(t)
		_, err := client.DestroySecretVersion(t.Context(), &pb.DestroySecretVersionRequest{Name: versionName("n", "1")})
		tooMany(t, err)
		must(client.DestroySecretVersion(t.Context(), &pb.DestroySecretVersionRequest{Name: versionName("n", "2")}))(t)
		if n := srv.Active(project + "/secrets/n"); n != 1 {
			t.Errorf("%d are active", n)
		}
		clock.Advance(time.Second)
		must(client.EnableSecretVersion(t.Context(), &pb.EnableSecretVersionRequest{Name: versionName("n", "1")}))(t)
	})
	t.Run("a version's state changes 60 times a minute", func(t *testing.T) {
		clock, _, client := enforce(t, gcpsmtest.Quotas{VersionPerSecond: -1})
		create(t, client, "n")
		adds(t, client, 1)
		enable := func() error {
			_, err := client.EnableSecretVersion(t.Context(), &pb.EnableSecretVersionRequest{Name: versionName("n", "1")})
			return err
		}
		for range 60 {
			if err := enable(); err != nil {
				t.Fatal(err)
			}
		}
		tooMany(t, enable())
		clock.Advance(time.Minute)
		if err := enable(); err != nil {
			t.Error(err)
		}
	})
	t.Run("a project takes 600 writes and 600 reads a minute", func(t *testing.T) {
		clock, _, client := enforce(t, gcpsmtest.Quotas{SecretPerSecond: -1, SecretPerMinute: -1})
		create(t, client, "n")
		adds(t, client, 599)
		_, err := client.CreateSecret(t.Context(), &pb.CreateSecretRequest{Parent: project, SecretId: "m", Secret: automatic()})
		wantError(t, err, codes.ResourceExhausted, "Quota exceeded for quota metric 'Write requests' and limit 'Write requests per minute' of service 'secretmanager.googleapis.com'")
		read := func() error {
			_, err := client.GetSecret(t.Context(), &pb.GetSecretRequest{Name: project + "/secrets/n"})
			return err
		}
		for range 600 {
			if err := read(); err != nil {
				t.Fatal(err)
			}
		}
		wantError(t, read(), codes.ResourceExhausted, "'Read requests'")
		if err := accessOnce(t, client, "n", "1"); err != nil {
			t.Error(err)
		}
		must(client.CreateSecret(t.Context(), &pb.CreateSecretRequest{Parent: "projects/other", SecretId: "m", Secret: automatic()}))(t)
		clock.Advance(time.Minute)
		adds(t, client, 1)
	})
	t.Run("accesses have a quota of their own", func(t *testing.T) {
		clock, _, client := enforce(t, gcpsmtest.Quotas{AccessPerMinute: 3})
		create(t, client, "n")
		adds(t, client, 1)
		for range 3 {
			if err := accessOnce(t, client, "n", "latest"); err != nil {
				t.Fatal(err)
			}
		}
		wantError(t, accessOnce(t, client, "n", "latest"), codes.ResourceExhausted, "'Access requests'")
		clock.Advance(time.Minute)
		if err := accessOnce(t, client, "n", "latest"); err != nil {
			t.Error(err)
		}
	})
	t.Run("requests that fail count, those over a quota do not", func(t *testing.T) {
		clock, _, client := enforce(t, gcpsmtest.Quotas{})
		for range 2 {
			_, err := add(t.Context(), client, "n", "v")
			wantError(t, err, codes.NotFound, "")
		}
		for range 5 {
			_, err := add(t.Context(), client, "n", "v")
			tooMany(t, err)
		}
		clock.Advance(time.Second)
		_, err := add(t.Context(), client, "n", "v")
		wantError(t, err, codes.NotFound, "")
	})
	t.Run("the zero quotas are the documented ones", func(t *testing.T) {
		_, global, _ := enforce(t, gcpsmtest.Quotas{})
		_, regional, _ := enforce(t, gcpsmtest.Quotas{}, gcpsmtest.WithLocation("us-east1"))
		none, _ := start(t)
		for name, test := range map[string]struct{ got, want gcpsmtest.Quotas }{
			"global":   {global.Quotas(), gcpsmtest.Quotas{AccessPerMinute: 90000, ReadPerMinute: 600, WritePerMinute: 600, SecretPerSecond: 2, SecretPerMinute: 120, VersionPerSecond: 1, VersionPerMinute: 60}},
			"regional": {regional.Quotas(), gcpsmtest.Quotas{AccessPerMinute: 90000, ReadPerMinute: 600, WritePerMinute: 600, SecretPerSecond: 80, SecretPerMinute: 4800, VersionPerSecond: 50, VersionPerMinute: 3000}},
			"none":     {none.Quotas(), gcpsmtest.Quotas{AccessPerMinute: -1, ReadPerMinute: -1, WritePerMinute: -1, SecretPerSecond: -1, SecretPerMinute: -1, VersionPerSecond: -1, VersionPerMinute: -1}},
		} {
			if diff := cmp.Diff(test.want, test.got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	})
}
