package driver

import "errors"

// The errors that a driver returns, alone or wrapped. The engine returns the
// same values under package token.
var (
	// ErrConflict: prev is not the current revision; nothing was written.
	ErrConflict = errors.New("conflict")
	// ErrDeleted: the service keeps the name from being used after a deletion;
	// nothing was written.
	ErrDeleted = errors.New("marked for deletion")
	// ErrTooLarge: the value is larger than Limits.Value; nothing was written.
	ErrTooLarge = errors.New("too large")
	// ErrCorrupt: the secret holds what no Put can have written.
	ErrCorrupt = errors.New("corrupt")
	// ErrPermission: the service refused the caller's rights or its encryption
	// key; nothing was written. It is never taken for absence.
	ErrPermission = errors.New("permission denied")
	// ErrUnavailable: the service could not be asked, or answered that it could
	// not serve; nothing was written.
	ErrUnavailable = errors.New("service unavailable")
	// ErrQuota: the service's quota is used up, and waiting a moment does not
	// help; nothing was written. It matches ErrUnavailable too.
	ErrQuota error = quotaError{}
	// ErrOutcomeUnknown: the write was applied, or may be yet.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrInvalid: an argument that no service would take.
	ErrInvalid = errors.New("invalid")
)

type quotaError struct{}

func (quotaError) Error() string        { return "quota exceeded" }
func (quotaError) Is(target error) bool { return target == ErrUnavailable }
