package gcpsmtest

import (
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
)

// A resource is a name of the API, read.
type resource struct {
	asked   string // as the client wrote it
	project string // the project's number
	scope   string // "projects/N" or "projects/N/locations/L"
	secret  string // id; empty in the name of a scope
	version string // number, alias or latest; empty in other names
}

// name is the secret's name as the service answers it: with the project's
// number, also to those who asked with its id.
func (r resource) name() string { return r.scope + "/secrets/" + r.secret }

// at is the name of a version of the secret.
func (r resource) at(number int64) string {
	return r.name() + "/versions/" + strconv.FormatInt(number, 10)
}

var (
	projectPart  = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]*$`)
	numberPart   = regexp.MustCompile(`^[0-9]+$`)
	locationPart = regexp.MustCompile(`^[a-z0-9-]+$`)
	secretPart   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	// A number or what may be an alias; leading zeros are taken for neither.
	versionPart = regexp.MustCompile(`^(0|[1-9][0-9]{0,17}|[A-Za-z][A-Za-z0-9_-]{0,62})$`)
)

// The parts of names, in order. Project ids are taken as they come: here every
// project exists.
const (
	scopeName = iota
	secretName
	versionName
)

// parse reads a name of the given kind. The global endpoint has projects/*, a
// regional one projects/*/locations/* in front.
func (s *Server) parse(asked string, kind int) (resource, error) {
	r := resource{asked: asked}
	parts := strings.Split(asked, "/")
	next := func(collection string, id *regexp.Regexp) string {
		if len(parts) < 2 || parts[0] != collection || !id.MatchString(parts[1]) {
			parts = []string{""} // what follows fails, too
			return ""
		}
		part := parts[1]
		parts = parts[2:]
		return part
	}
	format := "projects/*"
	r.project = projectNumber(next("projects", projectPart))
	r.scope = "projects/" + r.project
	if s.location != "" {
		format += "/locations/*"
		location := next("locations", locationPart)
		r.scope += "/locations/" + location
		if location != "" && location != s.location {
			return r, errOtherLocation(location, s.location)
		}
	}
	if kind >= secretName {
		format += "/secrets/*"
		r.secret = next("secrets", secretPart)
	}
	if kind >= versionName {
		format += "/versions/*"
		r.version = next("versions", versionPart)
	}
	if len(parts) > 0 {
		return r, errFormat(asked, kind, format)
	}
	return r, nil
}

// projectNumber makes up the number of a project: twelve digits that only its id
// decides. A number is its own.
func projectNumber(project string) string {
	if numberPart.MatchString(project) {
		return project
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(project))
	return strconv.FormatUint(100_000_000_000+h.Sum64()%900_000_000_000, 10)
}
