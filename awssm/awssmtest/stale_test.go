package awssmtest_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
)

// peek reads the value, or "missing".
func peek(t *testing.T, client *secretsmanager.Client, name string) string {
	t.Helper()
	out, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing {
		return "missing"
	}
	return *must(out, err)(t).SecretString
}

func TestStaleness(t *testing.T) {
	// look writes three versions and reads 100 times.
	look := func(t *testing.T, seed uint64, maxWrites int, read func(*secretsmanager.Client) string) []string {
		_, client := start(t, awssmtest.WithStaleness(seed, maxWrites))
		create(t, client, "n", fmt.Sprintf("%032d", 1), "1")
		for i := 2; i <= 3; i++ {
			put(t, client, "n", fmt.Sprintf("%032d", i), fmt.Sprint(i))
		}
		var seen []string
		for range 100 {
			seen = append(seen, read(client))
		}
		return seen
	}
	kinds := func(seen []string) map[string]bool {
		kinds := map[string]bool{}
		for _, s := range seen {
			kinds[s] = true
		}
		return kinds
	}
	reads := func(t *testing.T) map[string]func(*secretsmanager.Client) string {
		return map[string]func(*secretsmanager.Client) string{
			"GetSecretValue": func(client *secretsmanager.Client) string { return peek(t, client, "n") },
			"BatchGetSecretValue": func(client *secretsmanager.Client) string {
				out := must(client.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"n"}}))(t)
				if len(out.SecretValues) == 0 {
					return "missing"
				}
				return *out.SecretValues[0].SecretString
			},
			"DescribeSecret": func(client *secretsmanager.Client) string {
				out, err := client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("n")})
				if err != nil {
					return "missing"
				}
				for id, stages := range out.VersionIdsToStages {
					if stages[0] == "AWSCURRENT" {
						return id[31:]
					}
				}
				return ""
			},
			"ListSecrets": func(client *secretsmanager.Client) string {
				list := must(client.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{}))(t).SecretList
				if len(list) == 0 {
					return "missing"
				}
				return fmt.Sprint(len(list[0].SecretVersionsToStages))
			},
		}
	}
	t.Run("without the option reads see the last write", func(t *testing.T) {
		if diff := cmp.Diff(map[string]bool{"3": true}, kinds(look(t, 1, 0, reads(t)["GetSecretValue"]))); diff != "" {
			t.Error(diff)
		}
	})
	for operation, want := range map[string][]string{
		"GetSecretValue":      {"missing", "1", "2", "3"},
		"BatchGetSecretValue": {"missing", "1", "2", "3"},
		"DescribeSecret":      {"missing", "1", "2", "3"},
		"ListSecrets":         {"missing", "1", "2"},
	} {
		t.Run(operation+" sees every state back to before the creation", func(t *testing.T) {
			all := map[string]bool{}
			for _, s := range want {
				all[s] = true
			}
			if diff := cmp.Diff(all, kinds(look(t, 1, 3, reads(t)[operation]))); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("nothing older than the bound is seen", func(t *testing.T) {
		if diff := cmp.Diff(map[string]bool{"2": true, "3": true}, kinds(look(t, 1, 1, reads(t)["GetSecretValue"]))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the same seed sees the same", func(t *testing.T) {
		read := reads(t)["GetSecretValue"]
		if diff := cmp.Diff(look(t, 7, 3, read), look(t, 7, 3, read)); diff != "" {
			t.Error(diff)
		}
		if cmp.Equal(look(t, 7, 3, read), look(t, 8, 3, read)) {
			t.Error("another seed sees the same")
		}
	})
	t.Run("a missing version is reported although it is written", func(t *testing.T) {
		_, client := start(t, awssmtest.WithStaleness(1, 1))
		create(t, client, "n", token1, "1")
		put(t, client, "n", token2, "2")
		var missed int
		for range 50 {
			_, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("n"), VersionId: aws.String(token2)})
			if err != nil {
				wantError(t, err, "ResourceNotFoundException", "for VersionId: "+token2)
				missed++
			}
		}
		if missed == 0 || missed == 50 {
			t.Errorf("missed %d of 50", missed)
		}
	})
	t.Run("writes act on the newest state", func(t *testing.T) {
		_, client := start(t, awssmtest.WithStaleness(1, 5))
		create(t, client, "n", token1, "1")
		for range 20 {
			put(t, client, "n", token2, "2")
			_, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("n"), ClientRequestToken: aws.String(token2), SecretString: aws.String("3")})
			wantError(t, err, "ResourceExistsException", "")
		}
	})
	t.Run("after Settle all reads see what was written before it", func(t *testing.T) {
		srv, client := start(t, awssmtest.WithStaleness(1, 5), awssmtest.WithListLag(time.Hour))
		create(t, client, "n", token1, "1")
		create(t, client, "gone", token1, "1")
		srv.Purge("gone")
		srv.Settle()
		for range 20 {
			if got := peek(t, client, "n"); got != "1" {
				t.Errorf("read %s", got)
			}
			if diff := cmp.Diff([]string{"n"}, listNames(t, client, &secretsmanager.ListSecretsInput{})); diff != "" {
				t.Error(diff)
			}
		}
		if got := peek(t, client, "gone"); got != "missing" {
			t.Errorf("read %s", got)
		}
	})
}

func TestListLag(t *testing.T) {
	clock := awssmtest.NewClock(noon)
	srv, client := start(t, awssmtest.WithClock(clock.Now), awssmtest.WithListLag(5*time.Minute))
	byFilter := func(t *testing.T) []string {
		out := must(client.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{
			Filters: []types.Filter{{Key: "name", Values: []string{"n"}}},
		}))(t)
		names := []string{}
		for _, v := range out.SecretValues {
			names = append(names, *v.Name)
		}
		return names
	}
	want := func(t *testing.T, names ...string) {
		t.Helper()
		if names == nil {
			names = []string{}
		}
		if diff := cmp.Diff(names, listNames(t, client, &secretsmanager.ListSecretsInput{})); diff != "" {
			t.Error("ListSecrets: ", diff)
		}
		if diff := cmp.Diff(names, byFilter(t)); diff != "" {
			t.Error("BatchGetSecretValue: ", diff)
		}
	}
	t.Run("lists miss a secret that is younger than the lag, reads do not", func(t *testing.T) {
		create(t, client, "n", token1, "v")
		clock.Advance(5*time.Minute - time.Second)
		want(t)
		get(t, client, "n")
	})
	t.Run("lists show it after the lag", func(t *testing.T) {
		clock.Advance(time.Second)
		want(t, "n")
	})
	t.Run("lists show a removed secret until the lag has passed", func(t *testing.T) {
		srv.Purge("n")
		clock.Advance(5*time.Minute - time.Second)
		want(t, "n")
		clock.Advance(time.Second)
		want(t)
	})
}
