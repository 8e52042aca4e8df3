package gcpsm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// The longest names, in characters. A secret's is the prefix, two underscores and a
// name of the contract.
//
// https://docs.cloud.google.com/secret-manager/quotas
const (
	maxFullName = 255
	maxName     = 80
	maxPrefix   = maxFullName - len(slash) - maxName
)

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// slash is how a slash is written in secret ids, which have none: the ids of two
// different paths never meet, since no part of a path has two underscores in a row,
// or one at its beginning or end.
const slash = "__"

// checkPrefix says what is wrong with a prefix.
func checkPrefix(prefix string) error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("gcpsm: %w: the prefix "+format, append([]any{driver.ErrInvalid}, args...)...)
	}
	if prefix == "" {
		return invalid("is empty")
	}
	if i := strings.IndexFunc(prefix, func(c rune) bool {
		return !strings.ContainsRune(lower+upper+digits+"/_-", c)
	}); i >= 0 {
		return invalid("has a character at byte %d that is none of A-Z a-z 0-9 / _ -", i)
	}
	switch {
	case strings.HasPrefix(prefix, "/"):
		return invalid("begins with a slash")
	case strings.HasSuffix(prefix, "/"):
		return invalid("ends with a slash")
	case strings.Contains(prefix, "//"):
		return invalid("has two slashes in a row")
	case strings.Contains(prefix, slash):
		return invalid("has two underscores in a row: a slash is written so in secret ids")
	}
	for part := range strings.SplitSeq(prefix, "/") {
		if strings.HasPrefix(part, "_") || strings.HasSuffix(part, "_") {
			return invalid("has an underscore at the beginning or end, or beside a slash")
		}
	}
	if n := len(encoded(prefix)); n > maxPrefix {
		return invalid("takes %d characters in a secret id, a slash two of them, more than %d", n, maxPrefix)
	}
	return nil
}

func encoded(path string) string { return strings.ReplaceAll(path, "/", slash) }

// checkParent says what is wrong with a parent, and whether it is a location's.
func checkParent(parent string) (regional bool, err error) {
	invalid := func(what string) error {
		return fmt.Errorf("gcpsm: %w: the parent %s: it is projects/PROJECT or projects/PROJECT/locations/LOCATION", driver.ErrInvalid, what)
	}
	parts := strings.Split(parent, "/")
	regional = len(parts) == 4
	switch {
	case len(parts) != 2 && !regional, parts[0] != "projects":
		return false, invalid("is no project")
	case !plain(parts[1], ".:"): // example.com:project is one of an old domain
		return false, invalid("has no project id or number")
	case regional && (parts[2] != "locations" || !plain(parts[3], "")):
		return false, invalid("has no location")
	}
	return regional, nil
}

// plain reports whether a part of a resource name consists of what ids consist of. A
// dash alone stands for all projects or locations.
func plain(part, more string) bool {
	return part != "" && part[0] != '-' && strings.Trim(part, lower+digits+"-"+more) == ""
}

// secret returns the resource name of a secret.
func (d *Driver) secret(name string) string { return d.parent + "/secrets/" + d.id(name) }

// id returns the service's id of a secret.
func (d *Driver) id(name string) string { return d.prefix + slash + name }

// short returns the name of a secret under the prefix, and whether it is one of the
// contract. Names have no underscore, so no prefix and name together read as another
// prefix and name.
func (d *Driver) short(resource string) (string, bool) {
	_, id, _ := strings.Cut(resource, "/secrets/")
	name, ours := strings.CutPrefix(id, d.prefix+slash)
	return name, ours && driver.ValidName(name)
}

// version returns the resource name of a version: a number, or an alias.
func (d *Driver) version(name, version string) string { return d.secret(name) + "/versions/" + version }

// numberOf returns the number that ends the resource name of a version, 0 if none
// does. The service answers with the project's number where the request had its id.
func numberOf(resource string) int64 {
	n, err := strconv.ParseInt(resource[strings.LastIndexByte(resource, '/')+1:], 10, 64)
	if err != nil || n < 1 {
		return 0
	}
	return n
}

// A revision is the number of a version and a tag of its value. Numbers begin anew
// when a secret is deleted and created again; the tag tells those versions apart,
// since a value holds a random write id.

func revisionOf(number int64, tag string) driver.Revision {
	return driver.Revision(strconv.FormatInt(number, 10) + "." + tag)
}

// parseRevision returns 0 for a revision that this driver did not make.
func parseRevision(rev driver.Revision) (number int64, tag string) {
	before, tag, _ := strings.Cut(string(rev), ".")
	number, err := strconv.ParseInt(before, 10, 64)
	if err != nil || number < 1 {
		return 0, ""
	}
	return number, tag
}

func tagOf(value []byte) string {
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:8])
}
