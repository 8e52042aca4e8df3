package judge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

// A Log is what one worker wrote.
type Log struct {
	// Worker is its number.
	Worker int
	// Killed: it did not end by itself, and what it had begun may have happened.
	Killed bool
	// Confined is what it sees of its confinement, and Ended that it said that it did all that it
	// had to do: its first line, and its last one. They are not among Lines.
	Confined *oplog.Confined
	Ended    bool
	Lines    []oplog.Line
	// Bad are lines that are none.
	Bad []string
	// Trace is what it wrote to its standard error, as far as that was kept.
	Trace string

	// lastBad is how many lines there were before the last bad one.
	lastBad int
}

// Add reads a line.
func (l *Log) Add(text []byte) {
	var line oplog.Line
	if err := json.Unmarshal(bytes.TrimSpace(text), &line); err != nil {
		l.Bad, l.lastBad = append(l.Bad, string(text)), len(l.Lines)
		return
	}
	switch {
	case line.Confined != nil:
		l.Confined = line.Confined
	case line.Ended:
		l.Ended = true
	default:
		l.Lines = append(l.Lines, line)
	}
}

// cutShort reports whether all that is bad is the very last line of a worker that was killed
// while it wrote.
func (l *Log) cutShort() bool { return l.Killed && len(l.Bad) == 1 && l.lastBad == len(l.Lines) }

// A client is one goroutine of a worker, which does one operation after the other.
type client struct {
	last int // the operation that it began last
	open *op // what it has begun and not ended
}

// read collects the operations of a log, and makes sure that it has no hole: each client
// numbers its operations, and begins one when the one before has ended.
func (j *judging) read(l *Log, final bool) {
	j.leaks(l)
	if len(l.Bad) > 0 && !l.cutShort() {
		j.violation(BadLog, "worker %d wrote %.80q", l.Worker, l.Bad)
	}
	if !l.Killed && !l.Ended {
		j.violation(BadLog, "worker %d did not say that it ended, and nobody killed it", l.Worker)
	}
	clients := map[int]*client{}
	for _, line := range l.Lines {
		switch {
		case line.Begin != nil:
			c := clients[line.Begin.Client]
			if c == nil {
				c = &client{}
				clients[line.Begin.Client] = c
			}
			if c.open != nil {
				j.violation(BadLog, "%v never ended, and others of its client follow", c.open)
				j.ops = append(j.ops, *c.open)
			}
			o := op{worker: l.Worker, begin: *line.Begin, call: line.At}
			if o.begin.Op != c.last+1 {
				j.violation(BadLog, "%v follows operation %d", o, c.last)
			}
			c.last, c.open = o.begin.Op, &o
		case line.End != nil:
			c := clients[line.End.Client]
			if c == nil || c.open == nil || c.last != line.End.Op {
				j.violation(BadLog, "operation %d of client %d of worker %d ended and had not begun", line.End.Op, line.End.Client, l.Worker)
				continue
			}
			c.open.end, c.open.returns = line.End, line.At
			j.ops = append(j.ops, *c.open)
			c.open = nil
		case line.Look != nil && final:
			j.looks = append(j.looks, *line.Look)
		case line.Problem != "":
			j.violation(Unexplained, "worker %d: %s", l.Worker, line.Problem)
		}
	}
	for _, n := range sorted(clients) {
		if o := clients[n].open; o != nil {
			if !l.Killed {
				j.violation(BadLog, "%v never ended, and nobody killed its worker", o)
			}
			j.ops = append(j.ops, *o)
		}
	}
}

// A log has numbers where a store has these names.
var secret = regexp.MustCompile(`(user|refresh|access|mark)-[0-9]`)

// leaks searches all that a worker wrote for the names and tokens that it worked with: whole
// lines, so that no field is left out.
func (j *judging) leaks(l *Log) {
	search := func(where, text string) {
		if at := secret.FindStringIndex(text); at != nil {
			j.violation(Leak, "worker %d, %s: %.200s", l.Worker, where, text[max(0, at[0]-100):])
		}
	}
	for _, line := range l.Lines {
		text, err := json.Marshal(line)
		if err != nil {
			j.violation(BadLog, "worker %d: %v", l.Worker, err)
		}
		search(fmt.Sprintf("at %d", line.At), string(text))
	}
	for _, text := range l.Bad {
		search("in a bad line", text)
	}
	search("to its standard error", l.Trace)
}
