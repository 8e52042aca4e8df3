package awssm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// The longest names, in characters. A secret's is the prefix, a slash and a name of
// the contract.
const (
	maxFullName = 512
	maxName     = 80
	maxPrefix   = maxFullName - 1 - maxName
)

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// checkPrefix says what is wrong with a prefix. Secrets Manager allows the
// characters below; the slashes are kept in order so that names look like paths and
// can be told apart.
//
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
func checkPrefix(prefix string) error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("awssm: %w: the prefix "+format, append([]any{driver.ErrInvalid}, args...)...)
	}
	switch {
	case prefix == "":
		return invalid("is empty")
	case len(prefix) > maxPrefix:
		return invalid("has %d characters, more than %d", len(prefix), maxPrefix)
	}
	if i := strings.IndexFunc(prefix, func(c rune) bool {
		return !strings.ContainsRune(lower+upper+digits+"/_+=.@-", c)
	}); i >= 0 {
		return invalid("has a character at byte %d that is none of A-Z a-z 0-9 / _ + = . @ -", i)
	}
	switch {
	case strings.HasPrefix(prefix, "/"):
		return invalid("begins with a slash")
	case strings.HasSuffix(prefix, "/"):
		return invalid("ends with a slash")
	case strings.Contains(prefix, "//"):
		return invalid("has two slashes in a row")
	}
	return nil
}

// full returns the secret's name in the service.
func (d *Driver) full(name string) *string {
	full := d.prefix + "/" + name
	return &full
}

// short returns the name of a secret under the prefix, and whether it is one of the
// contract. Names have no slash, so no prefix and name together read as another
// prefix and name.
func (d *Driver) short(full string) (string, bool) {
	name, ok := strings.CutPrefix(full, d.prefix+"/")
	return name, ok && driver.ValidName(name)
}

// nameOfARN returns the service's name of the secret that an id means: the id
// itself, or what stands in an ARN before the hyphen and six characters that end it.
func nameOfARN(id string) string {
	parts := strings.SplitN(id, ":", 7)
	if len(parts) < 7 || parts[0] != "arn" || len(parts[6]) < 7 {
		return id
	}
	return parts[6][:len(parts[6])-7]
}

// The version id of a write is the place where the service keeps it: the first
// request that names it takes it, and no other value ever gets there. So a write
// that replaces prev names the one version that can follow prev, and all writers
// that replace prev compete for it. The id of a creation is its own: there the name
// of the secret is what they compete for.
//
// A version id is 32 to 64 characters; one in the form of a UUID is what every
// client of the service expects.

func successorOf(full string, prev driver.Revision) string {
	return versionID("tokenkeep successor", full, string(prev))
}

// creationOf depends on the value, which holds a random write id: a secret that is
// created again after a deletion has other versions.
func creationOf(full string, value []byte) string {
	return versionID("tokenkeep creation", full, string(value))
}

// versionID hashes texts of which all but the last have no zero bytes, into a UUID
// of version 8: one whose bits are the application's.
func versionID(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
