package awssmtest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
)

// listNames reads all pages.
func listNames(t *testing.T, client *secretsmanager.Client, in *secretsmanager.ListSecretsInput) []string {
	t.Helper()
	names := []string{}
	pages := secretsmanager.NewListSecretsPaginator(client, in)
	for pages.HasMorePages() {
		for _, entry := range must(pages.NextPage(t.Context()))(t).SecretList {
			names = append(names, *entry.Name)
		}
	}
	return names
}

func TestListSecrets(t *testing.T) {
	type input = secretsmanager.ListSecretsInput
	t.Run("an entry tells everything but the value", func(t *testing.T) {
		clock := awssmtest.NewClock(noon)
		_, client := start(t, awssmtest.WithClock(clock.Now))
		arn := *must(client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
			Name: aws.String("n"), ClientRequestToken: aws.String(token1), SecretString: aws.String("v"),
			Description: aws.String("d"), KmsKeyId: aws.String("k"), Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}},
		}))(t).ARN
		clock.Advance(time.Hour)
		put(t, client, "n", token2, "w")
		get(t, client, "n")
		got := must(client.ListSecrets(t.Context(), &input{}))(t).SecretList
		want := []types.SecretListEntry{{
			ARN: &arn, Name: aws.String("n"), Description: aws.String("d"), KmsKeyId: aws.String("k"),
			CreatedDate: aws.Time(noon), LastChangedDate: aws.Time(noon.Add(time.Hour)), LastAccessedDate: aws.Time(noon.Truncate(24 * time.Hour)),
			Tags:                   []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}},
			SecretVersionsToStages: map[string][]string{token1: {"AWSPREVIOUS"}, token2: {"AWSCURRENT"}},
		}}
		if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".noSmithyDocumentSerde" }, cmp.Ignore())); diff != "" {
			t.Error(diff)
		}
	})

	fill := func(t *testing.T, client *secretsmanager.Client, clock *awssmtest.Clock, names ...string) {
		for _, name := range names {
			create(t, client, name, token1, "v")
			clock.Advance(time.Second)
		}
	}
	t.Run("orders", func(t *testing.T) {
		clock := awssmtest.NewClock(noon)
		_, client := start(t, awssmtest.WithClock(clock.Now))
		fill(t, client, clock, "b", "c", "a")
		put(t, client, "b", token2, "w")
		get(t, client, "c")
		for _, test := range []struct {
			name string
			in   *input
			want []string
		}{
			{"by creation", &input{}, []string{"b", "c", "a"}},
			{"by creation, newest first", &input{SortOrder: "desc"}, []string{"a", "c", "b"}},
			{"by name", &input{SortBy: "name"}, []string{"a", "b", "c"}},
			{"by last access, the unread first", &input{SortBy: "last-accessed-date"}, []string{"b", "a", "c"}},
			{"by last change", &input{SortBy: "last-changed-date"}, []string{"c", "a", "b"}},
		} {
			t.Run(test.name, func(t *testing.T) {
				for _, size := range []int32{1, 2, 100} {
					test.in.MaxResults = &size
					if diff := cmp.Diff(test.want, listNames(t, client, test.in)); diff != "" {
						t.Errorf("pages of %d: %s", size, diff)
					}
				}
			})
		}
	})
	t.Run("what is created or deleted between pages moves nothing else", func(t *testing.T) {
		clock := awssmtest.NewClock(noon)
		srv, client := start(t, awssmtest.WithClock(clock.Now))
		fill(t, client, clock, "a", "b", "c", "d")
		first := must(client.ListSecrets(t.Context(), &input{MaxResults: aws.Int32(2)}))(t)
		srv.Purge("a")
		fill(t, client, clock, "e")
		second := must(client.ListSecrets(t.Context(), &input{NextToken: first.NextToken}))(t)
		var names []string
		for _, entry := range second.SecretList {
			names = append(names, *entry.Name)
		}
		if diff := cmp.Diff([]string{"c", "d", "e"}, names); diff != "" || second.NextToken != nil {
			t.Error(diff)
		}
	})
	t.Run("with filters a page may be empty and have a successor", func(t *testing.T) {
		clock := awssmtest.NewClock(noon)
		_, client := start(t, awssmtest.WithClock(clock.Now))
		fill(t, client, clock, "a1", "a2", "b")
		in := &input{MaxResults: aws.Int32(2), Filters: []types.Filter{{Key: "name", Values: []string{"b"}}}}
		out := must(client.ListSecrets(t.Context(), in))(t)
		if len(out.SecretList) != 0 || out.NextToken == nil {
			t.Errorf("first page: %+v", out)
		}
		if diff := cmp.Diff([]string{"b"}, listNames(t, client, in)); diff != "" {
			t.Error(diff)
		}
	})
	for _, test := range []struct {
		name string
		in   *input
		code string
	}{
		{"pages beyond 100 are refused", &input{MaxResults: aws.Int32(101)}, "ValidationException"},
		{"pages of nothing are refused", &input{MaxResults: aws.Int32(0)}, "ValidationException"},
		{"a made-up NextToken is refused", &input{NextToken: aws.String("made up")}, "InvalidNextTokenException"},
		{"an unknown order is refused", &input{SortOrder: "random"}, "ValidationException"},
		{"an unknown sort key is refused", &input{SortBy: "size"}, "ValidationException"},
		{"a filter without key is refused", &input{Filters: []types.Filter{{Values: []string{"a"}}}}, "InvalidParameterException"},
		{"an unknown filter is refused", &input{Filters: []types.Filter{{Key: "size", Values: []string{"a"}}}}, "ValidationException"},
		{"a filter without values is refused", &input{Filters: []types.Filter{{Key: "name"}}}, "InvalidParameterException"},
		{"more than 10 filters are refused", &input{Filters: make([]types.Filter, 11)}, "ValidationException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, client := start(t)
			_, err := client.ListSecrets(t.Context(), test.in)
			wantError(t, err, test.code, "")
		})
	}
	t.Run("a NextToken of another order is refused", func(t *testing.T) {
		_, client := start(t)
		create(t, client, "a", token1, "v")
		create(t, client, "b", token1, "v")
		out := must(client.ListSecrets(t.Context(), &input{MaxResults: aws.Int32(1)}))(t)
		_, err := client.ListSecrets(t.Context(), &input{NextToken: out.NextToken, SortBy: "name"})
		wantError(t, err, "InvalidNextTokenException", "")
	})
}

func TestFilters(t *testing.T) {
	_, client := start(t)
	for _, in := range []*secretsmanager.CreateSecretInput{
		{Name: aws.String("app/one"), Description: aws.String("Blue Moon"), Tags: []types.Tag{{Key: aws.String("Env"), Value: aws.String("prod")}}},
		{Name: aws.String("app/two"), Description: aws.String("moon"), Tags: []types.Tag{{Key: aws.String("env"), Value: aws.String("dev")}}},
		{Name: aws.String("App/three"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}},
	} {
		must(client.CreateSecret(t.Context(), in))(t)
	}
	f := func(key string, values ...string) types.Filter {
		return types.Filter{Key: types.FilterNameStringType(key), Values: values}
	}
	for _, test := range []struct {
		name    string
		filters []types.Filter
		want    []string
	}{
		{"names match by prefix, case-sensitive", []types.Filter{f("name", "app/")}, []string{"app/one", "app/two"}},
		{"names do not match inside", []types.Filter{f("name", "one")}, []string{}},
		{"descriptions match by prefix, not case-sensitive", []types.Filter{f("description", "MOON")}, []string{"app/two"}},
		{"tag keys match by prefix, case-sensitive", []types.Filter{f("tag-key", "E")}, []string{"app/one"}},
		{"tag values match by prefix, case-sensitive", []types.Filter{f("tag-value", "pr")}, []string{"app/one"}},
		{"all looks for words everywhere", []types.Filter{f("all", "blue")}, []string{"app/one", "App/three"}},
		{"all wants every word", []types.Filter{f("all", "moon PROD")}, []string{"app/one"}},
		{"several values are alternatives", []types.Filter{f("name", "app/o", "App/")}, []string{"app/one", "App/three"}},
		{"several filters must all match", []types.Filter{f("name", "app/"), f("tag-key", "env")}, []string{"app/two"}},
		{"an exclamation mark negates", []types.Filter{f("name", "!app/")}, []string{"App/three"}},
		{"nothing is owned by a service", []types.Filter{f("owning-service", "rds")}, []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, listNames(t, client, &secretsmanager.ListSecretsInput{Filters: test.filters})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestListSecretVersionIds(t *testing.T) {
	type input = secretsmanager.ListSecretVersionIdsInput
	_, client := start(t)
	create(t, client, "n", fmt.Sprintf("%032d", 1), "v")
	for i := 2; i <= 5; i++ {
		put(t, client, "n", fmt.Sprintf("%032d", i), "v")
	}
	ids := func(t *testing.T, in *input) []string {
		ids := []string{}
		in.SecretId = aws.String("n")
		pages := secretsmanager.NewListSecretVersionIdsPaginator(client, in)
		for pages.HasMorePages() {
			for _, v := range must(pages.NextPage(t.Context()))(t).Versions {
				ids = append(ids, (*v.VersionId)[31:])
			}
		}
		return ids
	}
	t.Run("versions without labels are left out", func(t *testing.T) {
		if diff := cmp.Diff([]string{"4", "5"}, ids(t, &input{})); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("deprecated versions are listed on request", func(t *testing.T) {
		if diff := cmp.Diff([]string{"1", "2", "3", "4", "5"}, ids(t, &input{IncludeDeprecated: aws.Bool(true)})); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("pages join", func(t *testing.T) {
		for size := int32(1); size <= 6; size++ {
			if diff := cmp.Diff([]string{"1", "2", "3", "4", "5"}, ids(t, &input{IncludeDeprecated: aws.Bool(true), MaxResults: &size})); diff != "" {
				t.Errorf("pages of %d: %s", size, diff)
			}
		}
	})
	t.Run("a missing secret is refused", func(t *testing.T) {
		_, err := client.ListSecretVersionIds(t.Context(), &input{SecretId: aws.String("missing")})
		wantError(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	})
	t.Run("a NextToken of a list of secrets is refused", func(t *testing.T) {
		create(t, client, "m", token1, "v")
		out := must(client.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(1)}))(t)
		_, err := client.ListSecretVersionIds(t.Context(), &input{SecretId: aws.String("n"), NextToken: out.NextToken})
		wantError(t, err, "InvalidNextTokenException", "")
	})
}
