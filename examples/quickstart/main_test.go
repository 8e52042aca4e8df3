package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/zohofile"
)

// This test binary is the program, too: so tests see its output and its exit code.
const asProgram = "QUICKSTART_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	for _, v := range os.Environ() { // for the tests that do not start a program of their own
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "VAULT_") {
			if err := os.Unsetenv(name); err != nil {
				panic(err)
			}
		}
	}
	m.Run()
}

// program returns the program, not started, in an environment that knows nothing of the
// machine's accounts.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	none := filepath.Join(t.TempDir(), "none")
	cmd.Env = []string{asProgram + "=1", "HOME=" + none, "AWS_CONFIG_FILE=" + none,
		"AWS_SHARED_CREDENTIALS_FILE=" + none, "AWS_EC2_METADATA_DISABLED=true", "AWS_PROFILE=missing",
		"GOOGLE_APPLICATION_CREDENTIALS=" + none}
	return cmd
}

// run runs a program to its end. No secret of the sample may be in what it prints.
func runProgram(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	noSecrets(t, out.String()+errOut.String())
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func noSecrets(t *testing.T, text string) {
	t.Helper()
	tokens, err := zohofile.Read(bytes.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range tokens {
		for _, secret := range []token.Secret{x.ClientSecret, x.GrantToken, x.RefreshToken, x.AccessToken} {
			if !secret.IsZero() && strings.Contains(text, secret.Reveal()) {
				t.Errorf("a secret of token %s is in the output:\n%s", x.ID, text)
			}
		}
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return lines[len(lines)-1]
}

const allWell = "quickstart: 5 imported, 5 stored, 0 duplicated, 0 lost"

func wantAllWell(t *testing.T, stdout, stderr string, code int) {
	t.Helper()
	if lastLine(stdout) != allWell || stderr != "" || code != 0 {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

func wantFailure(t *testing.T, stdout, stderr string, code int, text string) {
	t.Helper()
	if code != 1 || !strings.HasPrefix(stderr, "quickstart: ") || !strings.Contains(stderr, text) {
		t.Errorf("exit %d, want 1 and %q\n%s%s", code, text, stdout, stderr)
	}
	if strings.Contains(stdout, allWell) {
		t.Errorf("it failed, and says all the same:\n%s", stdout)
	}
}

func TestTheQuickstartNeedsNothingAndCountsWhatItStored(t *testing.T) {
	t.Parallel()
	for title, args := range map[string][]string{
		"AWS Secrets Manager":                 nil,
		"AWS Secrets Manager, if asked for":   {"-store", "awssm"},
		"Google Secret Manager, if asked for": {"-store", "gcpsm"},
		"HashiCorp Vault, if asked for":       {"-store", "vaultstore"},
		"HashiCorp Vault, at another mount":   {"-mount", "teams/a/kv"},
		"memory, if asked for":                {"-store", "memory"},
	} {
		t.Run(title, func(t *testing.T) {
			stdout, stderr, code := runProgram(t, program(t, args...))
			wantAllWell(t, stdout, stderr, code)
			for line := range strings.Lines(stdout) {
				if n := utf8.RuneCountInString(line); n > 90 {
					t.Errorf("a line of %d characters: %s", n, line)
				}
			}
			into, _, _ := strings.Cut(title, ",")
			for _, want := range []string{
				"from a file into " + into + ".\n", "zoë o'neil@example.com:600012347", "REDACTED", "and all 80 notes", "4 of 5 are left",
			} {
				if !strings.Contains(stdout, want) {
					t.Errorf("%q is missing in\n%s", want, stdout)
				}
			}
		})
	}
}

func TestTheSampleIsAsZohosSDKWroteIt(t *testing.T) {
	t.Parallel()
	original, err := os.ReadFile("../../zohofile/testdata/sdk_tokens.python.txt")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sample, original) {
		t.Error("sdk_tokens.txt is not the file of zohofile/testdata")
	}
	if n := bytes.Count(sample, []byte("\r\n")); n != 6 {
		t.Errorf("%d lines end with CRLF, want 6: git changed the file", n)
	}
}

func TestAFileThatCannotBeImportedEndsTheProgram(t *testing.T) {
	t.Parallel()
	lines := bytes.SplitAfter(sample, []byte("\n"))
	cut := bytes.Join([][]byte{lines[0], lines[1], lines[2][:60], []byte("\r\n"), lines[3]}, nil)
	for name, c := range map[string]struct {
		data []byte // nil: no such file
		want string
	}{
		"missing":        {nil, "no such file"},
		"a damaged row":  {cut, "line 3"},
		"no tokens":      {lines[0], "it has no tokens"},
		"not a CSV file": {[]byte("hello"), "line 1"},
		"an empty file":  {[]byte{}, "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "sdk_tokens.txt")
			if c.data != nil {
				if err := os.WriteFile(file, c.data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			stdout, stderr, code := runProgram(t, program(t, "-file", file))
			wantFailure(t, stdout, stderr, code, c.want)
		})
	}
}

// many returns a file of n users.
func many(n int) []byte {
	b := bytes.NewBufferString("id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,expiry_time,redirect_url,api_domain")
	for i := range n {
		fmt.Fprintf(b, "\n%d,user-%d,client,secret,refresh-%d,access-%d,,,,", i, i, i, i)
	}
	return b.Bytes()
}

func TestAnotherFileIsImportedAsItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data string
		want string
	}{
		"more than one secret's quota": {string(many(120)), "120 imported, 120 stored"},
		"users who share a token":      {string(many(2)) + "\n2,user-2,client,secret,refresh-0,access-0,grant,,,", "3 imported, 3 stored"},
		"a user of two clients":        {string(many(2)) + "\n2,user-1,client-2,secret,refresh-2,access-2,,,,", "3 imported, 3 stored"},
		"found by nothing but the id":  {string(many(2)) + "\n2,,client,secret,,access-2,,,,", "3 imported, 3 stored"},
		"a user who steers a terminal": {string(many(1)) + "\n2,\x1b[31mred,client,secret,refresh-2,access-2,,,,", "2 imported, 2 stored"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "sdk_tokens.txt")
			if err := os.WriteFile(file, []byte(c.data), 0o600); err != nil {
				t.Fatal(err)
			}
			stdout, stderr, code := runProgram(t, program(t, "-file", file))
			if code != 0 || lastLine(stdout) != "quickstart: "+c.want+", 0 duplicated, 0 lost" {
				t.Errorf("exit %d\n%s%s", code, stdout, stderr)
			}
			if strings.Contains(stdout, "\x1b") {
				t.Errorf("an escape character: %q", stdout)
			}
		})
	}
}

func TestAnEndpointIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	onDoubles(t, func(t *testing.T, d *double) {
		mine := "tokenkeep-quickstart" + d.slash + "mine"
		if err := d.put(mine); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, code := runProgram(t, program(t, d.args()...))
		wantAllWell(t, stdout, stderr, code)
		d.wantOnly(t, mine)
		again, _, _ := runProgram(t, program(t, d.args()...))
		if prefix := prefixOf(t, stdout); prefix == prefixOf(t, again) {
			t.Errorf("two runs had the prefix %s", prefix)
		}
	})
}

// An auditor is a reader who counts along.
type auditor struct {
	t      *testing.T
	served func() int // nil: nobody does
	before int
	steps  []int // the calls of each
}

var callsOfStep = regexp.MustCompile(`^\.\.\.+ (\d+) calls?\n$`)

func (a *auditor) Write(p []byte) (int, error) {
	if m := callsOfStep.FindSubmatch(p); m != nil {
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			a.t.Fatal(err)
		}
		a.steps = append(a.steps, n)
		if a.served != nil {
			now := a.served()
			if served := now - a.before; n != served {
				a.t.Errorf("step %d says %d calls, and the service saw %d", len(a.steps), n, served)
			}
			a.before = now
		}
	}
	return len(p), nil
}

func TestEachStepSaysWhatTheServiceSaw(t *testing.T) {
	t.Parallel()
	steps := map[string][]int{}
	onDoubles(t, func(t *testing.T, d *double) {
		a := &auditor{t: t, served: d.served}
		if err := run(t.Context(), d.kind, options{endpoint: d.endpoint}, a); err != nil {
			t.Fatal(err)
		}
		steps[d.kind.name] = a.steps
	})
	// What is counted and listed takes what the text says, and each secret one removal.
	if s := steps["gcpsm"]; len(s) != 9 || s[0] != 0 || s[3] != 2+5 || s[6] != 2+5 || s[8] != 6 {
		t.Errorf("gcpsm: the steps take %v calls", s)
	}
	// Each find takes one read, and three of them go on to read the index and all records.
	if s := steps["vaultstore"]; len(s) != 9 || s[0] != 0 || s[3] != 1+5 || s[4] != 5+3+3+2+4+3*(1+5) || s[6] != 1+5 || s[8] != 6 {
		t.Errorf("vaultstore: the steps take %v calls", s)
	}
	s := steps["awssm"]
	if len(s) != 9 || s[0] != 0 || s[3] != 1+1 || s[6] != 1+1 || s[8] != 6 {
		t.Fatalf("awssm: the steps take %v calls", s)
	}
	// Memory takes the same, but in the step in which many write at once.
	a := &auditor{t: t}
	if err := run(t.Context(), inMemory, options{}, a); err != nil {
		t.Fatal(err)
	}
	if a.steps[2] < 80 {
		t.Errorf("80 updates take %d calls", a.steps[2])
	}
	a.steps[2], s[2] = 0, 0
	if !slices.Equal(a.steps, s) {
		t.Errorf("the steps take %v calls in memory, and %v in awssm", a.steps, s)
	}
}

func prefixOf(t *testing.T, stdout string) string {
	t.Helper()
	m := regexp.MustCompile(`prefix +(\S+)`).FindStringSubmatch(stdout)
	if m == nil {
		t.Fatal("no prefix in", stdout)
	}
	return m[1]
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"sdk_tokens.txt"},
		{"-endpoint", "localhost:4566"},
		{"-endpoint", "http://user:password@localhost:4566"},
		{"-store", "gcpsm", "-endpoint", "http://user:password@localhost:4566"},
		{"-store", "gcpsm", "-endpoint", "localhost"},
		{"-store", "gcpsm", "-endpoint", ":4566"},
		{"-store", "vaultstore", "-endpoint", "localhost:8200"},
		{"-store", "vaultstore", "-endpoint", "unix:///run/vault.sock"},
		{"-store", "vaultstore", "-endpoint", "http://user:password@localhost:8200"},
		{"-store", "vaultstore", "-endpoint", "http://localhost:8200/?password"},
		{"-store", "vaultstore", "-mount", "secret/"},
		{"-store", "vaultstore", "-mount", "password?"},
	} {
		stdout, stderr, code := runProgram(t, program(t, args...))
		wantFailure(t, stdout, stderr, code, "")
		if strings.Contains(stdout+stderr, "password") {
			t.Errorf("the output has the password of the URL: %s", stderr)
		}
	}
}

func TestFlagsThatDoNotFitAreErrorsOfFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-store vault":                           "quickstart: -store vault: it is none of awssm, gcpsm, vaultstore, memory\n",
		"-store":                                 "flag needs an argument: -store",
		"-store memory -aws":                     "quickstart: -aws is not for -store memory\n",
		"-store memory -endpoint localhost:4566": "quickstart: -endpoint is not for -store memory\n",
		"-store gcpsm -aws":                      "quickstart: -aws is not for -store gcpsm\n",
		"-store gcpsm -region eu-west-1":         "quickstart: -region is not for -store gcpsm\n",
		"-store awssm -gcp projects/p":           "quickstart: -gcp is not for -store awssm\n",
		"-store vaultstore -aws":                 "quickstart: -aws is not for -store vaultstore\n",
		"-store awssm -mount kv":                 "quickstart: -mount is not for -store awssm\n",
		"-store gcpsm -mount kv":                 "quickstart: -mount is not for -store gcpsm\n",
		"-aws -mount kv":                         "quickstart: no store takes all of -aws -mount\n",
		"-aws -gcp projects/p":                   "quickstart: no store takes all of -aws -gcp\n",
		"-gcp":                                   "flag needs an argument: -gcp",
		"-gcp=":                                  "projects/PROJECT",
		"-gcp my-project":                        "projects/PROJECT",
		"-gcp projects/":                         "projects/PROJECT",
		"-gcp projects/p/locations":              "projects/PROJECT",
		"-gcp projects/p/locations/evil.com:1/a": "projects/PROJECT",
	} {
		stdout, stderr, code := runProgram(t, program(t, strings.Fields(args)...))
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, want 2 and %q\n%s%s", args, code, want, stdout, stderr)
		}
	}
}
