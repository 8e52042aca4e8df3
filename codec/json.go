package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// The errors say what is wrong and never what was found: see the package comment.
var (
	errNotJSON = errors.New("not a JSON object")
	errNotOurs = errors.New("no secret of tokenkeep")
)

// ErrNewer is what the error of a secret of a newer format matches: it may be right.
var ErrNewer = errors.New("newer than this version of tokenkeep reads")

func newerError(format int64) error {
	return fmt.Errorf("format %d is %w (%d)", format, ErrNewer, Format)
}

func fieldError(name, what string) error { return fmt.Errorf("member %q %s", name, what) }

// members are the members of a JSON object that are still to be understood; what
// is left over at the end is unknown, and kept.
type members map[string]json.RawMessage

// decodeObject reads one JSON object and nothing else. Unlike json.Unmarshal it
// tells names apart by their case and refuses a name that stands twice, since a
// reader that takes the other one would see another token.
func decodeObject(data []byte) (members, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, errNotJSON
	}
	rest := bytes.TrimLeft(data, space)
	if rest[0] != '{' {
		return nil, errNotJSON
	}
	m := make(members, 16)
	for rest = bytes.TrimLeft(rest[1:], space); rest[0] != '}'; rest = bytes.TrimLeft(rest, ","+space) {
		end := valueEnd(rest)
		name, ok := unquote(rest[:end])
		if !ok {
			return nil, errNotJSON
		}
		rest = bytes.TrimLeft(rest[end:], ":"+space)
		end = valueEnd(rest)
		if _, twice := m[name]; twice {
			return nil, errors.New("a member stands twice")
		}
		m[name] = json.RawMessage(rest[:end:end])
		rest = rest[end:]
	}
	return m, nil
}

const space = " \t\r\n"

// valueEnd returns where the JSON value ends that valid JSON begins with.
func valueEnd(data []byte) int {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth == 0 {
				return i // a number or a word ended at the end of what holds it
			}
			depth--
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(data)
}

// fields takes known members out of m and remembers the first error.
type fields struct {
	m   members
	err error
}

func (d *fields) take(name, want string, to any) {
	raw, ok := d.m[name]
	if !ok || d.err != nil {
		return
	}
	delete(d.m, name)
	if bytes.Equal(raw, []byte("null")) || json.Unmarshal(raw, to) != nil {
		d.err = fieldError(name, "is not "+want)
	}
}

func (d *fields) text(name string, to *string) {
	if raw, ok := d.m[name]; ok && d.err == nil {
		delete(d.m, name)
		*to = d.part(name, "a text", raw)
	}
}

func (d *fields) truth(name string, to *bool) { d.take(name, "true or false", to) }

func (d *fields) texts(name string, to *[]string) {
	const want = "a list of texts"
	var parts []json.RawMessage
	d.take(name, want, &parts)
	for _, raw := range parts {
		*to = append(*to, d.part(name, want, raw))
	}
}

func (d *fields) textMap(name string, to *map[string]string) {
	const want = "an object of texts"
	var raw json.RawMessage
	d.take(name, want, &raw)
	if raw == nil || d.err != nil {
		return
	}
	m, err := decodeObject(raw)
	if err != nil {
		d.err = fieldError(name, "is not "+want)
		return
	}
	*to = make(map[string]string, len(m))
	for key, raw := range m {
		(*to)[key] = d.part(name, want, raw)
	}
}

// part reads one text of several. Read all at once, encoding/json would take null
// for an empty text, and the last of two members of one name.
func (d *fields) part(name, want string, raw json.RawMessage) string {
	text, ok := unquote(raw)
	if !ok && d.err == nil {
		d.err = fieldError(name, "is not "+want)
	}
	return text
}

// unquote reads a JSON text.
func unquote(raw []byte) (text string, ok bool) {
	if raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	err := json.Unmarshal(raw, &text)
	return text, err == nil
}

func (d *fields) number(name string, to *int64) { d.take(name, "a whole number", to) }

// object builds a JSON object member by member, in order.
type object struct {
	buf bytes.Buffer
	err error
}

func (o *object) add(name string, value any) {
	raw, err := marshal(value)
	if err != nil {
		o.err = errors.Join(o.err, fieldError(name, "cannot be written"))
		return
	}
	key, err := marshal(name)
	if err != nil {
		o.err = errors.Join(o.err, err)
		return
	}
	o.buf.WriteByte(separator(o.buf.Len()))
	o.buf.Write(key)
	o.buf.WriteByte(':')
	o.buf.Write(raw)
}

// separator is what stands before a member: the brace, or a comma.
func separator(written int) byte {
	if written == 0 {
		return '{'
	}
	return ','
}

func (o *object) addText(name, value string) {
	if value != "" {
		o.add(name, value)
	}
}

func (o *object) addMembers(m members) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		o.add(name, m[name])
	}
}

func (o *object) bytes() ([]byte, error) {
	if o.err != nil {
		return nil, o.err
	}
	if o.buf.Len() == 0 {
		return []byte("{}"), nil
	}
	return append(o.buf.Bytes(), '}'), nil
}

// marshal is json.Marshal without the escapes that are for HTML: a redirect URL
// should be readable in the console.
func marshal(value any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}), nil
}
