package vault_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
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
		path "kv/data/a"            { capabilities = ["create", "read", "update"] }
		path "kv/data/a*"           { capabilities = ["read"] }
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

// The tokens that both have, besides "root". No life ends while the test runs.
var compareTokens = map[string]vaultstoretest.Token{
	"reader":   {Policies: []string{"reader"}, TTL: 100 * time.Hour},
	"creator":  {Policies: []string{"creator"}, TTL: 100 * time.Hour},
	"updater":  {Policies: []string{"updater"}, TTL: 100 * time.Hour, MaxTTL: 300 * time.Hour},
	"patcher":  {Policies: []string{"patcher"}, TTL: 100 * time.Hour, Batch: true},
	"deleter":  {Policies: []string{"deleter"}, TTL: 100 * time.Hour, Fixed: true},
	"mixed":    {Policies: []string{"mixed"}, TTL: 200 * time.Hour, Period: 200 * time.Hour},
	"nothing":  {Policies: []string{"nothing"}, TTL: 100 * time.Hour},
	"few":      {Policies: []string{"reader"}, TTL: 100 * time.Hour, Uses: 20},
	"several":  {Policies: []string{"mixed", "updater"}, TTL: 100 * time.Hour},
	"mayfly-0": {Policies: []string{"reader"}, TTL: 100 * time.Hour},
	"mayfly-1": {Policies: []string{"mixed"}, TTL: 100 * time.Hour, Uses: 7},
	"mayfly-2": {Policies: []string{"creator"}, TTL: 100 * time.Hour, Batch: true},
}

// A drawer draws requests. What it has learned of the answers makes the interesting
// ones common: writes with the right cas, reads of versions that there are.
type drawer struct {
	*rand.Rand
	version map[string]int // the newest of each key, by mount and key
}

func newDrawer(seed uint64) *drawer {
	return &drawer{Rand: rand.New(rand.NewPCG(seed, 0)), version: map[string]int{}}
}

// learn remembers what an answer says about the newest version.
func (d *drawer) learn(r request, a answer) {
	p := r.place()
	name := p.mount + ":" + p.key
	var body struct {
		Data struct {
			Version *int `json:"version"`
			Current *int `json:"current_version"`
		}
	}
	switch {
	case p.mount == "" || p.area == "v1":
	case r.method == "DELETE" && p.area == "metadata" && a.status == 204:
		delete(d.version, name)
	case a.status == 200 && json.Unmarshal([]byte(a.body), &body) == nil:
		if n := body.Data.Version; n != nil && p.area == "data" {
			d.version[name] = *n
		}
		if n := body.Data.Current; n != nil {
			d.version[name] = *n
		}
	}
}

// percent is true so often.
func (d *drawer) percent(n int) bool { return d.IntN(100) < n }

// oneOf draws one of several.
func oneOf[T any](d *drawer, list ...T) T { return list[d.IntN(len(list))] }

// menu is how often what is asked for, in a thousand.
var menu = []struct {
	share int
	draw  func(*drawer) request
}{
	{230, (*drawer).putData},
	{120, (*drawer).getData},
	{60, (*drawer).patchData},
	{45, (*drawer).deleteData},
	{110, (*drawer).versions},
	{25, (*drawer).subkeys},
	{75, (*drawer).getMetadata},
	{40, (*drawer).putMetadata},
	{40, (*drawer).patchMetadata},
	{12, (*drawer).deleteMetadata},
	{45, (*drawer).list},
	{15, (*drawer).getConfig},
	{20, (*drawer).putConfig},
	{65, (*drawer).version1},
	{40, (*drawer).ownToken},
	{30, (*drawer).system},
	{28, (*drawer).odd},
}

// request draws one.
func (d *drawer) request() request {
	n := d.IntN(1000)
	var r request
	for _, dish := range menu {
		if n -= dish.share; n < 0 {
			r = dish.draw(d)
			break
		}
	}
	if r.token == "" {
		r.token = d.token()
	}
	if r.method == "PUT" && d.percent(30) {
		r.method = "POST"
	}
	if d.percent(3) {
		r.headers = append(r.headers, d.header())
	}
	if r.token == "none" {
		r.token = ""
	}
	return r
}

// token draws who asks.
func (d *drawer) token() string {
	if d.percent(80) {
		return "root"
	}
	return oneOf(d, "reader", "creator", "updater", "patcher", "deleter", "mixed", "mixed", "mixed", "several", "nothing",
		"few", "login", "none", "none", "hvs.unknown", "mayfly-0", "mayfly-1", "mayfly-2", "hvb.unknown", "s.old", "text")
}

// header draws one that means something to Vault.
func (d *drawer) header() string {
	return oneOf(d,
		"X-Vault-Namespace: team", "X-Vault-Request: true", "Content-Type: application/json", "Content-Type: text/plain",
		"Authorization: Bearer TOKEN", "Authorization: Basic dTpw", "X-Vault-Forward: active-node",
		"X-Vault-Inconsistent: forward-active-node", "X-Vault-Index: v1:a:1:0", "X-Vault-No-Request-Forwarding: true",
	)
}

// key draws a key of a mount of KV version 2.
func (d *drawer) key() string {
	switch n := d.IntN(100); {
	case n < 86:
		return oneOf(d, "a", "a", "b", "a/b", "dir/x", "app/one", "app/two/deep")
	case n < 94: // what comes and goes
		return fmt.Sprint("app/", d.IntN(30))
	}
	return oneOf(d, "a/", "A", "..a", "a..b", "a%20b", "a+b", "%C3%A9", "%25", "a%3Fb", "*", "a%2Fb", "%FF", "a%01b", "a//b",
		"a/../b", "y%2F..%2Fb", "b%2F", "a%2F", "", "%2Fa", "+", "a|1", "data", "config", "dir", "app/two", "..", ".", "%2E%2E/b",
		"a;b", "a:b", "a@b", "a&b=c", "'", "%22", "a%5Cb", "%E2%80%8B", strings.Repeat("k", 300))
}

// mount draws one of KV version 2.
func (d *drawer) mount() string {
	if d.percent(85) {
		return "kv"
	}
	return "deep/kv"
}

// at draws a path of an area, and says which version is the newest there.
func (d *drawer) at(area string) (target string, newest int) {
	mount, key := d.mount(), d.key()
	r := request{method: "GET", target: "/v1/" + mount + "/" + area + "/" + key}
	p := r.place()
	return r.target, d.version[p.mount+":"+p.key]
}

// near draws the number of a version: mostly one that there is or was.
func (d *drawer) near(newest int) int {
	switch n := d.IntN(10); {
	case n < 4:
		return newest
	case n < 8 && newest > 0:
		return 1 + d.IntN(newest)
	}
	return d.IntN(14) - 1
}
