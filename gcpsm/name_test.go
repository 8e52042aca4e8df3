package gcpsm_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// wrong makes sure that both constructors refuse their arguments with a text, or, if
// the text is empty, take them.
func wrong(t *testing.T, s *service, parent, prefix string, opts *gcpsm.Options, text string) {
	t.Helper()
	if text != "" {
		text = "gcpsm: invalid: " + text
	}
	_, err := gcpsm.New(s.sdk(t), parent, prefix, opts)
	_, driverErr := gcpsm.NewDriver(s.sdk(t), parent, prefix, opts)
	for _, err := range []error{err, driverErr} {
		switch {
		case text == "" && err != nil:
			t.Errorf("%q, %q: error %v", parent, prefix, err)
		case text != "" && (!errors.Is(err, token.ErrInvalid) || err.Error() != text):
			t.Errorf("%q, %q: error %v, want %s", parent, prefix, err, text)
		}
	}
}

func TestPrefixes(t *testing.T) {
	s := start(t)
	const beside = "the prefix has an underscore at the beginning or end, or beside a slash"
	at := func(i int) string {
		return fmt.Sprintf("the prefix has a character at byte %d that is none of A-Z a-z 0-9 / _ -", i)
	}
	long := func(n int) string {
		return fmt.Sprintf("the prefix takes %d characters in a secret id, a slash two of them, more than 173", n)
	}
	for _, c := range []struct{ prefix, wrong string }{
		{"app", ""},
		{"a", ""},
		{"-", ""},
		{"7", ""},
		{"prod/crm/oauth-2", ""},
		{"A_z-0", ""},
		{"a_b/c_d", ""},
		{"-a/-b-/c-", ""},
		{strings.Repeat("p", 173), ""},
		{strings.Repeat("p", 85) + "/" + strings.Repeat("p", 86), ""},
		{"", "the prefix is empty"},
		{"/app", "the prefix begins with a slash"},
		{"app/", "the prefix ends with a slash"},
		{"/", "the prefix begins with a slash"},
		{"app//oauth", "the prefix has two slashes in a row"},
		{"app__oauth", "the prefix has two underscores in a row: a slash is written so in secret ids"},
		{"app___oauth", "the prefix has two underscores in a row: a slash is written so in secret ids"},
		{"_app", beside},
		{"app_", beside},
		{"_", beside},
		{"app_/oauth", beside},
		{"app/_oauth", beside},
		{"app/_/oauth", beside},
		{strings.Repeat("p", 174), long(174)},
		{strings.Repeat("p", 86) + "/" + strings.Repeat("p", 86), long(174)},
		{"my app", at(2)},
		{"app!", at(3)},
		{"app.oauth", at(3)},
		{"app+1", at(3)},
		{"app\n", at(3)},
		{"é", at(0)},
		{"app\xff", at(3)},
		{"projects/p/secrets:a", at(18)},
	} {
		wrong(t, s, parent, c.prefix, nil, c.wrong)
	}
	if got := s.called(); len(got) != 0 {
		t.Errorf("constructors send %v", got)
	}
}

func TestParents(t *testing.T) {
	s := start(t)
	const is = ": it is projects/PROJECT or projects/PROJECT/locations/LOCATION"
	for _, c := range []struct{ parent, wrong string }{
		{"projects/my-project", ""},
		{"projects/123456789012", ""},
		{"projects/example.com:my-project", ""},
		{"projects/my-project/locations/europe-west3", ""},
		{"projects/my-project/locations/us", ""},
		{"", "the parent is no project" + is},
		{"my-project", "the parent is no project" + is},
		{"123456789012", "the parent is no project" + is},
		{"folders/123", "the parent is no project" + is},
		{"/projects/my-project", "the parent is no project" + is},
		{"projects/my-project/secrets", "the parent is no project" + is},
		{"projects/my-project/locations/europe-west3/secrets/a", "the parent is no project" + is},
		{"projects/my-project/", "the parent is no project" + is},
		{"projects/", "the parent has no project id or number" + is},
		{"projects/-", "the parent has no project id or number" + is},
		{"projects/My-Project", "the parent has no project id or number" + is},
		{"projects/my project", "the parent has no project id or number" + is},
		{"projects/?", "the parent has no project id or number" + is},
		{"projects/my-project/secrets/a", "the parent has no location" + is},
		{"projects/my-project/locations/", "the parent has no location" + is},
		{"projects/my-project/locations/-", "the parent has no location" + is},
		{"projects/my-project/locations/Europe", "the parent has no location" + is},
	} {
		wrong(t, s, c.parent, prefix, nil, c.wrong)
	}
}

// What is wrong with several arguments is said of each.
func TestAllArgumentsAreLookedAt(t *testing.T) {
	_, err := gcpsm.New(start(t).sdk(t), "my-project", "/", &gcpsm.Options{KMSKey: "key"})
	for _, text := range []string{"the parent is no project", "the prefix begins with a slash", "Options.KMSKey is none of"} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v does not say %q", err, text)
		}
	}
	if _, err := gcpsm.New(nil, parent, prefix, nil); !errors.Is(err, token.ErrInvalid) || err.Error() != "gcpsm: invalid: the client is nil" {
		t.Errorf("nil client: error %v", err)
	}
}

func TestTheLongestPrefixAndName(t *testing.T) {
	s := start(t)
	d, err := gcpsm.NewDriver(s.sdk(t), parent, strings.Repeat("p", 85)+"/"+strings.Repeat("p", 86), nil)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("n", 80)
	rev := put(t, d, name, first(t), driver.Absent)
	if got := get(t, d, name); got.Revision != rev {
		t.Errorf("revision %q, want %q", got.Revision, rev)
	}
	if _, id, _ := strings.Cut(s.Names()[0], "/secrets/"); len(id) != 255 {
		t.Errorf("the secret's id has %d characters, want the 255 that the service takes", len(id))
	}
	if got := listed(t, d); !slices.Equal(got, []string{name}) {
		t.Errorf("the names are %q", got)
	}
}

// The resource names in requests.
func TestSlashesAreWrittenAsTwoUnderscores(t *testing.T) {
	for parent, options := range map[string][]gcpsmtest.Option{
		"projects/my-project":                        nil,
		"projects/123456789012":                      nil,
		"projects/example.com:my-project":            nil,
		"projects/my-project/locations/europe-west3": {gcpsmtest.WithLocation("europe-west3")},
	} {
		s := start(t, options...)
		d, err := gcpsm.NewDriver(s.sdk(t), parent, "prod/a_b/oauth-2", nil)
		if err != nil {
			t.Fatal(err)
		}
		value := first(t)
		rev := put(t, d, "token-7", value, driver.Absent)
		put(t, d, "token-7", after(t, value), rev)
		if got := listed(t, d); !slices.Equal(got, []string{"token-7"}) {
			t.Errorf("the names are %q", got)
		}
		if err := d.Delete(t.Context(), "token-7"); err != nil {
			t.Error(err)
		}
		secret := parent + "/secrets/prod__a_b__oauth-2__token-7"
		for _, c := range s.Calls() {
			if c.Resource != parent && c.Resource != secret && !strings.HasPrefix(c.Resource, secret+"/versions/") {
				t.Errorf("%s names %s", c.Method, c.Resource)
			}
			if c.Secret != "" && c.Secret != "prod__a_b__oauth-2__token-7" {
				t.Errorf("%s names the secret %s", c.Method, c.Secret)
			}
		}
	}
}

// listed returns what Names yields, sorted.
func listed(t testing.TB, d driver.Driver) []string {
	t.Helper()
	names := []string{}
	for name, err := range d.Names(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestPrefixesThatExtendEachOther(t *testing.T) {
	s := start(t)
	prefixes := []string{"app", "app/sub", "app-2", "app_2", "app/sub/a", "ap", "App", "sub", "a/app"}
	drivers := map[string]driver.Driver{}
	values := map[string][]byte{}
	for _, p := range prefixes {
		d, err := gcpsm.NewDriver(s.sdk(t), parent, p, unpaced())
		if err != nil {
			t.Fatal(err)
		}
		drivers[p], values[p] = d, first(t)
		put(t, d, "a", values[p], driver.Absent)
	}
	for _, p := range prefixes {
		if got := get(t, drivers[p], "a"); string(got.Value) != string(values[p]) {
			t.Errorf("%s reads the secret of another prefix", p)
		}
		if diff := cmp.Diff([]string{"a"}, listed(t, drivers[p])); diff != "" {
			t.Errorf("%s lists (-want +got):\n%s", p, diff)
		}
	}
}

// All prefixes of up to four of the characters that matter, at the service: each of
// their secrets is one of its own, and is listed under its prefix only.
func TestNoTwoPrefixesMeet(t *testing.T) {
	s := start(t)
	client := s.sdk(t)
	names := []string{"a", "a-a"}
	var drivers []driver.Driver
	for _, p := range texts("a/_-", 4) {
		d, err := gcpsm.NewDriver(client, parent, p, unpaced())
		if err != nil {
			continue // TestPrefixes says which are refused
		}
		drivers = append(drivers, d)
		for _, name := range names {
			put(t, d, name, first(t), driver.Absent)
		}
	}
	if got, want := len(s.Names()), len(drivers)*len(names); got != want || want < 100 {
		t.Errorf("%d prefixes with %d names each make %d secrets", len(drivers), len(names), got)
	}
	for _, d := range drivers {
		if got := listed(t, d); !slices.Equal(got, names) {
			t.Errorf("a prefix lists %q, want %q", got, names)
		}
	}
}

// texts returns all texts of 1 to n characters of an alphabet.
func texts(alphabet string, n int) []string {
	all, last := []string{}, []string{""}
	for range n {
		var next []string
		for _, text := range last {
			for _, c := range alphabet {
				next = append(next, text+string(c))
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

// Two different prefixes, or names, never have one id.
func FuzzNoTwoSecretsHaveOneID(f *testing.F) {
	for _, p := range []struct{ prefix, name, other, otherName string }{
		{"a", "a", "a/a", "a"},
		{"a/b", "c", "a", "b-c"},
		{"a_b", "c", "a/b", "c"},
		{"a-", "c", "a", "c"},
		{"A", "0", "a", "0"},
		{"prod/oauth", "token-1", "prod/oauth", "token-2"},
	} {
		f.Add(p.prefix, p.name, p.other, p.otherName)
	}
	client := new(secretmanager.Client)
	valid := func(prefix, name string) bool {
		_, err := gcpsm.NewDriver(client, parent, prefix, nil)
		return err == nil && driver.ValidName(name)
	}
	f.Fuzz(func(t *testing.T, prefix, name, other, otherName string) {
		if !valid(prefix, name) || !valid(other, otherName) {
			t.Skip()
		}
		// TestSlashesAreWrittenAsTwoUnderscores holds the driver to secretOf.
		id, otherID := secretOf(prefix, name), secretOf(other, otherName)
		if same := prefix == other && name == otherName; same != (id == otherID) {
			t.Errorf("%q, %q and %q, %q are %q and %q", prefix, name, other, otherName, id, otherID)
		}
		if _, id, _ := strings.Cut(id, "/secrets/"); len(id) > 255 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			t.Errorf("%q is no secret id", id)
		}
	})
}
