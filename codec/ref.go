package codec

import (
	"crypto/sha256"
	"encoding/base32"
	"io"
	"strings"
)

// The lengths of a Ref: the random one of an id that the store made, and the hash
// of one that the caller chose.
const (
	madeRefLen   = 20
	chosenRefLen = 40
)

const refAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

// ValidRef reports whether s can be the ref of a record.
func ValidRef(s string) bool {
	if len(s) != madeRefLen && len(s) != chosenRefLen {
		return false
	}
	return strings.Trim(s, refAlphabet) == ""
}

var base32Lower = base32.NewEncoding(refAlphabet).WithPadding(base32.NoPadding)

// NewID makes an id for a record: 100 random bits, read from random, as 20
// characters of base32. Among a million ids the chance that any two meet is below
// 10^-18, and a meeting is a conflict, not a loss: a record is created only where
// there is none.
func NewID(random io.Reader) (string, error) {
	var b [13]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	return base32Lower.EncodeToString(b[:])[:madeRefLen], nil
}

// RefOf returns the ref of the record with an id: the id itself if it has the form
// of those that the store makes; a hash of it otherwise, since an id that somebody
// chose may be long, may have characters that a service refuses in a name, and may
// say who the user is. The lengths differ, so the two never meet.
func RefOf(id string) string {
	if len(id) == madeRefLen && ValidRef(id) {
		return id
	}
	sum := sha256.Sum256([]byte("tokenkeep id\x00" + id))
	return base32Lower.EncodeToString(sum[:])[:chosenRefLen]
}

// ChosenRef reports whether a ref is the hash of an id that somebody chose, so that
// the id cannot be told from it.
func ChosenRef(ref string) bool { return len(ref) == chosenRefLen }

// The names of secrets. None ends in a hyphen and six characters, which Secrets
// Manager would take for the end of an ARN.
const (
	// RootName is the name of the index's root.
	RootName    = "index"
	tokenPrefix = "token-"
)

// NameOf returns the name of the secret of the record with a ref.
func NameOf(ref string) string { return tokenPrefix + ref }

// RefOfName returns the ref of the record that a secret's name stands for, and
// whether it stands for one.
func RefOfName(name string) (string, bool) {
	ref, ok := strings.CutPrefix(name, tokenPrefix)
	return ref, ok && ValidRef(ref)
}
