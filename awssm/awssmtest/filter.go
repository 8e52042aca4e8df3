package awssmtest

import (
	"fmt"
	"slices"
	"strings"
)

type filter struct {
	Key    *string
	Values []string
}

// checkFilters answers as moto does, whose texts for this look like AWS's.
func checkFilters(filters []filter) *Error {
	if len(filters) > maxFilters {
		return checkCount(len(filters), "filters", maxFilters)
	}
	for i, f := range filters {
		member := fmt.Sprintf("filters.%d.member", i+1)
		switch {
		case f.Key == nil:
			return invalidParameter("Invalid filter key")
		case !slices.Contains([]string{"description", "name", "tag-key", "tag-value", "primary-region", "owning-service", "all"}, *f.Key):
			return errConstraint(*f.Key, member+".key", "satisfy enum value set: [all, name, tag-key, description, tag-value, primary-region, owning-service]")
		case len(f.Values) == 0:
			return invalidParameter("Invalid filter values")
		case len(f.Values) > maxFilters:
			return checkCount(len(f.Values), member+".values", maxFilters)
		}
	}
	return nil
}

// matchAll tells whether every filter accepts the secret.
func matchAll(filters []filter, sec *secret) bool {
	for _, f := range filters {
		if !slices.ContainsFunc(f.Values, func(value string) bool { return f.accepts(value, sec) }) {
			return false
		}
	}
	return true
}

// accepts tells whether one value of the filter accepts the secret. "You can
// prefix your search value with an exclamation mark (!) in order to perform
// negation filters."
func (f filter) accepts(value string, sec *secret) bool {
	if positive, negated := strings.CutPrefix(value, "!"); negated {
		return !f.matches(positive, sec)
	}
	return f.matches(value, sec)
}

// matches follows the documentation of Filter: prefixes, for names and tags
// case-sensitive, for descriptions not; "all" breaks the value into words and
// looks for each in all attributes.
func (f filter) matches(value string, sec *secret) bool {
	switch *f.Key {
	case "name":
		return strings.HasPrefix(sec.name, value)
	case "description":
		return strings.HasPrefix(strings.ToLower(sec.description), strings.ToLower(value))
	case "tag-key":
		return slices.ContainsFunc(sec.tags, func(t tag) bool { return strings.HasPrefix(*t.Key, value) })
	case "tag-value":
		return slices.ContainsFunc(sec.tags, func(t tag) bool { return strings.HasPrefix(*t.Value, value) })
	case "all":
		attributes := []string{sec.name, sec.description}
		for _, t := range sec.tags {
			attributes = append(attributes, *t.Key, *t.Value)
		}
		text := strings.ToLower(strings.Join(attributes, "\n"))
		for word := range strings.FieldsSeq(strings.ToLower(value)) {
			if !strings.Contains(text, word) {
				return false
			}
		}
		return true
	}
	return false // no secret here is replicated or owned by a service
}
