package vault_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
)

// A drawer draws requests. What it has learned of the answers makes the interesting
// ones common: writes with the right cas, reads of versions that there are.
type drawer struct {
	*rand.Rand
	seed     uint64
	policies map[string]string
	version  map[string]int // the newest of each key, by mount and key
	drawn    int
	next     []request // before others are drawn
}

func newDrawer(seed uint64) *drawer {
	d := &drawer{Rand: rand.New(rand.NewPCG(seed, 0)), seed: seed, policies: maps.Clone(comparePolicies), version: map[string]int{}}
	for i := range drawnPolicies {
		d.policies[fmt.Sprint("drawn-", i)] = d.policy()
	}
	return d
}

// newest is the newest version of a key, as far as is known.
func (d *drawer) newest(p place) int { return d.version[p.mount+":"+p.key] }

// learn remembers what an outcome says about the newest version.
func (d *drawer) learn(o outcome) {
	name := o.mount + ":" + o.key
	switch {
	case o.mount == "" || o.area == "v1":
	case o.kind == "DELETE metadata" && o.status == 204:
		delete(d.version, name)
	case (o.kind == "PUT data" || o.kind == "PATCH data") && o.status == 200:
		d.version[name] = o.version()
	case o.kind == "GET metadata" && o.status == 200:
		n, _ := o.data["current_version"].(float64)
		d.version[name] = int(n)
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
	{15, (*drawer).lookUp},
	{13, (*drawer).renew},
	{4, (*drawer).revoke},
	{5, (*drawer).login},
	{6, (*drawer).capabilities},
	{28, (*drawer).system},
	{27, (*drawer).odd},
}

// request draws one.
func (d *drawer) request() request {
	d.drawn++
	if len(d.next) > 0 {
		r := d.next[0]
		d.next = d.next[1:]
		return r
	}
	n := d.IntN(1000)
	var r request
	for _, dish := range menu {
		if n -= dish.share; n < 0 {
			r = dish.draw(d)
			break
		}
	}
	if d.drawn%atLimitEvery == 0 {
		r = d.atLimit()
	}
	if r.token == "" {
		r.token = d.token()
	}
	if r.method == "PUT" && d.percent(30) {
		r.method = "POST"
	}
	if d.percent(3) && !strings.HasSuffix(r.target, "/revoke-self") { // not the root token
		r.headers = append(r.headers, d.header())
	}
	if r.token == "none" {
		r.token = ""
	}
	return r
}

// token draws who asks.
func (d *drawer) token() string {
	switch n := d.IntN(100); {
	case n < 74:
		return "root"
	case n < 81:
		return fmt.Sprint("drawn-", d.IntN(drawnPolicies))
	case n < 96:
		return oneOf(d, "reader", "reader", "creator", "updater", "updater", "patcher", "deleter", "mixed", "mixed", "several", "several", "nothing")
	}
	return oneOf(d, "few", "login", "none", "none", "hvs.unknown", d.mayfly(), d.short(), "hvb.unknown", "s.old", "text")
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
	return r.target, d.newest(r.place())
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
