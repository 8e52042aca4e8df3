package awssmtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
)

// post sends a request as an SDK would, changed by the edits.
func post(t *testing.T, srv *awssmtest.Server, operation, body string, edits ...func(*http.Request)) (*http.Response, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	request.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	request.Header.Set("Authorization", signature(now.Format("20060102"), "us-east-1", "secretsmanager", "aws4_request"))
	for _, edit := range edits {
		edit(request)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return response, members
}

func signature(day, region, service, terminator string) string {
	return fmt.Sprintf("AWS4-HMAC-SHA256 Credential=AKID/%s/%s/%s/%s, SignedHeaders=host;x-amz-date, Signature=%s",
		day, region, service, terminator, strings.Repeat("0", 64))
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(name)
		if value != "" {
			r.Header.Set(name, value)
		}
	}
}

func TestWire(t *testing.T) {
	const missing = `{"SecretId":"missing"}`
	today := time.Now().UTC().Format("20060102")
	for _, test := range []struct {
		name, operation, body string
		edit                  func(*http.Request)
		status                int
		code, message         string
	}{
		{name: "an unsigned request is refused", edit: header("Authorization", ""),
			status: 400, code: "MissingAuthenticationTokenException", message: "Missing Authentication Token"},
		{name: "another kind of authorization is refused", edit: header("Authorization", "Bearer x"),
			status: 400, code: "IncompleteSignatureException"},
		{name: "a request without a date is refused", edit: header("X-Amz-Date", ""),
			status: 400, code: "IncompleteSignatureException"},
		{name: "a signature for another service is refused", edit: header("Authorization", signature(today, "us-east-1", "dynamodb", "aws4_request")),
			status: 400, code: "InvalidSignatureException", message: "Credential should be scoped to correct service: 'secretsmanager'."},
		{name: "a signature for another region is refused", edit: header("Authorization", signature(today, "eu-west-1", "secretsmanager", "aws4_request")),
			status: 400, code: "InvalidSignatureException", message: "Credential should be scoped to a valid region, not 'eu-west-1'."},
		{name: "a signature with another terminator is refused", edit: header("Authorization", signature(today, "us-east-1", "secretsmanager", "aws5")),
			status: 400, code: "InvalidSignatureException", message: "terminator"},
		{name: "a signature of another day is refused", edit: header("Authorization", signature("20010101", "us-east-1", "secretsmanager", "aws4_request")),
			status: 400, code: "InvalidSignatureException", message: "Date in Credential scope"},
		{name: "a body that is not JSON is refused", body: `{"SecretId":`, status: 400, code: "SerializationException"},
		{name: "a body that is not an object is refused", body: `null`, status: 400, code: "SerializationException"},
		{name: "a member of the wrong type is refused", body: `{"SecretId":1}`, status: 400, code: "SerializationException"},
		{name: "a body beyond a megabyte is refused", body: strings.Repeat(" ", 1<<20) + missing, status: 413, code: "RequestEntityTooLargeException"},
		{name: "another content type is refused", edit: header("Content-Type", "application/json"), status: 404, code: "UnknownOperationException"},
		{name: "another service's target is refused", edit: header("X-Amz-Target", "kms.Decrypt"), status: 404, code: "UnknownOperationException"},
		{name: "another path is refused", edit: func(r *http.Request) { r.URL.Path = "/x" }, status: 404, code: "UnknownOperationException"},
		{name: "an operation that is not served is named", operation: "RotateSecret",
			status: 400, code: "UnknownOperationException", message: "awssmtest does not serve RotateSecret"},
		{name: "a missing secret is HTTP 400, not 404", status: 400, code: "ResourceNotFoundException", message: "Secrets Manager can't find the specified secret."},
		{name: "a missing member is null", body: `{}`, status: 400, code: "ValidationException",
			message: "1 validation error detected: Value null at 'secretId' failed to satisfy constraint: Member must not be null"},
		{name: "members are case-sensitive", body: `{"secretId":"missing"}`, status: 400, code: "ValidationException", message: "Value null at 'secretId'"},
		{name: "members that nobody knows are ignored", body: `{"SecretId":"missing","Foo":[1]}`, status: 400, code: "ResourceNotFoundException"},
		{name: "CreateSecret needs a token", operation: "CreateSecret", body: `{"Name":"n","SecretString":"v"}`,
			status: 400, code: "InvalidRequestException", message: "You must provide a ClientRequestToken value. We recommend a UUID-type value."},
		{name: "PutSecretValue needs a token", operation: "PutSecretValue", body: `{"SecretId":"n","SecretString":"v"}`,
			status: 400, code: "InvalidRequestException", message: "You must provide a ClientRequestToken value. We recommend a UUID-type value."},
		{name: "UpdateSecret with a value needs a token", operation: "UpdateSecret", body: `{"SecretId":"n","SecretString":"v"}`,
			status: 400, code: "InvalidRequestException", message: "You must provide a ClientRequestToken value. We recommend a UUID-type value."},
	} {
		t.Run(test.name, func(t *testing.T) {
			srv, _ := start(t)
			if test.operation == "" {
				test.operation = "GetSecretValue"
			}
			if test.body == "" {
				test.body = missing
			}
			if test.edit == nil {
				test.edit = func(*http.Request) {}
			}
			response, members := post(t, srv, test.operation, test.body, test.edit)
			if response.StatusCode != test.status || members["__type"] != test.code {
				t.Errorf("status %d, %v; want %d %s", response.StatusCode, members, test.status, test.code)
			}
			message, _ := members["Message"].(string)
			if message == "" {
				message, _ = members["message"].(string)
			}
			if !strings.Contains(message, test.message) {
				t.Errorf("message %q, want %q", message, test.message)
			}
			if got := response.Header.Get("X-Amzn-Errortype"); got != test.code {
				t.Errorf("X-Amzn-ErrorType = %q", got)
			}
			if len(response.Header.Get("X-Amzn-Requestid")) != 36 {
				t.Error("no request id")
			}
		})
	}

	t.Run("exceptions of the API spell Message, those of the front end message", func(t *testing.T) {
		srv, _ := start(t)
		_, api := post(t, srv, "GetSecretValue", missing)
		_, front := post(t, srv, "GetSecretValue", `{}`)
		if api["Message"] == nil || front["message"] == nil {
			t.Errorf("%v\n%v", api, front)
		}
	})
	t.Run("dates are seconds since 1970 with a fraction", func(t *testing.T) {
		clock := awssmtest.NewClock(time.UnixMilli(1_767_225_600_123))
		srv, client := start(t, awssmtest.WithClock(clock.Now))
		create(t, client, "a", token1, "v")
		_, got := post(t, srv, "GetSecretValue", `{"SecretId":"a"}`)
		delete(got, "ARN")
		want := map[string]any{
			"CreatedDate": 1767225600.123, "Name": "a", "SecretString": "v",
			"VersionId": token1, "VersionStages": []any{"AWSCURRENT"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a request older than five minutes is refused if that is asked for", func(t *testing.T) {
		old := time.Now().UTC().Add(-6 * time.Minute)
		edits := []func(*http.Request){
			header("X-Amz-Date", old.Format("20060102T150405Z")),
			header("Authorization", signature(old.Format("20060102"), "us-east-1", "secretsmanager", "aws4_request")),
		}
		lenient, _ := start(t)
		if _, got := post(t, lenient, "GetSecretValue", missing, edits...); got["__type"] != "ResourceNotFoundException" {
			t.Error(got)
		}
		strict, client := start(t, awssmtest.WithDateCheck())
		if _, got := post(t, strict, "GetSecretValue", missing, edits...); got["__type"] != "InvalidSignatureException" {
			t.Error(got)
		}
		create(t, client, "a", token1, "v")
	})
}
