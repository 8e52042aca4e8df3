package awssm

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file is the border: here the service's errors become those of package
// driver, by their codes. Messages are read where a code has two meanings, and
// never printed: services and proxies echo requests in them.

// Kinds that do not leave this package.
var (
	// errNoSecret: there is no such secret, as far as the service can see.
	errNoSecret = errors.New("no such secret")
	// errNoVersion: there is the secret, and it has no such version, or no value.
	errNoVersion = errors.New("no such version")
)

// failed makes an error of what the SDK returned.
func failed(ctx context.Context, op, name string, err error) *driver.Error {
	e := &driver.Error{Op: op, Name: name, Cause: err}
	api, answered := answerOf(err)
	switch {
	case answered:
		e.Code = printable(api.ErrorCode())
		e.Hint, e.Kind = kindOf(op, api.ErrorCode(), api.ErrorMessage())
	case ctx.Err() != nil:
		e.Kind = ctx.Err()
	default:
		e.Kind = driver.ErrUnavailable
		e.Hint = hintOf(err)
	}
	if status := statusOf(err); e.Code == "" && status != 0 {
		e.Code = "HTTP " + strconv.Itoa(status)
	}
	return e
}

// answerOf returns the error that the service answered, if it did. An API error of
// the service that the SDK gets its credentials from is none: with SSO that can be
// ResourceNotFoundException too, and must not make a secret look absent. Nor is one
// without a code, which is how the SDK reports a proxy's page.
func answerOf(err error) (smithy.APIError, bool) {
	var call, inner *smithy.OperationError
	if errors.As(err, &call) && errors.As(call.Err, &inner) {
		return nil, false
	}
	var api smithy.APIError
	ok := errors.As(err, &api) && api.ErrorCode() != "" && api.ErrorCode() != "UnknownError"
	return api, ok
}

// statusOf returns the HTTP status that was answered, 0 if none was.
func statusOf(err error) int {
	var answer interface{ HTTPStatusCode() int }
	if !errors.As(err, &answer) {
		return 0
	}
	return answer.HTTPStatusCode()
}

const (
	permissionHint = "docs/aws.md has the least policy; a KMS key has a policy of its own"
	kmsHint        = "the KMS key is disabled, or may not be used: kms:Decrypt and kms:GenerateDataKey are needed"
	invalidHint    = "check Options; and a replica can be written in its primary's Region only"
	versionsHint   = "a secret takes 100 versions in 24 hours"
	secretsHint    = "an account holds 500,000 secrets in a Region"
)

// kindOf says what an error code means.
//
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html
// and the list of errors of each operation there.
func kindOf(op, code, message string) (hint string, kind error) {
	switch code {
	case "ResourceNotFoundException":
		switch {
		case op == opCreate:
			return "something that a creation needs does not exist: the KMS key?", driver.ErrPermission
		case op == opList:
			return "", driver.ErrUnavailable
		case strings.Contains(message, "secret value"): // "...for staging label: AWSCURRENT", "...for VersionId: 1"
			return "", errNoVersion
		}
		return "", errNoSecret
	case "ResourceExistsException":
		return "", driver.ErrConflict
	case "InvalidRequestException":
		// "...because it was marked for deletion", "...is already scheduled for deletion".
		// Emulators say "...that's currently marked deleted".
		if strings.Contains(message, "for deletion") || strings.Contains(message, "marked deleted") {
			return "", driver.ErrDeleted
		}
		return invalidHint, driver.ErrInvalid
	case "InvalidParameterException", "ValidationException", "SerializationException":
		return invalidHint, driver.ErrInvalid
	case "LimitExceededException":
		if op == opCreate {
			return secretsHint, driver.ErrQuota
		}
		return versionsHint, driver.ErrQuota
	case "DecryptionFailure", "EncryptionFailure":
		return kmsHint, driver.ErrPermission
	case "AccessDeniedException", "AccessDenied", "NotAuthorized", "OptInRequired":
		return permissionHint, driver.ErrPermission
	case "ExpiredTokenException", "ExpiredToken", "RequestExpired":
		return "the AWS credentials have expired", driver.ErrPermission
	case "UnrecognizedClientException", "InvalidClientTokenId", "MissingAuthenticationTokenException",
		"MissingAuthenticationToken", "IncompleteSignatureException", "IncompleteSignature",
		"InvalidSignatureException", "SignatureDoesNotMatch":
		return "the AWS credentials, or the Region, are wrong", driver.ErrPermission
	}
	return "", driver.ErrUnavailable
}

// hintOf says why there was no answer, as far as that can be told.
func hintOf(err error) string {
	var call, inner *smithy.OperationError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &call) && errors.As(call.Err, &inner):
		return "no AWS credentials: " + printable(inner.ServiceID) + " failed"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case statusOf(err) == 0:
		return "no answer: are the client's Region, endpoint and credentials right?"
	}
	return ""
}

// tellsNothing reports whether what came back for a request that was sent leaves
// open whether it was applied: no answer, one that cannot be read, or a failure
// within the service or of something in between. A 4xx is a refusal.
func tellsNothing(err error) bool {
	status := statusOf(err)
	if status < 400 || status >= 500 || status == http.StatusRequestTimeout {
		return true
	}
	api, answered := answerOf(err)
	return answered && (api.ErrorCode() == "InternalServiceError" || api.ErrorCode() == "InternalFailure")
}

// printable returns a code if it looks like one.
func printable(code string) string {
	if len(code) > 64 || strings.Trim(code, lower+upper+digits+". ") != "" {
		return "unprintable code"
	}
	return code
}
