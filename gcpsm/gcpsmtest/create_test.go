package gcpsmtest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

// placed is a secret in some places, with a key in each if there are keys.
func placed(places ...string) *pb.Secret {
	u := &pb.Replication_UserManaged{}
	for _, place := range places {
		location, key, found := strings.Cut(place, " ")
		r := &pb.Replication_UserManaged_Replica{Location: location}
		if found {
			r.CustomerManagedEncryption = encryption(key)
		}
		u.Replicas = append(u.Replicas, r)
	}
	return &pb.Secret{Replication: &pb.Replication{Replication: &pb.Replication_UserManaged_{UserManaged: u}}}
}

func encryption(key string) *pb.CustomerManagedEncryption {
	return &pb.CustomerManagedEncryption{KmsKeyName: key}
}

func keyIn(location string) string {
	return "projects/p/locations/" + location + "/keyRings/r/cryptoKeys/k"
}

// with is an automatic secret with a change.
func with(change func(*pb.Secret)) *pb.Secret {
	sec := automatic()
	change(sec)
	return sec
}

// many makes a map with n entries.
func many[V any](n int, value V) map[string]V {
	m := map[string]V{}
	for i := range n {
		m[fmt.Sprintf("k%d", i)] = value
	}
	return m
}

// unacceptable are secrets that nobody can create, nor make by an update.
var unacceptable = []struct {
	name string
	set  func(*pb.Secret)
	path string
	text string
}{
	{"65 labels", func(s *pb.Secret) { s.Labels = many(65, "v") }, "labels", "at most 64"},
	{"an upper-case label key", func(s *pb.Secret) { s.Labels = map[string]string{"K": "v"} }, "labels", "regular expression"},
	{"a label key that starts with a digit", func(s *pb.Secret) { s.Labels = map[string]string{"1": "v"} }, "labels", "regular expression"},
	{"a label key of 64 characters", func(s *pb.Secret) { s.Labels = map[string]string{strings.Repeat("k", 64): "v"} }, "labels", "regular expression"},
	{"a label key of 129 bytes", func(s *pb.Secret) { s.Labels = map[string]string{strings.Repeat("界", 43): "v"} }, "labels", "regular expression"},
	{"a label value with a dot", func(s *pb.Secret) { s.Labels = map[string]string{"k": "a.b"} }, "labels", `value "a.b" does not conform`},
	{"16 KiB of annotations", func(s *pb.Secret) { s.Annotations = map[string]string{"k": strings.Repeat("v", 16<<10-1)} }, "annotations", "less than 16384"},
	{"an annotation key that ends with a dot", func(s *pb.Secret) { s.Annotations = map[string]string{"k.": "v"} }, "annotations", "regular expression"},
	{"an annotation key of 64 characters", func(s *pb.Secret) { s.Annotations = map[string]string{strings.Repeat("k", 64): "v"} }, "annotations", "regular expression"},
	{"an alias of a version that does not exist", func(s *pb.Secret) { s.VersionAliases = map[string]int64{"a": 9} }, "version_aliases", "does not exist"},
	{"51 aliases", func(s *pb.Secret) { s.VersionAliases = many(51, int64(1)) }, "version_aliases", "at most 50"},
	{"the alias latest", func(s *pb.Secret) { s.VersionAliases = map[string]int64{"latest": 1} }, "version_aliases", "regular expression"},
	{"the alias NEW", func(s *pb.Secret) { s.VersionAliases = map[string]int64{"NEW": 1} }, "version_aliases", "regular expression"},
	{"a numeric alias", func(s *pb.Secret) { s.VersionAliases = map[string]int64{"1": 1} }, "version_aliases", "regular expression"},
	{"eleven topics", func(s *pb.Secret) {
		for range 11 {
			s.Topics = append(s.Topics, &pb.Topic{Name: "projects/p/topics/t"})
		}
	}, "topics", "at most 10"},
	{"a topic that is none", func(s *pb.Secret) { s.Topics = []*pb.Topic{{Name: "t"}} }, "topics", "regular expression"},
	{"a destruction delay of less than a day", func(s *pb.Secret) { s.VersionDestroyTtl = durationpb.New(24*time.Hour - time.Second) }, "version_destroy_ttl", "at least 24h"},
	{"a destruction delay of more than 1000 days", func(s *pb.Secret) { s.VersionDestroyTtl = durationpb.New(1000*24*time.Hour + time.Second) }, "version_destroy_ttl", "at most"},
	{"an expiration in the past", func(s *pb.Secret) { s.Expiration = &pb.Secret_ExpireTime{ExpireTime: timestamppb.New(noon)} }, "expire_time", "in the future"},
	{"no time to live", func(s *pb.Secret) { s.Expiration = &pb.Secret_Ttl{Ttl: durationpb.New(0)} }, "ttl", "in the future"},
	{"a time to live of more than 100 years", func(s *pb.Secret) {
		s.Expiration = &pb.Secret_Ttl{Ttl: &durationpb.Duration{Seconds: 3_153_600_001}}
	}, "ttl", "ahead"},
	{"an expiration in more than 100 years", func(s *pb.Secret) {
		s.Expiration = &pb.Secret_ExpireTime{ExpireTime: &timestamppb.Timestamp{Seconds: noon.Unix() + 3_153_600_001}}
	}, "expire_time", "ahead"},
	{"rotation without a topic", func(s *pb.Secret) { s.Rotation = &pb.Rotation{} }, "rotation", "topic"},
	{"a rotation period without a date", rotating(&pb.Rotation{RotationPeriod: durationpb.New(time.Hour)}), "rotation", "needs next_rotation_time"},
	{"a rotation that comes too soon", rotating(&pb.Rotation{NextRotationTime: timestamppb.New(noon.Add(299 * time.Second))}), "rotation", "at least 300s"},
	{"a rotation that comes too often", rotating(&pb.Rotation{
		NextRotationTime: timestamppb.New(noon.Add(time.Hour)), RotationPeriod: durationpb.New(3599 * time.Second),
	}), "rotation", "at least 3600s"},
}

// rotating sets rotation and the topic that it needs; the update has a topic.
func rotating(r *pb.Rotation) func(*pb.Secret) {
	return func(s *pb.Secret) {
		s.Topics = []*pb.Topic{{Name: "projects/p/topics/t"}}
		s.Rotation = r
	}
}

func TestCreateSecret(t *testing.T) {
	clock := gcpsmtest.NewClock(noon)
	srv, client := start(t, gcpsmtest.WithClock(clock.Now))
	try := func(t *testing.T, parent, id string, sec *pb.Secret) (*pb.Secret, error) {
		return client.CreateSecret(t.Context(), &pb.CreateSecretRequest{Parent: parent, SecretId: id, Secret: sec})
	}
	t.Run("the answer is the secret as it is stored, named by the project's number", func(t *testing.T) {
		got := must(try(t, project, "full", with(func(s *pb.Secret) {
			s.Labels = map[string]string{"env": "prod", "été": "1"}
			s.Annotations = map[string]string{"Some.Key-1": "any ü value"}
			s.Tags = map[string]string{"123/a": "b"}
			rotating(&pb.Rotation{NextRotationTime: timestamppb.New(noon.Add(300 * time.Second)), RotationPeriod: durationpb.New(time.Hour)})(s)
			s.Expiration = &pb.Secret_Ttl{Ttl: durationpb.New(time.Hour)}
			s.VersionDestroyTtl = durationpb.New(24 * time.Hour)
		})))(t)
		number := strings.Split(got.GetName(), "/")[1]
		if len(number) != 12 || strings.Trim(number, "0123456789") != "" || !strings.HasSuffix(got.GetName(), "/secrets/full") {
			t.Errorf("name = %s", got.GetName())
		}
		if !got.GetCreateTime().AsTime().Equal(noon) || !got.GetExpireTime().AsTime().Equal(noon.Add(time.Hour)) ||
			got.GetEtag() == "" || got.GetTags() != nil || got.GetReplication().GetAutomatic() == nil {
			t.Errorf("got %v", got)
		}
		for _, name := range []string{project + "/secrets/full", got.GetName()} {
			again := must(client.GetSecret(t.Context(), &pb.GetSecretRequest{Name: name}))(t)
			if again.String() != got.String() {
				t.Errorf("GetSecret = %v\nwant %v", again, got)
			}
		}
	})
	t.Run("projects are apart, and have their own numbers", func(t *testing.T) {
		a, b := must(try(t, "projects/a", "same", automatic()))(t), must(try(t, "projects/b", "same", automatic()))(t)
		if a.GetName() == b.GetName() {
			t.Errorf("both are %s", a.GetName())
		}
	})
	t.Run("a secret may have 64 labels and an id of 255 characters", func(t *testing.T) {
		must(try(t, project, strings.Repeat("x", 255), with(func(s *pb.Secret) { s.Labels = many(64, "") })))(t)
	})
	t.Run("an id that is taken is ALREADY_EXISTS", func(t *testing.T) {
		got := must(try(t, project, "taken", automatic()))(t)
		_, err := try(t, project, "taken", automatic())
		wantError(t, err, codes.AlreadyExists, "Secret ["+got.GetName()+"] already exists.")
	})
	for _, id := range []string{"", "a/b", "a.b", "a b", "ü", strings.Repeat("x", 256)} {
		t.Run(fmt.Sprintf("the id %.10q is refused", id), func(t *testing.T) {
			_, err := try(t, project, id, automatic())
			wantError(t, err, codes.InvalidArgument, "Secret ID")
		})
	}
	for _, parent := range []string{"", "projects", "projects/", "projects/p/", "projects/p/secrets/s", "projects/p/locations/l", "folders/p"} {
		t.Run(fmt.Sprintf("the parent %q is refused", parent), func(t *testing.T) {
			_, err := try(t, parent, "x", automatic())
			wantError(t, err, codes.InvalidArgument, "does not match the expected format [projects/*]")
		})
	}
	for _, test := range []struct {
		name string
		sec  *pb.Secret
		text string // empty: fine
	}{
		{"no secret", nil, "[secret] is required"},
		{"no replication", &pb.Secret{}, "replication"},
		{"an empty replication", &pb.Secret{Replication: &pb.Replication{}}, "replication"},
		{"no replica", placed(), "replicas"},
		{"a replica twice", placed("us-east1", "us-east1"), "more than once"},
		{"a replica nowhere", placed(""), "location"},
		{"two replicas", placed("us-east1", "europe-west1"), ""},
		{"two replicas with keys", placed("us-east1 "+keyIn("us-east1"), "europe-west1 "+keyIn("europe-west1")), ""},
		{"a key for one replica of two", placed("us-east1 "+keyIn("us-east1"), "europe-west1"), "all replicas or for none"},
		{"a key from elsewhere", placed("us-east1 " + keyIn("us-west1")), "must be in the location us-east1"},
		{"a key that is none", placed("us-east1 key"), "expected format"},
		{"a global key", with(func(s *pb.Secret) {
			s.GetReplication().GetAutomatic().CustomerManagedEncryption = encryption(keyIn("global"))
		}), ""},
		{"a regional key for automatic replication", with(func(s *pb.Secret) {
			s.GetReplication().GetAutomatic().CustomerManagedEncryption = encryption(keyIn("us-east1"))
		}), "must be in the location global"},
		{"encryption of a regional secret", with(func(s *pb.Secret) { s.CustomerManagedEncryption = encryption(keyIn("global")) }), "global secret"},
	} {
		t.Run("replication: "+test.name, func(t *testing.T) {
			_, err := try(t, project, strings.ReplaceAll(test.name, " ", "_"), test.sec)
			if test.text != "" {
				wantError(t, err, codes.InvalidArgument, test.text)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	for _, test := range unacceptable {
		t.Run(test.name+" is refused", func(t *testing.T) {
			_, err := try(t, project, "refused", with(test.set))
			if strings.Contains(test.name, "alias") {
				test.text = "" // there are no versions yet: two reasons
			}
			wantError(t, err, codes.InvalidArgument, test.text)
		})
	}
	t.Run("a typed secret is not served", func(t *testing.T) {
		_, err := try(t, project, "typed", with(func(s *pb.Secret) { s.SecretType = 1 }))
		wantError(t, err, codes.Unimplemented, "gcpsmtest does not serve")
	})
	t.Run("what was refused does not exist", func(t *testing.T) {
		for _, name := range srv.Names() {
			if strings.HasSuffix(name, "/refused") || strings.HasSuffix(name, "/typed") {
				t.Error(name)
			}
		}
	})
}

func TestExpiration(t *testing.T) {
	clock := gcpsmtest.NewClock(noon)
	srv, client := start(t, gcpsmtest.WithClock(clock.Now))
	must(client.CreateSecret(t.Context(), &pb.CreateSecretRequest{Parent: project, SecretId: "n", Secret: with(func(s *pb.Secret) {
		s.Expiration = &pb.Secret_ExpireTime{ExpireTime: timestamppb.New(noon.Add(time.Hour))}
	})}))(t)
	must(add(t.Context(), client, "n", "v"))(t)
	clock.Advance(time.Hour - time.Second)
	must(access(t.Context(), client, "n", "1"))(t)
	clock.Advance(time.Second)
	_, err := access(t.Context(), client, "n", "1")
	wantError(t, err, codes.NotFound, "not found.")
	if diff := cmp.Diff([]string{}, srv.Names()); diff != "" {
		t.Error(diff)
	}
}

func TestDeleteSecret(t *testing.T) {
	srv, client := start(t)
	remove := func(id, etag string) error {
		return client.DeleteSecret(t.Context(), &pb.DeleteSecretRequest{Name: project + "/secrets/" + id, Etag: etag})
	}
	t.Run("deletion is immediate and final, and numbers start at 1 again", func(t *testing.T) {
		create(t, client, "n")
		for range 3 {
			must(add(t.Context(), client, "n", "old"))(t)
		}
		if err := remove("n", ""); err != nil {
			t.Fatal(err)
		}
		_, err := access(t.Context(), client, "n", "3")
		wantError(t, err, codes.NotFound, "")
		create(t, client, "n")
		must(add(t.Context(), client, "n", "new"))(t)
		if got := payloads(srv, "n"); got != "1=new" {
			t.Error(got)
		}
	})
	t.Run("an etag has to be the newest", func(t *testing.T) {
		sec := create(t, client, "tagged")
		wantError(t, remove("tagged", `"other"`), codes.FailedPrecondition, "etag")
		if err := remove("tagged", sec.GetEtag()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a missing secret is NOT_FOUND", func(t *testing.T) {
		wantError(t, remove("missing", ""), codes.NotFound, "/secrets/missing] not found.")
	})
}
