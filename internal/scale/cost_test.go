package scale

import (
	"fmt"
	"strings"
)

// rotations are how often a refresh token is rotated in a month of 30 days.
var rotations = []struct {
	name  string
	month int
}{{"none", 0}, {"once a day", 30}, {"once an hour", 720}}

// A rate bounds how many writes a service takes.
const (
	awsPuts      = 50  // PutSecretValue a second, in a Region
	googleWrites = 600 // a minute, in a project
)

// costTables reckons what a store costs a month by its size, from what was measured.
func costTables(all []*result) string {
	var b strings.Builder
	for _, on := range []string{"AWS", "Google"} {
		t := newTable(on+", tokens", "index secrets", "calls of a rotation", "none", "once a day", "once an hour")
		for _, r := range of(all, "growth", on) {
			o := r.Ops["rotate"]
			cells := []string{sizeName(r.Tokens), thousands(r.Index.Secrets), decimal(o.Calls)}
			for _, each := range rotations {
				cells = append(cells, monthly(r, each.month))
			}
			t.row(cells...)
		}
		fmt.Fprintf(&b, "%s\n", t)
	}
	t := newTable("Vault, tokens", "index secrets", "calls of a rotation", "a second, once a day", "a second, once an hour")
	for _, r := range of(all, "growth", "Vault") {
		calls := r.Ops["rotate"].Calls
		perSecond := func(month int) string {
			return fmt.Sprintf("%.4g", calls*float64(r.Tokens*month)/(30*24*3600))
		}
		t.row(sizeName(r.Tokens), thousands(r.Index.Secrets), decimal(calls), perSecond(30), perSecond(720))
	}
	fmt.Fprintf(&b, "%s\n", t)
	return b.String()
}

// monthly returns what a store costs whose tokens are rotated so often a month by
// processes that know nothing, or that the quotas do not allow it.
func monthly(r *result, times int) string {
	rotated := float64(r.Tokens * times)
	secrets := float64(r.Tokens + r.Index.Secrets)
	perSecond := rotated / (30 * 24 * 3600)
	if r.Service == "AWS" {
		if 2*perSecond > awsPuts {
			return "beyond 50 writes a second"
		}
		return dollars(0.40*secrets + 0.05/10_000*rotated*r.Ops["rotate"].Calls)
	}
	accesses, writes := r.Ops["rotate"].onGoogle()
	if writes*perSecond*60 > googleWrites {
		return "beyond 600 writes a minute"
	}
	accesses *= rotated
	return dollars(0.06*max(0, secrets-6) + 0.03/10_000*max(0, accesses-10_000))
}

// onGoogle returns how many accesses, which are paid for, and how many writes, which the
// project has a quota of, an operation takes in the mean.
func (o opResult) onGoogle() (accesses, writes float64) {
	for method, n := range o.Methods {
		switch {
		case method == "AccessSecretVersion":
			accesses += float64(n)
		case !strings.HasPrefix(method, "Get") && !strings.HasPrefix(method, "List"):
			writes += float64(n)
		}
	}
	return accesses / float64(o.Times), writes / float64(o.Times)
}
