package awssmtest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
)

// stages reads the labels of all versions that have any.
func stages(t *testing.T, client *secretsmanager.Client, name string) map[string][]string {
	t.Helper()
	return must(client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name}))(t).VersionIdsToStages
}

func wantStages(t *testing.T, client *secretsmanager.Client, name string, want map[string][]string) {
	t.Helper()
	if diff := cmp.Diff(want, stages(t, client, name)); diff != "" {
		t.Error(diff)
	}
}

func TestPutSecretValue(t *testing.T) {
	type input = secretsmanager.PutSecretValueInput
	t.Run("it moves AWSCURRENT to the new version and AWSPREVIOUS to the old", func(t *testing.T) {
		_, client := start(t)
		create(t, client, "n", token1, "1")
		out := put(t, client, "n", token2, "2")
		if diff := cmp.Diff([]string{"AWSCURRENT"}, out.VersionStages); diff != "" {
			t.Error(diff)
		}
		wantStages(t, client, "n", map[string][]string{token1: {"AWSPREVIOUS"}, token2: {"AWSCURRENT"}})
		put(t, client, "n", token3, "3")
		wantStages(t, client, "n", map[string][]string{token2: {"AWSPREVIOUS"}, token3: {"AWSCURRENT"}})
	})
	t.Run("the same token and value succeed and do nothing", func(t *testing.T) {
		_, client := start(t)
		create(t, client, "n", token1, "1")
		put(t, client, "n", token2, "2")
		put(t, client, "n", token3, "3")
		out := put(t, client, "n", token2, "2")
		if *out.VersionId != token2 {
			t.Errorf("VersionId = %s", *out.VersionId)
		}
		if diff := cmp.Diff([]string{"AWSPREVIOUS"}, out.VersionStages); diff != "" {
			t.Error("a late repetition has moved labels: ", diff)
		}
		if got := get(t, client, "n"); *got.SecretString != "3" {
			t.Errorf("AWSCURRENT = %s", *got.SecretString)
		}
	})
	t.Run("the same token with another value is refused", func(t *testing.T) {
		_, client := start(t)
		arn := *create(t, client, "n", token1, "1").ARN
		_, err := client.PutSecretValue(t.Context(), &input{SecretId: aws.String("n"), ClientRequestToken: aws.String(token1), SecretString: aws.String("2")})
		wantError(t, err, "ResourceExistsException", "You can't use ClientRequestToken "+token1+" because that value is already in use for a version of secret "+arn+".")
		_, err = client.PutSecretValue(t.Context(), &input{SecretId: aws.String("n"), ClientRequestToken: aws.String(token1), SecretBinary: []byte("1")})
		wantError(t, err, "ResourceExistsException", "")
	})
	t.Run("binary values are compared like strings", func(t *testing.T) {
		_, client := start(t)
		create(t, client, "n", token1, "1")
		in := &input{SecretId: aws.String("n"), ClientRequestToken: aws.String(token2), SecretBinary: []byte("2")}
		must(client.PutSecretValue(t.Context(), in))(t)
		must(client.PutSecretValue(t.Context(), in))(t)
		in.SecretBinary = []byte("3")
		_, err := client.PutSecretValue(t.Context(), in)
		wantError(t, err, "ResourceExistsException", "You can't use ClientRequestToken")
	})
	t.Run("with other labels AWSCURRENT stays", func(t *testing.T) {
		_, client := start(t)
		create(t, client, "n", token1, "1")
		put(t, client, "n", token2, "2", "b", "a")
		wantStages(t, client, "n", map[string][]string{token1: {"AWSCURRENT"}, token2: {"a", "b"}})
		put(t, client, "n", token3, "3", "b")
		wantStages(t, client, "n", map[string][]string{token1: {"AWSCURRENT"}, token2: {"a"}, token3: {"b"}})
	})
	t.Run("the first version is AWSCURRENT whatever its labels", func(t *testing.T) {
		_, client := start(t)
		must(client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("n")}))(t)
		put(t, client, "n", token1, "1", "x")
		wantStages(t, client, "n", map[string][]string{token1: {"AWSCURRENT", "x"}})
	})
	t.Run("more than 20 labels in a request are refused", func(t *testing.T) {
		_, client := start(t)
		create(t, client, "n", token1, "1")
		_, err := client.PutSecretValue(t.Context(), &input{SecretId: aws.String("n"), SecretString: aws.String("2"), VersionStages: labels(21)})
		wantError(t, err, "ValidationException", "'versionStages' failed to satisfy constraint: Member must have length less than or equal to 20")
	})
	t.Run("an empty list of labels is refused", func(t *testing.T) {
		_, client := start(t)
		create(t, client, "n", token1, "1")
		_, err := client.PutSecretValue(t.Context(), &input{SecretId: aws.String("n"), SecretString: aws.String("2"), VersionStages: []string{}})
		wantError(t, err, "ValidationException", "'versionStages'")
	})
	t.Run("more than 20 labels on a secret are refused", func(t *testing.T) {
		_, client := start(t)
		create(t, client, "n", token1, "1")
		put(t, client, "n", token2, "2", labels(19)...)
		_, err := client.PutSecretValue(t.Context(), &input{SecretId: aws.String("n"), SecretString: aws.String("3"), VersionStages: []string{"one-more"}})
		wantError(t, err, "LimitExceededException", "staging labels")
		put(t, client, "n", token3, "3", labels(19)...)
	})
	t.Run("a missing secret is refused", func(t *testing.T) {
		_, client := start(t)
		_, err := client.PutSecretValue(t.Context(), &input{SecretId: aws.String("n"), SecretString: aws.String("v")})
		wantError(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	})
	t.Run("no value is refused", func(t *testing.T) {
		_, client := start(t)
		create(t, client, "n", token1, "1")
		_, err := client.PutSecretValue(t.Context(), &input{SecretId: aws.String("n")})
		wantError(t, err, "InvalidRequestException", "You must provide either SecretString or SecretBinary.")
	})
	t.Run("a large value is refused", func(t *testing.T) {
		_, client := start(t)
		create(t, client, "n", token1, "1")
		_, err := client.PutSecretValue(t.Context(), &input{SecretId: aws.String("n"), SecretString: aws.String(strings.Repeat("v", 65537))})
		wantError(t, err, "ValidationException", "65536")
	})
}

func labels(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("label-%02d", i)
	}
	return list
}

func TestUpdateSecret(t *testing.T) {
	type input = secretsmanager.UpdateSecretInput
	t.Run("it changes the description and leaves the versions", func(t *testing.T) {
		_, client := start(t)
		create(t, client, "n", token1, "1")
		out := must(client.UpdateSecret(t.Context(), &input{SecretId: aws.String("n"), Description: aws.String("d")}))(t)
		if out.VersionId != nil {
			t.Errorf("VersionId = %s", *out.VersionId)
		}
		d := must(client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("n")}))(t)
		if *d.Description != "d" {
			t.Errorf("Description = %v", d.Description)
		}
		wantStages(t, client, "n", map[string][]string{token1: {"AWSCURRENT"}})
	})
	t.Run("it adds a version and moves the labels", func(t *testing.T) {
		_, client := start(t)
		create(t, client, "n", token1, "1")
		out := must(client.UpdateSecret(t.Context(), &input{SecretId: aws.String("n"), ClientRequestToken: aws.String(token2), SecretString: aws.String("2")}))(t)
		if *out.VersionId != token2 {
			t.Errorf("VersionId = %s", *out.VersionId)
		}
		wantStages(t, client, "n", map[string][]string{token1: {"AWSPREVIOUS"}, token2: {"AWSCURRENT"}})
	})
	t.Run("the same token and value succeed, with another value they do not", func(t *testing.T) {
		_, client := start(t)
		create(t, client, "n", token1, "1")
		must(client.UpdateSecret(t.Context(), &input{SecretId: aws.String("n"), ClientRequestToken: aws.String(token1), SecretString: aws.String("1")}))(t)
		_, err := client.UpdateSecret(t.Context(), &input{SecretId: aws.String("n"), ClientRequestToken: aws.String(token1), SecretString: aws.String("2")})
		wantError(t, err, "ResourceExistsException", "You can't use ClientRequestToken")
	})
}

func TestVersionQuota(t *testing.T) {
	// fill creates a secret and gives it versions until it has 100.
	fill := func(t *testing.T, client *secretsmanager.Client) {
		create(t, client, "n", token1, "1")
		for i := 2; i <= 100; i++ {
			put(t, client, "n", fmt.Sprintf("%032d", i), "v")
		}
	}
	putOne := func(t *testing.T, client *secretsmanager.Client, token string) error {
		_, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
			SecretId: aws.String("n"), ClientRequestToken: &token, SecretString: aws.String("new"),
		})
		return err
	}
	versions := func(t *testing.T, client *secretsmanager.Client) int {
		out := must(client.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{
			SecretId: aws.String("n"), IncludeDeprecated: aws.Bool(true), MaxResults: aws.Int32(100),
		}))(t)
		return len(out.Versions)
	}
	t.Run("the 101st version within 24 hours is refused", func(t *testing.T) {
		clock := awssmtest.NewClock(noon)
		_, client := start(t, awssmtest.WithClock(clock.Now))
		fill(t, client)
		clock.Advance(24*time.Hour - time.Second)
		wantError(t, putOne(t, client, token2), "LimitExceededException", "versions")
		if n := versions(t, client); n != 100 {
			t.Errorf("%d versions", n)
		}
	})
	t.Run("a repetition is no version", func(t *testing.T) {
		_, client := start(t)
		fill(t, client)
		put(t, client, "n", token1, "1")
	})
	t.Run("after 24 hours the oldest unlabelled version makes room and its id is free", func(t *testing.T) {
		clock := awssmtest.NewClock(noon)
		_, client := start(t, awssmtest.WithClock(clock.Now))
		fill(t, client)
		clock.Advance(24 * time.Hour)
		if err := putOne(t, client, token2); err != nil {
			t.Fatal(err)
		}
		if n := versions(t, client); n != 100 {
			t.Errorf("%d versions", n)
		}
		_, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("n"), VersionId: aws.String(token1)})
		wantError(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: "+token1)
		if err := putOne(t, client, token1); err != nil {
			t.Error("the id of a removed version is not free: ", err)
		}
	})
	t.Run("labelled versions are never removed", func(t *testing.T) {
		clock := awssmtest.NewClock(noon)
		_, client := start(t, awssmtest.WithClock(clock.Now))
		create(t, client, "n", token1, "1")
		put(t, client, "n", token2, "2", "keep")
		for i := 3; i <= 100; i++ {
			put(t, client, "n", fmt.Sprintf("%032d", i), "v")
		}
		clock.Advance(48 * time.Hour)
		for i := 101; i <= 200; i++ {
			put(t, client, "n", fmt.Sprintf("%032d", i), "v")
			if i == 197 { // 98 new ones, and the three that have labels
				break
			}
		}
		if got := stages(t, client, "n")[token2]; len(got) != 1 || got[0] != "keep" {
			t.Errorf("labels = %v", got)
		}
	})
	t.Run("it can be turned off", func(t *testing.T) {
		_, client := start(t, awssmtest.WithoutVersionQuota())
		fill(t, client)
		for i := range 20 {
			put(t, client, "n", fmt.Sprintf("%032d", 1000+i), "v")
		}
	})
}

func TestOneWriterWins(t *testing.T) {
	t.Run("of 32 writers with one token exactly one value is stored", func(t *testing.T) {
		srv, client := start(t)
		create(t, client, "n", token1, "1")
		errs := make([]error, 32)
		var group sync.WaitGroup
		for i := range errs {
			group.Go(func() {
				_, errs[i] = client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
					SecretId: aws.String("n"), ClientRequestToken: aws.String(token2), SecretString: aws.String(fmt.Sprint("writer ", i)),
				})
			})
		}
		group.Wait()
		var winners []string
		for i, err := range errs {
			if err == nil {
				winners = append(winners, fmt.Sprint("writer ", i))
				continue
			}
			wantError(t, err, "ResourceExistsException", "You can't use ClientRequestToken "+token2)
		}
		value, id, _ := srv.Value("n")
		if diff := cmp.Diff([]string{value}, winners); diff != "" || id != token2 {
			t.Errorf("stored %q as %s; winners %v", value, id, winners)
		}
	})
	t.Run("of 32 creators of one name exactly one succeeds", func(t *testing.T) {
		srv, client := start(t)
		won := make([]bool, 32)
		var group sync.WaitGroup
		for i := range won {
			group.Go(func() {
				_, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("n"), SecretString: aws.String(fmt.Sprint(i))})
				won[i] = err == nil
			})
		}
		group.Wait()
		value, _, _ := srv.Value("n")
		for i := range won {
			if won[i] != (value == fmt.Sprint(i)) {
				t.Errorf("creator %d: success %v, stored %q", i, won[i], value)
			}
		}
	})
}
