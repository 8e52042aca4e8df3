package awssmtest_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

func TestUpdateSecretVersionStage(t *testing.T) {
	type want = map[string][]string
	start2 := want{token1: {"AWSPREVIOUS", "x"}, token2: {"AWSCURRENT"}}
	for _, test := range []struct {
		name            string
		stage, to, from string
		code, text      string
		want            want
	}{
		{name: "AWSCURRENT moves back and AWSPREVIOUS with it", stage: "AWSCURRENT", to: token1, from: token2,
			want: want{token1: {"AWSCURRENT", "x"}, token2: {"AWSPREVIOUS"}}},
		{name: "AWSCURRENT does not move without RemoveFromVersionId", stage: "AWSCURRENT", to: token1,
			code: "InvalidParameterException", text: "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version " + token2 + ", so you must explicitly reference that version in RemoveFromVersionId."},
		{name: "AWSCURRENT does not move from a version that lacks it", stage: "AWSCURRENT", to: token1, from: token1,
			code: "InvalidParameterException", text: "it must be set to the version that currently has the staging label AWSCURRENT."},
		{name: "AWSCURRENT cannot be removed", stage: "AWSCURRENT", from: token2,
			code: "InvalidParameterException", text: "You can only move staging label AWSCURRENT to a different secret version."},
		{name: "a custom label moves", stage: "x", to: token2, from: token1, want: want{token1: {"AWSPREVIOUS"}, token2: {"AWSCURRENT", "x"}}},
		{name: "a custom label does not move without RemoveFromVersionId", stage: "x", to: token2, code: "InvalidParameterException", text: "Staging label x is currently attached to version " + token1},
		{name: "a custom label can be removed", stage: "x", from: token1, want: want{token1: {"AWSPREVIOUS"}, token2: {"AWSCURRENT"}}},
		{name: "a label is not removed from a version that lacks it", stage: "x", from: token2, code: "InvalidParameterException"},
		{name: "a new label is attached", stage: "y", to: token2, want: want{token1: {"AWSPREVIOUS", "x"}, token2: {"AWSCURRENT", "y"}}},
		{name: "a label that is there already stays", stage: "x", to: token1, want: start2},
		{name: "a version that does not exist is refused", stage: "x", to: token3, from: token1, code: "ResourceNotFoundException", text: token3},
		{name: "neither version is refused", stage: "x", code: "InvalidParameterException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, client := start(t)
			create(t, client, "n", token1, "1")
			must(client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
				SecretId: aws.String("n"), VersionStage: aws.String("x"), MoveToVersionId: aws.String(token1),
			}))(t)
			put(t, client, "n", token2, "2")
			in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: aws.String("n"), VersionStage: &test.stage}
			if test.to != "" {
				in.MoveToVersionId = &test.to
			}
			if test.from != "" {
				in.RemoveFromVersionId = &test.from
			}
			_, err := client.UpdateSecretVersionStage(t.Context(), in)
			if test.code != "" {
				wantError(t, err, test.code, test.text)
				test.want = start2
			} else if err != nil {
				t.Fatal(err)
			}
			wantStages(t, client, "n", test.want)
		})
	}
	t.Run("more than 20 labels on a secret are refused", func(t *testing.T) {
		_, client := start(t)
		create(t, client, "n", token1, "1")
		put(t, client, "n", token2, "2", labels(19)...)
		_, err := client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: aws.String("n"), VersionStage: aws.String("x"), MoveToVersionId: aws.String(token1),
		})
		wantError(t, err, "LimitExceededException", "staging labels")
	})
}
