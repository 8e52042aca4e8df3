package gcpsmtest

import (
	"strings"
)

// A condition decides whether an entry is listed.
type condition[T any] func(T) bool

// A filter reads the language in which lists are filtered. A field, an operator
// and no space between, such as name:abc or labels.env=prod; with AND, OR, NOT or
// a hyphen in front, and parentheses. OR binds tighter than AND. What it does not
// know is INVALID_ARGUMENT, also what other filters of Google's allow: regular
// expressions, wildcards in values, words without a field, AND left out.
//
// https://cloud.google.com/secret-manager/docs/filtering
// https://google.aip.dev/160
type filter[T any] struct {
	whole  string
	rest   string
	fields func(path string) *field[T] // nil: no such field
	depth  int
}

const maxFilterDepth = 50

func parseFilter[T any](text string, fields func(path string) *field[T]) (condition[T], error) {
	if text == "" {
		return func(T) bool { return true }, nil
	}
	f := &filter[T]{whole: text, rest: text, fields: fields}
	c, err := f.expression()
	if err != nil {
		return nil, err
	}
	if f.rest != "" {
		return nil, f.bad("it should end before " + f.rest)
	}
	return c, nil
}

func (f *filter[T]) bad(why string) error { return errFilter(f.whole, why) }

// expression is factors joined by AND.
func (f *filter[T]) expression() (condition[T], error) {
	return f.joined("AND", f.factor, func(a, b condition[T]) condition[T] {
		return func(e T) bool { return a(e) && b(e) }
	})
}

// factor is terms joined by OR.
func (f *filter[T]) factor() (condition[T], error) {
	return f.joined("OR", f.term, func(a, b condition[T]) condition[T] {
		return func(e T) bool { return a(e) || b(e) }
	})
}

func (f *filter[T]) joined(word string, part func() (condition[T], error), join func(a, b condition[T]) condition[T]) (condition[T], error) {
	c, err := part()
	for err == nil && f.word(word) {
		var next condition[T]
		if next, err = part(); err == nil {
			c = join(c, next)
		}
	}
	return c, err
}

// term is a restriction or an expression in parentheses, perhaps negated.
func (f *filter[T]) term() (condition[T], error) {
	f.space()
	if f.word("NOT") || f.cut("-") {
		c, err := f.simple()
		return func(e T) bool { return !c(e) }, err
	}
	return f.simple()
}

func (f *filter[T]) simple() (condition[T], error) {
	f.space()
	if !f.cut("(") {
		return f.restriction()
	}
	if f.depth++; f.depth > maxFilterDepth {
		return nil, f.bad("it is nested too deeply")
	}
	c, err := f.expression()
	if err != nil {
		return nil, err
	}
	f.space()
	if !f.cut(")") {
		return nil, f.bad("a parenthesis is not closed")
	}
	f.depth--
	return c, nil
}

// restriction is a field, an operator and a value, or values in parentheses
// joined by OR.
func (f *filter[T]) restriction() (condition[T], error) {
	end := strings.IndexFunc(f.rest, func(c rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", c) && c < 128
	})
	if end <= 0 {
		return nil, f.bad("a field with an operator is missing")
	}
	path := f.rest[:end]
	f.rest = f.rest[end:]
	fld := f.fields(path)
	if fld == nil {
		return nil, f.bad("there is no field " + path)
	}
	operator := ""
	for _, o := range []string{"<=", ">=", "!=", "<", ">", "=", ":"} {
		if f.cut(o) {
			operator = o
			break
		}
	}
	if operator == "" {
		return nil, f.bad("an operator is missing after " + path)
	}
	if !f.cut("(") {
		return f.compare(fld, operator)
	}
	c, err := f.joined("OR", func() (condition[T], error) { return f.compare(fld, operator) },
		func(a, b condition[T]) condition[T] { return func(e T) bool { return a(e) || b(e) } })
	if err != nil {
		return nil, err
	}
	f.space()
	if !f.cut(")") {
		return nil, f.bad("a parenthesis is not closed")
	}
	return c, nil
}

// compare reads one value.
func (f *filter[T]) compare(fld *field[T], operator string) (condition[T], error) {
	value, quoted, err := f.value()
	if err != nil {
		return nil, err
	}
	if !quoted && strings.Contains(value, "*") && (value != "*" || operator != ":") {
		return nil, f.bad("a wildcard stands only alone and after a colon")
	}
	c, why := fld.condition(operator, value, value == "*" && !quoted)
	if why != "" {
		return nil, f.bad(why)
	}
	return c, nil
}

// value reads what goes on to the next space or parenthesis, or what is in quotes.
func (f *filter[T]) value() (value string, quoted bool, err error) {
	f.space()
	for _, quote := range []string{`"`, `'`} {
		if f.cut(quote) {
			value, rest, closed := strings.Cut(f.rest, quote)
			if !closed {
				return "", true, f.bad("a quote is not closed")
			}
			f.rest = rest
			return value, true, nil
		}
	}
	end := strings.IndexAny(f.rest, " \t\n()\"'<>=~")
	if end < 0 {
		end = len(f.rest)
	}
	if end == 0 {
		return "", false, f.bad("a value is missing")
	}
	value, f.rest = f.rest[:end], f.rest[end:]
	return value, false, nil
}

func (f *filter[T]) space() { f.rest = strings.TrimLeft(f.rest, " \t\n") }

func (f *filter[T]) cut(prefix string) bool {
	rest, found := strings.CutPrefix(f.rest, prefix)
	if found {
		f.rest = rest
	}
	return found
}

// word skips a keyword: one that a space or a parenthesis follows.
func (f *filter[T]) word(keyword string) bool {
	rest, found := strings.CutPrefix(strings.TrimLeft(f.rest, " \t\n"), keyword)
	if !found || rest == "" || !strings.ContainsAny(rest[:1], " \t\n(") {
		return false
	}
	f.rest = rest
	f.space()
	return true
}
