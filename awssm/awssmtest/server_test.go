package awssmtest_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/transport/http"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
)

// Tokens of 36 characters, as the SDK makes them.
const (
	token1 = "11111111-1111-4111-8111-111111111111"
	token2 = "22222222-2222-4222-8222-222222222222"
	token3 = "33333333-3333-4333-8333-333333333333"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func start(t *testing.T, opts ...awssmtest.Option) (*awssmtest.Server, *secretsmanager.Client) {
	t.Helper()
	srv := awssmtest.NewServer(opts...)
	t.Cleanup(srv.Close)
	client, err := srv.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return srv, client
}

// must keeps the output of calls that have to succeed.
func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func create(t *testing.T, client *secretsmanager.Client, name, token, value string) *secretsmanager.CreateSecretOutput {
	t.Helper()
	return must(client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: &name, ClientRequestToken: &token, SecretString: &value,
	}))(t)
}

func put(t *testing.T, client *secretsmanager.Client, name, token, value string, stages ...string) *secretsmanager.PutSecretValueOutput {
	t.Helper()
	return must(client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: &name, ClientRequestToken: &token, SecretString: &value, VersionStages: stages,
	}))(t)
}

func get(t *testing.T, client *secretsmanager.Client, id string) *secretsmanager.GetSecretValueOutput {
	t.Helper()
	return must(client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id}))(t)
}

// wantError checks code and status of an error and that its message has text.
func wantError(t *testing.T, err error, code, text string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("error = %v, want %s", err, code)
	}
	if api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), text) {
		t.Fatalf("error = %s: %s\nwant    %s: ...%s...", api.ErrorCode(), api.ErrorMessage(), code, text)
	}
	var response *http.ResponseError
	if errors.As(err, &response) && code != "InternalServiceError" && code != "BadGateway" && response.HTTPStatusCode() != 400 {
		t.Fatalf("%s has HTTP status %d, want 400", code, response.HTTPStatusCode())
	}
}

func TestServer(t *testing.T) {
	t.Run("a secret that was created can be read", func(t *testing.T) {
		_, client := start(t)
		created := create(t, client, "app/key", token1, "hunter2")
		got := get(t, client, "app/key")
		if *got.SecretString != "hunter2" || *got.VersionId != token1 || *got.ARN != *created.ARN || *got.Name != "app/key" {
			t.Errorf("got %+v", got)
		}
		if time.Since(*got.CreatedDate) > time.Minute {
			t.Errorf("CreatedDate = %v", got.CreatedDate)
		}
	})
	t.Run("binary values come back as they were", func(t *testing.T) {
		_, client := start(t)
		must(client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("bin"), SecretBinary: []byte{0, 255, 1}}))(t)
		if got := get(t, client, "bin"); string(got.SecretBinary) != "\x00\xff\x01" || got.SecretString != nil {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a handler serves behind any listener", func(t *testing.T) {
		srv := awssmtest.NewHandler()
		t.Cleanup(srv.Close)
		if _, err := srv.Client(t.Context()); err == nil {
			t.Error("Client without URL succeeded")
		}
		listener := httptest.NewServer(srv)
		t.Cleanup(listener.Close)
		srv.URL = listener.URL
		client := must(srv.Client(t.Context()))(t)
		create(t, client, "a", token1, "v")
	})
	t.Run("close may be called twice and keeps the state", func(t *testing.T) {
		srv, client := start(t)
		create(t, client, "a", token1, "v")
		srv.Close()
		srv.Close()
		if value, _, ok := srv.Value("a"); !ok || value != "v" {
			t.Errorf("Value = %q, %v", value, ok)
		}
	})
	t.Run("region and account appear in the ARN", func(t *testing.T) {
		_, client := start(t, awssmtest.WithRegion("eu-central-1"), awssmtest.WithAccount("000000000042"))
		arn := *create(t, client, "a", token1, "v").ARN
		if !strings.HasPrefix(arn, "arn:aws:secretsmanager:eu-central-1:000000000042:secret:a-") {
			t.Error(arn)
		}
	})
}
