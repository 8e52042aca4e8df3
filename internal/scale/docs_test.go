package scale

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what was measured into docs/scale.md, docs/scale.svg and docs/cost.md")

// The generated parts of documents stand between these lines, with a name.
const (
	partBegins = "<!-- %s: measured, made by make bench-scale -->\n"
	partEnds   = "<!-- %s: end -->\n"
)

// What the documents show is what was measured last.
func TestTheDocumentsShowWhatWasMeasured(t *testing.T) {
	all, err := readMeasured()
	if err != nil || len(all) == 0 {
		t.Fatalf("%d results in %s, %v", len(all), measuredFile, err)
	}
	for _, part := range []struct {
		file, name string
		text       string
	}{
		{"../../docs/scale.md", "growth", growthTables(all)},
		{"../../docs/scale.md", "scenarios", scenarioTables(all)},
		{"../../docs/scale.md", "memory", memoryTable(all)},
		{"../../docs/cost.md", "sizes", costTables(all)},
	} {
		was := contents(t, part.file)
		now, err := replacePart(was, part.name, part.text)
		if err != nil {
			t.Errorf("%s: %v", part.file, err)
			continue
		}
		same(t, part.file, was, now)
	}
	same(t, "../../docs/scale.svg", contents(t, "../../docs/scale.svg"), plot(all))
}

func contents(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}

// same makes sure that a document is as it has to be, or makes it so.
func same(t *testing.T, file, was, now string) {
	t.Helper()
	switch {
	case was == now:
	case *update:
		if err := os.WriteFile(file, []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s does not show what %s has: run `make bench-scale`, or this test with -update", file, measuredFile)
	}
}

func replacePart(text, name, part string) (string, error) {
	begins, ends := fmt.Sprintf(partBegins, name), fmt.Sprintf(partEnds, name)
	before, rest, ok := strings.Cut(text, begins)
	_, after, ended := strings.Cut(rest, ends)
	if !ok || !ended {
		return "", fmt.Errorf("it has no part between %q and %q", begins, ends)
	}
	return before + begins + "\n" + part + "\n" + ends + after, nil
}
