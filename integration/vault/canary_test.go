package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
)

// neverPrinted fails the test if the canary comes out of anything that an error prints,
// or an error within it, but for the client's own.
func neverPrinted(t testing.TB, what string, err error) {
	t.Helper()
	var out bytes.Buffer
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		var answer *api.ResponseError
		if errors.As(err, &answer) && err == error(answer) {
			return
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s"} {
			fmt.Fprintf(&out, verb, err)
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).ErrorContext(t.Context(), "failed", slog.Any("err", err))
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		}
	}
	walk(err)
	if strings.Contains(out.String(), canary) {
		t.Errorf("%s: the canary came out: %s", what, out.String())
	}
}

// says makes sure that an error is of a kind, has a part of a text, and tells no secret.
func says(t testing.TB, what string, err, kind error, part string) {
	t.Helper()
	wantErr(t, what, err, kind)
	if err != nil && !strings.Contains(err.Error(), part) {
		t.Errorf("%s: the text does not say %q: %v", what, part, err)
	}
	neverPrinted(t, what, err)
}
