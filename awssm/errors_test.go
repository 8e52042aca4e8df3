package awssm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// silent makes sure that an error does not tell the value, however it is printed.
func silent(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s"} {
		if strings.Contains(fmt.Sprintf(verb, err), canary) {
			t.Errorf("printed with %s, the error carries the value", verb)
		}
	}
}

// calls are all calls of a driver that ask the service, and the error of an item if
// there is one. The secret a exists at rev.
func calls(t *testing.T, d driver.Driver, value []byte, rev driver.Revision) map[string]func(context.Context) error {
	read := func(ctx context.Context, names ...string) error {
		have := make([]driver.Item, len(names))
		for i, name := range names {
			have[i].Name = name
		}
		items, err := d.Get(ctx, driver.Any, have...)
		for _, item := range items {
			err = errors.Join(err, item.Err)
		}
		return err
	}
	return map[string]func(context.Context) error{
		"GetSecretValue":      func(ctx context.Context) error { return read(ctx, "a") },
		"BatchGetSecretValue": func(ctx context.Context) error { return read(ctx, "a", "b") },
		"PutSecretValue": func(ctx context.Context) error {
			_, err := d.Put(ctx, "a", after(t, value), rev)
			return err
		},
		"CreateSecret": func(ctx context.Context) error {
			_, err := d.Put(ctx, "new", first(t), driver.Absent)
			return err
		},
		"DeleteSecret": func(ctx context.Context) error { return d.Delete(ctx, "a") },
		"ListSecrets": func(ctx context.Context) error {
			for _, err := range d.Names(ctx) {
				return err
			}
			return nil
		},
	}
}

func TestErrorCodes(t *testing.T) {
	everywhere := func(kind error) map[string]error { return map[string]error{"": kind} }
	for _, c := range []struct {
		code, message string
		want          map[string]error // by operation; "" is for the others
	}{
		{"AccessDeniedException", "", everywhere(driver.ErrPermission)},
		{"AccessDeniedException", "Access to KMS is not allowed", everywhere(driver.ErrPermission)},
		{"UnrecognizedClientException", "", everywhere(driver.ErrPermission)},
		{"ExpiredTokenException", "", everywhere(driver.ErrPermission)},
		{"InvalidSignatureException", "", everywhere(driver.ErrPermission)},
		{"DecryptionFailure", "", everywhere(driver.ErrPermission)},
		{"EncryptionFailure", "", everywhere(driver.ErrPermission)},
		{"ThrottlingException", "Rate exceeded", everywhere(driver.ErrUnavailable)},
		{"TooManyRequestsException", "", everywhere(driver.ErrUnavailable)},
		{"LimitExceededException", "", everywhere(driver.ErrQuota)},
		{"ValidationException", "", everywhere(driver.ErrInvalid)},
		{"InvalidParameterException", "Operation not permitted on a replica secret.", everywhere(driver.ErrInvalid)},
		{"InvalidRequestException", "the secret is managed by another service", everywhere(driver.ErrInvalid)},
		{"SomethingNewException", "", everywhere(driver.ErrUnavailable)},
		{"ResourceNotFoundException", "Secrets Manager can't find the specified secret.", map[string]error{
			"GetSecretValue": nil, "BatchGetSecretValue": nil, "DeleteSecret": nil,
			"PutSecretValue": driver.ErrConflict, "CreateSecret": driver.ErrPermission, "ListSecrets": driver.ErrUnavailable,
		}},
		{"InvalidRequestException", "because it was marked for deletion", map[string]error{
			"": driver.ErrDeleted, "BatchGetSecretValue": nil, "DeleteSecret": nil,
		}},
	} {
		t.Run(c.code+" "+c.message, func(t *testing.T) {
			s := start(t)
			d := s.driver(t, nil)
			value := first(t)
			rev := put(t, d, "a", value, driver.Absent)
			for operation, call := range calls(t, d, value, rev) {
				fault := s.fault(0, awssmtest.EchoBody(awssmtest.Error{Code: c.code, Message: c.message + " "}), operation)
				err := call(t.Context())
				fault.Remove()
				want, named := c.want[operation]
				if !named {
					want = c.want[""]
				}
				if !errors.Is(err, want) {
					t.Errorf("%s: error %v, want %v", operation, err, want)
				}
				silent(t, err)
				var api smithy.APIError
				if want != nil && (!errors.As(err, &api) || api.ErrorCode() != c.code) {
					t.Errorf("%s: the SDK's error cannot be reached: %v", operation, err)
				}
				var e *driver.Error
				if want != nil && (!errors.As(err, &e) || e.Code != c.code || e.Op != operation) {
					t.Errorf("%s: the error does not name operation and code: %v", operation, err)
				}
			}
			s.holds(t, "a", value)
			s.lacks(t, "new")
		})
	}
}

func TestErrorsNameTheSecretWithoutItsPrefix(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	s.denied.Store(true)
	_, err := d.Get(t.Context(), driver.Any, driver.Item{Name: "a"})
	const want = "GetSecretValue a: AccessDeniedException: permission denied " +
		"(docs/aws.md has the least policy; a KMS key has a policy of its own)"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %v", err, want)
	}
}

func TestErrorsOfUnknownCodesKeepTheSDKsError(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	s.fault(0, awssmtest.EchoBody(awssmtest.Error{Code: "SomethingNewException"}), "CreateSecret")
	_, err := d.Put(t.Context(), "a", first(t), driver.Absent)
	var api *smithy.GenericAPIError
	if !errors.As(err, &api) || !strings.Contains(api.Message, canary) {
		t.Fatalf("error %v: the SDK's own error, with the message of the service, cannot be reached", err)
	}
	silent(t, err)
}

func TestCodesThatAreNoneAreNotPrinted(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	s.fault(0, awssmtest.FailBefore(awssmtest.Error{Code: canary}), "CreateSecret")
	_, err := d.Put(t.Context(), "a", first(t), driver.Absent)
	if err == nil {
		t.Fatal("no error")
	}
	silent(t, err)
}

func TestQuotaErrorsSayWhichQuota(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	s.fault(0, awssmtest.FailBefore(quota), "CreateSecret", "PutSecretValue")
	for operation, want := range map[string]string{"CreateSecret": "500,000 secrets", "PutSecretValue": "100 versions"} {
		if err := calls(t, d, value, rev)[operation](t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one that says %q", operation, err, want)
		}
	}
}
