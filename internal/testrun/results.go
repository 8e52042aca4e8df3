package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// An event is one line of go test -json; see `go doc test2json`.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output: the package that is built
	Test        string
	Elapsed     float64 // seconds
	Output      string
	FailedBuild string // of fail: the ImportPath whose build failed
	Key, Value  string // of attr: what a test measured
}

// notRun is the attribute by which a test says what it left out, and why, in the words "what: why".
const notRun = "notrun"

// results follows the events of all packages of one go test.
type results struct {
	mu       sync.Mutex // running is asked for by another goroutine
	packages map[string]*packageResult
	builds   map[string]*strings.Builder // build output by ImportPath
}

// A packageResult is what is known of one package's tests.
type packageResult struct {
	name    string
	action  string // pass, fail or skip once it is done
	elapsed time.Duration
	tests   map[string]*testResult
	started []string // the names of tests, in order
	output  []outputLine
	build   string   // what the compiler said, if it failed
	said    []string // what tests measured, one line each
	notRun  []string // what tests say that they left out although they ran, each once
}

type testResult struct {
	action string // run, pass, fail or skip
	since  time.Time
}

type outputLine struct{ test, text string }

func newResults() *results {
	return &results{packages: map[string]*packageResult{}, builds: map[string]*strings.Builder{}}
}

// add takes in an event. It returns the package that the event ends, or nil.
func (rs *results) add(e event) *packageResult {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if e.Package == "" {
		if e.Action == "build-output" {
			b := rs.builds[e.ImportPath]
			if b == nil {
				b = &strings.Builder{}
				rs.builds[e.ImportPath] = b
			}
			b.WriteString(e.Output)
		}
		return nil
	}
	p := rs.packages[e.Package]
	if p == nil {
		p = &packageResult{name: e.Package, tests: map[string]*testResult{}}
		rs.packages[e.Package] = p
	}
	switch {
	case e.Action == "output":
		p.output = append(p.output, outputLine{e.Test, e.Output})
	case e.Action == "attr" && e.Key == notRun:
		if !slices.Contains(p.notRun, e.Value) {
			p.notRun = append(p.notRun, e.Value)
		}
	case e.Action == "attr":
		p.said = append(p.said, e.Key+": "+e.Value)
	case e.Test != "" && e.Action == "run":
		p.tests[e.Test] = &testResult{action: "run", since: time.Now()}
		p.started = append(p.started, e.Test)
	case e.Test != "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip"):
		if t := p.tests[e.Test]; t != nil {
			t.action = e.Action
		}
	case e.Test == "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip"):
		p.action, p.elapsed = e.Action, seconds(e.Elapsed)
		if b := rs.builds[e.FailedBuild]; b != nil {
			p.build = b.String()
		}
		delete(rs.packages, e.Package)
		return p
	}
	return nil
}

// running says what runs now: each package with the test that runs longest in it.
func (rs *results) running() string {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.packages) == 0 {
		return "building"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(rs.packages)) {
		parts = append(parts, rs.packages[name].running())
	}
	return "running " + strings.Join(parts, ", ")
}

func (p *packageResult) running() string {
	name := path.Base(p.name)
	for _, test := range p.started {
		if t := p.tests[test]; t.action == "run" {
			return fmt.Sprintf("%s.%s (%.0fs)", name, test, time.Since(t.since).Seconds())
		}
	}
	return name
}

// A count sums a package up: tests that have no subtests, and tests that failed
// although none of their subtests did. A package that failed with no test to blame
// counts as one failure.
type count struct {
	passed, failed int
	failures       []string
	skipped        []skipped
}

type skipped struct{ name, reason string }

func (p *packageResult) count() count {
	isParent, blamed := map[string]bool{}, map[string]bool{}
	for name, t := range p.tests {
		for i := strings.LastIndex(name, "/"); i > 0; i = strings.LastIndex(name[:i], "/") {
			isParent[name[:i]] = true
			if t.failed() {
				blamed[name[:i]] = true
			}
		}
	}
	var c count
	for _, name := range p.started {
		switch t := p.tests[name]; {
		case t.failed():
			if !blamed[name] {
				c.failed++
				c.failures = append(c.failures, name)
			}
		case isParent[name]:
		case t.action == "skip":
			c.skipped = append(c.skipped, skipped{name, p.skipReason(name)})
		default:
			c.passed++
		}
	}
	if p.action == "fail" && c.failed == 0 {
		c.failed = 1
		c.failures = []string{"the package itself"}
	}
	return c
}

// failed reports whether the test failed, or was still running when its package ended.
func (t *testResult) failed() bool { return t.action == "fail" || t.action == "run" }

// skipReason is the last thing that a skipped test said.
func (p *packageResult) skipReason(test string) string {
	reason := "it gives no reason"
	for _, line := range p.output {
		if text := strings.TrimSpace(line.text); line.test == test && text != "" && !isFrame(text) {
			reason = text
		}
	}
	return reason
}

// failureOutput is what a reader needs of a failed package: what the compiler said,
// the output of the tests that failed and what belongs to no test, which has the seed of
// the shuffle.
func (p *packageResult) failureOutput() string {
	var b strings.Builder
	b.WriteString(p.build)
	for _, line := range p.output {
		t := p.tests[line.test]
		if t != nil && !t.failed() || strings.HasPrefix(strings.TrimSpace(line.text), "=== ") {
			continue
		}
		b.WriteString("      " + line.text)
	}
	return b.String()
}

// isFrame reports whether a line of output is go test's own.
func isFrame(text string) bool {
	return strings.HasPrefix(text, "=== ") || strings.HasPrefix(text, "--- ")
}
