package awssmtest_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
)

func TestDeleteSecret(t *testing.T) {
	type input = secretsmanager.DeleteSecretInput
	const (
		day       = 24 * time.Hour
		scheduled = "You can't perform this operation on the secret because it was marked for deletion."
	)
	n := aws.String("n")
	for _, test := range []struct {
		name       string
		in         *input
		code, text string
		window     time.Duration
	}{
		{name: "the default window is 30 days", in: &input{}, window: 30 * day},
		{name: "a window may have 7 days", in: &input{RecoveryWindowInDays: aws.Int64(7)}, window: 7 * day},
		{name: "a window may not have 6 days", in: &input{RecoveryWindowInDays: aws.Int64(6)},
			code: "InvalidParameterException", text: "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."},
		{name: "a window may not have 31 days", in: &input{RecoveryWindowInDays: aws.Int64(31)}, code: "InvalidParameterException"},
		{name: "a window and force are refused", in: &input{RecoveryWindowInDays: aws.Int64(7), ForceDeleteWithoutRecovery: aws.Bool(true)},
			code: "InvalidParameterException", text: "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."},
		{name: "a missing secret is refused", in: &input{SecretId: aws.String("missing")}, code: "ResourceNotFoundException"},
		{name: "with force a missing secret is no error", in: &input{SecretId: aws.String("missing"), ForceDeleteWithoutRecovery: aws.Bool(true)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := awssmtest.NewClock(noon)
			srv, client := start(t, awssmtest.WithClock(clock.Now))
			create(t, client, "n", token1, "v")
			if test.in.SecretId == nil {
				test.in.SecretId = n
			}
			out, err := client.DeleteSecret(t.Context(), test.in)
			if test.code != "" {
				wantError(t, err, test.code, test.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !out.DeletionDate.Equal(noon.Add(test.window)) || *out.Name != *test.in.SecretId {
				t.Errorf("%s deleted at %v", *out.Name, out.DeletionDate)
			}
			if test.window == 0 {
				return
			}
			clock.Advance(test.window - time.Second)
			if diff := cmp.Diff([]string{"n"}, srv.Names()); diff != "" {
				t.Error("removed before the window has passed: ", diff)
			}
			clock.Advance(time.Second)
			if diff := cmp.Diff([]string{}, srv.Names()); diff != "" {
				t.Error("still there after the window: ", diff)
			}
			create(t, client, "n", token1, "another")
		})
	}

	remove := func(t *testing.T, opts ...awssmtest.Option) (*awssmtest.Server, *secretsmanager.Client) {
		srv, client := start(t, opts...)
		create(t, client, "n", token1, "v")
		must(client.DeleteSecret(t.Context(), &input{SecretId: n}))(t)
		return srv, client
	}
	t.Run("a scheduled secret can be neither read nor changed", func(t *testing.T) {
		_, client := remove(t)
		ctx := t.Context()
		_, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: n})
		wantError(t, err, "InvalidRequestException", scheduled)
		_, err = client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: n, SecretString: aws.String("w")})
		wantError(t, err, "InvalidRequestException", scheduled)
		_, err = client.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: n, Description: aws.String("d")})
		wantError(t, err, "InvalidRequestException", scheduled)
		_, err = client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: n, VersionStage: aws.String("x"), MoveToVersionId: aws.String(token1)})
		wantError(t, err, "InvalidRequestException", scheduled)
		_, err = client.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: n, Tags: []types.Tag{{Key: aws.String("k")}}})
		wantError(t, err, "InvalidRequestException", scheduled)
		_, err = client.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: n, TagKeys: []string{"k"}})
		wantError(t, err, "InvalidRequestException", scheduled)
		_, err = client.DeleteSecret(ctx, &input{SecretId: n})
		wantError(t, err, "InvalidRequestException", scheduled)
	})
	t.Run("the name of a scheduled secret cannot be created", func(t *testing.T) {
		_, client := remove(t)
		_, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: n, SecretString: aws.String("v"), ClientRequestToken: aws.String(token1)})
		wantError(t, err, "InvalidRequestException", "You can't create this secret because a secret with this name is already scheduled for deletion.")
	})
	t.Run("a scheduled secret can be described and is listed only on request", func(t *testing.T) {
		clock := awssmtest.NewClock(noon)
		_, client := remove(t, awssmtest.WithClock(clock.Now))
		d := must(client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: n}))(t)
		if d.DeletedDate == nil || !d.DeletedDate.Equal(noon.Add(30*day)) {
			t.Errorf("DeletedDate = %v", d.DeletedDate)
		}
		if names := listNames(t, client, &secretsmanager.ListSecretsInput{}); len(names) != 0 {
			t.Errorf("listed: %v", names)
		}
		if names := listNames(t, client, &secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true)}); len(names) != 1 {
			t.Errorf("not listed: %v", names)
		}
	})
	t.Run("restoring cancels the deletion", func(t *testing.T) {
		clock := awssmtest.NewClock(noon)
		_, client := remove(t, awssmtest.WithClock(clock.Now))
		must(client.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: n}))(t)
		clock.Advance(31 * day)
		if got := get(t, client, "n"); *got.SecretString != "v" {
			t.Errorf("value = %s", *got.SecretString)
		}
	})
	t.Run("a missing secret cannot be restored", func(t *testing.T) {
		_, client := start(t)
		_, err := client.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: n})
		wantError(t, err, "ResourceNotFoundException", "")
	})
	t.Run("force removes at once", func(t *testing.T) {
		srv, client := remove(t)
		must(client.DeleteSecret(t.Context(), &input{SecretId: n, ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
		if names := srv.Names(); len(names) != 0 {
			t.Errorf("names = %v", names)
		}
		create(t, client, "n", token2, "again")
	})
	t.Run("with a delay a forced deletion is scheduled until it is done", func(t *testing.T) {
		clock := awssmtest.NewClock(noon)
		_, client := start(t, awssmtest.WithClock(clock.Now), awssmtest.WithDeletionDelay(10*time.Second))
		create(t, client, "n", token1, "v")
		must(client.DeleteSecret(t.Context(), &input{SecretId: n, ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
		again := &secretsmanager.CreateSecretInput{Name: n, SecretString: aws.String("v")}
		_, err := client.CreateSecret(t.Context(), again)
		wantError(t, err, "InvalidRequestException", "already scheduled for deletion")
		clock.Advance(10 * time.Second)
		must(client.CreateSecret(t.Context(), again))(t)
	})
}
