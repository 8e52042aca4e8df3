package vault_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/integration/vaultnode"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

// The least policy of docs/vault.md is read out of that file, so that what operators copy
// is what is tested.

// A right is a capability on one of the engine's endpoints.
type right struct{ capability, endpoint string }

func (r right) String() string { return r.capability + " on " + r.endpoint }

// A rule is one path of a policy.
type rule struct {
	path, endpoint string
	capabilities   []string
}

// A policy is that of the document, for one mount and one prefix.
type policy struct {
	text  string
	rules []rule
}

var (
	block   = regexp.MustCompile("(?s)```hcl\n(.*?)```")
	ruleHCL = regexp.MustCompile(`path "([^"]+)" \{\s*capabilities = \[([^\]]*)\]\s*\}`)
	quoted  = regexp.MustCompile(`"([^"]+)"`)
	rowOf   = regexp.MustCompile("(?m)^\\| `(\\w+)` on `(\\w+)` \\|")
)

// section is the part of docs/vault.md about the least policy.
func section(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/vault.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Least policy\n")
	if !ok {
		t.Fatal("docs/vault.md has no section about the least policy")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// leastPolicy returns the document's policy with a mount and a prefix in their places.
func leastPolicy(t testing.TB, mount, prefix string) policy {
	t.Helper()
	found := block.FindAllStringSubmatch(section(t), -1)
	if len(found) != 1 {
		t.Fatalf("the section about the least policy has %d blocks of hcl, want one", len(found))
	}
	p := policy{text: strings.NewReplacer(`"tokens/`, `"`+mount+"/", "/prod/oauth/", "/"+prefix+"/").Replace(found[0][1])}
	for _, m := range ruleHCL.FindAllStringSubmatch(p.text, -1) {
		path, ok := strings.CutPrefix(m[1], mount+"/")
		r := rule{path: m[1]}
		r.endpoint, _, _ = strings.Cut(path, "/")
		for _, c := range quoted.FindAllStringSubmatch(m[2], -1) {
			r.capabilities = append(r.capabilities, c[1])
		}
		if !ok || len(r.capabilities) == 0 {
			t.Fatalf("the rule for %q is not understood", r.path)
		}
		p.rules = append(p.rules, r)
	}
	if rest := strings.TrimSpace(ruleHCL.ReplaceAllString(p.text, "")); rest != "" || len(p.rules) == 0 {
		t.Fatalf("of the policy this is not understood: %q", rest)
	}
	return p
}

// rights are all that the policy gives.
func (p policy) rights() []right {
	var rights []right
	for _, r := range p.rules {
		for _, c := range r.capabilities {
			rights = append(rights, right{c, r.endpoint})
		}
	}
	return rights
}

// only returns the policy with nothing but the rights that f wants.
func (p policy) only(f func(right) bool) string {
	var text strings.Builder
	for _, r := range p.rules {
		var left []string
		for _, c := range r.capabilities {
			if f(right{c, r.endpoint}) {
				left = append(left, fmt.Sprintf("%q", c))
			}
		}
		if len(left) > 0 {
			fmt.Fprintf(&text, "path %q {\n  capabilities = [%s]\n}\n", r.path, strings.Join(left, ", "))
		}
	}
	return text.String()
}

// without returns the policy without one of its rights.
func (p policy) without(lost right) string {
	return p.only(func(r right) bool { return r != lost })
}

// A tenant is a program whose token has a policy, and what its requests are answered.
type tenant struct {
	*testing.T
	core   *core
	hand   hand
	watch  *watch
	proxy  *proxy
	policy policy
	token  string
	ids    []string // of what was there before
	store  *token.Store
}

// tenant makes one with the least policy, on a mount of its own that keeps so many
// versions. There are two records, written by somebody else.
func (c *core) tenant(t *testing.T, versions int) *tenant {
	t.Helper()
	mount := c.mount(t, versions)
	p := front(t, c.URL(0))
	n := &tenant{T: t, core: c, hand: c.hand(t, mount, "app/oauth"), proxy: p, watch: watched(p), policy: leastPolicy(t, mount, "app/oauth")}
	n.ids = seed(t, c.open(t, mount, n.hand.prefix))
	n.gets(n.policy.text)
	n.token = c.token(t, n.policyName())
	n.store = n.open()
	return n
}

func (n *tenant) policyName() string { return "least-" + n.hand.mount }

// gets writes the policy anew.
func (n *tenant) gets(rules string) { n.core.policy(n.T, n.policyName(), rules) }

// client makes a client with the token.
func (n *tenant) client() *api.Client {
	n.Helper()
	client, err := vaultnode.NewClient(n.proxy.url)
	if err != nil {
		n.Fatal(err)
	}
	client.SetToken(n.token)
	return client
}

// open makes a store of another process with the token.
func (n *tenant) open() *token.Store {
	n.Helper()
	store, err := vaultstore.New(n.client(), n.hand.mount, n.hand.prefix, nil)
	if err != nil {
		n.Fatal(err)
	}
	return store
}

// empty removes everything by hand.
func (n *tenant) empty() {
	n.Helper()
	for _, name := range n.hand.names() {
		n.hand.purge(name)
	}
}

// seen is what somebody else finds under the prefix.
func (n *tenant) seen() map[string]string {
	n.Helper()
	tokens, err := n.core.open(n.T, n.hand.mount, n.hand.prefix).GetTokens(n.Context())
	if err != nil {
		n.Fatal(err)
	}
	seen := map[string]string{"secrets": fmt.Sprint(n.hand.names())}
	for _, t := range tokens {
		seen[t.ID] = fmt.Sprint(t, t.AccessToken.Reveal(), t.RefreshToken.Reveal())
	}
	return seen
}

// refuses makes sure that a method fails, with texts that say why and no secret, and
// leaves everything as it was.
func (n *tenant) refuses(m method, store *token.Store, texts ...string) {
	n.Helper()
	before := n.seen()
	err := m.do(n.Context(), store)
	wantErr(n, m.name, err, token.ErrPermission)
	neverPrinted(n, m.name, err)
	for _, text := range texts {
		if err != nil && !strings.Contains(err.Error(), text) {
			n.Errorf("%s: the text does not say %q: %v", m.name, text, err)
		}
	}
	if diff := cmp.Diff(before, n.seen()); diff != "" {
		n.Errorf("%s was refused, and something changed (-before +after):\n%s", m.name, diff)
	}
}

func (n *tenant) succeeds(m method, store *token.Store) {
	n.Helper()
	if err := m.do(n.Context(), store); err != nil {
		n.Errorf("%s: %v", m.name, err)
	}
}

func TestTheLeastPolicyIsEnoughForEverything(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	for _, versions := range []int{1, 10} {
		t.Run(fmt.Sprintf("on a mount that keeps %d versions", versions), func(t *testing.T) {
			n := c.tenant(t, versions)
			for _, m := range methods(n.ids) {
				n.succeeds(m, n.store)
			}
			// What was deleted is removed by a deletion of a later day.
			dead := n.hand.names()
			n.hand.dayPasses()
			last := user(1)
			store := n.open()
			if err := store.SaveToken(t.Context(), last); err != nil {
				t.Fatal(err)
			}
			if err := store.DeleteToken(t.Context(), last.ID); err != nil {
				t.Fatal(err)
			}
			chosen := 0 // its tombstone stays
			for _, name := range n.hand.names() {
				if slices.Contains(dead, name) && name != "index" {
					chosen++
				}
			}
			if chosen != 1 {
				t.Errorf("%d tombstones of before are left, want one", chosen)
			}
			if refused := n.watch.refused(); len(refused) > 0 {
				t.Errorf("requests were refused: %q", refused)
			}
		})
	}
	t.Run("in a store that is empty", func(t *testing.T) {
		n := c.tenant(t, 1)
		n.empty()
		if err := n.store.SaveToken(t.Context(), user(1)); err != nil {
			t.Error(err)
		}
		if refused := n.watch.refused(); len(refused) > 0 {
			t.Errorf("requests were refused: %q", refused)
		}
	})
}

// losses say, for each right of the policy, what becomes of a tenant that has lost it.
var losses = map[right]func(*tenant, right){
	{"create", "data"}:     losesCreate,
	{"update", "data"}:     losesUpdate,
	{"read", "data"}:       losesRead,
	{"read", "metadata"}:   losesMetadata,
	{"list", "metadata"}:   losesList,
	{"delete", "metadata"}: losesDelete,
	{"update", "destroy"}:  losesDestroy,
	{"read", "config"}:     losesConfig,
}

func TestEachRightOfTheLeastPolicyIsNeeded(t *testing.T) {
	t.Parallel()
	rights := leastPolicy(t, "m", "p").rights()
	var rows []right
	for _, m := range rowOf.FindAllStringSubmatch(section(t), -1) {
		rows = append(rows, right{m[1], m[2]})
	}
	order := func(a, b right) int { return strings.Compare(a.String(), b.String()) }
	for what, of := range map[string][]right{"the table of docs/vault.md": rows, "this test": slices.Collect(maps.Keys(losses))} {
		if diff := cmp.Diff(slices.SortedFunc(slices.Values(rights), order), slices.SortedFunc(slices.Values(of), order), cmp.AllowUnexported(right{})); diff != "" {
			t.Errorf("the policy and %s do not speak of the same rights (-policy +other):\n%s", what, diff)
		}
	}
	c := startCore(t)
	for _, r := range rights {
		t.Run(r.String(), func(t *testing.T) {
			if losses[r] == nil {
				t.Fatal("what is it for?")
			}
			n := c.tenant(t, 10)
			losses[r](n, r)
		})
	}
}
