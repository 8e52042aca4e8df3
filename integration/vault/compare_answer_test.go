package vault_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An answer is one as it came.
type answer struct {
	status int
	header http.Header
	body   string
}

// said is an answer with all replaced that two servers cannot have in common: times
// by the number of the request that made them, tokens by their names, identifiers.
// Equal answers are equal texts.
func (s *side) said(a answer) string {
	var text strings.Builder
	fmt.Fprintf(&text, "HTTP %d\n", a.status)
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		if name == "Date" || name == "Content-Length" {
			continue // tokens and times have different lengths
		}
		fmt.Fprintf(&text, "%s: %s\n", name, strings.ReplaceAll(strings.Join(a.header[name], ", "), s.url, "(here)"))
	}
	decoder := json.NewDecoder(strings.NewReader(a.body))
	decoder.UseNumber()
	var body any
	err := decoder.Decode(&body)
	if err == nil && decoder.More() {
		err = errors.New("more than one value")
	}
	if err != nil {
		fmt.Fprintf(&text, "%q", strings.ReplaceAll(a.body, s.url, "(here)"))
		return text.String()
	}
	plain, err := json.Marshal(s.plain("", body))
	if err != nil {
		return err.Error() // never: it was JSON
	}
	text.Write(plain)
	if !strings.HasSuffix(a.body, "\n") {
		text.WriteString("\n(no new line)")
	}
	return text.String()
}

// indented is what was said, for people.
func indented(said string) string {
	lines := strings.Split(said, "\n")
	for i, line := range lines {
		var out bytes.Buffer
		if json.Indent(&out, []byte(line), "", "  ") == nil {
			lines[i] = out.String()
		}
	}
	return strings.Join(lines, "\n")
}

// plain replaces what is in a value of that name.
func (s *side) plain(name string, value any) any {
	switch value := value.(type) {
	case map[string]any:
		plainMounts(value)
		plainLife(value)
		for name, member := range value {
			value[name] = s.plain(name, member)
		}
	case []any:
		for i, item := range value {
			value[i] = s.plain(name, item)
		}
	case string:
		return s.plainText(name, value)
	case json.Number:
		return plainNumber(name, value)
	}
	return value
}

// plainLife replaces what is left of the life of a token, in whole hours at first.
func plainLife(token map[string]any) {
	for about, name := range map[string]string{"client_token": "lease_duration", "creation_ttl": "ttl"} {
		left, is := token[name].(json.Number)
		if _, has := token[about]; !has || !is {
			continue
		}
		if v, err := left.Float64(); err == nil {
			token[name] = fmt.Sprint(math.Ceil(v/3600), " hours")
		}
	}
}

// plainMounts removes the engines that only a real server has.
func plainMounts(mounts map[string]any) {
	for _, path := range []string{"sys/", "identity/", "cubbyhole/"} {
		if _, is := mounts[path].(map[string]any); is {
			delete(mounts, path)
		}
	}
	// A server has these from its catalog of plugins and from how it was built: those of
	// the tests have none, and are built from tests.
	delete(mounts, "deprecation_status")
	delete(mounts, "running_plugin_version")
}

var (
	uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	// What is left of the life of a token, which is less with every second.
	capped = regexp.MustCompile(`exceeded the effective max_ttl of "[^"]*"`)
)

func (s *side) plainText(name, text string) string {
	if token, known := s.names[text]; known && text != "" {
		return "(token " + token + ")"
	}
	switch name {
	case "accessor", "cluster_name", "build_date":
		if text != "" {
			return "(" + name + ")"
		}
	case "errors", "warnings":
		return plainWords(text)
	case "expire_time":
		if when, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return fmt.Sprint("(in ", math.Ceil(time.Until(when).Hours()), " hours)")
		}
	}
	if uuid.MatchString(text) {
		return "(id)"
	}
	if when, err := time.Parse(time.RFC3339Nano, text); err == nil && !when.IsZero() {
		return s.moment(when)
	}
	return text
}

// plainWords puts lists of errors in order: Vault finds several in a map.
func plainWords(text string) string {
	text = capped.ReplaceAllString(text, "exceeded the effective max_ttl of (what is left)")
	lines := strings.Split(text, "\n")
	slices.SortStableFunc(lines, func(a, b string) int {
		if strings.HasPrefix(a, "\t* ") && strings.HasPrefix(b, "\t* ") {
			return strings.Compare(a, b)
		}
		return 0
	})
	return strings.Join(lines, "\n")
}

func plainNumber(name string, n json.Number) any {
	v, err := n.Float64()
	if err != nil {
		return n
	}
	switch name {
	case "creation_time", "last_renewal_time", "server_time_utc":
		if v > 1e9 {
			return "(a time)"
		}
	case "t", "n":
		return "(of the key)" // its shares, which those who initialise a server choose
	case "echo_duration_ms", "clock_skew_ms":
		return "(a duration)"
	}
	return n
}

// All lives are multiples of that, so that a run of some minutes can tell them apart.
const unit = 100 * time.Hour

// moment says which request made a time, and how much later it is.
func (s *side) moment(when time.Time) string {
	now, later := time.Now(), time.Duration(0)
	if ahead := when.Sub(now); ahead > 0 {
		later = (ahead + unit - 1).Truncate(unit)
		when = when.Add(-later)
	}
	n, exact := slices.BinarySearchFunc(s.began, when, time.Time.Compare)
	if !exact {
		n--
	}
	if later > 0 {
		return fmt.Sprintf("(request %d and %v)", n, later)
	}
	return fmt.Sprintf("(request %d)", n)
}
