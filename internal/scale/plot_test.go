package scale

import (
	"fmt"
	"math"
	"strings"
)

// The plot has a panel for each service: calls of an operation by tokens.
const (
	panelWidth, panelHeight = 300, 300
	marginLeft, marginTop   = 62, 64
	panelGap                = 48
	plotBottom              = 96
	leastTokens, mostTokens = 10, 500_000
)

// The lines, in colours that the colour-blind tell apart, on light and on dark ground, and
// with marks of their own.
var lines = []struct {
	kind, class string
	mark        string // around 0,0
}{
	{"find by user", "a", `<circle r="4"/>`},
	{"save an access token", "b", `<rect x="-3.5" y="-3.5" width="7" height="7"/>`},
	{"rotate", "c", `<path d="M0 -5 5 4 -5 4Z"/>`},
	{"sign up", "d", `<path d="M0 -5.5 5.5 0 0 5.5 -5.5 0Z"/>`},
	{"delete", "e", `<path d="M-5 -4 5 -4 0 5Z"/>`},
}

const plotStyle = `<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 14px; font-weight: 600 }
.axis { stroke: #57606a }
.grid { stroke: #d0d7de; stroke-width: 1 }
.line { fill: none; stroke-width: 2 }
.a { color: #0072b2 } .b { color: #b35900 } .c { color: #007a5a } .d { color: #a8527f } .e { color: #6e5494 }
.line { stroke: currentColor } .mark { fill: currentColor; stroke: none }
.ground { fill: #ffffff }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.axis { stroke: #8d96a0 }
.grid { stroke: #30363d }
.a { color: #56b4e9 } .b { color: #e69f00 } .c { color: #2dd4a7 } .d { color: #e89cc5 } .e { color: #b9a3e3 }
.ground { fill: #0d1117 }
}
</style>
`

// plot draws how calls grow with the number of tokens.
func plot(all []*result) string {
	top := 4.0
	for _, r := range of(all, "growth", "") {
		for _, kind := range coldOps {
			top = max(top, r.Ops[kind].Calls)
		}
	}
	scale := newScale(top)
	width := marginLeft + len(services)*panelWidth + (len(services)-1)*panelGap + 20
	height := marginTop + panelHeight + plotBottom
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title desc">`+"\n", width, height)
	b.WriteString("<title id=\"title\">Calls of an operation, by the number of tokens</title>\n")
	b.WriteString("<desc id=\"desc\">One panel each for AWS, Google and Vault, from 10 to 500,000 tokens on a logarithmic axis. The numbers are in docs/scale.md.</desc>\n")
	b.WriteString(plotStyle)
	fmt.Fprintf(&b, `<rect class="ground" width="%d" height="%d"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="24">Calls of an operation by a process that knows nothing, in the mean</text>`+"\n", marginLeft)
	for i, s := range services {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", marginLeft+i*(panelWidth+panelGap), marginTop)
		scale.panel(&b, s.name, i == 0)
		for _, l := range lines {
			scale.line(&b, l.class, l.mark, l.kind, of(all, "growth", s.name))
		}
		b.WriteString("</g>\n")
	}
	scale.legend(&b)
	b.WriteString("</svg>\n")
	return b.String()
}

// A vertical is the axis of calls: linear if it is short, else logarithmic.
type vertical struct {
	top   float64
	log   bool
	ticks []float64
}

func newScale(top float64) vertical {
	if top <= 24 {
		v := vertical{top: math.Ceil(top/4) * 4}
		for n := 0.0; n <= v.top; n += 4 {
			v.ticks = append(v.ticks, n)
		}
		return v
	}
	v := vertical{top: 1, log: true}
	for v.ticks = []float64{1}; v.top < top; v.ticks = append(v.ticks, v.top) {
		v.top *= 2
	}
	return v
}

func (v vertical) y(calls float64) float64 {
	if v.log {
		return panelHeight * (1 - math.Log(max(1, calls))/math.Log(v.top))
	}
	return panelHeight * (1 - calls/v.top)
}

func x(tokens int) float64 {
	return panelWidth * math.Log(float64(tokens)/leastTokens) / math.Log(float64(mostTokens)/leastTokens)
}

func (v vertical) panel(b *strings.Builder, title string, first bool) {
	fmt.Fprintf(b, `<text class="title" x="%d" y="-12" text-anchor="middle">%s</text>`+"\n", panelWidth/2, title)
	for _, n := range v.ticks {
		fmt.Fprintf(b, `<path class="grid" d="M0 %.1fH%d"/>`, v.y(n), panelWidth)
		fmt.Fprintf(b, `<text x="-8" y="%.1f" text-anchor="end">%g</text>`+"\n", v.y(n)+4, n)
	}
	for _, n := range []int{10, 100, 1000, 10_000, 100_000, 500_000} {
		fmt.Fprintf(b, `<path class="axis" d="M%.1f %dv5"/>`, x(n), panelHeight)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(n), panelHeight+20, short(n))
	}
	fmt.Fprintf(b, `<path class="axis" d="M0 0V%dH%d" fill="none"/>`+"\n", panelHeight, panelWidth)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">tokens in the store</text>`+"\n", panelWidth/2, panelHeight+40)
	if first {
		fmt.Fprintf(b, `<text transform="translate(-44 %d) rotate(-90)" text-anchor="middle">calls of the service</text>`+"\n", panelHeight/2)
	}
}

func short(n int) string {
	if n >= 1000 {
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprint(n)
}

func (v vertical) line(b *strings.Builder, class, mark, kind string, list []*result) {
	var path, marks strings.Builder
	for i, r := range list {
		o, ok := r.Ops[kind]
		if !ok {
			continue
		}
		step := "L"
		if i == 0 {
			step = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", step, x(r.Tokens), v.y(o.Calls))
		fmt.Fprintf(&marks, `<g class="mark" transform="translate(%.1f %.1f)">%s</g>`, x(r.Tokens), v.y(o.Calls), mark)
	}
	if path.Len() > 0 {
		fmt.Fprintf(b, `<g class="%s"><path class="line" d="%s"/>%s</g>`+"\n", class, path.String(), marks.String())
	}
}

func (v vertical) legend(b *strings.Builder) {
	at := marginLeft
	for _, l := range lines {
		fmt.Fprintf(b, `<g class="%s" transform="translate(%d %d)"><path class="line" d="M0 0H26"/><g class="mark" transform="translate(13 0)">%s</g></g>`,
			l.class, at, marginTop+panelHeight+74, l.mark)
		fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", at+32, marginTop+panelHeight+78, l.kind)
		at += 32 + 8*len(l.kind) + 24
	}
}
