package awssmtest_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

func TestCreateSecret(t *testing.T) {
	type input = secretsmanager.CreateSecretInput
	const invalidName = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
	valid := func(change func(*input)) *input {
		in := &input{Name: aws.String("n"), ClientRequestToken: aws.String(token1), SecretString: aws.String("v")}
		change(in)
		return in
	}
	named := func(name string) *input { return valid(func(in *input) { in.Name = &name }) }
	for _, test := range []struct {
		name       string
		in         *input
		code, text string // no code: it succeeds
	}{
		{name: "every allowed character is allowed", in: named("Az09/_+=.@-")},
		{name: "a name may have 512 characters", in: named(strings.Repeat("n", 512))},
		{name: "a name may not have 513", in: named(strings.Repeat("n", 513)), code: "ValidationException", text: "at 'name' failed to satisfy constraint: Member must have length less than or equal to 512"},
		{name: "an empty name is refused", in: named(""), code: "ValidationException", text: "greater than or equal to 1"},
		{name: "spaces are refused", in: named("Inv Name"), code: "ValidationException", text: invalidName},
		{name: "asterisks are refused", in: named("a*"), code: "ValidationException", text: invalidName},
		{name: "letters beyond ASCII are refused", in: named("ä"), code: "ValidationException", text: invalidName},
		{name: "exclamation marks are for managed secrets only", in: named("rds!db"), code: "ValidationException", text: invalidName},
		{name: "a name may end with a hyphen and six characters", in: named("name-a1b2c3")},
		{name: "a value may have 65,536 bytes", in: valid(func(in *input) { in.SecretString = aws.String(strings.Repeat("v", 65536)) })},
		{name: "a value may not have 65,537 bytes", in: valid(func(in *input) { in.SecretString = aws.String(strings.Repeat("v", 65537)) }),
			code: "ValidationException", text: "Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536"},
		{name: "bytes count, not characters", in: valid(func(in *input) { in.SecretString = aws.String(strings.Repeat("ä", 32769)) }), code: "ValidationException", text: "65536"},
		{name: "a binary value may not have 65,537 bytes", in: valid(func(in *input) { in.SecretString, in.SecretBinary = nil, make([]byte, 65537) }),
			code: "ValidationException", text: "Value at 'secretBinary' failed"},
		{name: "an empty value is refused", in: valid(func(in *input) { in.SecretString = aws.String("") }), code: "ValidationException", text: "greater than or equal to 1"},
		{name: "string and binary together are refused", in: valid(func(in *input) { in.SecretBinary = []byte("v") }),
			code: "InvalidParameterException", text: "You can't specify both a binary secret value and a string secret value in the same secret."},
		{name: "a secret may have no value", in: valid(func(in *input) { in.SecretString = nil })},
		{name: "a token may have 32 characters", in: valid(func(in *input) { in.ClientRequestToken = aws.String(strings.Repeat("t", 32)) })},
		{name: "a token may have 64 characters", in: valid(func(in *input) { in.ClientRequestToken = aws.String(strings.Repeat("t", 64)) })},
		{name: "a token may not have 31 characters", in: valid(func(in *input) { in.ClientRequestToken = aws.String(strings.Repeat("t", 31)) }),
			code: "InvalidParameterException", text: "ClientRequestToken must be 32-64 characters long."},
		{name: "a token may not have 65 characters", in: valid(func(in *input) { in.ClientRequestToken = aws.String(strings.Repeat("t", 65)) }),
			code: "InvalidParameterException", text: "ClientRequestToken must be 32-64 characters long."},
		{name: "a description may not have 2,049 characters", in: valid(func(in *input) { in.Description = aws.String(strings.Repeat("d", 2049)) }), code: "ValidationException", text: "'description'"},
		{name: "replicas are not served", in: valid(func(in *input) { in.AddReplicaRegions = []types.ReplicaRegionType{{Region: aws.String("eu-west-1")}} }),
			code: "UnknownOperationException", text: "AddReplicaRegions"},
	} {
		t.Run(test.name, func(t *testing.T) {
			srv, client := start(t)
			_, err := client.CreateSecret(t.Context(), test.in)
			if test.code != "" {
				wantError(t, err, test.code, test.text)
				if names := srv.Names(); len(names) != 0 {
					t.Errorf("it exists all the same: %v", names)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if names := srv.Names(); len(names) != 1 || names[0] != *test.in.Name {
				t.Errorf("Names = %v", names)
			}
		})
	}
}

func TestCreateSecretAgain(t *testing.T) {
	again := func(t *testing.T, token, value string) (*secretsmanager.CreateSecretOutput, string, error) {
		_, client := start(t)
		arn := *create(t, client, "n", token1, "v").ARN
		put(t, client, "n", token2, "w")
		in := &secretsmanager.CreateSecretInput{Name: aws.String("n"), ClientRequestToken: &token}
		if value != "" {
			in.SecretString = &value
		}
		out, err := client.CreateSecret(t.Context(), in)
		return out, arn, err
	}
	t.Run("the same token and value succeed and change nothing", func(t *testing.T) {
		out, arn, err := again(t, token1, "v")
		if err != nil || *out.ARN != arn || *out.VersionId != token1 {
			t.Errorf("%+v, %v", out, err)
		}
	})
	t.Run("the same token with another value is refused", func(t *testing.T) {
		_, arn, err := again(t, token1, "other")
		wantError(t, err, "ResourceExistsException", "You can't use ClientRequestToken "+token1+" because that value is already in use for a version of secret "+arn+".")
	})
	t.Run("another token is refused", func(t *testing.T) {
		_, _, err := again(t, token3, "v")
		wantError(t, err, "ResourceExistsException", "The operation failed because the secret n already exists.")
	})
	t.Run("no value is refused", func(t *testing.T) {
		_, _, err := again(t, token1, "")
		wantError(t, err, "ResourceExistsException", "The operation failed because the secret n already exists.")
	})
}
