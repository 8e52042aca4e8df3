package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"github.com/tokenkeep/tokenkeep/token"
)

// A page is where the story is printed, step by step, with the calls that each took.
type page struct {
	w     io.Writer
	calls func() int64
	steps int
}

const width = 80

func (p *page) head(s *service) {
	fmt.Fprintf(p.w, "tokenkeep quickstart: OAuth tokens move from a file into %s.\n\n"+
		"    service  %s\n    prefix   %s\n    calls    %s\n\n", s.kind.title, s.what, s.prefix, s.kind.calls)
}

// step does one step: do says in a few lines what came of it.
func (p *page) step(ctx context.Context, title string, do func(context.Context) (string, error)) error {
	p.steps++
	fmt.Fprintf(p.w, "%2d  %s ", p.steps, title)
	before := p.calls()
	text, err := do(ctx)
	end := plural(int(p.calls()-before), "call")
	if err != nil {
		end = "failed"
	}
	fmt.Fprintln(p.w, strings.Repeat(".", max(3, width-6-utf8.RuneCountInString(title)-len(end))), end)
	if err == nil {
		fmt.Fprintf(p.w, "    %s\n\n", strings.ReplaceAll(text, "\n", "\n    "))
	}
	return err
}

// table returns the lines that fill writes, in columns.
func table(fill func(*tabwriter.Writer) error) (string, error) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	if err := fill(w); err != nil {
		return "", err
	}
	err := w.Flush()
	return strings.TrimRight(b.String(), "\n"), err
}

func cell(v any) string { return cmp.Or(printable(fmt.Sprint(v)), "-") }

// printable keeps a text of the file from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// explain adds to an error what helps a newcomer. None of it holds a secret: the errors of
// tokenkeep do not, and of those of the network only the address is printed.
func explain(err error, k kind) string {
	text := err.Error()
	var network *net.OpError
	switch {
	case errors.Is(err, token.ErrQuota):
		text += "\n" + k.quota
	case errors.Is(err, token.ErrPermission):
		text += "\nThe README says what rights a store needs."
	case errors.As(err, &network):
		text += "\n" + network.Error()
	case errors.Is(err, token.ErrUnavailable):
		text += "\nThe service that is named above does not answer, or has too much to do."
	}
	return text
}
