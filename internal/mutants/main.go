// Command mutants switches off one safety rule after the other and makes sure that
// the tests notice: a rule whose removal nothing notices is not tested.
//
//	go run ./internal/mutants
//
// It builds the tests with the tag mutants (see package rule) and without the race
// detector, and runs the simulations and storms in full with every rule on, which has
// to pass. Then it runs, for each rule, the tests that look at it, which have to fail:
// by a failed test, not by a panic or for want of time. It prints one line each and
// exits 1 if a mutant survives.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/rule"
)

// A check is a package and those of its tests that look at a rule.
type check struct{ pkg, tests string }

const simulations = "TwoClients|ThreeClients|FiveClients"

// checks names the tests that have to notice that a rule is off: each of them.
var checks = map[rule.Rule][]check{
	rule.CAS: {
		{"token", simulations},
		{"token/memstore", "TestDriver"},
		{"awssm", "TestDriver"},
		{"gcpsm", "TestDriver"},
		{"vaultstore", "TestDriver"},
	},
	rule.WriteID: {
		{"token", simulations},
		{"token/memstore", "TestDriver"},
		{"awssm", "TestPut"},
		{"gcpsm", "TestPut"},
		{"vaultstore", "TestPut"},
	},
	rule.Claim:     {{"token", simulations}},
	rule.Base:      {{"token", simulations}},
	rule.Fence:     {{"token", simulations}},
	rule.Tombstone: {{"token", simulations}},
	rule.Recheck:   {{"token", "Index"}},
	rule.Floor:     {{"token", "FiveClients"}},
	rule.FreshList: {{"token", "Index"}},
	rule.Gap:       {{"gcpsm", "TestGap"}},
	rule.Winner: {
		{"gcpsm", "TestVersions"},
		{"vaultstore", "TestVersions"},
	},
	rule.Once: {{"token", "TestAnIDThatWasRemoved"}},
	rule.Intent: {
		{"tokensource", "TestAThousandProcesses"},
		{"tokensource", "TestARefreshThatFails"},
		{"tokensource", "TestADayInWhich"},
	},
	rule.Time:   {{"tokensource", "TestALeaseThatCameLate"}},
	rule.Lapse:  {{"tokensource", "TestALeaseOfAMachine"}, {"tokensource", "TestARefreshThatFails"}},
	rule.Fenced: {{"tokensource", "TestARecordThatChanges"}, {"tokensource", "TestALoginThatFails"}},
	rule.Belief: {{"tokensource", "TestARecordThatChanges"}},
	rule.Keep:   {{"tokensource", "TestNewTokensThatCannotBeStored"}},
	rule.Seal: {
		{"token", "CrashPoint.*TwoClients.*Grows"},
		{"token", "Orders.*TwoClients.*Grows"},
		{"token", "ThreeClients.*Grows"},
		{"token", "FiveClients"},
	},
}

// limit is how long one run of one package may take.
const limit = 10 * time.Minute

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	ctx := context.Background()
	binaries := make(map[string]string)
	for _, list := range checks {
		for _, c := range list {
			if binaries[c.pkg] != "" {
				continue
			}
			binary := filepath.Join(dir, filepath.Base(c.pkg)+".test")
			build := exec.CommandContext(ctx, "go", "test", "-c", "-tags", "mutants", "-o", binary, "./"+c.pkg) //nolint:gosec // our own packages
			if out, err := build.CombinedOutput(); err != nil {
				return fmt.Errorf("building the tests of %s: %w\n%s", c.pkg, err, out)
			}
			binaries[c.pkg] = binary
		}
	}
	for _, c := range []check{
		{"token", simulations + "|Storms"}, {"awssm", "Storms"}, {"gcpsm", "Storms|Explore"}, {"vaultstore", "Storms"},
		{"tokensource", "TestARefreshThatFails|TestADayInWhich"},
	} {
		start := time.Now()
		if out, err := test(ctx, binaries[c.pkg], c, ""); err != nil {
			return fmt.Errorf("the tests of %s fail with every rule on: %w\n%s", c.pkg, err, out)
		}
		fmt.Printf("%-12s %-16s passed in %v, as it has to\n", "(every rule)", c.pkg, time.Since(start).Round(time.Second))
	}
	survivors := 0
	for _, r := range rule.All {
		if len(checks[r]) == 0 {
			return fmt.Errorf("no test looks at the rule %q", r)
		}
		for _, c := range checks[r] {
			out, err := test(ctx, binaries[c.pkg], c, r)
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				return fmt.Errorf("running the tests of %s: %w", c.pkg, err)
			}
			by := failed.FindSubmatch(out)
			if err == nil || by == nil || bytes.Contains(out, []byte("\npanic: ")) {
				survivors++
				fmt.Printf("%-12s %-16s SURVIVED\n%s\n", r, c.pkg, out[max(0, len(out)-2000):])
				continue
			}
			fmt.Printf("%-12s %-16s caught by %s\n", r, c.pkg, by[1])
		}
	}
	if survivors > 0 {
		return fmt.Errorf("%d survived", survivors)
	}
	return nil
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// test runs tests of a package in its folder, with a rule switched off.
func test(ctx context.Context, binary string, c check, off rule.Rule) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.failfast", "-test.run", c.tests, "-test.timeout", limit.String()) //nolint:gosec // built above
	cmd.Dir = filepath.FromSlash(c.pkg)
	cmd.Env = append(os.Environ(), "TOKENKEEP_MUTANT="+string(off))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.Bytes(), err
}
