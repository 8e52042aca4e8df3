//go:build mutants

package rule

import (
	"fmt"
	"os"
	"slices"
)

// mutant is the rule that is off in this process; none if it is empty.
var mutant = fromEnvironment()

// Off reports whether a rule is switched off.
func Off(r Rule) bool { return r == mutant }

// fromEnvironment panics at a rule that does not exist: a run of mutants with a
// misspelt name would look like a rule that nothing tests.
func fromEnvironment() Rule {
	r := Rule(os.Getenv("TOKENKEEP_MUTANT"))
	if r != "" && !slices.Contains(All, r) {
		panic(fmt.Sprintf("TOKENKEEP_MUTANT: no rule %q", string(r)))
	}
	return r
}
