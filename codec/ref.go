package codec

import (
	"crypto/hmac"
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

// An id that the store made is 20 characters of base32: four that say in which hour it was
// made, counted modulo 2^20 since the epoch; twelve that are random; and four that are made of
// those under the key of the index, so that a store knows its own.
const (
	stampLen  = 4
	randomLen = 12
	hourBits  = 20
)

// NewID makes an id for a record, from 60 bits that it reads from random, under the key of
// the index. Among ten thousand ids of one hour the chance that any two meet is below 10^-10,
// and a meeting is a conflict, not a loss: a record is created only where there is none.
func NewID(random io.Reader, key []byte, at time.Time) (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	stamp := binary.BigEndian.AppendUint32(nil, hourOf(at)<<(32-hourBits))
	id := base32Lower.EncodeToString(stamp)[:stampLen] + base32Lower.EncodeToString(b[:])[:randomLen]
	return id + check(key, id), nil
}

func hourOf(at time.Time) uint32 { return uint32(at.Unix()/3600) & (1<<hourBits - 1) } //nolint:gosec // modulo 2^20

func check(key []byte, begin string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("id\x00" + begin))
	return RefOfBits(mac.Sum(nil))[:madeRefLen-stampLen-randomLen]
}

// MadeUnder reports whether an id was made under a key. Of a million others one seems so.
func MadeUnder(key []byte, id string) bool {
	return MadeForm(id) && check(key, id[:stampLen+randomLen]) == id[stampLen+randomLen:]
}

// MadeForm reports whether an id has the form of those that stores make.
func MadeForm(id string) bool { return len(id) == madeRefLen && ValidRef(id) }

// HoursOld returns how many hours before a time the id was made that a ref is, by the clock
// hours of both; below zero if it was made later. A ref of an id that somebody chose tells
// nothing, and of two times that are 60 years apart the id does not tell which.
func HoursOld(ref string, at time.Time) (hours int, ok bool) {
	if !MadeForm(ref) {
		return 0, false
	}
	stamp, _ := base32Lower.DecodeString(ref[:stampLen] + "aaaa")
	made := binary.BigEndian.Uint32(stamp) >> (32 - hourBits)
	hours = int((hourOf(at) - made) & (1<<hourBits - 1))
	if hours >= 1<<(hourBits-1) {
		hours -= 1 << hourBits
	}
	return hours, true
}

// RefOf returns the ref of the record with an id: the id itself if it has the form
// of those that stores make; that of a chosen one otherwise.
func RefOf(id string) string {
	if MadeForm(id) {
		return id
	}
	return RefOfChosen(id)
}

// RefOfChosen returns the ref of the record with an id that somebody chose: a hash of it,
// since such an id may be long, may have characters that a service refuses in a name, and may
// say who the user is. The lengths differ, so it never meets one that a store made.
func RefOfChosen(id string) string {
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
