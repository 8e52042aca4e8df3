package provider

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// A Setting says what becomes of a used refresh token where the administrator of the server decides
// on it, for each application. It has to be what is set there: a source that takes single-use
// tokens for reusable ones loses them.
type Setting struct {
	Rotation Rotation
	// Grace goes with Leeway, and only with it.
	Grace time.Duration
}

// check says why a server cannot be set so. most is the longest grace that it offers, 0 if it
// offers none.
func (s Setting) check(name string, most time.Duration) error {
	switch s.Rotation {
	case SingleUse, Reusable:
		if s.Grace != 0 {
			return invalid(name, "a Grace goes with Leeway")
		}
	case Leeway:
		switch {
		case most == 0:
			return invalid(name, "its refresh tokens have no Leeway")
		case s.Grace <= 0:
			return invalid(name, "Leeway needs a Grace, and without one the tokens are SingleUse")
		case s.Grace > most:
			return invalid(name, fmt.Sprintf("the Grace is at most %v", most))
		}
	default:
		return invalid(name, "unknown Rotation")
	}
	return nil
}

// invalid is the error for an argument. It does not show it: a secret may have got into its place.
func invalid(name, why string) error {
	return fmt.Errorf("provider: %s: %s", name, why)
}

// hostForm is that of a host's full name, which a placeholder such as YOUR_DOMAIN has not.
var hostForm = regexp.MustCompile(`^(?i:[a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+(?i:[a-z]{2,})$`)

// site parses the URL of a server, or its host alone, which is meant with https. The path of the
// result does not end in a slash.
func site(name, text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, invalid(name, "this is no URL")
	case u.Scheme != "https":
		return nil, invalid(name, "the URL is not one of https")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.RawPath != "":
		return nil, invalid(name, "the URL is more than a host and a plain path")
	case !hostForm.MatchString(u.Hostname()):
		return nil, invalid(name, "the URL has no full host name")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}
