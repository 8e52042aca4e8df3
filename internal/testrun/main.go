// Command testrun runs the tests of every module in this repository and says what it did.
//
//	go run ./internal/testrun            what `make test` does
//	go run ./internal/testrun -fuzz 10s  what `make fuzz` does: each fuzz target for so long
//
// It lists first what it will run, prints one line for each package as it ends and a sign
// of life whenever 25 seconds passed in silence, then lists everything that was not run
// with the reason. The last line is "N passed, N failed": tests and subtests that have no
// subtests of their own, and one for each step that is not a Go test. It exits with 1 if
// anything failed.
//
// The race detector is on wherever it works. Where it does not (it needs a C compiler),
// the tests run without it and testrun says so.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"time"
)

func main() {
	fuzz := flag.Duration("fuzz", 0, "run each fuzz target for this long instead of the tests")
	flag.Parse()
	if !passes(*fuzz) {
		os.Exit(1)
	}
}

// passes runs the tests, or the fuzz targets for so long each, and reports whether all passed.
func passes(fuzz time.Duration) bool {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r := &run{printer: newPrinter(os.Stdout)}
	var err error
	if fuzz > 0 {
		err = r.fuzz(ctx, fuzz)
	} else {
		err = r.test(ctx)
	}
	r.report(err)
	return r.failed == 0
}

// A run is what was done so far.
type run struct {
	*printer
	mu             sync.Mutex // guards what follows
	passed, failed int
	notRun         []string // what was not run, each with its reason
	untested       []string // packages without tests
}

// A step is a program whose exit tells whether it passed.
type step struct {
	name string
	dir  string // present only if the step exists
	args []string
}

// steps are what runs beside the tests of the modules.
var steps = []step{
	{"mutants", "internal/mutants", []string{"go", "run", "./internal/mutants"}},
}

// hasty is the module whose tests lose what they test if the machine is busy: its access tokens live
// for seconds. Nothing runs beside it.
const hasty = "integration/refresh"

// test runs the tests of all modules, then the other steps.
func (r *run) test(ctx context.Context) error {
	modules, err := findModules(ctx)
	if err != nil {
		return err
	}
	race, why := raceDetector(ctx)

	r.printf("To run, with -shuffle=on:")
	for _, m := range modules {
		r.printf("  %-12s %d packages with tests in %s", m.dir, m.tested, m.path)
	}
	for _, s := range steps {
		if !isDir(s.dir) {
			r.skip(s.name, "there is no "+s.dir)
			continue
		}
		r.printf("  %-12s %s", s.name, strings.Join(s.args, " "))
	}
	if race {
		r.printf("The race detector is on.")
	} else {
		r.printf("WITHOUT the race detector: %s.", why)
		r.skip("the race detector", why)
	}

	// The steps run beside the last modules, whose tests wait a lot: those after the library.
	var wg sync.WaitGroup
	for i, m := range modules {
		if i == min(1, len(modules)-1) {
			wg.Go(func() { r.do(ctx, steps) })
		}
		if m.dir == hasty {
			wg.Wait()
		}
		r.printf("\n== %s", m.path)
		r.testModule(ctx, m, race)
	}
	wg.Wait()
	return ctx.Err()
}

// do runs the steps that exist.
func (r *run) do(ctx context.Context, steps []step) {
	for _, s := range steps {
		if isDir(s.dir) {
			r.printf("\n== %s", s.name)
			r.check(s.name, r.command(ctx, ".", s.args...).Run())
		}
	}
}

// check counts a step that is not a Go test.
func (r *run) check(name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failed++
		r.printf("FAIL  %s: %v", name, err)
		return
	}
	r.passed++
	r.printf("ok    %s", name)
}

// skip remembers what was not run.
func (r *run) skip(what, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notRun = append(r.notRun, what+": "+why)
}

// report prints what was not run and the last line. An err is what stopped the run.
func (r *run) report(err error) {
	r.printf("")
	if len(r.untested) > 0 {
		r.printf("Packages without tests of their own: %s", strings.Join(r.untested, " "))
	}
	if len(r.notRun) == 0 {
		r.printf("Everything was run.")
	} else {
		r.printf("NOT run:")
		for _, s := range r.notRun {
			r.printf("  %s", s)
		}
	}
	if err != nil {
		r.failed++
		r.printf("Stopped early: %v", err)
	}
	r.printf("\n%d passed, %d failed", r.passed, r.failed)
}

// command is a program whose output goes where the run's goes. It is interrupted
// when ctx ends, so that it can stop its own children.
func (r *run) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stdout, cmd.Stderr = r.printer, r.printer
	return cmd
}

// raceDetector reports whether tests can run under the race detector and, if not, why.
func raceDetector(ctx context.Context) (ok bool, why string) {
	out, err := exec.CommandContext(ctx, "go", "env", "CC", "CGO_ENABLED").Output()
	if err != nil {
		return false, "go env: " + err.Error()
	}
	cc, cgo, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	name, _, _ := strings.Cut(cc, " ")
	if _, err := exec.LookPath(name); err != nil {
		return false, fmt.Sprintf("it needs a C compiler and %q is not installed", name)
	}
	if cgo != "1" {
		return false, "it needs cgo and CGO_ENABLED is " + cgo
	}
	// A compiler may be there and still not work, and not every platform has the detector.
	build := exec.CommandContext(ctx, "go", "build", "-race", "-buildvcs=false", "-o", os.DevNull, "./internal/testrun")
	if out, err := build.CombinedOutput(); err != nil {
		return false, "a build with -race says: " + strings.TrimSpace(string(out))
	}
	return true, ""
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}
