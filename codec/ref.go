package codec

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"io"
	"strings"
	"time"
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

// RefOfBits returns the ref that the first 100 of some bits make. There are 13 bytes or more.
func RefOfBits(bits []byte) string { return base32Lower.EncodeToString(bits)[:madeRefLen] }

// stampLen is how many characters of an id that the store made say when that was.
const stampLen = 4

// NewID makes an id for a record: 20 characters of base32, the first four of which are the
// hour, counted modulo 2^20 since the epoch, in which it is made, and the others 80 random
// bits, read from random. Among a million ids of one hour the chance that any two meet is
// below 10^-12, and a meeting is a conflict, not a loss: a record is created only where
// there is none.
func NewID(random io.Reader, at time.Time) (string, error) {
	var b [10]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	hour := hourOf(at) << (32 - hourBits)
	stamp := binary.BigEndian.AppendUint32(nil, hour)
	return base32Lower.EncodeToString(stamp)[:stampLen] + base32Lower.EncodeToString(b[:]), nil
}

const hourBits = 20

func hourOf(at time.Time) uint32 { return uint32(at.Unix()/3600) & (1<<hourBits - 1) } //nolint:gosec // modulo 2^20

// MadeBefore reports whether the id that a ref is was made before a time, as far as its
// hour tells: a ref of an id that somebody chose tells nothing, and of two times that are
// 60 years apart the stamp does not tell which.
func MadeBefore(ref string, at time.Time) bool {
	if len(ref) != madeRefLen || !ValidRef(ref) {
		return false
	}
	stamp, _ := base32Lower.DecodeString(ref[:stampLen] + "aaaa")
	hour := binary.BigEndian.Uint32(stamp) >> (32 - hourBits)
	behind := (hourOf(at) - hour) & (1<<hourBits - 1)
	return behind > 0 && behind < 1<<(hourBits-1)
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
