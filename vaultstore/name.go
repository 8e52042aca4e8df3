package vaultstore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// The longest mounts and prefixes, in characters. Vault bounds paths by what its
// storage takes, which is more.
const (
	maxMount  = 200
	maxPrefix = 400
)

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// checkPath says what is wrong with a mount or a prefix. Vault takes more characters;
// these need no escape in a URL, none in a policy, and no second thought.
func checkPath(what, path string, longest int) error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("vaultstore: %w: the "+what+" "+format, append([]any{driver.ErrInvalid}, args...)...)
	}
	switch {
	case path == "":
		return invalid("is empty")
	case len(path) > longest:
		return invalid("has %d characters, more than %d", len(path), longest)
	}
	if i := strings.IndexFunc(path, func(c rune) bool {
		return !strings.ContainsRune(lower+upper+digits+"/_.-", c)
	}); i >= 0 {
		return invalid("has a character at byte %d that is none of A-Z a-z 0-9 / _ . -", i)
	}
	switch {
	case strings.HasPrefix(path, "/"):
		return invalid("begins with a slash")
	case strings.HasSuffix(path, "/"):
		return invalid("ends with a slash")
	case strings.Contains(path, "//"):
		return invalid("has two slashes in a row")
	case strings.HasPrefix(path, "."), strings.Contains(path, "/."):
		return invalid("has a part that begins with a dot")
	}
	return nil
}

// path returns the path of a secret below one of the engine's endpoints: data, metadata
// or destroy.
func (d *Driver) path(endpoint, name string) string {
	return d.mount + "/" + endpoint + "/" + d.prefix + "/" + name
}

// A revision is the number of a version and a tag of its value. Numbers begin anew when
// the metadata of a secret is deleted; the tag tells those versions apart, since a value
// holds a random write id.

func revisionOf(number int64, value string) driver.Revision {
	sum := sha256.Sum256([]byte(value))
	return driver.Revision(strconv.FormatInt(number, 10) + "." + hex.EncodeToString(sum[:8]))
}

// numberOf returns the number of the version that a revision names, 0 for Absent, and
// whether the revision is one that this driver made.
func numberOf(rev driver.Revision) (number int64, ok bool) {
	if rev == driver.Absent {
		return 0, true
	}
	before, _, found := strings.Cut(string(rev), ".")
	number, err := strconv.ParseInt(before, 10, 64)
	return number, found && err == nil && number > 0
}
