package gcpsmtest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

func TestSecretFilters(t *testing.T) {
	clock := gcpsmtest.NewClock(noon)
	_, client := start(t, gcpsmtest.WithClock(clock.Now))
	for id, sec := range map[string]*pb.Secret{
		"prod-a": with(func(s *pb.Secret) { s.Labels = map[string]string{"env": "prod", "team": "x"} }),
		"prod-b": with(func(s *pb.Secret) { s.Labels = map[string]string{"env": "prod"} }),
		"test-a": with(func(s *pb.Secret) { s.Annotations = map[string]string{"note.1": "some text"} }),
		"spread": placed("us-east1", "us-west1"),
	} {
		must(client.CreateSecret(t.Context(), &pb.CreateSecretRequest{Parent: project, SecretId: id, Secret: sec}))(t)
	}
	clock.Advance(time.Hour)
	number := create(t, client, "late").GetName()

	for filter, ids := range map[string]string{
		"":                         "late prod-a prod-b spread test-a",
		"name:prod":                "prod-a prod-b",
		`name:"prod-a"`:            "prod-a",
		"name=" + number:           "late",
		"name!=" + number:          "prod-a prod-b spread test-a",
		"name=late":                "",
		"NOT name:prod":            "late spread test-a",
		"-name:prod":               "late spread test-a",
		"labels.env=prod":          "prod-a prod-b",
		"labels.env:*":             "prod-a prod-b",
		"NOT labels.env:*":         "late spread test-a",
		"labels.team!=x":           "late prod-b spread test-a",
		"labels.env=pro":           "",
		"labels.env:pro":           "prod-a prod-b",
		"annotations.note.1:text":  "test-a",
		"name:a AND labels.team=x": "prod-a",
		"name:-b OR labels.team=x": "prod-a prod-b",
		"name:(late OR spread)":    "late spread",
		"(name:late)":              "late",
		"( name:late OR name:b ) AND NOT ( labels.env:* )":                          "late",
		"name:late AND name:a OR name:e":                                            "late", // OR first
		"create_time>2026-03-01T12:00:00Z":                                          "late",
		"create_time>=2026-03-01T12:00:00Z":                                         "late prod-a prod-b spread test-a",
		`create_time<"2026-03-01T13:00:00+01:00" OR name:late`:                      "late",
		"create_time<=2026-03-01T12:00:00Z AND create_time!=2026-03-01T13:00:00Z":   "prod-a prod-b spread test-a",
		"create_time=2026-03-01T13:00:00Z":                                          "late",
		"expire_time:*":                                                             "",
		"expire_time<2100-01-01T00:00:00Z":                                          "",
		"replication.automatic:*":                                                   "late prod-a prod-b test-a",
		"replication.user_managed.replicas.location:*":                              "spread",
		"replication.user_managed.replicas.location=us-east1":                       "spread",
		"NOT replication.user_managed.replicas.location=(us-east1 OR europe-west1)": "late prod-a prod-b test-a",
	} {
		t.Run("filter "+filter, func(t *testing.T) {
			got := list(t, client, filter)
			slices.Sort(got)
			want(t, got, ids)
		})
	}
	for _, filter := range []string{
		" ", "prod", "name", "name:", "name=", "name~prod", `name~"prod.*"`, "name:prod*", "name=*", "name<a", "name:a name:b",
		"name:a AND", "AND name:a", "name:a AND AND name:b", "name:a OR", "NOT", "(name:a", "name:a)", "()", "name:(a OR b", `name:"a`,
		"Name:a", "id:a", "state:ENABLED", "labels:env", "create_time:2026-03-01T12:00:00Z", "create_time>yesterday", "create_time>2026",
		"name:a and name:b", "name:aANDname:b)", "name==a", strings.Repeat("(", 100) + "name:a" + strings.Repeat(")", 100),
	} {
		t.Run("not a filter "+filter, func(t *testing.T) {
			_, err := all(client.ListSecrets(t.Context(), &pb.ListSecretsRequest{Parent: project, Filter: filter}).Next)
			wantError(t, err, codes.InvalidArgument, "is not valid")
		})
	}
}

func TestVersionFilters(t *testing.T) {
	clock := gcpsmtest.NewClock(noon)
	_, client := start(t, gcpsmtest.WithClock(clock.Now))
	create(t, client, "n")
	for range 3 {
		must(add(t.Context(), client, "n", "v"))(t)
		clock.Advance(time.Hour)
	}
	must(client.DestroySecretVersion(t.Context(), &pb.DestroySecretVersionRequest{Name: versionName("n", "1")}))(t)
	must(client.DisableSecretVersion(t.Context(), &pb.DisableSecretVersionRequest{Name: versionName("n", "2")}))(t)
	for filter, numbers := range map[string]string{
		"":                             "3 2 1",
		"state:ENABLED":                "3",
		"state=DISABLED":               "2",
		"state!=DESTROYED":             "3 2",
		"NOT state:ENABLED":            "2 1",
		"state:*":                      "3 2 1",
		"state:(ENABLED OR DESTROYED)": "3 1",
		"name:versions/2":              "2",
		"create_time>2026-03-01T12:30:00Z AND state:ENABLED": "3",
		"destroy_time:*":                     "1",
		"destroy_time>=2026-03-01T15:00:00Z": "1",
	} {
		t.Run("filter "+filter, func(t *testing.T) { want(t, listVersions(t, client, "n", filter), numbers) })
	}
	for _, filter := range []string{"state:enabled", "state:GONE", "state<ENABLED", "labels.a=b", "expire_time:*", "3"} {
		t.Run("not a filter "+filter, func(t *testing.T) {
			_, err := all(client.ListSecretVersions(t.Context(), &pb.ListSecretVersionsRequest{Parent: project + "/secrets/n", Filter: filter}).Next)
			wantError(t, err, codes.InvalidArgument, "is not valid")
		})
	}
	t.Run("with a lag, states in lists are late", func(t *testing.T) {
		clock := gcpsmtest.NewClock(noon)
		_, client := start(t, gcpsmtest.WithClock(clock.Now), gcpsmtest.WithLag(time.Minute))
		create(t, client, "n")
		must(add(t.Context(), client, "n", "v"))(t)
		clock.Advance(time.Hour)
		must(client.DestroySecretVersion(t.Context(), &pb.DestroySecretVersionRequest{Name: versionName("n", "1")}))(t)
		want(t, listVersions(t, client, "n", "state:ENABLED"), "1")
		clock.Advance(time.Minute)
		want(t, listVersions(t, client, "n", "state:ENABLED"), "")
	})
}
