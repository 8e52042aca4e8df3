package vault_test

import (
	"fmt"
	"strings"
)

// cas draws an option: mostly the right one.
func (d *drawer) cas(newest int) string {
	switch n := d.IntN(100); {
	case n < 60:
		return fmt.Sprint(newest)
	case n < 75:
		return fmt.Sprint(d.near(newest))
	case n < 82:
		return fmt.Sprint(newest + 1)
	}
	now := fmt.Sprint(newest)
	return oneOf(d, `"`+now+`"`, `"`+now+`"`, now+".0", now+".5", now+"e0", `-1`, `"-1"`, `"x"`, `""`, `null`, `true`, `false`, `[]`, `[`+now+`]`,
		`[1,2]`, `{}`, `{"a":1}`, `1e3`, `18446744073709551615`, `18446744073709551616`, `9223372036854775807`, `9223372036854775808`,
		`-9223372036854775808`, `"0x1"`, `"007"`, `" `+now+`"`, `"1e0"`, `"0"`, `"1_0"`, `-0`, `"+`+now+`"`)
}

// options draws the member of that name.
func (d *drawer) options(newest int) string {
	if d.percent(20) {
		return ""
	}
	return entry("options", object(entry("cas", d.cas(newest))))
}

// secret draws the body of a write. At most one of its members is of the wrong type:
// Vault names any of several.
func (d *drawer) secret(newest int) string {
	switch n := d.IntN(100); {
	case n < 3:
		return object(d.options(newest))
	case n < 8:
		return object(entry("data", d.document()))
	case n < 12:
		return object(entry("data", "{}"), entry("options", oneOf(d, `null`, `{}`, `[]`, `"x"`, `""`, `5`, `true`, `[{"cas":1}]`, `{"CAS":1}`,
			`{"cas":1,"x":2}`, `[1]`)))
	}
	return object(entry("data", d.proper()), d.options(newest))
}

func (d *drawer) putData() request {
	target, newest := d.at("data")
	if d.percent(3) {
		target = fmt.Sprint("/v1/kv/data/new/", d.drawn)
		return request{method: "PUT", target: target, body: object(entry("data", d.proper())), token: oneOf(d, "creator", "updater", "mixed", d.mayfly())}
	}
	if d.percent(1) { // null, which cannot be patched
		patch := d.patch(target, object(entry("data", d.proper())))
		patch.token = "root"
		d.next = append(d.next, patch)
		return request{method: "PUT", target: target, body: object(entry("data", "null")), token: "root"}
	}
	r := request{method: "PUT", target: target, body: d.spoil(d.secret(newest))}
	if d.percent(2) {
		r.headers = []string{"Content-Type: application/x-www-form-urlencoded"}
		if d.percent(70) {
			r.body = oneOf(d, "data=1", "a=b&a=c", "%zz", "data", "", "=", "versions=1&versions=2", "a=b;c=d", "&&")
		}
	}
	return r
}

// number draws a parameter of a query that is one.
func (d *drawer) number(name string, n int) string {
	if d.percent(90) {
		return fmt.Sprintf("%s=%d", name, n)
	}
	return name + "=" + oneOf(d, "", "x", "1.5", "0x1", "%201", "99999999999999999999", "true", "-5", "1&"+name+"=2", "01", "1e1", "null", "[1]",
		"1&x=y", "+1", "%zz", "2147483648", "9223372036854775807")
}

func (d *drawer) getData() request {
	target, newest := d.at("data")
	if d.percent(55) {
		target += "?" + d.number("version", d.near(newest))
	} else if d.percent(5) {
		target += oneOf(d, "?x=1", "?path=b", "?data=1", "?list=false", "?list=maybe", "?options=1", "?")
	}
	return request{method: "GET", target: target}
}

func (d *drawer) patchData() request {
	target, newest := d.at("data")
	return d.patch(target, d.secret(newest))
}

// patch draws a request with the right content type, mostly.
func (d *drawer) patch(target, body string) request {
	r := request{method: "PATCH", target: target, body: d.spoil(body), headers: []string{"Content-Type: application/merge-patch+json"}}
	if d.percent(12) {
		r.headers = oneOf(d, nil, []string{"Content-Type: application/json"}, []string{"Content-Type: application/merge-patch+json; charset=utf-8"},
			[]string{"Content-Type: x/y/z;;"}, []string{"Content-Type: APPLICATION/MERGE-PATCH+JSON"}, []string{"Content-Type: text/plain"},
			[]string{"Content-Type: application/x-www-form-urlencoded"}, []string{"Content-Type: application/json-patch+json"})
	}
	return r
}

func (d *drawer) deleteData() request {
	target, _ := d.at("data")
	if d.percent(8) {
		target += oneOf(d, "?version=1", "?versions=1", "?x=1", "?path=b", "?data=1")
	}
	r := request{method: "DELETE", target: target}
	if d.percent(3) {
		r.body = oneOf(d, `{"versions":[1]}`, `{"a":`, `text`)
	}
	return r
}

// versions draws a request about a list of versions.
func (d *drawer) versions() request {
	target, newest := d.at(oneOf(d, "delete", "delete", "undelete", "undelete", "undelete", "destroy"))
	var numbers []string
	for range 1 + d.IntN(3) {
		numbers = append(numbers, fmt.Sprint(d.near(newest)))
	}
	list := "[" + strings.Join(numbers, ",") + "]"
	if d.percent(30) {
		list = oneOf(d, `"`+strings.Join(numbers, ",")+`"`, `["`+strings.Join(numbers, `","`)+`"]`, numbers[0], `"`+numbers[0]+`"`, `[]`, `""`, `null`,
			`[0]`, `[-1]`, `-1`, `["x"]`, `"x"`, `[1.5]`, `1.0`, `{"a":1}`, `{}`, `[[1]]`, `true`, `[true]`, `[999]`, `[null]`, `[1e1]`, `"1,,2"`, `[" 1"]`,
			`"1 2"`, `[99999999999999999999]`, `[{}]`, `["1,2"]`, `[18446744073709551617]`)
	}
	versions := entry("versions", list)
	if d.percent(3) {
		versions = oneOf(d, "", entry("version", "1"), entry("Versions", "[1]"))
	}
	r := request{method: "PUT", target: target, body: d.spoil(object(versions))}
	if d.percent(3) {
		r.body, r.headers = "versions="+numbers[0], []string{"Content-Type: application/x-www-form-urlencoded"}
	}
	return r
}

func (d *drawer) subkeys() request {
	target, newest := d.at("subkeys")
	var query []string
	if d.percent(40) {
		query = append(query, d.number("version", d.near(newest)))
	}
	if len(query) == 0 && d.percent(60) { // Vault names any of two that are wrong
		query = append(query, d.number("depth", d.IntN(5)-1))
	}
	if len(query) > 0 {
		target += "?" + query[0]
	}
	return request{method: "GET", target: target}
}

func (d *drawer) version1() request {
	key := oneOf(d, "a", "a", "a/b", "b", "dir/x", "dir/y", "dir", "data/a")
	switch n := d.IntN(100); {
	case n < 10:
		key = d.key()
	case n < 13:
		key = oneOf(d, "%FF", "a..b", "a%20b")
	}
	r := request{method: oneOf(d, "PUT", "PUT", "PUT", "GET", "GET", "GET", "LIST", "DELETE", "PATCH"), target: "/v1/one/" + key}
	if d.percent(3) {
		r.target = oneOf(d, "/v1/one", "/v1/one/")
	}
	switch r.method {
	case "PUT":
		r.body = d.spoil(d.document())
		if d.percent(40) {
			r.body = d.spoil(object(entry("data", d.document()), d.options(1)))
		}
		if d.percent(15) {
			r.body = oneOf(d, `{"ttl":"30m"}`, `{"ttl":60}`, `{"ttl":"x","a":1}`, `{"lease":"1h"}`, `{"lease":5,"ttl":7}`, `{"ttl":null}`, `{"ttl":-5}`,
				`{"error":"text"}`, `{"error":"text","data":1}`, `{"error":5}`, `{"error":null}`, `{"error":"text","a":1}`, `{"keys":[1]}`,
				`{"http_status_code":200}`, `{"data":null}`, `{"ttl":""}`, `{"ttl":1.5}`, `{"ttl":{}}`, `{"ttl":true}`, `{"ttl":"1d"}`)
		}
	case "PATCH":
		r = d.patch(r.target, d.document())
	case "GET":
		if d.percent(15) {
			r.target += oneOf(d, "?list=true", "?list=1", "?x=1", "?version=1")
		}
	}
	return r
}
