package token

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
)

// redacted is what a Secret prints as.
const redacted = "REDACTED"

// A Secret is a text that does not print itself. Through every verb of fmt,
// through log/slog and through encoding/json it comes out as REDACTED;
// [Secret.Reveal] reads it. The zero value is the empty secret, which means
// that there is none. Secrets are immutable and may be copied and shared; the
// operator == compares identities, not texts: use [Secret.Equal].
type Secret struct {
	// A pointer, since fmt prints an unexported field without asking its
	// methods, and prints no more than an address of what it points to.
	text *string
}

// NewSecret returns a Secret that holds s.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{&s}
}

// Reveal returns the text in clear.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether s is empty.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal reports whether s and t hold the same text, in a time that depends on
// their lengths only.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// String returns REDACTED, or the empty string if s is empty.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// GoString returns what String does.
func (s Secret) GoString() string { return s.String() }

// Format writes what String returns, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue returns what String does, for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON writes what String returns.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalText writes what String returns.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalJSON always fails: a secret that was marshaled is gone, and what comes from
// elsewhere is wrapped by [NewSecret].
func (s *Secret) UnmarshalJSON([]byte) error {
	return errors.New("tokenkeep: a token.Secret is not read from JSON: use NewSecret")
}
