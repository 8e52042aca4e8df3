package gcpsm

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"google.golang.org/api/googleapi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file is the border: here the service's errors become those of package
// driver, by their codes. Messages are read where a code has two meanings, and
// never printed: services and proxies echo requests in them.

// Kinds that do not leave this package.
var (
	// errNone: there is no such version, or no such secret.
	errNone = errors.New("no such version")
	// errExists: there is such a secret already.
	errExists = errors.New("the secret exists")
	// errDestroyed, errDisabled: the version exists, and its value cannot be read, or
	// not for now.
	errDestroyed = errors.New("the version is destroyed")
	errDisabled  = errors.New("the version is disabled")
)

// failed makes an error of what the client returned.
func failed(ctx context.Context, op, name string, err error) *driver.Error {
	e := &driver.Error{Op: op, Name: name, Cause: err}
	code, message, answered := answerOf(err)
	switch {
	case ctx.Err() != nil && (!answered || code == codes.DeadlineExceeded || code == codes.Canceled):
		e.Kind = ctx.Err()
	case !answered:
		e.Kind, e.Hint = driver.ErrUnavailable, "no answer: are the client's endpoint and credentials right?"
	default:
		e.Code = code.String()
		e.Hint, e.Kind = kindOf(op, code, message)
	}
	return e
}

// answerOf returns the status that the client reports. The one of a REST client
// stands in the answer's body: HTTP has one status for several codes.
func answerOf(err error) (code codes.Code, message string, answered bool) {
	var rest *googleapi.Error
	if !errors.As(err, &rest) {
		s, ok := status.FromError(err)
		return s.Code(), s.Message(), ok
	}
	var body struct {
		Error struct {
			Status codes.Code `json:"status"`
		} `json:"error"`
	}
	if json.Unmarshal([]byte(rest.Body), &body) == nil && body.Error.Status != codes.OK {
		return body.Error.Status, rest.Message, true
	}
	switch rest.Code { // an answer of something in between
	case http.StatusForbidden:
		return codes.PermissionDenied, rest.Message, true
	case http.StatusUnauthorized:
		return codes.Unauthenticated, rest.Message, true
	case http.StatusTooManyRequests:
		return codes.ResourceExhausted, rest.Message, true
	}
	return codes.Unavailable, rest.Message, true
}

const (
	permissionHint = "docs/gcp.md has the least role; the service also says so of a secret that does not exist, " +
		"unless the role is granted for the project"
	credentialsHint = "the Google credentials are missing, wrong or expired"
	invalidHint     = "check the parent, Options and the client's endpoint: a regional parent needs its location's"
	parentHint      = "there is no such project or location, or the client's endpoint is not its location's"
	stateHint       = "a KMS key that is disabled or may not be used, or a policy of the organization"
	paceHint        = "Options.Pace: so many writes of this store wait that the time does not suffice"
	quotaHint       = "the quotas of the project or of one secret; Options.Pace keeps one store under them"
)

// kindOf says what a status means.
//
// https://docs.cloud.google.com/apis/design/errors#handling_errors
func kindOf(op string, code codes.Code, message string) (hint string, kind error) {
	switch code {
	case codes.NotFound:
		if op == opList || op == opCreate {
			return parentHint, driver.ErrInvalid
		}
		return "", errNone
	case codes.AlreadyExists:
		if op == opCreate {
			return "", errExists
		}
	case codes.FailedPrecondition:
		read := op == opAccess || op == opGetVersion
		switch {
		case op == opDestroy:
			// "SecretVersion.state is already DESTROYED.", for an earlier request whose answer
			// was lost, or "SecretVersion is already scheduled for DESTRUCTION."
			return "", errDestroyed
		case read && strings.Contains(message, "is in DESTROYED state"):
			return "", errDestroyed
		case read && strings.Contains(message, "is in DISABLED state"):
			return "", errDisabled
		}
		return stateHint, driver.ErrPermission
	case codes.PermissionDenied:
		return permissionHint, driver.ErrPermission
	case codes.Unauthenticated:
		return credentialsHint, driver.ErrPermission
	case codes.InvalidArgument, codes.OutOfRange, codes.Unimplemented:
		return invalidHint, driver.ErrInvalid
	case codes.ResourceExhausted:
		return quotaHint, driver.ErrQuota
	}
	return "", driver.ErrUnavailable
}

// tellsNothing reports whether an error leaves open whether the request was applied:
// no answer, or one that speaks of a failure within the service or on the way. The
// other codes are refusals.
func tellsNothing(err error) bool {
	code, _, answered := answerOf(err)
	if !answered {
		return true
	}
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Internal, codes.Unknown, codes.Aborted, codes.DataLoss:
		return true
	}
	return false
}
