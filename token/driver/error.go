package driver

import "strings"

// An Error is how a driver reports what a service answered. Its text names the
// call, the secret and the service's error code, and nothing that the service
// wrote: services and proxies echo requests in their messages. The SDK's own
// error is reached with [errors.As], never printed.
type Error struct {
	// Op is the service's name of the call, Name the secret's without the prefix.
	Op, Name string
	// Code is the service's error code, if it gave one.
	Code string
	// Kind is one of the errors of this package.
	Kind error
	// Cause is what the SDK returned.
	Cause error
	// Hint says what to do about it, if the driver knows.
	Hint string
}

// Error returns the text: call, name, code, kind, hint.
func (e *Error) Error() string {
	parts := []string{strings.TrimSpace(e.Op + " " + e.Name)}
	if e.Code != "" {
		parts = append(parts, e.Code)
	}
	if e.Kind != nil {
		parts = append(parts, e.Kind.Error())
	}
	text := strings.Join(parts, ": ")
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Unwrap gives errors.Is and errors.As the kind and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Cause} }
