package vaultstoretest

import (
	"fmt"
	"slices"
	"strings"
)

// A Policy says what tokens that have it may do. What no rule allows is denied.
//
// https://developer.hashicorp.com/vault/docs/concepts/policies
type Policy []Rule

// A Rule gives capabilities at paths.
type Rule struct {
	// Path is an API path without /v1/ and without the namespace, such as
	// "secret/data/app/*". An asterisk at its end stands for anything, a plus
	// sign between slashes for one segment.
	Path string
	// Capabilities are create, read, update, patch, delete, list, sudo and deny.
	// Deny beats the others. Create is for what does not exist yet, update for
	// what does: writing needs both, unless the program knows.
	Capabilities []string
}

var capabilities = []string{"create", "read", "update", "patch", "delete", "list", "sudo", "deny", "recover", "subscribe"}

// check refuses what Vault does not accept as a policy.
func (p Policy) check() error {
	for _, rule := range p {
		if strings.Contains(rule.Path, "+*") {
			return fmt.Errorf("path %q: invalid use of wildcards ('+*' is forbidden)", rule.Path)
		}
		for _, c := range rule.Capabilities {
			if !slices.Contains(capabilities, c) {
				return fmt.Errorf("path %q: invalid capability %q", rule.Path, c)
			}
		}
	}
	return nil
}

// defaultPolicy is Vault's policy of that name without the two paths that depend on who
// has it.
//
// vault/policy_store.go
var defaultPolicy = Policy{
	{"auth/token/lookup-self", []string{"read"}},
	{"auth/token/renew-self", []string{"update"}},
	{"auth/token/revoke-self", []string{"update"}},
	{"sys/capabilities-self", []string{"update"}},
	{"sys/internal/ui/resultant-acl", []string{"read"}},
	{"sys/renew", []string{"update"}},
	{"sys/leases/renew", []string{"update"}},
	{"sys/leases/lookup", []string{"update"}},
	{"cubbyhole/*", []string{"create", "read", "update", "delete", "list"}},
	{"sys/wrapping/wrap", []string{"update"}},
	{"sys/wrapping/lookup", []string{"update"}},
	{"sys/wrapping/unwrap", []string{"update"}},
	{"sys/tools/hash", []string{"update"}},
	{"sys/tools/hash/*", []string{"update"}},
	{"sys/control-group/request", []string{"update"}},
	{"identity/oidc/provider/+/authorize", []string{"read", "update"}},
}

// An acl is the policies of a token put together: rules for the same path become
// one.
type acl struct {
	root  bool
	rules map[string]map[string]bool // path with its wildcards: capabilities
}

func newACL(policies []Policy, space string) *acl {
	a := &acl{rules: map[string]map[string]bool{}}
	for _, policy := range policies {
		for _, rule := range policy {
			path := space + strings.TrimPrefix(rule.Path, "/")
			if a.rules[path] == nil {
				a.rules[path] = map[string]bool{}
			}
			for _, c := range rule.Capabilities {
				a.rules[path][c] = true
			}
		}
	}
	return a
}

// allows decides about an operation at a path with its namespace.
//
// vault/acl.go, AllowOperation
func (a *acl) allows(op operation, path string) bool {
	if a.root {
		return true
	}
	set := a.at(op, path)
	return set[string(op)] && !set["deny"]
}

// sudo tells whether an operation that needs that may be done.
func (a *acl) sudo(op operation, path string) bool { return a.root || a.at(op, path)["sudo"] }

// at returns the capabilities at a path. Lists look for rules without the slash at
// the end too.
func (a *acl) at(op operation, path string) map[string]bool {
	path = strings.TrimLeft(path, "/")
	if set, ok := a.exact(path); ok {
		return set
	}
	short := strings.TrimSuffix(path, "/")
	if op == opList && short != path {
		if set, ok := a.exact(short); ok {
			return set
		}
		if set := a.pattern(short); set != nil {
			return set
		}
	}
	return a.pattern(path)
}

func (a *acl) exact(path string) (map[string]bool, bool) {
	if isPattern(path) {
		return nil, false
	}
	set, ok := a.rules[path]
	return set, ok
}

func isPattern(rule string) bool { return strings.HasSuffix(rule, "*") || hasSegment(rule) }

// hasSegment tells whether a rule has a plus sign that stands for a segment.
func hasSegment(rule string) bool {
	return rule == "+" || strings.HasPrefix(rule, "+/") || strings.Contains(rule, "/+")
}

// pattern returns the capabilities of the best of the rules with wildcards that
// match.
func (a *acl) pattern(path string) map[string]bool {
	best := ""
	for rule := range a.rules {
		if isPattern(rule) && matches(rule, path) && (best == "" || worse(best, rule)) {
			best = rule
		}
	}
	if best == "" {
		return nil
	}
	return a.rules[best]
}

// matches tells whether a rule with wildcards is about a path.
func matches(rule, path string) bool {
	text, prefix := strings.CutSuffix(rule, "*")
	if !hasSegment(rule) {
		return strings.HasPrefix(path, text)
	}
	want, have := strings.Split(text, "/"), strings.Split(path, "/")
	if len(have) < len(want) || !prefix && len(have) != len(want) {
		return false
	}
	for i, segment := range want {
		last := i == len(want)-1
		if segment != "+" && segment != have[i] && !(prefix && last && strings.HasPrefix(have[i], segment)) {
			return false
		}
	}
	return true
}

// worse tells whether rule a has to stand back behind rule b: its first wildcard
// comes earlier, or it ends in an asterisk and b does not, or it has more plus signs,
// or it is shorter, or it is first in the alphabet.
//
// vault/acl.go, CheckAllowedFromNonExactPaths
func worse(a, b string) bool {
	if i, j := firstWildcard(a), firstWildcard(b); i != j {
		return i < j
	}
	textA, prefixA := strings.CutSuffix(a, "*")
	textB, prefixB := strings.CutSuffix(b, "*")
	if prefixA != prefixB {
		return prefixA
	}
	if i, j := pluses(textA), pluses(textB); i != j {
		return i > j
	}
	if len(textA) != len(textB) {
		return len(textA) < len(textB)
	}
	return textA < textB
}

func firstWildcard(rule string) int {
	if hasSegment(rule) {
		return strings.Index(rule, "+")
	}
	return len(rule) - 1
}

func pluses(rule string) int {
	n := 0
	for segment := range strings.SplitSeq(rule, "/") {
		if segment == "+" {
			n++
		}
	}
	return n
}

// reaches tells whether there is any capability at or below the path of a mount.
//
// vault/logical_system.go, hasMountAccess
func (a *acl) reaches(mount string) bool {
	if a.root || useful(a.at(opList, mount)) {
		return true
	}
	segments := false
	for rule := range a.rules {
		segments = segments || hasSegment(rule)
	}
	if !segments && a.pattern(mount) != nil {
		return true // also if it denies: vault/acl.go, CheckAllowedFromNonExactPaths
	}
	for rule, set := range a.rules {
		text := strings.TrimSuffix(rule, "*")
		if !useful(set) {
			continue
		}
		if strings.HasPrefix(text, mount) || hasSegment(rule) && reachesBelow(text, mount) {
			return true
		}
	}
	return false
}

// reachesBelow compares a rule with plus signs segment by segment.
func reachesBelow(rule, mount string) bool {
	want, have := strings.Split(rule, "/"), strings.Split(strings.TrimSuffix(mount, "/"), "/")
	if len(want) < len(have) {
		return false
	}
	for i, segment := range have {
		if want[i] != "+" && want[i] != segment {
			return false
		}
	}
	return true
}

func useful(set map[string]bool) bool { return len(set) > 0 && !set["deny"] }
