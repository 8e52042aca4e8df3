package vaultstoretest

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Vault looks at every request body that begins like a JSON object or list before
// anybody parses it, and answers HTTP 500 where one of these limits is exceeded or
// the text is broken. The numbers are those of http/handler.go, the order of the
// checks and the words those of sdk/helper/jsonutil (VerifyMaxDepthStreaming), new
// in Vault 1.16.25, 1.18.14, 1.19.9 and 1.20.3.
const (
	maxJSONDepth   = 300
	maxJSONString  = 1 << 20 // bytes between the quotes, escapes counted as written
	maxJSONEntries = 10_000  // of one object
	maxJSONItems   = 10_000  // of one list
	maxJSONTokens  = 500_000 // commas and colons are tokens
)

// A jsonScan is a walk over a body. It is not a parser: it accepts much that is not
// JSON, and leaves that to the parser, as Vault does.
type jsonScan struct {
	text   []byte
	open   []container
	deep   int
	tokens int
	comma  bool // the last token was one
}

// A container is an object or a list that is not closed yet.
type container struct {
	object bool
	count  int
	key    bool // a key comes next
	keys   map[string]bool
}

// checkJSON returns what Vault says about a body, nil if nothing.
func checkJSON(body []byte) error {
	s := &jsonScan{text: bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))}
	s.space()
	if len(s.text) == 0 || s.text[0] != '{' && s.text[0] != '[' {
		return nil
	}
	for len(s.text) > 0 {
		if err := s.token(); err != nil {
			return err
		}
		s.space()
	}
	if len(s.open) > 0 {
		return errors.New("malformed JSON, unclosed containers")
	}
	return nil
}

// space skips white space. The last two are the beginning of a compressed body.
func (s *jsonScan) space() {
	for len(s.text) > 0 && strings.IndexByte(" \t\n\r\x1f\x8b", s.text[0]) >= 0 {
		s.text = s.text[1:]
	}
}

func (s *jsonScan) in() *container {
	if len(s.open) == 0 {
		return nil
	}
	return &s.open[len(s.open)-1]
}

func (s *jsonScan) token() error {
	b := s.text[0]
	switch {
	case s.comma && b == '}':
		return errors.New("invalid character '}' after object key-value pair")
	case s.comma && b == ']':
		return errors.New("invalid character ']' after array element")
	case len(s.open) == 0 && s.deep > 0:
		return fmt.Errorf("invalid character '%c' after top-level value", b)
	}
	if s.tokens++; s.tokens > maxJSONTokens {
		return errors.New("JSON payload exceeds allowed token count")
	}
	s.comma = false
	c := s.in()
	switch {
	case b == '{' || b == '[':
		return s.begin(c, b == '{')
	case b == '}' || b == ']':
		return s.end(c, b)
	case b == '"':
		text, err := s.str()
		if err != nil {
			return err
		}
		if c.object && c.key {
			return c.entry(text)
		}
		return c.value()
	case b == 't' || b == 'f' || b == 'n':
		s.literal()
		return c.value()
	case b == '-' || b >= '0' && b <= '9':
		if err := s.number(); err != nil {
			return err
		}
		return c.value()
	case b == ',':
		s.text, s.comma = s.text[1:], true
		if c.object {
			c.key = true
		}
		return nil
	case b == ':':
		s.text = s.text[1:]
		return nil
	}
	return fmt.Errorf("invalid character '%c' looking for beginning of value", b)
}

func (s *jsonScan) begin(c *container, object bool) error {
	if c != nil {
		if err := c.value(); err != nil {
			return err
		}
	}
	s.text = s.text[1:]
	s.open = append(s.open, container{object: object, key: object, keys: map[string]bool{}})
	s.deep = max(s.deep, len(s.open))
	if len(s.open) > maxJSONDepth {
		return errors.New("JSON input exceeds allowed nesting depth")
	}
	return nil
}

func (s *jsonScan) end(c *container, b byte) error {
	if c.object && !c.key {
		return errors.New("invalid character '}' after object key")
	}
	if c.object != (b == '}') {
		return fmt.Errorf("malformed JSON: mismatched closing delimiter '%c'", b)
	}
	s.text, s.open = s.text[1:], s.open[:len(s.open)-1]
	if c := s.in(); c != nil && c.object {
		c.key = true
	}
	return nil
}

// entry counts a key of an object.
func (c *container) entry(key string) error {
	if c.keys[key] {
		return fmt.Errorf("duplicate key '%s' in object", key)
	}
	c.keys[key] = true
	if c.count++; c.count > maxJSONEntries {
		return errors.New("JSON object exceeds allowed entry count")
	}
	c.key = false
	return nil
}

// value counts a value of a list, or ends that of an object's key.
func (c *container) value() error {
	if c.object {
		c.key = true
		return nil
	}
	if c.count++; c.count > maxJSONItems {
		return errors.New("JSON array exceeds allowed element count")
	}
	return nil
}

// literal skips a word. Whether it is true, false or null does not matter here.
func (s *jsonScan) literal() {
	for len(s.text) > 0 && strings.IndexByte(" \t\n\r\x1f\x8b,}]", s.text[0]) < 0 {
		s.text = s.text[1:]
	}
}

func (s *jsonScan) number() error {
	if len(s.text) > 1 && s.text[0] == '0' && s.text[1] >= '0' && s.text[1] <= '9' {
		return fmt.Errorf("invalid character '%c' after top-level value", s.text[1])
	}
	n := 0
	for n < len(s.text) && strings.IndexByte("0123456789.eE+-", s.text[n]) >= 0 {
		if n++; n > maxJSONString {
			return errors.New("JSON number value exceeds allowed length")
		}
	}
	number := string(s.text[:n])
	if _, err := strconv.ParseFloat(number, 64); err != nil {
		return fmt.Errorf("malformed JSON, invalid number syntax for '%s'", number)
	}
	s.text = s.text[n:]
	return nil
}

// str reads a string and returns what it says.
func (s *jsonScan) str() (string, error) {
	s.text = s.text[1:]
	var out strings.Builder
	length, last := 0, rune(-1)
	for {
		plain := bytes.IndexAny(s.text, `"\`)
		if plain < 0 {
			plain = len(s.text)
		}
		if length += plain; length > maxJSONString {
			return "", errTooLong
		}
		if plain > 0 {
			last = -1
		}
		out.Write(s.text[:plain])
		s.text = s.text[plain:]
		if len(s.text) == 0 {
			return "", errors.New("malformed JSON, unclosed string")
		}
		b := s.text[0]
		s.text = s.text[1:]
		if b == '"' {
			if last >= 0xD800 && last <= 0xDBFF {
				return "", errors.New("malformed JSON, unterminated surrogate pair in string")
			}
			return out.String(), nil
		}
		n, r, err := s.escape()
		if err != nil {
			return "", err
		}
		if last = -1; n > 1 {
			last = r
		}
		out.WriteRune(r)
		if length += 1 + n; length > maxJSONString {
			return "", errTooLong
		}
	}
}

var errTooLong = errors.New("JSON string value exceeds allowed length")

// escape reads what follows a backslash. It returns how many bytes that was.
func (s *jsonScan) escape() (int, rune, error) {
	if len(s.text) == 0 {
		return 0, 0, errors.New("malformed JSON, unterminated escape sequence in string")
	}
	b := s.text[0]
	s.text = s.text[1:]
	if i := strings.IndexByte(`"\/bfnrt`, b); i >= 0 {
		return 1, rune("\"\\/\b\f\n\r\t"[i]), nil
	}
	if b != 'u' {
		return 0, 0, fmt.Errorf("invalid character '%c' in string escape code", b)
	}
	if len(s.text) < 4 {
		return 0, 0, errors.New("malformed JSON, unterminated unicode escape in string")
	}
	digits := string(s.text[:4])
	s.text = s.text[4:]
	for _, d := range digits {
		if !strings.ContainsRune("0123456789abcdefABCDEF", d) {
			return 0, 0, fmt.Errorf("invalid character '%c' in string escape code", d)
		}
	}
	code, _ := strconv.ParseUint(digits, 16, 32)
	return 5, rune(code), nil
}
