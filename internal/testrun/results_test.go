package main

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
)

// play feeds the events to new results and returns the packages that ended.
func play(t *testing.T, events string) []*packageResult {
	t.Helper()
	var done []*packageResult
	rs := newResults()
	for line := range strings.Lines(strings.TrimSpace(events)) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if p := rs.add(e); p != nil {
			done = append(done, p)
		}
	}
	return done
}

func TestCount(t *testing.T) {
	tests := []struct {
		name, events   string
		passed, failed int
		failures       string
		skipped        []skipped
		output         string // that a failed package prints
	}{
		{
			name: "a test with subtests counts as its subtests",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
				{"Action":"run","Package":"p","Test":"TestA/x"}
				{"Action":"run","Package":"p","Test":"TestA/y/z"}
				{"Action":"pass","Package":"p","Test":"TestA/x"}
				{"Action":"pass","Package":"p","Test":"TestA/y/z"}
				{"Action":"pass","Package":"p","Test":"TestA"}
				{"Action":"pass","Package":"p","Elapsed":1.5}`,
			passed: 2,
		},
		{
			name: "a failed subtest counts once and only its output is printed",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
				{"Action":"output","Package":"p","Test":"TestA","Output":"--- FAIL: TestA\n"}
				{"Action":"run","Package":"p","Test":"TestA/x"}
				{"Action":"output","Package":"p","Test":"TestA/x","Output":"a_test.go:1: bad\n"}
				{"Action":"run","Package":"p","Test":"TestA/y"}
				{"Action":"output","Package":"p","Test":"TestA/y","Output":"fine\n"}
				{"Action":"fail","Package":"p","Test":"TestA/x"}
				{"Action":"pass","Package":"p","Test":"TestA/y"}
				{"Action":"fail","Package":"p","Test":"TestA"}
				{"Action":"fail","Package":"p"}`,
			passed: 1, failed: 1, failures: "TestA/x",
			output: "      --- FAIL: TestA\n      a_test.go:1: bad\n",
		},
		{
			name: "a test that fails beside its passing subtests counts",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
				{"Action":"run","Package":"p","Test":"TestA/x"}
				{"Action":"pass","Package":"p","Test":"TestA/x"}
				{"Action":"fail","Package":"p","Test":"TestA"}
				{"Action":"fail","Package":"p"}`,
			passed: 1, failed: 1, failures: "TestA",
		},
		{
			name: "a test that never ended has failed",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
				{"Action":"output","Package":"p","Test":"TestA","Output":"panic: test timed out\n"}
				{"Action":"fail","Package":"p"}`,
			failed: 1, failures: "TestA",
			output: "      panic: test timed out\n",
		},
		{
			name: "a package that fails by itself counts as one failure",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
				{"Action":"pass","Package":"p","Test":"TestA"}
				{"Action":"output","Package":"p","Output":"exit status 3\n"}
				{"Action":"fail","Package":"p"}`,
			passed: 1, failed: 1, failures: "the package itself",
			output: "      exit status 3\n",
		},
		{
			name: "a package that does not compile counts as one failure and shows why",
			events: `{"Action":"build-output","ImportPath":"p [p.test]","Output":"p.go:1: undefined: x\n"}
				{"Action":"build-fail","ImportPath":"p [p.test]"}
				{"Action":"start","Package":"p"}
				{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}`,
			failed: 1, failures: "the package itself",
			output: "p.go:1: undefined: x\n",
		},
		{
			name: "a skipped test is named with its reason",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
				{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
				{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: needs Docker\n"}
				{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
				{"Action":"skip","Package":"p","Test":"TestA"}
				{"Action":"pass","Package":"p"}`,
			skipped: []skipped{{"TestA", "a_test.go:7: needs Docker"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			done := play(t, test.events)
			if len(done) != 1 {
				t.Fatalf("%d packages ended, want 1", len(done))
			}
			c := done[0].count()
			if c.passed != test.passed || c.failed != test.failed {
				t.Errorf("%d passed, %d failed; want %d and %d", c.passed, c.failed, test.passed, test.failed)
			}
			if got := strings.Join(c.failures, " "); got != test.failures {
				t.Errorf("failures are %q, want %q", got, test.failures)
			}
			if !slices.Equal(c.skipped, test.skipped) {
				t.Errorf("skipped are %q, want %q", c.skipped, test.skipped)
			}
			if done[0].action == "fail" && done[0].failureOutput() != test.output {
				t.Errorf("it prints %q, want %q", done[0].failureOutput(), test.output)
			}
		})
	}
}

func TestWhatATestMeasuredIsKept(t *testing.T) {
	packages := play(t, `{"Action":"run","Package":"p","Test":"TestA"}
		{"Action":"output","Package":"p","Test":"TestA","Output":"=== ATTR  TestA pause 9.8 s\n"}
		{"Action":"attr","Package":"p","Test":"TestA","Key":"pause","Value":"9.8 s"}
		{"Action":"fail","Package":"p","Test":"TestA"}
		{"Action":"fail","Package":"p"}`)
	if len(packages) != 1 || !slices.Equal(packages[0].said, []string{"pause: 9.8 s"}) || packages[0].failureOutput() != "" {
		t.Errorf("%+v", packages)
	}
}

func TestWhatATestLeftOutIsListedOnce(t *testing.T) {
	packages := play(t, `{"Action":"run","Package":"m/p","Test":"TestA"}
		{"Action":"attr","Package":"m/p","Test":"TestA","Key":"notrun","Value":"containers: there is no Docker"}
		{"Action":"attr","Package":"m/p","Test":"TestA/x","Key":"notrun","Value":"containers: there is no Docker"}
		{"Action":"pass","Package":"m/p","Test":"TestA"}
		{"Action":"pass","Package":"m/p"}`)
	if len(packages) != 1 || len(packages[0].said) != 0 {
		t.Fatalf("%+v", packages)
	}
	r := &run{printer: newPrinter(io.Discard)}
	r.packageDone(module{dir: "d", path: "m"}, packages[0])
	if want := []string{"d/p: containers: there is no Docker"}; !slices.Equal(r.notRun, want) || r.passed != 1 {
		t.Errorf("not run are %q, want %q; %d passed", r.notRun, want, r.passed)
	}
}
