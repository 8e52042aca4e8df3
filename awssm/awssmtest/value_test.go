package awssmtest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
)

func TestGetSecretValue(t *testing.T) {
	for _, test := range []struct {
		name               string
		id, version, stage string
		want               string
		code, text         string
	}{
		{name: "AWSCURRENT is the default", id: "n", want: "2"},
		{name: "a version is read by its id", id: "n", version: token1, want: "1"},
		{name: "a version is read by a label", id: "n", stage: "AWSPREVIOUS", want: "1"},
		{name: "id and label of one version agree", id: "n", version: token1, stage: "AWSPREVIOUS", want: "1"},
		{name: "id and label of two versions are refused", id: "n", version: token1, stage: "AWSCURRENT",
			code: "InvalidRequestException", text: "You provided a VersionStage that is not associated to the provided VersionId."},
		{name: "a missing version is named", id: "n", version: token3,
			code: "ResourceNotFoundException", text: "Secrets Manager can't find the specified secret value for VersionId: " + token3},
		{name: "a missing label is named", id: "n", stage: "x",
			code: "ResourceNotFoundException", text: "Secrets Manager can't find the specified secret value for staging label: x"},
		{name: "a secret without a value has no AWSCURRENT", id: "empty",
			code: "ResourceNotFoundException", text: "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"},
		{name: "a missing secret has another text", id: "missing", version: token1,
			code: "ResourceNotFoundException", text: "Secrets Manager can't find the specified secret."},
		{name: "a version id of 31 characters is refused", id: "n", version: strings.Repeat("1", 31), code: "InvalidParameterException"},
		{name: "an id with spaces is refused", id: "Inv Name", code: "ValidationException", text: "Invalid name."},
		{name: "an empty id is refused", id: "", code: "ValidationException", text: "'secretId'"},
		{name: "an id beyond 2,048 characters is refused", id: strings.Repeat("n", 2049), code: "ValidationException", text: "2048"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, client := start(t)
			create(t, client, "n", token1, "1")
			put(t, client, "n", token2, "2")
			must(client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("empty")}))(t)
			in := &secretsmanager.GetSecretValueInput{SecretId: &test.id}
			if test.version != "" {
				in.VersionId = &test.version
			}
			if test.stage != "" {
				in.VersionStage = &test.stage
			}
			out, err := client.GetSecretValue(t.Context(), in)
			if test.code != "" {
				wantError(t, err, test.code, test.text)
			} else if err != nil || *out.SecretString != test.want {
				t.Errorf("got %+v, %v", out, err)
			}
		})
	}
}

func TestLookup(t *testing.T) {
	_, client := start(t)
	arn := *create(t, client, "app/key", token1, "v").ARN
	partial := strings.TrimSuffix(arn, arn[len(arn)-7:])
	trap := *create(t, client, "app/key-a1b2c3", token2, "trap").ARN
	for _, test := range []struct {
		name, id   string
		code, text string
	}{
		{name: "a name finds its secret", id: "app/key"},
		{name: "an ARN finds its secret", id: arn},
		{name: "a partial ARN finds its secret", id: partial},
		{name: "a name with the ARN's suffix finds nothing", id: "app/key" + arn[len(arn)-7:], code: "ResourceNotFoundException"},
		{name: "an ARN with another suffix finds nothing", id: partial + "-zzzzzz", code: "ResourceNotFoundException"},
		{name: "a partial ARN that ends with a hyphen and six characters is taken for a whole one", id: trap[:len(trap)-7], code: "ResourceNotFoundException"},
		{name: "another region finds nothing", id: strings.Replace(arn, "us-east-1", "eu-west-1", 1), code: "ResourceNotFoundException"},
		{name: "another account is denied", id: strings.Replace(arn, "123456789012", "999999999999", 1), code: "AccessDeniedException"},
		{name: "an ARN of another service is refused", id: "arn:aws:kms:us-east-1:123456789012:key/x", code: "ValidationException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &test.id})
			if test.code != "" {
				wantError(t, err, test.code, test.text)
			} else if err != nil || *out.ARN != arn {
				t.Errorf("got %+v, %v", out, err)
			}
		})
	}
	t.Run("the ARN of a secret that was made again is another", func(t *testing.T) {
		srv, client := start(t)
		arn := *create(t, client, "n", token1, "v").ARN
		srv.Purge("n")
		if again := *create(t, client, "n", token1, "v").ARN; again == arn {
			t.Error(arn)
		}
		_, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn})
		wantError(t, err, "ResourceNotFoundException", "")
	})
}

func TestBatchGetSecretValue(t *testing.T) {
	type input = secretsmanager.BatchGetSecretValueInput
	t.Run("it reads what it can and reports the rest", func(t *testing.T) {
		denied := func(_, name string) bool { return name != "secret" }
		srv, client := start(t, awssmtest.WithPolicy(denied))
		create(t, client, "a", token1, "1")
		put(t, client, "a", token2, "2")
		create(t, client, "b", token1, "b")
		create(t, client, "gone", token1, "x")
		must(client.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("gone")}))(t)
		must(srv.SetValue("secret", "x"))(t)
		out := must(client.BatchGetSecretValue(t.Context(), &input{SecretIdList: []string{"b", "missing", "a", "gone", "secret", "Inv Name"}}))(t)
		var values, codes []string
		for _, v := range out.SecretValues {
			values = append(values, *v.Name+"="+*v.SecretString)
		}
		for _, e := range out.Errors {
			codes = append(codes, *e.SecretId+": "+*e.ErrorCode)
		}
		if diff := cmp.Diff([]string{"b=b", "a=2"}, values); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"missing: ResourceNotFoundException", "gone: InvalidRequestException",
			"secret: AccessDeniedException", "Inv Name: ValidationException"}, codes); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("filters choose and pages hold up to 20", func(t *testing.T) {
		_, client := start(t)
		for i := range 25 {
			create(t, client, fmt.Sprintf("p/%02d", i), token1, "v")
		}
		create(t, client, "q", token1, "v")
		in := &input{Filters: []types.Filter{{Key: "name", Values: []string{"p/"}}}}
		var names []string
		pages := secretsmanager.NewBatchGetSecretValuePaginator(client, in)
		for pages.HasMorePages() {
			out := must(pages.NextPage(t.Context()))(t)
			if len(out.SecretValues) > 20 {
				t.Errorf("%d values in one page", len(out.SecretValues))
			}
			for _, v := range out.SecretValues {
				names = append(names, *v.Name)
			}
		}
		if len(names) != 25 {
			t.Errorf("names = %v", names)
		}
	})
	for _, test := range []struct {
		name string
		in   *input
		code string
	}{
		{"more than 20 ids are refused", &input{SecretIdList: make([]string, 21)}, "ValidationException"},
		{"no ids are refused", &input{SecretIdList: []string{}}, "ValidationException"},
		{"neither ids nor filters is refused", &input{}, "InvalidParameterException"},
		{"ids and filters are refused", &input{SecretIdList: []string{"a"}, Filters: []types.Filter{{Key: "name", Values: []string{"a"}}}}, "InvalidParameterException"},
		{"MaxResults without filters is refused", &input{SecretIdList: []string{"a"}, MaxResults: aws.Int32(5)}, "InvalidParameterException"},
		{"MaxResults beyond 20 is refused", &input{Filters: []types.Filter{{Key: "name", Values: []string{"a"}}}, MaxResults: aws.Int32(21)}, "ValidationException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, client := start(t)
			_, err := client.BatchGetSecretValue(t.Context(), test.in)
			wantError(t, err, test.code, "")
		})
	}
}

func TestKeys(t *testing.T) {
	srv, client := start(t)
	must(client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("n"), SecretString: aws.String("v"), KmsKeyId: aws.String("alias/mine"),
	}))(t)
	create(t, client, "default", token1, "v")
	t.Run("the key of a secret is remembered", func(t *testing.T) {
		d := must(client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("n")}))(t)
		if *d.KmsKeyId != "alias/mine" {
			t.Errorf("KmsKeyId = %v", d.KmsKeyId)
		}
	})
	t.Run("with a disabled key values can be neither read nor written", func(t *testing.T) {
		srv.DisableKey("alias/mine")
		_, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("n")})
		wantError(t, err, "DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the provided KMS key.")
		_, err = client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("n"), SecretString: aws.String("w")})
		wantError(t, err, "EncryptionFailure", "Secrets Manager can't encrypt the protected secret text")
		out := must(client.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"n", "default"}}))(t)
		if len(out.Errors) != 1 || *out.Errors[0].ErrorCode != "DecryptionFailure" || len(out.SecretValues) != 1 {
			t.Errorf("batch: %+v", out)
		}
		get(t, client, "default")
	})
	t.Run("with the key enabled again they can", func(t *testing.T) {
		srv.EnableKey("alias/mine")
		get(t, client, "n")
	})
	t.Run("a new key encrypts the labelled versions again", func(t *testing.T) {
		must(client.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: aws.String("n"), KmsKeyId: aws.String("alias/new")}))(t)
		srv.DisableKey("alias/mine")
		get(t, client, "n")
		srv.DisableKey("alias/aws/secretsmanager")
		_, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("default")})
		wantError(t, err, "DecryptionFailure", "")
	})
}
