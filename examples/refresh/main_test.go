package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestOfTwentyProcessesOneSpendsEachRefreshToken(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if last := "refresh: 20 processes, 2 refreshes, 2 refresh tokens spent, 0 spent twice\n"; !strings.HasSuffix(text, last) {
		t.Errorf("the last line is not %q:\n%s", last, text)
	}
	for step, end := range map[string]string{
		" 1  Ana logs in": " 1 request", " 2  Her access token": " 1 request", " 3  Each of them": " 0 requests",
		" 4  An administrator": " 1 request", " 5  The same without": " 3 requests", " 6  Ana takes back": " 1 request",
	} {
		_, line, found := strings.Cut(text, "\n"+step)
		if line, _, _ = strings.Cut(line, "\n"); !found || !strings.HasSuffix(line, end) {
			t.Errorf("step%s took%s", step, line)
		}
	}
	if !strings.Contains(text, "and 0 requests to AWS") {
		t.Errorf("calls with a good token ask AWS:\n%s", text)
	}
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(line); n > 91 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	for _, secret := range []string{"access-", "refresh-", "code-", "a-client-secret"} {
		if strings.Contains(text, secret) {
			t.Errorf("there is a secret in\n%s", text)
		}
	}
}

func TestAnInterruptEndsTheProgram(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
