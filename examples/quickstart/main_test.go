package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
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
	m.Run()
}

// program returns the program, not started, in an environment that knows nothing of the
// machine's AWS account.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	none := filepath.Join(t.TempDir(), "none")
	cmd.Env = []string{asProgram + "=1", "HOME=" + none, "AWS_CONFIG_FILE=" + none,
		"AWS_SHARED_CREDENTIALS_FILE=" + none, "AWS_EC2_METADATA_DISABLED=true", "AWS_PROFILE=missing"}
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
	stdout, stderr, code := runProgram(t, program(t))
	wantAllWell(t, stdout, stderr, code)
	for line := range strings.Lines(stdout) {
		if n := utf8.RuneCountInString(line); n > 90 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	for _, want := range []string{"zoë o'neil@example.com:600012347", "REDACTED", "and all 80 notes", "4 of 5 are left"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
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
		"missing":         {nil, "no such file"},
		"a damaged row":   {cut, "line 3"},
		"no tokens":       {lines[0], "it has no tokens"},
		"not a CSV file":  {[]byte("hello"), "line 1"},
		"an empty file":   {[]byte{}, "empty"},
		"too many tokens": {many(120), "100 writes of one secret in 24 hours"},
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
		"many users":                   {string(many(30)), "30 imported, 30 stored"},
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

var callsOfStep = regexp.MustCompile(`(?m)^ *\d+  .* \.\.\.+ (\d+) calls?$`)

func TestAnEndpointIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	srv := awssmtest.NewServer()
	defer srv.Close()
	if _, err := srv.SetValue("tokenkeep-quickstart/mine", "1"); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := runProgram(t, program(t, "-endpoint", srv.URL))
	wantAllWell(t, stdout, stderr, code)
	wantOnly(t, srv, "tokenkeep-quickstart/mine")

	printed := 0
	for _, m := range callsOfStep.FindAllStringSubmatch(stdout, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		printed += n
	}
	if served := len(srv.Calls()); printed != served {
		t.Errorf("the steps say %d calls, and the service saw %d", printed, served)
	}
	again, _, _ := runProgram(t, program(t, "-endpoint", srv.URL))
	if prefix := prefixOf(t, stdout); prefix == prefixOf(t, again) {
		t.Errorf("two runs had the prefix %s", prefix)
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

func wantOnly(t *testing.T, srv *awssmtest.Server, names ...string) {
	t.Helper()
	if left := srv.Names(); strings.Join(left, " ") != strings.Join(names, " ") {
		t.Errorf("secrets %q, want %q", left, names)
	}
}

func TestTheAccountOfTheEnvironmentIsUsedIfAskedFor(t *testing.T) {
	t.Parallel()
	srv := awssmtest.NewServer(awssmtest.WithRegion("eu-west-1"))
	defer srv.Close()
	account := []string{"AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=example", "AWS_PROFILE="}
	t.Run("AWS itself", func(t *testing.T) {
		cmd := program(t, "-aws")
		cmd.Env = append(cmd.Env, account...)
		cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL="+srv.URL, "AWS_REGION=eu-west-1")
		stdout, stderr, code := runProgram(t, cmd)
		wantAllWell(t, stdout, stderr, code)
		wantOnly(t, srv)
		if !strings.Contains(stdout, "your account, region eu-west-1") {
			t.Errorf("it does not say where it writes:\n%s", stdout)
		}
	})
	t.Run("an endpoint of it, in a region", func(t *testing.T) {
		cmd := program(t, "-aws", "-endpoint", srv.URL, "-region", "eu-west-1")
		cmd.Env = append(cmd.Env, account...)
		stdout, stderr, code := runProgram(t, cmd)
		wantAllWell(t, stdout, stderr, code)
		wantOnly(t, srv)
	})
	t.Run("without a region", func(t *testing.T) {
		cmd := program(t, "-aws")
		cmd.Env = append(cmd.Env, account...)
		stdout, stderr, code := runProgram(t, cmd)
		wantFailure(t, stdout, stderr, code, "-region")
	})
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"sdk_tokens.txt"},
		{"-endpoint", "localhost:4566"},
		{"-endpoint", "http://user:password@localhost:4566"},
	} {
		stdout, stderr, code := runProgram(t, program(t, args...))
		wantFailure(t, stdout, stderr, code, "")
		if strings.Contains(stdout+stderr, "password") {
			t.Errorf("the output has the password of the URL: %s", stderr)
		}
	}
}
