package gcpsmtest_test

import (
	"hash/crc32"
	"strings"
	"testing"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

func crc(data []byte) int64 { return int64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))) }

func TestAddSecretVersion(t *testing.T) {
	srv, client := start(t)
	created := create(t, client, "n")
	try := func(parent string, payload *pb.SecretPayload) (*pb.SecretVersion, error) {
		return client.AddSecretVersion(t.Context(), &pb.AddSecretVersionRequest{Parent: parent, Payload: payload})
	}
	t.Run("versions are numbered from 1, and the same request again is another version", func(t *testing.T) {
		for _, want := range []string{"/versions/1", "/versions/2", "/versions/3"} {
			v := must(add(t.Context(), client, "n", "same"))(t)
			if v.GetName() != created.GetName()+want || v.GetState() != pb.SecretVersion_ENABLED || v.GetEtag() == "" ||
				v.GetReplicationStatus().GetAutomatic() == nil || v.GetCreateTime() == nil || v.GetDestroyTime() != nil {
				t.Errorf("got %v", v)
			}
		}
	})
	t.Run("payloads of 1 and 65,536 bytes are fine, any bytes", func(t *testing.T) {
		for _, data := range [][]byte{{0}, []byte(strings.Repeat("\xff", 65536))} {
			v := must(try(project+"/secrets/n", &pb.SecretPayload{Data: data}))(t)
			out := must(client.AccessSecretVersion(t.Context(), &pb.AccessSecretVersionRequest{Name: v.GetName()}))(t)
			if string(out.GetPayload().GetData()) != string(data) || out.GetPayload().GetDataCrc32C() != crc(data) || out.GetName() != v.GetName() {
				t.Errorf("%d bytes came back as %d", len(data), len(out.GetPayload().GetData()))
			}
		}
	})
	t.Run("no payload is refused, and one of 65,537 bytes", func(t *testing.T) {
		for _, p := range []*pb.SecretPayload{nil, {}, {Data: []byte{}}} {
			_, err := try(project+"/secrets/n", p)
			wantError(t, err, codes.InvalidArgument, "Secret Payload cannot be empty.")
		}
		_, err := try(project+"/secrets/n", &pb.SecretPayload{Data: make([]byte, 65537)})
		wantError(t, err, codes.InvalidArgument, "65536 bytes")
	})
	t.Run("a checksum is verified, and the version tells that there was one", func(t *testing.T) {
		_, err := try(project+"/secrets/n", &pb.SecretPayload{Data: []byte("v"), DataCrc32C: new(int64(1))})
		wantError(t, err, codes.InvalidArgument, "checksum")
		v := must(try(project+"/secrets/n", &pb.SecretPayload{Data: []byte("v"), DataCrc32C: new(crc([]byte("v")))}))(t)
		if !v.GetClientSpecifiedPayloadChecksum() {
			t.Error(v)
		}
		if v := must(add(t.Context(), client, "n", "v"))(t); v.GetClientSpecifiedPayloadChecksum() {
			t.Error(v)
		}
	})
	t.Run("what is refused takes no number", func(t *testing.T) {
		versions := srv.Versions(project + "/secrets/n")
		if last := versions[len(versions)-1].Number; last != int64(len(versions)) {
			t.Errorf("%d versions, the last is %d", len(versions), last)
		}
	})
	t.Run("a missing secret is NOT_FOUND", func(t *testing.T) {
		_, err := try(project+"/secrets/missing", &pb.SecretPayload{Data: []byte("v")})
		wantError(t, err, codes.NotFound, "/secrets/missing] not found.")
	})
	t.Run("a version is no parent", func(t *testing.T) {
		_, err := try(versionName("n", "1"), &pb.SecretPayload{Data: []byte("v")})
		wantError(t, err, codes.InvalidArgument, "does not match the expected format [projects/*/secrets/*]")
	})
}

func TestVersionNames(t *testing.T) {
	_, client := start(t)
	number := create(t, client, "n").GetName()
	create(t, client, "empty")
	for _, payload := range []string{"1", "2", "3"} {
		must(add(t.Context(), client, "n", payload))(t)
	}
	alias := &pb.Secret{Name: project + "/secrets/n", VersionAliases: map[string]int64{"good": 2}}
	must(client.UpdateSecret(t.Context(), &pb.UpdateSecretRequest{Secret: alias, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"version_aliases"}}}))(t)

	for name, want := range map[string]string{"1": "1", "3": "3", "latest": "3", "good": "2"} {
		t.Run(name+" is found, and answered with its number", func(t *testing.T) {
			out := must(client.AccessSecretVersion(t.Context(), &pb.AccessSecretVersionRequest{Name: versionName("n", name)}))(t)
			v := must(client.GetSecretVersion(t.Context(), &pb.GetSecretVersionRequest{Name: versionName("n", name)}))(t)
			if string(out.GetPayload().GetData()) != want || out.GetName() != number+"/versions/"+want || v.GetName() != out.GetName() {
				t.Errorf("got %v and %v", out, v)
			}
		})
	}
	for _, test := range []struct{ id, version, text string }{
		{"n", "4", "Secret Version [" + number + "/versions/4] not found."},
		{"n", "0", "Secret Version [" + number + "/versions/0] not found."},
		{"n", "other", "Secret Version [" + number + "/versions/other] not found."},
		{"empty", "latest", "/secrets/empty] not found or has no versions."},
		{"empty", "1", "/secrets/empty/versions/1] not found."},
		{"missing", "latest", "/secrets/missing] not found or has no versions."},
		{"missing", "1", "/secrets/missing/versions/1] not found."},
	} {
		t.Run(test.id+"/"+test.version+" is NOT_FOUND", func(t *testing.T) {
			_, err := access(t.Context(), client, test.id, test.version)
			wantError(t, err, codes.NotFound, test.text)
			_, err = client.GetSecretVersion(t.Context(), &pb.GetSecretVersionRequest{Name: versionName(test.id, test.version)})
			wantError(t, err, codes.NotFound, test.text)
		})
	}
	for _, name := range []string{"", "n", project + "/secrets/n", versionName("n", ""), versionName("n", "01"), versionName("n", "-1"), versionName("n", "a.b"), versionName("a.b", "1"), "projects/p/locations/l/secrets/n/versions/1"} {
		t.Run("the name "+name+" is refused", func(t *testing.T) {
			_, err := client.AccessSecretVersion(t.Context(), &pb.AccessSecretVersionRequest{Name: name})
			wantError(t, err, codes.InvalidArgument, "The provided Secret ID ["+name+"] does not match the expected format [projects/*/secrets/*/versions/*]")
		})
	}
}

func TestVersionStates(t *testing.T) {
	clock := gcpsmtest.NewClock(noon)
	srv, client := start(t, gcpsmtest.WithClock(clock.Now))
	ctx := t.Context()
	fresh := func(t *testing.T, id string, change func(*pb.Secret)) *pb.SecretVersion {
		must(client.CreateSecret(ctx, &pb.CreateSecretRequest{Parent: project, SecretId: id, Secret: with(change)}))(t)
		must(add(ctx, client, id, "first"))(t)
		return must(add(ctx, client, id, "second"))(t)
	}
	plain := func(*pb.Secret) {}
	delayed := func(s *pb.Secret) { s.VersionDestroyTtl = durationpb.New(24 * time.Hour) }
	t.Run("a disabled version cannot be read, and again once it is enabled", func(t *testing.T) {
		v := fresh(t, "disabled", plain)
		d := must(client.DisableSecretVersion(ctx, &pb.DisableSecretVersionRequest{Name: v.GetName()}))(t)
		if d.GetState() != pb.SecretVersion_DISABLED || d.GetEtag() == v.GetEtag() {
			t.Error(d)
		}
		for _, version := range []string{"2", "latest"} {
			_, err := access(ctx, client, "disabled", version)
			wantError(t, err, codes.FailedPrecondition, "Secret Version ["+v.GetName()+"] is in DISABLED state.")
		}
		must(client.EnableSecretVersion(ctx, &pb.EnableSecretVersionRequest{Name: v.GetName()}))(t)
		if got := must(access(ctx, client, "disabled", "latest"))(t); got != "second" {
			t.Error(got)
		}
	})
	t.Run("a destroyed version has no payload, keeps its number and is latest all the same", func(t *testing.T) {
		v := fresh(t, "destroyed", plain)
		clock.Advance(time.Minute)
		d := must(client.DestroySecretVersion(ctx, &pb.DestroySecretVersionRequest{Name: v.GetName()}))(t)
		if d.GetState() != pb.SecretVersion_DESTROYED || !d.GetDestroyTime().AsTime().Equal(clock.Now()) || d.GetEtag() == v.GetEtag() {
			t.Error(d)
		}
		for _, version := range []string{"2", "latest"} {
			_, err := access(ctx, client, "destroyed", version)
			wantError(t, err, codes.FailedPrecondition, "Secret Version ["+v.GetName()+"] is in DESTROYED state.")
		}
		if got := srv.Versions(project + "/secrets/destroyed"); len(got) != 2 || got[1].Payload != nil {
			t.Error(got)
		}
		if n := srv.Active(project + "/secrets/destroyed"); n != 1 {
			t.Errorf("%d are active", n)
		}
		if v := must(add(ctx, client, "destroyed", "third"))(t); !strings.HasSuffix(v.GetName(), "/versions/3") {
			t.Error(v.GetName())
		}
	})
	t.Run("a destroyed version stays so", func(t *testing.T) {
		name := versionName("destroyed", "2")
		_, err := client.DestroySecretVersion(ctx, &pb.DestroySecretVersionRequest{Name: name})
		wantError(t, err, codes.FailedPrecondition, "is in DESTROYED state.")
		_, err = client.EnableSecretVersion(ctx, &pb.EnableSecretVersionRequest{Name: name})
		wantError(t, err, codes.FailedPrecondition, "is in DESTROYED state.")
		_, err = client.DisableSecretVersion(ctx, &pb.DisableSecretVersionRequest{Name: name})
		wantError(t, err, codes.FailedPrecondition, "is in DESTROYED state.")
	})
	t.Run("with a delay a version is disabled first and destroyed when the clock gets there", func(t *testing.T) {
		v := fresh(t, "delayed", delayed)
		d := must(client.DestroySecretVersion(ctx, &pb.DestroySecretVersionRequest{Name: v.GetName()}))(t)
		due := clock.Now().Add(24 * time.Hour)
		if d.GetState() != pb.SecretVersion_DISABLED || !d.GetScheduledDestroyTime().AsTime().Equal(due) || d.GetDestroyTime() != nil {
			t.Error(d)
		}
		clock.Advance(24*time.Hour - time.Second)
		_, err := access(ctx, client, "delayed", "2")
		wantError(t, err, codes.FailedPrecondition, "DISABLED")
		clock.Advance(time.Minute)
		got := must(client.GetSecretVersion(ctx, &pb.GetSecretVersionRequest{Name: v.GetName()}))(t)
		if got.GetState() != pb.SecretVersion_DESTROYED || !got.GetDestroyTime().AsTime().Equal(due) || got.GetScheduledDestroyTime() != nil {
			t.Error(got)
		}
	})
	t.Run("enabling takes a scheduled destruction back", func(t *testing.T) {
		v := fresh(t, "restored", delayed)
		must(client.DestroySecretVersion(ctx, &pb.DestroySecretVersionRequest{Name: v.GetName()}))(t)
		e := must(client.EnableSecretVersion(ctx, &pb.EnableSecretVersionRequest{Name: v.GetName()}))(t)
		if e.GetState() != pb.SecretVersion_ENABLED || e.GetScheduledDestroyTime() != nil {
			t.Error(e)
		}
		clock.Advance(48 * time.Hour)
		must(access(ctx, client, "restored", "2"))(t)
	})
	t.Run("disabling takes it back, too", func(t *testing.T) {
		v := fresh(t, "kept", delayed)
		must(client.DestroySecretVersion(ctx, &pb.DestroySecretVersionRequest{Name: v.GetName()}))(t)
		must(client.DisableSecretVersion(ctx, &pb.DisableSecretVersionRequest{Name: v.GetName()}))(t)
		clock.Advance(48 * time.Hour)
		if n := srv.Active(v.GetName()[:strings.Index(v.GetName(), "/versions/")]); n != 2 {
			t.Errorf("%d are active", n)
		}
	})
	t.Run("what changes nothing changes the etag, and not the secret's", func(t *testing.T) {
		v := fresh(t, "same", plain)
		get := func() string {
			return must(client.GetSecret(ctx, &pb.GetSecretRequest{Name: project + "/secrets/same"}))(t).GetEtag()
		}
		old := get()
		e := must(client.EnableSecretVersion(ctx, &pb.EnableSecretVersionRequest{Name: v.GetName(), Etag: v.GetEtag()}))(t)
		if e.GetState() != v.GetState() || e.GetEtag() == v.GetEtag() || get() != old {
			t.Errorf("was %v, is %v", v, e)
		}
	})
	t.Run("etags have to be the newest", func(t *testing.T) {
		v := fresh(t, "tagged", plain)
		d := must(client.DisableSecretVersion(ctx, &pb.DisableSecretVersionRequest{Name: v.GetName(), Etag: v.GetEtag()}))(t)
		_, err := client.DisableSecretVersion(ctx, &pb.DisableSecretVersionRequest{Name: v.GetName(), Etag: v.GetEtag()})
		wantError(t, err, codes.FailedPrecondition, "etag")
		_, err = client.EnableSecretVersion(ctx, &pb.EnableSecretVersionRequest{Name: v.GetName(), Etag: v.GetEtag()})
		wantError(t, err, codes.FailedPrecondition, "etag")
		_, err = client.DestroySecretVersion(ctx, &pb.DestroySecretVersionRequest{Name: v.GetName(), Etag: v.GetEtag()})
		wantError(t, err, codes.FailedPrecondition, "etag")
		e := must(client.EnableSecretVersion(ctx, &pb.EnableSecretVersionRequest{Name: v.GetName(), Etag: d.GetEtag()}))(t)
		must(client.DestroySecretVersion(ctx, &pb.DestroySecretVersionRequest{Name: v.GetName(), Etag: e.GetEtag()}))(t)
	})
	t.Run("only numbers can be changed", func(t *testing.T) {
		for _, version := range []string{"latest", "alias"} {
			_, err := client.DestroySecretVersion(ctx, &pb.DestroySecretVersionRequest{Name: versionName("same", version)})
			wantError(t, err, codes.InvalidArgument, "must be a number")
		}
	})
	t.Run("what is missing is NOT_FOUND", func(t *testing.T) {
		for _, name := range []string{versionName("same", "9"), versionName("missing", "1")} {
			_, err := client.DestroySecretVersion(ctx, &pb.DestroySecretVersionRequest{Name: name})
			wantError(t, err, codes.NotFound, "Secret Version [")
		}
	})
}
