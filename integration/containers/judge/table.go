package judge

import (
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
)

// A Row is a line of the table: one service.
type Row struct {
	Service string
	Mode    string
	// Faults are what was done while the workers worked.
	Faults map[string]int
	Verdict
}

// Head is the head of the table, in Markdown.
const Head = "| service | mode | ran | operations | faults | longest unavailability | repair found | violations |\n" +
	"|---|---|---|---|---|---|---|---|"

// String is a line of the table.
func (r Row) String() string {
	total := 0
	for _, n := range r.Faults {
		total += n
	}
	return fmt.Sprintf("| %s | %s | %v | %d (%s) | %d (%s) | %.1f s | %s | %d |",
		r.Service, r.Mode, r.Worked.Round(time.Second), r.Operations, list(r.Outcomes), total, list(r.Faults),
		r.Unavailable.Seconds(), repaired(r.Repaired), len(r.Violations))
}

func list(counts map[string]int) string {
	var words []string
	for _, name := range sorted(counts) {
		words = append(words, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(words, ", ")
}

func repaired(problems map[string]oplog.Count) string {
	var words []string
	for _, name := range sorted(problems) {
		if c := problems[name]; c.Found > 0 {
			words = append(words, fmt.Sprintf("%s %d", name, c.Found))
		}
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}
