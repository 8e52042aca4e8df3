package vault_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// report says what differs, and how to come there again by hand: with the fewest of
// the requests about the same key after which both, begun anew, still differ.
func (c *comparison) report(t testing.TB, diff *difference) string {
	t.Helper()
	last := c.past[diff.number]
	var before []step
	for _, s := range c.past[:diff.number] {
		if last.touches(s.request) {
			before = append(before, s)
		}
	}
	note := fmt.Sprintf("both, begun anew, differ after these %%d of the %d that touched the same", len(before))
	if least, ok := c.shrink(t, before, last); ok {
		note, before = fmt.Sprintf(note, len(least)), least
	} else {
		note = "both, begun anew, do not differ after those that touched the same, which are these"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "request %d of seed %d is answered differently (V: by Vault, D: by the double):\n%s\n\n%s\n\n%s:\n", diff.number, c.drawer.seed, last.request,
		sideBySide(diff.vault, diff.double), note)
	for _, s := range before {
		fmt.Fprintf(&text, "%s\n    %s\n", s.request, s.said)
	}
	fmt.Fprintf(&text, "again with -compare.seed=%d", c.drawer.seed)
	return text.String()
}

// sideBySide marks the lines that only one of two answers has: "V" Vault, "D" the double.
func sideBySide(vault, double string) string {
	v, d := strings.Split(indented(vault), "\n"), strings.Split(indented(double), "\n")
	head, tail := 0, 0
	for head < min(len(v), len(d)) && v[head] == d[head] {
		head++
	}
	for tail < min(len(v), len(d))-head && v[len(v)-1-tail] == d[len(d)-1-tail] {
		tail++
	}
	var lines []string
	mark := func(mark string, list []string) {
		for _, line := range list {
			if len(line) > 2000 {
				line = fmt.Sprintf("%s... (%d bytes)", line[:2000], len(line))
			}
			lines = append(lines, mark+line)
		}
	}
	mark("  ", v[:head])
	mark("V ", v[head:len(v)-tail])
	mark("D ", d[head:len(d)-tail])
	mark("  ", v[len(v)-tail:])
	return strings.Join(lines, "\n")
}

// shrink looks for the fewest requests before the last that still make a difference,
// for half a minute: it leaves out more and more of them, the halves first.
func (c *comparison) shrink(t testing.TB, before []step, last step) ([]step, bool) {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	again := func(before []step) ([]step, bool) {
		a := &comparison{pair: c.pair, reached: map[string]int{}}
		a.fresh(t)
		for _, s := range before {
			a.step(t, s.request) // that these differ too does not matter
		}
		_, diff := a.step(t, last.request)
		return a.past[:len(before)], diff != nil
	}
	before, differs := again(before)
	if !differs {
		return nil, false
	}
	for size := (len(before) + 1) / 2; size > 0; size /= 2 {
		for at := len(before) - size; at > -size && time.Now().Before(end); at -= size {
			without, differs := again(slices.Concat(before[:max(at, 0)], before[at+size:]))
			if differs {
				before = without
			}
		}
	}
	return before, true
}
