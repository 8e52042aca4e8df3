package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A module is one Go module of this repository.
type module struct {
	dir    string // from the root
	path   string
	tested int // packages that have tests
}

// findModules finds the modules in the root, one level down, and in integration. That leaves
// out internal/tools, which has no code of ours.
func findModules(ctx context.Context) ([]module, error) {
	var modules []module
	for _, pattern := range []string{"go.mod", "*/go.mod", "integration/*/go.mod"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			m := module{dir: filepath.Dir(file)}
			out, err := goList(ctx, m.dir, "-m")
			if err != nil {
				return nil, err
			}
			m.path, _, _ = strings.Cut(out, "\n")
			// -e: a package that does not compile is the tests' to report.
			out, err = goList(ctx, m.dir, "-e", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}", "./...")
			if err != nil {
				return nil, err
			}
			m.tested = len(strings.Fields(out))
			modules = append(modules, m)
		}
	}
	if len(modules) == 0 {
		return nil, fmt.Errorf("no go.mod here: run this in the root of the repository")
	}
	return modules, nil
}

// goList returns what go list prints in dir.
func goList(ctx context.Context, dir string, args ...string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", append([]string{"list"}, args...)...)
	cmd.Dir = dir
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go list in %s: %w\n%s", dir, err, stderr.Bytes())
	}
	return string(out), nil
}

// parallel is how many tests of a package run at once. Many wait most of their time, for a
// timeout or an election, so that it is more than there are cores.
var parallel = strconv.Itoa(2 * runtime.GOMAXPROCS(0))

// timeout is how long the tests of one package may take, on a slow machine too.
const timeout = "30m"

// testModule runs the tests of one module and counts their results.
func (r *run) testModule(ctx context.Context, m module, race bool) {
	// make lint runs vet. Here it would look through all dependencies of integration, Vault
	// itself among them: minutes where nothing is cached.
	args := []string{"go", "test", "-json", "-shuffle=on", "-vet=off", "-parallel=" + parallel, "-timeout=" + timeout}
	if race {
		args = append(args, "-race")
	}
	cmd := r.command(ctx, m.dir, append(args, "./...")...)
	failures := 0
	packages := newResults()
	r.setStatus(packages.running)
	defer r.setStatus(nil)

	// The events of go test come on its stdout, which another goroutine writes.
	pr, pw := io.Pipe()
	cmd.Stdout = pw
	var err error
	go func() {
		err = cmd.Run()
		_ = pw.Close() // never fails
	}()
	for decoder := json.NewDecoder(pr); ; {
		var e event
		if decodeErr := decoder.Decode(&e); decodeErr != nil {
			if decodeErr != io.EOF {
				r.check("the events of go test in "+m.path, decodeErr)
				_, _ = io.Copy(r.printer, io.MultiReader(decoder.Buffered(), pr)) // what it says instead
			}
			break
		}
		if p := packages.add(e); p != nil {
			failures += r.packageDone(m, p)
		}
	}
	// A module that could not even be loaded has no package to blame.
	if err != nil && failures == 0 {
		r.check("go test in "+m.path, err)
	}
}

// packageDone prints and counts the result of one package. It returns how many tests failed.
func (r *run) packageDone(m module, p *packageResult) (failed int) {
	name := path.Join(m.dir, strings.TrimPrefix(p.name, m.path))
	if p.action == "skip" {
		r.untested = append(r.untested, name)
		return 0
	}
	c := p.count()
	r.mu.Lock()
	r.passed += c.passed
	r.failed += c.failed
	r.mu.Unlock()
	for _, s := range c.skipped {
		r.skip(name+" "+s.name, s.reason)
	}
	for _, what := range p.notRun {
		r.skip(name, what)
	}
	line := fmt.Sprintf("%7.1fs  %-24s %d passed", p.elapsed.Seconds(), name, c.passed)
	if len(c.skipped) > 0 {
		line += fmt.Sprintf(", %d skipped", len(c.skipped))
	}
	if p.action != "fail" {
		r.printf("ok    %s", line)
	} else {
		r.printf("FAIL  %s, %d failed: %s", line, c.failed, strings.Join(c.failures, " "))
		r.printf("%s", strings.TrimRight(p.failureOutput(), "\n"))
	}
	for _, s := range p.said {
		r.printf("      %s", s)
	}
	return c.failed
}

// A duration that go test gives in seconds.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
