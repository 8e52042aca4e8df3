package token

import (
	"errors"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// The errors of a store. All are tested for with [errors.Is]; the error of the
// service's SDK stays reachable with [errors.As]. No error carries a token, a
// user name or any other value of a record.
var (
	// ErrNotFound: no record is meant by the query.
	ErrNotFound = errors.New("no such token")
	// ErrInvalid: the argument names no identity, carries no token at all, or has
	// a field that cannot be stored. The message says which.
	ErrInvalid = driver.ErrInvalid
	// ErrAmbiguous: the query fits several records. Naming the client decides.
	ErrAmbiguous = errors.New("several tokens match: name the client")
	// ErrConflict: the fields point to two different records, or would make two
	// records of one identity; or another writer was faster than TryUpdateToken. Nothing
	// was written.
	ErrConflict = driver.ErrConflict
	// ErrTooLarge: the record, or the index, would be larger than the service
	// takes. Nothing was lost; the message says which of the two.
	ErrTooLarge = driver.ErrTooLarge
	// ErrCorrupt: a secret under the prefix is damaged, not this library's, or of
	// a newer format, or the index is lost while records exist. Nothing was written.
	ErrCorrupt = driver.ErrCorrupt
	// ErrPermission: the service refused; see the adapter's least policy.
	ErrPermission = driver.ErrPermission
	// ErrUnavailable: the service could not be reached or kept refusing. Nothing
	// was written; trying again later is right.
	ErrUnavailable = driver.ErrUnavailable
	// ErrQuota: the service's quota is used up. It matches ErrUnavailable too.
	ErrQuota = driver.ErrQuota
	// ErrOutcomeUnknown: the write was applied or may be yet. Trying again is
	// right and cannot apply it twice.
	ErrOutcomeUnknown = driver.ErrOutcomeUnknown
)
