package vault_test

import (
	"fmt"
	"strings"
)

func (d *drawer) getMetadata() request {
	target, _ := d.at("metadata")
	if d.percent(3) {
		target += oneOf(d, "?x=1", "?path=b", "?version=1", "?max_versions=x", "?list=0")
	}
	return request{method: "GET", target: target}
}

// settings draws members of metadata or of a configuration. At most one is of the
// wrong type: Vault names any of several.
func (d *drawer) settings(custom string) string {
	members := []string{
		entry("max_versions", fmt.Sprint(oneOf(d, 0, 0, 1, 2, 3, 5, 12))),
		entry("cas_required", oneOf(d, "true", "false", "false", "false")),
		entry("delete_version_after", oneOf(d, `"100h"`, `"200h"`, `"300h"`, `"0s"`, `"0s"`, `"0s"`, `360000`, `"360000"`)),
		custom,
	}
	for i := range members {
		if d.percent(50) {
			members[i] = ""
		}
	}
	if !d.percent(15) {
		return object(members...)
	}
	members[3] = ""
	switch d.IntN(3) {
	case 0:
		members[0] = entry("max_versions", oneOf(d, `"4"`, `"x"`, `-1`, `null`, `1.5`, `4294967295`, `4294967296`, `4294967298`, `true`, `[]`, `[2]`,
			`""`, `{}`, `1e1`, `99999999999999999999`, `2.0`, `"0x3"`))
	case 1:
		members[1] = entry("cas_required", oneOf(d, `"true"`, `"false"`, `"x"`, `""`, `0`, `1`, `2`, `null`, `[]`, `{}`, `1.5`, `"T"`, `"yes"`))
	default:
		members[2] = entry("delete_version_after", oneOf(d, `"-1s"`, `"-5s"`, `-1`, `"x"`, `""`, `null`, `true`, `[]`, `{}`, `"1ns"`, `"-1ns"`, `"0"`,
			`"500ms"`, `0.5`, `360000.5`, `"360000.5"`, `"25d"`, `"9000000h"`, `9000000000000`, `1e20`, `" 0s"`, `"1e3h"`, `"0h0m"`))
	}
	return object(members...)
}

// custom draws the member custom_metadata. At most one value is of a type that is no
// text: Vault names any of several.
func (d *drawer) custom() string {
	if d.percent(6) {
		return entry("custom_metadata", oneOf(d, `null`, `[]`, `"x"`, `{}`, `1`, `[{"a":"1"},{"b":"2"}]`, `true`, `""`, `[1]`))
	}
	var members []string
	for _, name := range []string{"a", "b", "owner"} {
		if d.percent(50) {
			members = append(members, entry(name, oneOf(d, `"1"`, `"2"`, `"x y"`, `"é"`, `"<&>"`)))
		}
	}
	if d.percent(30) {
		members = append(members, oneOf(d, `"n":5`, `"n":1.5`, `"n":true`, `"n":null`, `"n":{}`, `"n":[]`, `"n":["x"]`, `"n":{"m":1}`, `"n":""`, `"":"v"`,
			`"n":"\u0001"`, `"\u0001":"v"`, `"n":"`+strings.Repeat("v", 512)+`"`, `"n":"`+strings.Repeat("v", 513)+`"`,
			`"`+strings.Repeat("n", 128)+`":"v"`, `"`+strings.Repeat("n", 129)+`":""`, `"n":"é\u200b"`, `"n":1e400`, `"n":"\ud800"`,
			`"m":"","n":""`, `"n":12345678901234567890`, `"n":"`+strings.Repeat("é", 256)+`"`, `"n":"`+strings.Repeat("é", 257)+`"`, `"n":[1]`))
	}
	if d.percent(3) {
		for i := range oneOf(d, 61, 62, 64, 65) {
			members = append(members, entry(fmt.Sprint("k", i), `"v"`))
		}
	}
	return entry("custom_metadata", object(members...))
}

func (d *drawer) putMetadata() request {
	target, _ := d.at("metadata")
	return request{method: "PUT", target: target, body: d.spoil(d.settings(d.custom()))}
}

func (d *drawer) patchMetadata() request {
	target, _ := d.at("metadata")
	custom := d.custom()
	switch n := d.IntN(100); {
	case n < 8: // a number is no text for a patch
		custom = entry("custom_metadata", `{"n":5}`)
	case n < 45:
		custom = entry("custom_metadata", object(entry(oneOf(d, "a", "b", "owner"), "null"), entry("c", oneOf(d, "null", `"3"`))))
	}
	return d.patch(target, d.settings(custom))
}

func (d *drawer) deleteMetadata() request {
	target, _ := d.at("metadata")
	return request{method: "DELETE", target: target}
}

func (d *drawer) list() request {
	prefix := oneOf(d, "", "/", "/a", "/a/", "/dir", "/dir/", "/app", "/app/", "/app/two/", "/none", "/dir//", "/a%2F", "/b")
	r := request{method: "LIST", target: "/v1/" + d.mount() + "/metadata" + prefix}
	if d.percent(30) {
		r.method = "GET"
		r.target += oneOf(d, "?list=true", "?list=1", "?list=T", "?list=true&exclude_deleted=true", "?list=true&list=false", "?list=true&x=1")
	} else if d.percent(35) {
		r.target += oneOf(d, "?exclude_deleted=true", "?exclude_deleted=1", "?exclude_deleted=x", "?exclude_deleted=", "?x=1", "?list=maybe",
			"?list=false", "?after=a", "?path=b", "?exclude_deleted=true&x=1")
	}
	if d.percent(5) {
		r.target = "/v1/kv/" + oneOf(d, "data", "data/a", "data/", "config", "subkeys/a", "delete/a", "", "none")
	}
	return r
}

func (d *drawer) getConfig() request {
	return request{method: "GET", target: "/v1/" + d.mount() + "/config" + oneOf(d, "", "", "", "", "?x=1", "?max_versions=x", "/", "/x")}
}

func (d *drawer) putConfig() request {
	return request{method: "PUT", target: "/v1/" + d.mount() + "/config", body: d.spoil(d.settings(""))}
}
