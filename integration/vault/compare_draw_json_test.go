package vault_test

import (
	"fmt"
	"strings"
	"sync"
)

// entry is a member of an object, as text.
func entry(name, value string) string { return fmt.Sprintf("%q:%s", name, value) }

// object is one, of the members that are not empty.
func object(members ...string) string {
	var list []string
	for _, m := range members {
		if m != "" {
			list = append(list, m)
		}
	}
	return "{" + strings.Join(list, ",") + "}"
}

// value draws any JSON.
func (d *drawer) value(depth int) string {
	n := d.IntN(20)
	switch {
	case d.percent(1):
		return oneOf(d, `"\ud800"`, `"\ud800x"`, `"\ude00"`) // halves of a character
	case n < 3 && depth > 0:
		var members []string
		for i := range d.IntN(4) {
			members = append(members, entry(fmt.Sprint(oneOf(d, "a", "b", "é", "<", "x y"), i), d.value(depth-1)))
		}
		return object(members...)
	case n < 5 && depth > 0:
		var items []string
		for range d.IntN(4) {
			items = append(items, d.value(depth-1))
		}
		return "[" + strings.Join(items, ",") + "]"
	case n < 12:
		return oneOf(d, `""`, `"text"`, `"<&>"`, `"é"`, `"\u00e9\u0000\n"`, `"\ud83d\ude00"`, `"\u2028"`, `"😀"`,
			`"null"`, `"1"`, `" "`, `"\/\\\""`)
	}
	return oneOf(d, `0`, `1`, `-1`, `1.5`, `-0`, `0.0`, `1e2`, `1E+2`, `12345678901234567890`, `1e21`, `1e-7`, `0.1`, `123456789.123456789`,
		`true`, `false`, `null`, `null`)
}

// proper draws what the member data should be.
func (d *drawer) proper() string {
	var members []string
	for _, name := range []string{"a", "b", "c", "d"} {
		if d.percent(40) {
			members = append(members, entry(name, d.value(2)))
		}
	}
	return object(members...)
}

// document draws what it may be too.
func (d *drawer) document() string {
	if d.percent(50) {
		return d.proper()
	}
	return oneOf(d, `null`, `[]`, `[{"a":1},{"b":2}]`, `[1]`, `""`, `"text"`, `1`, `true`, `{"":1}`, `[[]]`, `[null]`)
}

// spoil draws what is wrong with a body, mostly nothing.
func (d *drawer) spoil(body string) string {
	if !d.percent(8) {
		return body
	}
	inside := strings.TrimSuffix(body, "}")
	comma := ","
	if inside == "{" {
		comma = ""
	}
	switch d.IntN(8) {
	case 0: // parameters that nobody knows
		return inside + comma + oneOf(d, `"x":1}`, `"z":null,"b":2}`, `"path":"elsewhere"}`, `"path":null}`, `"Data":{}}`, `"":1}`)
	case 1: // a member twice
		return inside + comma + oneOf(d, `"x":1,"x":1}`, `"x":{"y":1,"y":2}}`, `"data":{},"data":{}}`, `"x":1,"\u0078":2}`)
	case 2: // cut
		return body[:d.IntN(len(body)+1)]
	case 3: // something after it
		return body + oneOf(d, "{}", "x", "]", ",", " ", "\n\n", "null", "\x1f\x8b", "//")
	case 4: // something before it
		return oneOf(d, "\ufeff", " \t\r\n", "x", ",", "//\n", "\x1f\x8b", "{") + body
	case 5: // a character less or more
		i := d.IntN(max(len(body), 1))
		if i+1 > len(body) {
			return oneOf(d, "{", "}", "x")
		}
		return body[:i] + oneOf(d, "", `"`, ",", ":", "}", "]", "[", "{", "1", `\`, "\x00", "e", "-", "\xff", "'") + body[i+d.IntN(2):]
	}
	return oneOf(d, ``, `null`, `[]`, `""`, `"text"`, `1`, `true`, `{}`, `[{}]`, ` `, `[`, `{"a"}`, `{"a":}`, `{,}`, `{"a":1,}`, `[1,]`,
		`{a:1}`, `{'a':1}`, `{"a":01}`, `{"a":1e400}`, `{"a":+1}`, `{"a":.5}`, `{"a":nul}`, `{"a":tru}`, `{"a":"\x"}`, `{"a":"\u12"}`,
		`{"a":"\ud800"}`, `{"a" 1}`, `{"a":1 "b":2}`, `{"a"::1}`, `{"a":[1}`, `{"a":{]}`, `{}}`, "{\"a\":\"\n\"}", "{\"a\":\"\xff\"}",
		`{"a":NaN}`, `{"a":1}{"a":1}`, `<a/>`, `a=1`, `{"a":-}`, `{"a":1.}`, `{"a":0x1}`, `{"a":null,"b":[}`, `{1:2}`, `{"a":"b`, `:`, `}`)
}

// Every so many requests one is around a limit that Vault sets to JSON: they are slow.
const atLimitEvery = 1000

// atLimit draws one of them after the other.
func (d *drawer) atLimit() request {
	target, _ := d.at("data")
	n := d.drawn/atLimitEvery + int(d.seed%100)
	return request{method: "PUT", target: target, body: atLimits()[n%len(atLimits())], token: "root"}
}

// atLimits are their bodies.
var atLimits = sync.OnceValue(func() []string {
	data := func(value string) string { return object(entry("data", object(entry("v", value)))) }
	text := func(n int) string { return data(`"` + strings.Repeat("x", n) + `"`) }
	list := func(n int) string { return data("[0" + strings.Repeat(",0", n-1) + "]") }
	nested := func(n int) string { return data(strings.Repeat("[", n-2) + strings.Repeat("]", n-2)) }
	members := func(n int) string {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf(`"%d":0`, i)
		}
		return object(entry("data", object(names...)))
	}
	return []string{
		// Not a body over the limit for all of it: the connection may be cut before the
		// client has read the refusal.
		text(1 << 20), text(1<<20 + 1), list(10_000), list(10_001), members(10_000), members(10_001), nested(300), nested(301),
		data(`"` + strings.Repeat(`\n`, 1<<19) + `"`), data(`"` + strings.Repeat(`\n`, 1<<19) + `x"`),
		data(`"` + strings.Repeat(`é`, 1<<19) + `"`), data(strings.Repeat("1", 400)), data("0." + strings.Repeat("1", 400)),
		object(entry(strings.Repeat("n", 1<<20), "1"), entry("data", "{}")), object(entry(strings.Repeat("n", 1<<20+1), "1")),
		data("[" + strings.TrimSuffix(strings.Repeat("["+strings.TrimSuffix(strings.Repeat("0,", 5000), ",")+"],", 51), ",") + "]"),
		strings.Repeat(" ", 1<<16) + `{"data":{}}`,
	}
})
