package awssm_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

func TestCallsTakeOneRequest(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	put(t, d, "b", first(t), driver.Absent)
	s.ResetCalls()
	all := calls(t, d, value, rev)
	for _, operation := range []string{
		"GetSecretValue", "BatchGetSecretValue", "ListSecrets", "CreateSecret", "PutSecretValue", "DeleteSecret",
	} {
		if err := all[operation](t.Context()); err != nil {
			t.Errorf("%s: %v", operation, err)
		}
		if got := s.called(); !slices.Equal(got, []string{operation}) {
			t.Errorf("%s takes the requests %v", operation, got)
		}
	}
}

func TestGetOf45NamesTakesThreeRequests(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	var have []driver.Item
	revs := map[string]driver.Revision{}
	for i := range 45 {
		name := fmt.Sprintf("name-%d", i)
		have = append(have, driver.Item{Name: name})
		if i%4 > 0 {
			revs[name] = put(t, d, name, first(t), driver.Absent)
		}
	}
	s.ResetCalls()
	items, err := d.Get(t.Context(), driver.Fresh, have...)
	if err != nil {
		t.Fatal(err)
	}
	for i, item := range items {
		if item.Name != have[i].Name || item.Revision != revs[item.Name] || item.Err != nil {
			t.Errorf("item %d is %s at %q, error %v", i, item.Name, item.Revision, item.Err)
		}
	}
	sizes := []int{}
	for _, c := range s.Calls() {
		sizes = append(sizes, len(strings.Fields(c.SecretID)))
	}
	slices.Sort(sizes)
	if diff := cmp.Diff([]int{5, 20, 20}, sizes); diff != "" {
		t.Errorf("names in the requests (-want +got):\n%s", diff)
	}
}

func TestGetFailsIfOneOfItsBatchesDoes(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	have := make([]driver.Item, 200)
	for i := range have {
		have[i].Name = fmt.Sprint(i)
	}
	s.Inject(awssmtest.Fault{
		Secret: func(name string) bool { return strings.HasSuffix(name, "/70") },
		Do:     awssmtest.FailBefore(trouble),
	})
	if items, err := d.Get(t.Context(), driver.Any, have...); !errors.Is(err, driver.ErrUnavailable) || items != nil {
		t.Errorf("%d items, error %v; want none and %v", len(items), err, driver.ErrUnavailable)
	}
}

// What is the matter with single secrets, alone and among others.
func TestGetTellsWhatIsTheMatterWithASecret(t *testing.T) {
	s := start(t, awssmtest.WithPolicy(func(operation, name string) bool {
		return operation != "GetSecretValue" || name != prefix+"/denied"
	}))
	client, d := s.sdk(t), s.driver(t, nil)
	for _, name := range []string{"good", "denied", "deleted", "text"} {
		put(t, d, name, first(t), driver.Absent)
	}
	s.damage(t, prefix+"/binary")
	empty := &secretsmanager.CreateSecretInput{Name: aws.String(prefix + "/empty")}
	if _, err := client.CreateSecret(t.Context(), empty); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetValue(prefix+"/text", "hello"); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}
	other, err := awssm.NewDriver(client, prefix, &awssm.Options{KMSKeyID: "key"})
	if err != nil {
		t.Fatal(err)
	}
	put(t, other, "locked", first(t), driver.Absent)
	s.DisableKey("key")

	want := map[string]error{
		"good": nil, "none": nil, "binary": driver.ErrCorrupt, "empty": driver.ErrCorrupt, "text": driver.ErrCorrupt,
		"deleted": driver.ErrDeleted, "denied": driver.ErrPermission, "locked": driver.ErrPermission,
	}
	var have []driver.Item
	for name := range want {
		have = append(have, driver.Item{Name: name})
	}
	items, err := d.Get(t.Context(), driver.Any, have...)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if !errors.Is(item.Err, want[item.Name]) {
			t.Errorf("%s among others: error %v, want %v", item.Name, item.Err, want[item.Name])
		}
		if (item.Value != nil) != (item.Name == "good") || (item.Revision != driver.Absent) != (item.Name == "good") {
			t.Errorf("%s among others: a value of %d bytes at %q", item.Name, len(item.Value), item.Revision)
		}
		one, err := d.Get(t.Context(), driver.Any, driver.Item{Name: item.Name})
		if errors.Is(want[item.Name], driver.ErrPermission) {
			if !errors.Is(err, driver.ErrPermission) || one != nil {
				t.Errorf("%s alone: error %v, want %v", item.Name, err, driver.ErrPermission)
			}
			continue
		}
		if err != nil || !errors.Is(one[0].Err, want[item.Name]) {
			t.Errorf("%s alone: errors %v and %v, want %v of the item", item.Name, err, one, want[item.Name])
		}
	}
	if _, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "locked"}); !strings.Contains(err.Error(), "KMS key") {
		t.Errorf("error %v does not point to the key", err)
	}
}

func TestArgumentsThatNoServiceWouldTake(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	for _, name := range []string{"", "-a", "a-", "A", "a/b", "a_b", "ä", strings.Repeat("a", 81)} {
		_, getting := d.Get(t.Context(), driver.Any, driver.Item{Name: name})
		_, putting := d.Put(t.Context(), name, value, driver.Absent)
		for call, err := range map[string]error{"Get": getting, "Put": putting, "Delete": d.Delete(t.Context(), name)} {
			if !errors.Is(err, driver.ErrInvalid) {
				t.Errorf("%s(%q): error %v, want %v", call, name, err, driver.ErrInvalid)
			}
		}
	}
	for _, value := range []string{"", "[]", " {}", "{\xff}"} {
		if _, err := d.Put(t.Context(), "a", []byte(value), driver.Absent); !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("Put of %q: error %v, want %v", value, err, driver.ErrInvalid)
		}
	}
	if _, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "a"}, driver.Item{Name: "a"}); !errors.Is(err, driver.ErrInvalid) {
		t.Errorf("Get of a name twice: error %v, want %v", err, driver.ErrInvalid)
	}
	if _, err := d.Put(t.Context(), "a", fmt.Appendf(nil, "{%65536s", "}"), driver.Absent); !errors.Is(err, driver.ErrTooLarge) {
		t.Errorf("Put of 65,537 bytes: error %v, want %v", err, driver.ErrTooLarge)
	}
	if got := s.called(); len(got) != 0 {
		t.Errorf("requests %v, want none", got)
	}
}

func TestSecretsCarryWhatTheOptionsSay(t *testing.T) {
	s := start(t)
	d := s.driver(t, &awssm.Options{KMSKeyID: "alias/app", Tags: map[string]string{"team": "crm", "cost": "42"}})
	put(t, d, "a", first(t), driver.Absent)
	got, err := s.sdk(t).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(prefix + "/a")})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(got.KmsKeyId) != "alias/app" || !strings.Contains(aws.ToString(got.Description), "Do not edit by hand") {
		t.Errorf("key %q, description %q", aws.ToString(got.KmsKeyId), aws.ToString(got.Description))
	}
	tags := map[string]string{}
	for _, tag := range got.Tags {
		tags[*tag.Key] = *tag.Value
	}
	if diff := cmp.Diff(map[string]string{"team": "crm", "cost": "42"}, tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func TestDeletions(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		what  string
		opts  *awssm.Options
		rests time.Duration
	}{
		{"can be recovered for 30 days", nil, 30 * day},
		{"can be recovered for as long as the option says", &awssm.Options{RecoveryWindowDays: 7}, 7 * day},
		{"are forced", &awssm.Options{ForceDelete: true}, 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := start(t)
			d := s.driver(t, c.opts)
			put(t, d, "a", first(t), driver.Absent)
			if err := d.Delete(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			if got := d.Limits().DeletedNameRests; got != c.rests {
				t.Errorf("a deleted name rests %v, want %v", got, c.rests)
			}
			if c.rests > 0 {
				s.clock.Advance(c.rests - time.Second)
				if got := get(t, d, "a"); !errors.Is(got.Err, driver.ErrDeleted) {
					t.Errorf("before the time: %+v", got)
				}
				if _, err := d.Put(t.Context(), "a", first(t), driver.Absent); !errors.Is(err, driver.ErrDeleted) {
					t.Errorf("before the time: error %v, want %v", err, driver.ErrDeleted)
				}
				s.clock.Advance(time.Second)
			}
			put(t, d, "a", first(t), driver.Absent)
		})
	}
}

func TestTheVersionQuotaIsErrQuota(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	for i := range d.Limits().WritesPerDay - 1 {
		value = after(t, value)
		next, err := d.Put(t.Context(), "a", value, rev)
		if err != nil {
			t.Fatalf("write %d: %v", i+2, err)
		}
		rev = next
	}
	if _, err := d.Put(t.Context(), "a", after(t, value), rev); !errors.Is(err, driver.ErrQuota) {
		t.Errorf("error %v, want %v", err, driver.ErrQuota)
	}
	s.clock.Advance(24 * time.Hour)
	put(t, d, "a", after(t, value), rev)
}

func TestNamesReadsAllPages(t *testing.T) {
	s := start(t)
	for i := range 250 {
		for _, p := range []string{prefix, "app", prefix + "2"} { // filtered pages may be short
			if _, err := s.SetValue(fmt.Sprintf("%s/n-%d", p, i), "{}"); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := map[string]bool{}
	for name, err := range s.driver(t, nil).Names(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		seen[name] = true
	}
	if len(seen) != 250 {
		t.Errorf("%d names, want 250", len(seen))
	}
}

func TestNamesYieldsWhatWasReadBeforeAnError(t *testing.T) {
	s := start(t)
	for i := range 150 {
		if _, err := s.SetValue(fmt.Sprintf("%s/n-%d", prefix, i), "{}"); err != nil {
			t.Fatal(err)
		}
	}
	s.Inject(awssmtest.Fault{Operations: []string{"ListSecrets"}, Skip: 1, Do: awssmtest.FailBefore(denied)})
	names, failure := 0, error(nil)
	for name, err := range s.driver(t, nil).Names(t.Context()) {
		if failure != nil {
			t.Error("it goes on after an error")
		}
		if failure = err; err == nil && name != "" {
			names++
		}
	}
	if names != 100 || !errors.Is(failure, driver.ErrPermission) {
		t.Errorf("%d names, error %v; want 100 and %v", names, failure, driver.ErrPermission)
	}
}

// A version id says which write may follow which, whoever makes it.
func TestVersionIDs(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	put(t, d, "b", value, driver.Absent)
	next := put(t, d, "a", after(t, value), rev)
	other := s.driver(t, nil)
	if _, err := other.Put(t.Context(), "a", after(t, value), rev); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("error %v, want %v", err, driver.ErrConflict)
	}
	seen := map[string]bool{}
	for _, name := range []string{"a", "b"} {
		out, err := s.sdk(t).ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{
			SecretId: aws.String(prefix + "/" + name), IncludeDeprecated: aws.Bool(true),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range out.Versions {
			id := *v.VersionId
			if len(id) != 36 || id[8] != '-' || id[14] != '8' || !strings.Contains("89ab", id[19:20]) {
				t.Errorf("the version id %s is no UUID of version 8", id)
			}
			if seen[id] {
				t.Error("two secrets have a version of one id")
			}
			seen[id] = true
			if name == "a" && slices.Contains(v.VersionStages, "AWSCURRENT") != (id == string(next)) {
				t.Errorf("the version %s has the stages %v, and the newest is %s", id, v.VersionStages, next)
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d versions, want 3", len(seen))
	}
}
