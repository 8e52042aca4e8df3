package vaultstoretest

import (
	"errors"
	"net/http"
)

// The errors of Vault that decide about the status of an answer.
//
// sdk/logical/error.go, sdk/helper/consts/error.go
var (
	errUnsupportedOperation = errors.New("unsupported operation")
	errUnsupportedPath      = errors.New("unsupported path")
	errInvalidRequest       = errors.New("invalid request")
	errPermissionDenied     = errors.New("permission denied")
	errMissingPath          = errors.New("missing path")
	errUsedUp               = errors.New("invalid token") // where a token asks about itself with its last use
	errInvalidToken         = errors.New("invalid token")
	errInvalidCredentials   = errors.New("invalid credentials")
	errMissingState         = errors.New("required index state not present")
	errRelativePath         = errors.New("relative paths not supported")
	errSealed               = errors.New("Vault is sealed") //nolint:staticcheck // Vault's words
	errOverloaded           = errors.New("overloaded, try again later")
	errInternal             = errors.New("internal error")
	errTooLarge             = errors.New("http: request body too large")
	errDisabledPath         = errors.New("path disabled in replication DR secondary mode") // inferred
)

// Errors that no client sees.
var (
	// errStandby: the node lost its place while the request was on its way.
	errStandby = errors.New("standby mode")
	// errReadOnly: a performance standby may not write; the active node does.
	errReadOnly = errors.New("cannot write to readonly storage")
)

// userError is a wrong parameter that was found before the request reached its path.
type userError struct{ error }

var statusOf = []struct {
	err    error
	status int
}{
	{errOverloaded, http.StatusServiceUnavailable},
	{errPermissionDenied, http.StatusForbidden},
	{errUnsupportedOperation, http.StatusMethodNotAllowed},
	{errUnsupportedPath, http.StatusNotFound},
	{errInvalidRequest, http.StatusBadRequest},
	{errMissingState, http.StatusPreconditionFailed},
	{errRelativePath, http.StatusBadRequest},
	{errMissingPath, http.StatusBadRequest},
	{errUsedUp, http.StatusBadRequest},
	{errInvalidCredentials, http.StatusBadRequest},
	{errDisabledPath, http.StatusBadRequest},
}

// outcome decides whether a response is an error, and which. Status 0 means that it
// is none.
//
// sdk/logical/response_util.go, RespondErrorCommon
func outcome(op operation, resp *response, err error) (int, error) {
	if err == nil && !resp.isError() {
		return emptiness(op, resp), nil
	}
	status := http.StatusInternalServerError
	if resp != nil {
		status = http.StatusBadRequest
	}
	for _, s := range statusOf {
		if errors.Is(err, s.err) {
			status = s.status
			break
		}
	}
	if resp.isError() {
		if text, ok := resp.data["error"].(string); ok {
			err = errors.New(text)
		}
	}
	return status, err
}

// emptiness is 404 for reads and lists that found nothing.
func emptiness(op operation, resp *response) int {
	switch {
	case (op == opRead || op == opHead) && resp == nil:
		return http.StatusNotFound
	case op != opList:
		return 0
	case resp == nil:
		return http.StatusNotFound
	case resp.raw == nil && len(resp.data) == 0 && len(resp.warnings) == 0:
		return http.StatusNotFound
	}
	return 0
}
