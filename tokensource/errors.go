package tokensource

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// The errors of a source, beside those of package token. All are tested for with [errors.Is].
var (
	// ErrNeedsReauth: the user has to log in again. The error is a *[ReauthError] that says why.
	ErrNeedsReauth = errors.New("the user has to log in again")
	// ErrNotPersisted: the provider issued the token that is returned beside this error, and it
	// could not be stored yet. The token is good; the source keeps what has to be stored, and
	// tries again with later calls and in [Source.Flush].
	ErrNotPersisted = errors.New("the new token is not stored yet")
	// ErrProvider: the provider could not be reached, or refused, or its answer is none. The error is
	// a *[ProviderError].
	ErrProvider = errors.New("the provider issued no token")
)

// during names the operation in an error, unless the store has named its own.
func during(op string, err error) error {
	if strings.HasPrefix(err.Error(), "tokenkeep: ") {
		return err
	}
	return fmt.Errorf("tokenkeep: %s: %w", op, err)
}

// A ReauthError says why a user has to log in again. It matches [ErrNeedsReauth].
type ReauthError struct {
	// ID is the record's.
	ID    string
	Cause Cause

	provider *ProviderError // what it answered, if it was asked now
}

func (e *ReauthError) Error() string {
	return fmt.Sprintf("%v: record %q: %s", ErrNeedsReauth, e.ID, e.Cause)
}

// Is reports whether target is ErrNeedsReauth.
func (e *ReauthError) Is(target error) bool { return target == ErrNeedsReauth }

// Unwrap returns the provider's answer if this call is the one that met it, or nil.
func (e *ReauthError) Unwrap() error {
	if e.provider == nil {
		return nil
	}
	return e.provider
}

// A ProviderError is what an OAuth server answered, or that it did not. It matches [ErrProvider].
// Its text holds nothing that was sent or received but the status and the error code; the error
// of net/http or x/oauth2 is reached with [errors.As], and may hold more.
type ProviderError struct {
	// Provider is its name.
	Provider string
	// Status is that of HTTP, 0 if there was no answer.
	Status int
	// Code is the error code of the answer if it looks like one, such as invalid_grant.
	Code string
	// Kind is what the provider means by it.
	Kind provider.Kind

	what   string
	wait   time.Duration // how long to leave the provider alone
	unsent bool          // the request did not get there
	cause  error
}

func (e *ProviderError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Provider, e.what)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.Code != "" {
		fmt.Fprintf(&b, ": %q", e.Code)
	}
	return b.String()
}

// Is reports whether target is ErrProvider.
func (e *ProviderError) Is(target error) bool { return target == ErrProvider }

// Unwrap returns the error of the HTTP client or of x/oauth2, if there is one.
func (e *ProviderError) Unwrap() error { return e.cause }

// codeForm is what error codes look like. None has digits, and most tokens do.
var codeForm = regexp.MustCompile(`^[A-Za-z_.\- ]{1,64}$`)

// plain returns an error code if it looks like one, and holds none of the secrets: servers have
// been seen to answer with what they were sent.
func plain(code string, secrets ...string) string {
	if !codeForm.MatchString(code) {
		return ""
	}
	for _, s := range secrets {
		if s != "" && strings.Contains(code, s) {
			return ""
		}
	}
	return code
}
