package scale

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A table is a table of Markdown.
type table struct{ strings.Builder }

func newTable(head ...string) *table {
	t := &table{}
	t.row(head...)
	t.row(slices.Repeat([]string{"---"}, len(head))...)
	return t
}

func (t *table) row(cells ...string) { fmt.Fprintf(t, "| %s |\n", strings.Join(cells, " | ")) }

// thousands writes a number with commas.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// decimal writes a number with a decimal if it has one.
func decimal(x float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0")
}

func dollars(x float64) string {
	if x >= 100 {
		return "$" + thousands(int(x+0.5))
	}
	return fmt.Sprintf("$%.2f", x)
}

// of returns the results of a scenario on a service, as they stand in the file.
func of(all []*result, scenario, on string) (list []*result) {
	for _, r := range all {
		if r.Scenario == scenario && (on == "" || r.Service == on) {
			list = append(list, r)
		}
	}
	return list
}

// sizeName rounds what a Region has room for.
func sizeName(n int) string {
	if n == most {
		n = 500_000
	}
	return thousands(n)
}

// coldOps are the operations of a process that knows nothing, in the order of the tables.
var coldOps = []string{"find by user", "save an access token", "rotate", "sign up", "delete"}

func growthTables(all []*result) string {
	var b strings.Builder
	for _, s := range services {
		list := of(all, "growth", s.name)
		if len(list) == 0 {
			continue
		}
		head := []string{s.name + ", calls by tokens"}
		for _, r := range list {
			head = append(head, sizeName(r.Tokens))
		}
		t := newTable(head...)
		for _, kind := range coldOps {
			cells := []string{kind}
			for _, r := range list {
				o := r.Ops[kind]
				cell := decimal(o.Calls)
				if float64(o.MaxCalls) > o.Calls {
					cell += fmt.Sprintf(" (%d)", o.MaxCalls)
				}
				cells = append(cells, cell)
			}
			t.row(cells...)
		}
		cells := []string{"index secrets"}
		for _, r := range list {
			cells = append(cells, thousands(r.Index.Secrets))
		}
		t.row(cells...)
		fmt.Fprintf(&b, "%s\n", t)
	}
	return b.String()
}

// scenarios are those that many people or much time are in, in the order of the tables.
var scenarios = []struct{ name, op string }{
	{"sign-ups", "sign-up"}, {"rotation", "rotation"}, {"import", "import"}, {"large store", ""},
}

func scenarioTables(all []*result) string {
	var b strings.Builder
	t := newTable("scenario", "service", "tokens", "saves", "calls for a save", "index writes for a save", "refused with a quota or throttled", "callers told of an error",
		"index secrets (leaves in use)", "storage, a month", "calls")
	for _, sc := range scenarios {
		for _, r := range of(all, sc.name, "") {
			saves := r.saves()
			t.row(r.title(), r.Service, sizeName(r.Tokens), thousands(saves), fmt.Sprintf("%.2f", float64(r.total())/float64(saves)),
				fmt.Sprintf("%.2f", float64(r.IndexWrites)/float64(saves)), thousands(r.throttled()), r.told(),
				secretsOf(r), r.dollars(r.Month), r.dollars(r.Price))
		}
	}
	fmt.Fprintf(&b, "%s\n", t)

	t = newTable("scenario", "service", "operation", "times", "calls", "at most", "p50", "p99", "at most")
	for _, sc := range scenarios {
		for _, r := range of(all, sc.name, "") {
			for _, kind := range slices.Sorted(maps.Keys(r.Ops)) {
				o := r.Ops[kind]
				t.row(r.title(), r.Service, kind, thousands(o.Times), decimal(o.Calls), thousands(o.MaxCalls), seconds(o.P50), seconds(o.P99), seconds(o.Max))
			}
		}
	}
	fmt.Fprintf(&b, "%s\n", t)

	t = newTable("scenario", "service", "calls by kind", "refused")
	for _, sc := range scenarios {
		for _, r := range of(all, sc.name, "") {
			t.row(r.title(), r.Service, listed(r.Calls), listed(r.Refused))
		}
	}
	fmt.Fprintf(&b, "%s\n", t)
	return b.String()
}

func (r *result) title() string { return strings.TrimSuffix(r.Scenario+", "+r.Variant, ", ") }

func (r *result) total() (n int) {
	for _, times := range r.Calls {
		n += times
	}
	return n
}

// saves are the operations that save something: a bulk saves all tokens.
func (r *result) saves() (n int) {
	for kind, o := range r.Ops {
		switch kind {
		case "sign-up", "rotation":
			n += o.Times
		case "import", "rotation of all":
			n += o.Times * r.Tokens
		case "save an access token", "rotate", "sign up", "delete", "warm: save an access token", "warm: rotate", "warm: sign up", "warm: delete":
			n += o.Times
		}
	}
	return n
}

// throttled counts the calls that were refused for a quota.
func (r *result) throttled() (n int) {
	for what, times := range r.Refused {
		for _, code := range []string{"ThrottlingException", "LimitExceededException", "ResourceExhausted", "HTTP 429"} {
			if strings.HasPrefix(what, code) {
				n += times
			}
		}
	}
	return n
}

func (r *result) told() string {
	if len(r.Errors) == 0 {
		return "0"
	}
	return listed(r.Errors)
}

func (r *result) dollars(x float64) string {
	if r.Service == "Vault" {
		return ""
	}
	return dollars(x)
}

func listed(counts map[string]int) string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %s", thousands(counts[what]), what))
	}
	return strings.Join(parts, ", ")
}

func seconds(millis int) string {
	if millis < 1000 {
		return fmt.Sprintf("%d ms", millis)
	}
	return fmt.Sprintf("%s s", decimal(float64(millis)/1000))
}

func memoryTable(all []*result) string {
	t := newTable("service", "tokens", "a store that found and saved", "MB in memory", "MB at most in `All`")
	for _, r := range of(all, "large store", "") {
		t.row(r.Service, sizeName(r.Tokens), thousands(r.Ops["warm: first find by user"].Times), thousands(r.Heap>>20), thousands(r.HeapOfList>>20))
	}
	return t.String()
}

// secretsOf says how many index secrets there are, how many of them are leaves in use, and
// how many are left when it is quiet again.
func secretsOf(r *result) string {
	text := fmt.Sprintf("%s (%s)", thousands(r.Index.Secrets), thousands(r.Index.Leaves))
	if r.Rested > 0 {
		text += ", then " + thousands(r.Rested)
	}
	return text
}
