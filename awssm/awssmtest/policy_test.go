package awssmtest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
)

func TestPolicy(t *testing.T) {
	var forbidden map[string]bool // by "operation name"
	srv, client := start(t, awssmtest.WithPolicy(func(operation, name string) bool { return !forbidden[operation+" "+name] }))
	arn := *create(t, client, "n", token1, "v").ARN
	ctx := t.Context()

	t.Run("what is forbidden is AccessDeniedException", func(t *testing.T) {
		forbidden = map[string]bool{"GetSecretValue n": true}
		_, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
		wantError(t, err, "AccessDeniedException",
			"User: arn:aws:iam::123456789012:user/awssmtest is not authorized to perform: secretsmanager:GetSecretValue on resource: "+arn+" because no identity-based policy allows the secretsmanager:GetSecretValue action")
		put(t, client, "n", token2, "w")
	})
	t.Run("a forbidden secret looks the same whether or not it exists", func(t *testing.T) {
		forbidden = map[string]bool{"GetSecretValue missing": true}
		_, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("missing")})
		wantError(t, err, "AccessDeniedException", "")
	})
	t.Run("creating with tags needs TagResource", func(t *testing.T) {
		forbidden = map[string]bool{"TagResource tagged": true}
		in := &secretsmanager.CreateSecretInput{Name: aws.String("tagged"), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}
		_, err := client.CreateSecret(ctx, in)
		wantError(t, err, "AccessDeniedException", "secretsmanager:TagResource")
		in.Tags = nil
		must(client.CreateSecret(ctx, in))(t)
	})
	t.Run("a batch needs BatchGetSecretValue, with filters ListSecrets", func(t *testing.T) {
		byID := &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"n"}}
		byFilter := &secretsmanager.BatchGetSecretValueInput{Filters: []types.Filter{{Key: "name", Values: []string{"n"}}}}
		forbidden = map[string]bool{"BatchGetSecretValue ": true}
		_, err := client.BatchGetSecretValue(ctx, byID)
		wantError(t, err, "AccessDeniedException", "on resource: *")
		forbidden = map[string]bool{"ListSecrets ": true}
		must(client.BatchGetSecretValue(ctx, byID))(t)
		_, err = client.BatchGetSecretValue(ctx, byFilter)
		wantError(t, err, "AccessDeniedException", "secretsmanager:ListSecrets")
	})
	t.Run("a batch needs GetSecretValue for each secret, by id and by filter", func(t *testing.T) {
		forbidden = map[string]bool{"GetSecretValue n": true}
		for _, in := range []*secretsmanager.BatchGetSecretValueInput{
			{SecretIdList: []string{"n"}},
			{Filters: []types.Filter{{Key: "name", Values: []string{"n"}}}},
		} {
			out := must(client.BatchGetSecretValue(ctx, in))(t)
			if len(out.Errors) != 1 || *out.Errors[0].ErrorCode != "AccessDeniedException" || len(out.SecretValues) != 0 {
				t.Errorf("%+v", out)
			}
		}
	})
	t.Run("an operator is not asked", func(t *testing.T) {
		forbidden = map[string]bool{"PutSecretValue n": true, "CreateSecret new": true}
		must(srv.SetValue("n", "x"))(t)
		must(srv.SetValue("new", "x"))(t)
	})
}

func TestRateLimits(t *testing.T) {
	clock := awssmtest.NewClock(noon)
	_, client := start(t, awssmtest.WithClock(clock.Now), awssmtest.WithRateLimits(), awssmtest.WithoutVersionQuota())
	create(t, client, "n", token1, "v")
	t.Run("the 51st write within a second is throttled, whatever its operation", func(t *testing.T) {
		for i := range 50 {
			if err := putOnce(t.Context(), client, "n", fmt.Sprintf("%032d", i), "v"); err != nil {
				t.Fatalf("write %d: %v", i+1, err)
			}
		}
		_, err := client.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: aws.String("n"), Description: aws.String("d")}, once)
		wantError(t, err, "ThrottlingException", "Rate exceeded")
	})
	t.Run("other operations have their own quota", func(t *testing.T) {
		get(t, client, "n")
		create(t, client, "m", token1, "v")
	})
	t.Run("the next second starts again", func(t *testing.T) {
		clock.Advance(time.Second)
		put(t, client, "n", token2, "w")
	})
}

func TestTags(t *testing.T) {
	srv, client := start(t)
	create(t, client, "n", token1, "v")
	n := aws.String("n")
	tags := func(t *testing.T) string {
		d := must(client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: n}))(t)
		if d.Tags == nil {
			return "none"
		}
		var list []string
		for _, tag := range d.Tags {
			list = append(list, *tag.Key+"="+*tag.Value)
		}
		return strings.Join(list, " ")
	}
	add := func(t *testing.T, list ...types.Tag) error {
		_, err := client.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: n, Tags: list})
		return err
	}
	tag := func(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }
	want := func(t *testing.T, want string) {
		t.Helper()
		if got := tags(t); got != want {
			t.Errorf("tags = %q, want %q", got, want)
		}
	}
	t.Run("a secret without tags shows none", func(t *testing.T) { want(t, "none") })
	t.Run("tags are added and replaced, with keys case-sensitive", func(t *testing.T) {
		for _, step := range []types.Tag{tag("a", "1"), tag("A", "2"), tag("a", "3")} {
			if err := add(t, step); err != nil {
				t.Fatal(err)
			}
		}
		want(t, "a=3 A=2")
	})
	t.Run("tags are removed, missing ones without complaint", func(t *testing.T) {
		must(client.UntagResource(t.Context(), &secretsmanager.UntagResourceInput{SecretId: n, TagKeys: []string{"a", "A", "zz"}}))(t)
		want(t, "")
	})
	t.Run("more than 50 tags are refused", func(t *testing.T) {
		var many []types.Tag
		for i := range 50 {
			many = append(many, tag(fmt.Sprint(i), "v"))
		}
		if err := add(t, many...); err != nil {
			t.Fatal(err)
		}
		wantError(t, add(t, tag("one more", "v")), "InvalidParameterException", "50 tags")
	})
	t.Run("sizes and reserved keys are checked", func(t *testing.T) {
		wantError(t, add(t, tag(strings.Repeat("k", 129), "v")), "ValidationException", "tags.1.member.key")
		wantError(t, add(t, tag("k", strings.Repeat("v", 257))), "ValidationException", "tags.1.member.value")
		wantError(t, add(t, tag("aws:x", "v")), "InvalidParameterException", "reserved")
		_, got := post(t, srv, "TagResource", `{"SecretId":"n","Tags":[{"Value":"v"}]}`)
		if got["__type"] != "ValidationException" {
			t.Error(got)
		}
	})
}

func TestInspection(t *testing.T) {
	srv, client := start(t)
	t.Run("an operator creates and changes secrets with random versions", func(t *testing.T) {
		first := must(srv.SetValue("n", "1"))(t)
		second := must(srv.SetValue("n", "2"))(t)
		if first == second || len(first) != 36 {
			t.Errorf("versions %s, %s", first, second)
		}
		wantStages(t, client, "n", map[string][]string{first: {"AWSPREVIOUS"}, second: {"AWSCURRENT"}})
		if value, id, ok := srv.Value("n"); value != "2" || id != second || !ok {
			t.Errorf("Value = %q, %s, %v", value, id, ok)
		}
	})
	t.Run("the service's limits hold for operators", func(t *testing.T) {
		_, err := srv.SetValue("n", strings.Repeat("v", 65537))
		if e, ok := errors.AsType[*awssmtest.Error](err); !ok || e.Code != "ValidationException" {
			t.Error(err)
		}
	})
	t.Run("what is inspected is no call", func(t *testing.T) {
		srv.ResetCalls()
		_, _ = srv.SetValue("n", "3")
		srv.Value("n")
		srv.Names()
		if calls := srv.Calls(); len(calls) != 0 {
			t.Error(calls)
		}
	})
	t.Run("a missing secret and one without a value have none", func(t *testing.T) {
		must(client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("empty")}))(t)
		for _, name := range []string{"missing", "empty"} {
			if _, _, ok := srv.Value(name); ok {
				t.Errorf("%s has a value", name)
			}
		}
	})
	t.Run("a purged secret is gone and its name is free", func(t *testing.T) {
		srv.Purge("n")
		srv.Purge("n")
		if _, _, ok := srv.Value("n"); ok {
			t.Error("it is still there")
		}
		create(t, client, "n", token1, "v")
	})
}
