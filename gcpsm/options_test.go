package gcpsm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	secretmanagerpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

const regional = parent + "/locations/europe-west3"

// key is the name of a KMS key in a location.
func key(location string) string {
	return "projects/keys/locations/" + location + "/keyRings/ring/cryptoKeys/tokens"
}

func TestOptions(t *testing.T) {
	many := map[string]string{}
	for i := range 65 {
		many[fmt.Sprint("label-", i)] = ""
	}
	const (
		noKey = "is none of projects/P/locations/L/keyRings/R/cryptoKeys/K"
		label = ": a key begins with a lower-case letter; keys and values are up to 63 lower-case letters, digits, _ and -"
		note  = ": a key is 1 to 63 letters, digits, - _ and ., and begins and ends with a letter or a digit"
	)
	labels := func(key, value string) *gcpsm.Options {
		return &gcpsm.Options{Labels: map[string]string{key: value}}
	}
	notes := func(key, value string) *gcpsm.Options {
		return &gcpsm.Options{Annotations: map[string]string{key: value}}
	}
	s := start(t)
	for what, c := range map[string]struct {
		parent string // if it is another one
		opts   *gcpsm.Options
		wrong  string
	}{
		"none":                         {opts: nil},
		"zero":                         {opts: &gcpsm.Options{}},
		"replicas":                     {opts: &gcpsm.Options{Replicas: []gcpsm.Replica{{Location: "europe-west1"}, {Location: "europe-west3"}}}},
		"replicas with keys":           {opts: &gcpsm.Options{Replicas: []gcpsm.Replica{{"europe-west1", key("europe-west1")}, {"us-east1", key("us-east1")}}}},
		"a key":                        {opts: &gcpsm.Options{KMSKey: key("global")}},
		"a regional key":               {parent: regional, opts: &gcpsm.Options{KMSKey: key("europe-west3")}},
		"64 labels":                    {opts: &gcpsm.Options{Labels: firstOf(many, 64)}},
		"the longest label":            {opts: labels("a"+strings.Repeat("_", 62), strings.Repeat("-", 63))},
		"an annotation":                {opts: notes("team.crm_2-a", "anything: é\n")},
		"the shortest annotation":      {opts: notes("7", "")},
		"the longest annotations":      {opts: notes("a", strings.Repeat("v", 16*1024-2))},
		"the shortest delay":           {opts: &gcpsm.Options{VersionDestroyTTL: 24 * time.Hour}},
		"no pace":                      {opts: unpaced()},
		"a slow pace":                  {opts: &gcpsm.Options{Pace: gcpsm.Pace{SecretAdds: 1, ProjectWrites: 1}}},
		"options of the store":         {opts: &gcpsm.Options{Store: token.Options{Remember: 1}}},
		"regional replicas":            {parent: regional, opts: &gcpsm.Options{Replicas: []gcpsm.Replica{{Location: "us-east1"}}}, wrong: "Options.Replicas: a regional store has none: its location is in the parent"},
		"a key beside replicas":        {opts: &gcpsm.Options{KMSKey: key("global"), Replicas: []gcpsm.Replica{{Location: "us-east1"}}}, wrong: "Options.KMSKey and Options.Replicas exclude each other: each replica has a key of its own"},
		"a key by its id":              {opts: &gcpsm.Options{KMSKey: "tokens"}, wrong: "Options.KMSKey " + noKey},
		"a version of a key":           {opts: &gcpsm.Options{KMSKey: key("global") + "/cryptoKeyVersions/1"}, wrong: "Options.KMSKey " + noKey},
		"a key of no location":         {opts: &gcpsm.Options{KMSKey: key("")}, wrong: "Options.KMSKey " + noKey},
		"a replica without location":   {opts: &gcpsm.Options{Replicas: []gcpsm.Replica{{}}}, wrong: "Options.Replicas[0] has no location, or one that is there already"},
		"a replica of another form":    {opts: &gcpsm.Options{Replicas: []gcpsm.Replica{{Location: "us-east1"}, {Location: "EU"}}}, wrong: "Options.Replicas[1] has no location, or one that is there already"},
		"a replica twice":              {opts: &gcpsm.Options{Replicas: []gcpsm.Replica{{Location: "us-east1"}, {Location: "us-east1"}}}, wrong: "Options.Replicas[1] has no location, or one that is there already"},
		"one replica of two has a key": {opts: &gcpsm.Options{Replicas: []gcpsm.Replica{{"us-east1", key("us-east1")}, {Location: "us-west1"}}}, wrong: "Options.Replicas: some have a KMS key and some have none"},
		"a replica with a bad key":     {opts: &gcpsm.Options{Replicas: []gcpsm.Replica{{"us-east1", "tokens"}}}, wrong: "Options.Replicas[0].KMSKey " + noKey},
		"65 labels":                    {opts: &gcpsm.Options{Labels: many}, wrong: "Options.Labels has 65 labels, more than 64"},
		"a label without key":          {opts: labels("", "v"), wrong: `Options.Labels[""]` + label},
		"a label that begins with 7":   {opts: labels("7", "v"), wrong: `Options.Labels["7"]` + label},
		"a label that begins with _":   {opts: labels("_a", "v"), wrong: `Options.Labels["_a"]` + label},
		"a label in capitals":          {opts: labels("Team", "v"), wrong: `Options.Labels["Team"]` + label},
		"a value in capitals":          {opts: labels("team", "CRM"), wrong: `Options.Labels["team"]` + label},
		"a label of 64 characters":     {opts: labels("team", strings.Repeat("v", 64)), wrong: `Options.Labels["team"]` + label},
		"an annotation without key":    {opts: notes("", "v"), wrong: `Options.Annotations[""]` + note},
		"an annotation that ends in .": {opts: notes("a.", "v"), wrong: `Options.Annotations["a."]` + note},
		"an annotation with a slash":   {opts: notes("a/b", "v"), wrong: `Options.Annotations["a/b"]` + note},
		"an annotation that is long":   {opts: notes(strings.Repeat("a", 64), "v"), wrong: `Options.Annotations["` + strings.Repeat("a", 64) + `"]` + note},
		"an annotation that is bytes":  {opts: notes("a", "\xff"), wrong: `Options.Annotations["a"] is not UTF-8`},
		"16 KiB of annotations":        {opts: notes("a", strings.Repeat("v", 16*1024-1)), wrong: "Options.Annotations takes 16384 bytes, and has to take less than 16384"},
		"a delay of less than a day":   {opts: &gcpsm.Options{VersionDestroyTTL: 24*time.Hour - 1}, wrong: "Options.VersionDestroyTTL is 23h59m59.999999999s, less than 24h0m0s"},
		"a negative delay":             {opts: &gcpsm.Options{VersionDestroyTTL: -24 * time.Hour}, wrong: "Options.VersionDestroyTTL is -24h0m0s, less than 24h0m0s"},
		"a pace that is a mistake":     {opts: &gcpsm.Options{Pace: gcpsm.Pace{SecretAdds: 10_001}}, wrong: "Options.Pace.SecretAdds is more than 10000; a negative number is no bound"},
	} {
		t.Run(what, func(t *testing.T) {
			if c.parent == "" {
				c.parent = parent
			}
			wrong(t, s, c.parent, prefix, c.opts, c.wrong)
		})
	}
	bad := &gcpsm.Options{Store: token.Options{Remember: -1}}
	if _, err := gcpsm.New(s.sdk(t), parent, prefix, bad); !errors.Is(err, token.ErrInvalid) || !strings.Contains(err.Error(), "Remember") {
		t.Errorf("an option of the store that is wrong: error %v, want %v", err, token.ErrInvalid)
	}
	if got := s.called(); len(got) != 0 {
		t.Errorf("constructors send %v", got)
	}
}

// firstOf returns n entries.
func firstOf(all map[string]string, n int) map[string]string {
	some := map[string]string{}
	for key, value := range all {
		if len(some) < n {
			some[key] = value
		}
	}
	return some
}

// created puts a new secret and returns what the service says of it, and of its first
// version.
func created(t *testing.T, s *service, parent string, opts *gcpsm.Options) (*secretmanagerpb.Secret, *secretmanagerpb.SecretVersion) {
	t.Helper()
	d, err := gcpsm.NewDriver(s.sdk(t), parent, prefix, opts)
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, "a", first(t), driver.Absent)
	name := parent + "/secrets/app__oauth__a"
	secret, err := s.sdk(t).GetSecret(t.Context(), &secretmanagerpb.GetSecretRequest{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	version, err := s.sdk(t).GetSecretVersion(t.Context(), &secretmanagerpb.GetSecretVersionRequest{Name: name + "/versions/1"})
	if err != nil {
		t.Fatal(err)
	}
	return secret, version
}

func automatic(kmsKey string) *secretmanagerpb.Replication {
	a := &secretmanagerpb.Replication_Automatic{}
	if kmsKey != "" {
		a.CustomerManagedEncryption = &secretmanagerpb.CustomerManagedEncryption{KmsKeyName: kmsKey}
	}
	return &secretmanagerpb.Replication{Replication: &secretmanagerpb.Replication_Automatic_{Automatic: a}}
}

func managed(replicas ...gcpsm.Replica) *secretmanagerpb.Replication {
	m := &secretmanagerpb.Replication_UserManaged{}
	for _, r := range replicas {
		replica := &secretmanagerpb.Replication_UserManaged_Replica{Location: r.Location}
		if r.KMSKey != "" {
			replica.CustomerManagedEncryption = &secretmanagerpb.CustomerManagedEncryption{KmsKeyName: r.KMSKey}
		}
		m.Replicas = append(m.Replicas, replica)
	}
	return &secretmanagerpb.Replication{Replication: &secretmanagerpb.Replication_UserManaged_{UserManaged: m}}
}

func TestSecretsCarryWhatTheOptionsSay(t *testing.T) {
	plain := []gcpsm.Replica{{Location: "europe-west1"}, {Location: "europe-west3"}}
	locked := []gcpsm.Replica{{"europe-west1", key("europe-west1")}, {"europe-west3", key("europe-west3")}}
	for what, c := range map[string]struct {
		parent string
		opts   *gcpsm.Options
		want   *secretmanagerpb.Secret
	}{
		"automatic replication":            {parent, nil, &secretmanagerpb.Secret{Replication: automatic("")}},
		"automatic replication with a key": {parent, &gcpsm.Options{KMSKey: key("global")}, &secretmanagerpb.Secret{Replication: automatic(key("global"))}},
		"replicas":                         {parent, &gcpsm.Options{Replicas: plain}, &secretmanagerpb.Secret{Replication: managed(plain...)}},
		"replicas with keys":               {parent, &gcpsm.Options{Replicas: locked}, &secretmanagerpb.Secret{Replication: managed(locked...)}},
		"a region":                         {regional, nil, &secretmanagerpb.Secret{}},
		"a region with a key": {regional, &gcpsm.Options{KMSKey: key("europe-west3")}, &secretmanagerpb.Secret{
			CustomerManagedEncryption: &secretmanagerpb.CustomerManagedEncryption{KmsKeyName: key("europe-west3")},
		}},
		"labels, annotations and a delay": {parent, &gcpsm.Options{
			Labels:            map[string]string{"team": "crm", "cost": "42"},
			Annotations:       map[string]string{"owner": "The CRM team"},
			VersionDestroyTTL: 36 * time.Hour,
		}, &secretmanagerpb.Secret{
			Replication:       automatic(""),
			Labels:            map[string]string{"team": "crm", "cost": "42"},
			Annotations:       map[string]string{"owner": "The CRM team"},
			VersionDestroyTtl: durationpb.New(36 * time.Hour),
		}},
	} {
		t.Run(what, func(t *testing.T) {
			s := start(t, located(c.parent)...)
			got, version := created(t, s, c.parent, c.opts)
			if diff := cmp.Diff(c.want, got, protocmp.Transform(),
				protocmp.IgnoreFields(&secretmanagerpb.Secret{}, "name", "create_time", "etag")); diff != "" {
				t.Errorf("the secret (-want +got):\n%s", diff)
			}
			if !version.GetClientSpecifiedPayloadChecksum() {
				t.Error("the version was added without a checksum")
			}
		})
	}
}

// located are the double's options for a parent.
func located(parent string) []gcpsmtest.Option {
	if _, location, ok := strings.Cut(parent, "/locations/"); ok {
		return []gcpsmtest.Option{gcpsmtest.WithLocation(location)}
	}
	return nil
}

// Options are given to new secrets: those that exist keep what they have.
func TestOptionsDoNotChangeSecretsThatExist(t *testing.T) {
	s := start(t)
	value := first(t)
	rev := put(t, s.driver(t, nil), "a", value, driver.Absent)
	d := s.driver(t, &gcpsm.Options{Labels: map[string]string{"team": "crm"}})
	put(t, d, "a", after(t, value), rev)
	secret, err := s.sdk(t).GetSecret(t.Context(), &secretmanagerpb.GetSecretRequest{Name: secretOf(prefix, "a")})
	if err != nil || len(secret.GetLabels()) != 0 {
		t.Errorf("labels %v, error %v", secret.GetLabels(), err)
	}
}

func TestOptionsAreReadAndNotKept(t *testing.T) {
	s := start(t)
	opts := func() *gcpsm.Options {
		return &gcpsm.Options{
			Replicas: []gcpsm.Replica{{Location: "europe-west3"}},
			Labels:   map[string]string{"k": "v"}, Annotations: map[string]string{"k": "v"},
		}
	}
	given := opts()
	d := s.driver(t, given)
	if diff := cmp.Diff(opts(), given); diff != "" {
		t.Errorf("the options have changed (-before +now):\n%s", diff)
	}
	given.Replicas[0].Location, given.Labels["k"], given.Annotations["k"] = "nowhere", "other", "other"
	put(t, d, "a", first(t), driver.Absent)
	got, err := s.sdk(t).GetSecret(t.Context(), &secretmanagerpb.GetSecretRequest{Name: secretOf(prefix, "a")})
	if err != nil {
		t.Fatal(err)
	}
	want := &secretmanagerpb.Secret{
		Replication: managed(opts().Replicas...), Labels: map[string]string{"k": "v"}, Annotations: map[string]string{"k": "v"},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(&secretmanagerpb.Secret{}, "name", "create_time", "etag")); diff != "" {
		t.Errorf("the secret (-want +got):\n%s", diff)
	}
}

// What only the service can know of the options, it says when the first secret is
// created: nothing is written then.
func TestTheServiceRefusesOptions(t *testing.T) {
	for what, c := range map[string]struct {
		parent string
		opts   *gcpsm.Options
		do     gcpsmtest.Action // what the double does not know by itself
		want   error
		hint   string
	}{
		"a key in another location": {
			parent: parent, opts: &gcpsm.Options{KMSKey: key("europe-west3")}, want: driver.ErrInvalid, hint: "check the parent, Options",
		},
		"a regional key in another location": {
			parent: regional, opts: &gcpsm.Options{KMSKey: key("global")}, want: driver.ErrInvalid, hint: "check the parent, Options",
		},
		"a delay of years": {
			parent: parent, opts: &gcpsm.Options{VersionDestroyTTL: 2000 * 24 * time.Hour}, want: driver.ErrInvalid, hint: "check the parent, Options",
		},
		"a key that may not be used": {
			parent: parent, opts: &gcpsm.Options{KMSKey: key("global")},
			do:   gcpsmtest.FailBefore(codes.FailedPrecondition, "Cloud KMS key is disabled: "+canary),
			want: driver.ErrPermission, hint: "a KMS key that is disabled or may not be used",
		},
		"a policy of the organization": {
			parent: parent,
			do:     gcpsmtest.FailBefore(codes.FailedPrecondition, "Constraint constraints/gcp.resourceLocations violated: "+canary),
			want:   driver.ErrPermission, hint: "a policy of the organization",
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := start(t, located(c.parent)...)
			s.fault(0, c.do, "CreateSecret")
			d, err := gcpsm.NewDriver(s.sdk(t), c.parent, prefix, c.opts)
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.Put(t.Context(), "a", first(t), driver.Absent)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.hint) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.hint)
			}
			silent(t, err)
			if got := s.Names(); len(got) != 0 {
				t.Errorf("there are secrets: %q", got)
			}
		})
	}
}

// A key that is disabled later: reads and writes say that it is the key.
func TestAKeyThatIsDisabledLater(t *testing.T) {
	s := start(t)
	d := s.driver(t, &gcpsm.Options{KMSKey: key("global")})
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	s.fault(0, gcpsmtest.FailBefore(codes.FailedPrecondition, "Cloud KMS key is disabled"), "AccessSecretVersion", "AddSecretVersion")
	_, reading := d.Get(t.Context(), driver.Any, driver.Item{Name: "a"})
	_, writing := d.Put(t.Context(), "a", after(t, value), rev)
	for what, err := range map[string]error{"Get": reading, "Put": writing} {
		if !errors.Is(err, driver.ErrPermission) || !strings.Contains(err.Error(), "a KMS key that is disabled") {
			t.Errorf("%s: error %v", what, err)
		}
	}
}
