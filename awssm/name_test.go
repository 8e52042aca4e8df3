package awssm_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

func TestPrefixes(t *testing.T) {
	s := start(t)
	for _, c := range []struct{ prefix, wrong string }{
		{"app", ""},
		{"prod/crm/oauth-2", ""},
		{"A_z+0=.@-", ""},
		{strings.Repeat("p", 431), ""},
		{"", "empty"},
		{"/app", "begins with a slash"},
		{"app/", "ends with a slash"},
		{"/", "slash"},
		{"app//oauth", "two slashes"},
		{strings.Repeat("p", 432), "432 characters, more than 431"},
		{"my app", "at byte 2"},
		{"app!", "at byte 3"},
		{"app*", "at byte 3"},
		{"app\n", "at byte 3"},
		{"é", "at byte 0"},
		{"app\xff", "at byte 3"},
		{"arn:aws:secretsmanager", "at byte 3"},
	} {
		_, err := awssm.New(s.sdk(t), c.prefix, nil)
		_, driverErr := awssm.NewDriver(s.sdk(t), c.prefix, nil)
		for _, err := range []error{err, driverErr} {
			switch {
			case c.wrong == "" && err != nil:
				t.Errorf("%q: error %v", c.prefix, err)
			case c.wrong != "" && (!errors.Is(err, token.ErrInvalid) || !strings.Contains(err.Error(), c.wrong)):
				t.Errorf("%q: error %v, want %v with %q", c.prefix, err, token.ErrInvalid, c.wrong)
			}
		}
	}
}

func TestTheLongestPrefixAndName(t *testing.T) {
	s := start(t)
	d, err := awssm.NewDriver(s.sdk(t), strings.Repeat("p", 431), nil)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("n", 80)
	rev := put(t, d, name, first(t), driver.Absent)
	if got := get(t, d, name); got.Revision != rev {
		t.Errorf("revision %q, want %q", got.Revision, rev)
	}
}

func TestOptions(t *testing.T) {
	many := map[string]string{}
	for i := range 51 {
		many[fmt.Sprint(i)] = ""
	}
	s := start(t)
	for what, c := range map[string]struct {
		opts  *awssm.Options
		wrong string
	}{
		"none":                    {nil, ""},
		"zero":                    {&awssm.Options{}, ""},
		"shortest window":         {&awssm.Options{RecoveryWindowDays: 7}, ""},
		"longest window":          {&awssm.Options{RecoveryWindowDays: 30}, ""},
		"longest tag":             {&awssm.Options{Tags: map[string]string{strings.Repeat("ä", 128): strings.Repeat("ä", 256)}}, ""},
		"window too short":        {&awssm.Options{RecoveryWindowDays: 6}, "RecoveryWindowDays is 6"},
		"window too long":         {&awssm.Options{RecoveryWindowDays: 31}, "RecoveryWindowDays is 31"},
		"window negative":         {&awssm.Options{RecoveryWindowDays: -1}, "RecoveryWindowDays is -1"},
		"window though forced":    {&awssm.Options{RecoveryWindowDays: 7, ForceDelete: true}, "exclude each other"},
		"key too long":            {&awssm.Options{KMSKeyID: strings.Repeat("k", 2049)}, "KMSKeyID"},
		"too many tags":           {&awssm.Options{Tags: many}, "Tags has 51"},
		"tag without key":         {&awssm.Options{Tags: map[string]string{"": "v"}}, "Tags has a key of 0"},
		"tag with long key":       {&awssm.Options{Tags: map[string]string{strings.Repeat("k", 129): ""}}, "Tags has a key of 129"},
		"tag with long value":     {&awssm.Options{Tags: map[string]string{"k": strings.Repeat("v", 257)}}, `Tags["k"]`},
		"tag of AWS":              {&awssm.Options{Tags: map[string]string{"AWS:team": ""}}, "aws:"},
		"tag that is not text":    {&awssm.Options{Tags: map[string]string{"k": "\xff"}}, "UTF-8"},
		"options of the store":    {&awssm.Options{Store: token.Options{Remember: 1}}, ""},
		"bad option of the store": {&awssm.Options{Store: token.Options{Remember: -1}}, "Remember"},
	} {
		_, err := awssm.New(s.sdk(t), prefix, c.opts)
		switch {
		case c.wrong == "" && err != nil:
			t.Errorf("%s: error %v", what, err)
		case c.wrong != "" && (!errors.Is(err, token.ErrInvalid) || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: error %v, want %v with %q", what, err, token.ErrInvalid, c.wrong)
		}
	}
	if _, err := awssm.New(nil, prefix, nil); !errors.Is(err, token.ErrInvalid) || !strings.Contains(err.Error(), "client") {
		t.Errorf("nil client: error %v, want %v", err, token.ErrInvalid)
	}
	if got := s.called(); len(got) != 0 {
		t.Errorf("constructors send %v", got)
	}
}

func TestOptionsAreReadAndNotKept(t *testing.T) {
	s := start(t)
	opts := &awssm.Options{KMSKeyID: "key", Tags: map[string]string{"k": "v"}}
	d := s.driver(t, opts)
	if diff := cmp.Diff(&awssm.Options{KMSKeyID: "key", Tags: map[string]string{"k": "v"}}, opts); diff != "" {
		t.Errorf("the options have changed (-before +now):\n%s", diff)
	}
	opts.KMSKeyID, opts.Tags["k"], opts.ForceDelete = "disabled", strings.Repeat("v", 257), true
	s.DisableKey("disabled")
	put(t, d, "a", first(t), driver.Absent)
}

func TestPrefixesThatExtendEachOther(t *testing.T) {
	s := start(t)
	prefixes := []string{"app", "app/sub", "app-2", "app/sub/a", "ap"}
	drivers := map[string]driver.Driver{}
	values := map[string][]byte{}
	for _, p := range prefixes {
		d, err := awssm.NewDriver(s.sdk(t), p, nil)
		if err != nil {
			t.Fatal(err)
		}
		drivers[p], values[p] = d, first(t)
		put(t, d, "a", values[p], driver.Absent)
		put(t, d, "only-"+strings.ReplaceAll(p, "/", "-"), first(t), driver.Absent)
	}
	for _, p := range prefixes {
		if got := get(t, drivers[p], "a"); string(got.Value) != string(values[p]) {
			t.Errorf("%s reads the secret of another prefix", p)
		}
		var names []string
		for name, err := range drivers[p].Names(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
		slices.Sort(names)
		if diff := cmp.Diff([]string{"a", "only-" + strings.ReplaceAll(p, "/", "-")}, names); diff != "" {
			t.Errorf("%s lists (-want +got):\n%s", p, diff)
		}
	}
}
