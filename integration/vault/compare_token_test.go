package vault_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// The policies of the tokens: each capability alone, denials, both wildcards.
var comparePolicies = map[string]string{
	"reader": `
		path "kv/*"         { capabilities = ["read", "list"] }
		path "one/*"        { capabilities = ["read", "list"] }
		path "deep/kv/*"    { capabilities = ["deny"] }
		path "sys/mounts"   { capabilities = ["read"] }`,
	"creator": `
		path "kv/data/*"     { capabilities = ["create"] }
		path "kv/metadata/*" { capabilities = ["create"] }
		path "one/*"         { capabilities = ["create"] }
		path "deep/*"        { capabilities = ["create"] }`,
	"updater": `
		path "kv/*"  { capabilities = ["update"] }
		path "one/*" { capabilities = ["update"] }`,
	"patcher": `
		path "kv/data/*"     { capabilities = ["patch"] }
		path "kv/metadata/*" { capabilities = ["patch", "list"] }`,
	"deleter": `
		path "+/data/+"     { capabilities = ["delete"] }
		path "+/metadata/*" { capabilities = ["delete", "list"] }
		path "one/+"        { capabilities = ["delete"] }`,
	"mixed": `
		path "kv/data/a"            { capabilities = ["create", "read", "update", "delete"] }
		path "kv/data/a*"           { capabilities = ["read", "delete"] }
		path "kv/data/+/x"          { capabilities = ["create", "update", "patch", "delete"] }
		path "kv/data/dir/*"        { capabilities = ["create", "update", "read"] }
		path "kv/data/dir/x"        { capabilities = ["deny"] }
		path "kv/data/app/+/deep"   { capabilities = ["create", "read", "update"] }
		path "kv/data/app/+/*"      { capabilities = ["read"] }
		path "kv/+/app/one"         { capabilities = ["create", "read", "update", "delete", "patch"] }
		path "kv/metadata"          { capabilities = ["list"] }
		path "kv/metadata/+"        { capabilities = ["list"] }
		path "kv/metadata/dir/"     { capabilities = ["list"] }
		path "kv/metadata/+/x"      { capabilities = ["read", "update", "create"] }
		path "kv/config"            { capabilities = ["read"] }
		path "deep/+/data/*"        { capabilities = ["create", "read", "update", "delete", "patch"] }
		path "one/dir"              { capabilities = ["list"] }
		path "one/a*"               { capabilities = ["create", "read", "update"] }
		path "one/a/b"              { capabilities = ["read", "deny"] }
		path "sys/mounts"           { capabilities = ["read"] }`,
	"nothing": `path "elsewhere/*" { capabilities = ["read"] }`,
}

// drawnPolicies is how many policies a seed draws, each with a token.
const drawnPolicies = 8

// policy draws one, of paths that are near to those of the requests.
func (d *drawer) policy() string {
	rules := map[string]string{}
	for range 2 + d.IntN(8) {
		path := []string{oneOf(d, "kv", "kv", "kv", "kv", "one", "deep/kv", "deep", "+")}
		if d.percent(90) {
			path = append(path, oneOf(d, "data", "data", "metadata", "+", "delete", "undelete", "destroy", "subkeys", "a", "dir", "config"))
			for range d.IntN(4) {
				path = append(path, oneOf(d, "a", "b", "dir", "x", "app", "one", "two", "+", "+"))
			}
		}
		text := strings.Join(path, "/")
		switch n := d.IntN(10); {
		case n < 3:
			text += "/*"
		case n < 5 && !strings.HasSuffix(text, "+"): // "+*" is none
			text += "*"
		case n < 6:
			text += "/"
		}
		var can []string
		for _, c := range []string{"create", "read", "update", "patch", "delete", "list"} {
			if d.percent(50) {
				can = append(can, strconv.Quote(c))
			}
		}
		if d.percent(12) {
			can = append(can, `"deny"`)
		}
		rules[text] = fmt.Sprintf("path %q { capabilities = [%s] }\n", text, strings.Join(can, ", "))
	}
	return strings.Join(slices.Sorted(maps.Values(rules)), "")
}

// The tokens that both have, besides "root" and those of the drawn policies. No life
// ends while the test runs.
var compareTokens = map[string]vaultstoretest.Token{
	"reader":  {Policies: []string{"reader"}, TTL: 100 * time.Hour},
	"creator": {Policies: []string{"creator"}, TTL: 100 * time.Hour},
	"updater": {Policies: []string{"updater"}, TTL: 100 * time.Hour, MaxTTL: 300 * time.Hour},
	"patcher": {Policies: []string{"patcher"}, TTL: 100 * time.Hour, Batch: true},
	"deleter": {Policies: []string{"deleter"}, TTL: 100 * time.Hour, Fixed: true},
	"mixed":   {Policies: []string{"mixed"}, TTL: 200 * time.Hour, Period: 200 * time.Hour},
	"nothing": {Policies: []string{"nothing"}, TTL: 100 * time.Hour},
	"few":     {Policies: []string{"reader"}, TTL: 100 * time.Hour, Uses: 20},
	"several": {Policies: []string{"mixed", "updater"}, TTL: 100 * time.Hour},
	"capped":  {Policies: []string{"reader"}, TTL: 100 * time.Hour, MaxTTL: 300 * time.Hour},
}

const (
	mayflies = 20 // tokens that are revoked, sooner or later
	shorts   = 24 // tokens that are good for few requests
)

func (d *drawer) mayfly() string { return fmt.Sprint("mayfly-", d.IntN(mayflies)) }
func (d *drawer) short() string  { return fmt.Sprint("short-", d.IntN(shorts)) }

// tokens returns all of them.
func (d *drawer) tokens() map[string]vaultstoretest.Token {
	tokens := maps.Clone(compareTokens)
	for i := range drawnPolicies {
		name := fmt.Sprint("drawn-", i)
		tokens[name] = vaultstoretest.Token{Policies: []string{name}, TTL: 100 * time.Hour}
	}
	for i := range mayflies {
		tokens[fmt.Sprint("mayfly-", i)] = vaultstoretest.Token{Policies: []string{"mixed"}, TTL: 100 * time.Hour, Batch: i%5 == 0}
	}
	for i := range shorts {
		tokens[fmt.Sprint("short-", i)] = vaultstoretest.Token{Policies: []string{"mixed"}, TTL: 100 * time.Hour, Uses: 1 + i%4}
	}
	return tokens
}

// The roles to log in with.
var compareRoles = []vaultstoretest.Role{
	{Name: "app", RoleID: "app-role", SecretID: "app-secret", Policies: []string{"reader"}, TTL: 200 * time.Hour, MaxTTL: 300 * time.Hour},
	{Name: "clumsy", RoleID: "clumsy-role", SecretID: "clumsy-secret", Policies: []string{"mixed"}, TTL: 100 * time.Hour},
}
