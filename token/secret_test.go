package token_test

import (
	"bytes"
	"encoding"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/token"
)

func TestSecretRevealsWhatItWasMadeOf(t *testing.T) {
	for _, text := range []string{"", "x", "REDACTED", "\x00", "日本", strings.Repeat("x", 1<<16), "not UTF-8: \xff"} {
		if got := token.NewSecret(text).Reveal(); got != text {
			t.Errorf("%q comes back as %q", text, got)
		}
	}
}

func TestTheZeroSecretIsTheEmptyOne(t *testing.T) {
	var zero token.Secret
	for _, s := range []token.Secret{zero, token.NewSecret("")} {
		if !s.IsZero() || s.Reveal() != "" || !s.Equal(zero) || s.String() != "" || s != zero {
			t.Errorf("%#v is not the empty secret", s)
		}
	}
	if token.NewSecret(" ").IsZero() {
		t.Error("a blank is not empty")
	}
}

func TestSecretsAreEqualIfTheirTextsAre(t *testing.T) {
	texts := []string{"", "a", "A", "ab", "a ", "a\x00", "é", "e\u0301"}
	for _, x := range texts {
		for _, y := range texts {
			if got := token.NewSecret(x).Equal(token.NewSecret(y)); got != (x == y) {
				t.Errorf("Equal(%q, %q) = %v", x, y, got)
			}
			if got := cmp.Equal(token.NewSecret(x), token.NewSecret(y)); got != (x == y) {
				t.Errorf("cmp.Equal(%q, %q) = %v", x, y, got)
			}
		}
	}
}

func TestACopyOfASecretIsTheSameSecret(t *testing.T) {
	s := token.NewSecret("x")
	if c := s; c != s || !c.Equal(s) {
		t.Error("it is not")
	}
}

// A holder keeps a secret where fmt cannot ask its methods.
type holder struct {
	hidden  token.Secret
	pointer *token.Secret
	list    []token.Secret
	byName  map[string]token.Secret
	any     any
	token   *token.OAuthToken
	Shown   token.Secret
}

func newHolder(s token.Secret) holder {
	return holder{s, &s, []token.Secret{s}, map[string]token.Secret{"x": s}, s, &token.OAuthToken{RefreshToken: s}, s}
}

// wraps are the values that hold a secret in one way or another.
func wraps(s token.Secret) map[string]any {
	h := newHolder(s)
	return map[string]any{
		"a secret": s, "a pointer": &s, "a pointer to a pointer": new(&s), "a list": []token.Secret{s}, "an array": [1]token.Secret{s},
		"a list of pointers": []*token.Secret{&s}, "a map": map[string]token.Secret{"x": s}, "a map by it": map[token.Secret]int{s: 1},
		"unexported fields": h, "a pointer to unexported fields": &h, "an embedded secret": struct{ token.Secret }{s},
		"an unexported struct in a struct": struct{ inner holder }{h}, "an interface": struct{ v any }{h},
		"an error": fmt.Errorf("about %v: %w", s, errors.New("x")), "a token": token.OAuthToken{ClientSecret: s, Extra: map[string]token.Secret{"x": s}},
		"a pointer to a token": &token.OAuthToken{GrantToken: s, RefreshToken: s, AccessToken: s}, "tokens": []*token.OAuthToken{{RefreshToken: s}},
	}
}

var verbs = []string{
	"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%#x", "%d", "%t", "%c", "%U", "%e", "%g", "%b", "%o", "%T", "%10v", "%-10s|", "%.2s",
	"%.100v", "%+q", "%#q", "%w", "%!", "%z",
}

func TestASecretComesOutOfNothingButReveal(t *testing.T) {
	const canary = "canary-7f3a9be2"
	silent := func(how, out string) {
		t.Helper()
		if strings.Contains(out, "canary") || strings.Contains(out, fmt.Sprintf("%x", canary)) {
			t.Errorf("%s: %s", how, out)
		}
	}
	for name, v := range wraps(token.NewSecret(canary)) {
		for _, verb := range verbs {
			silent(verb+" of "+name, fmt.Sprintf(verb, v))
		}
		silent("Sprint of "+name, fmt.Sprint(v)+fmt.Sprintln(v)+fmt.Sprint([]any{v}))
		raw, err := json.Marshal(v)
		silent("json of "+name, string(raw)+fmt.Sprint(err))
		if name != "an embedded secret" { // encoding/xml panics at it
			raw, err = xml.Marshal(v)
			silent("xml of "+name, string(raw)+fmt.Sprint(err))
		}
		var buf bytes.Buffer
		err = gob.NewEncoder(&buf).Encode(v)
		silent("gob of "+name, buf.String()+fmt.Sprint(err))
		for _, handler := range []func(io.Writer) slog.Handler{
			func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
			func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
		} {
			var buf bytes.Buffer
			log := slog.New(handler(&buf)).With(slog.Any("with", v)).WithGroup("group")
			log.InfoContext(t.Context(), "message", slog.Any("value", v), slog.Group("in", slog.Any("value", v)), slog.Any("any", []any{v}))
			silent("slog of "+name, buf.String())
		}
		buf.Reset()
		err = template.Must(template.New("").Parse(`{{.}} {{printf "%v" .}}`)).Execute(&buf, v)
		silent("a template with "+name, buf.String()+fmt.Sprint(err))
	}
}

func TestASecretPrintsAsRedactedAndTheEmptyOneAsNothing(t *testing.T) {
	s, none := token.NewSecret("x"), token.Secret{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		if got := fmt.Sprintf(verb, s); got != "REDACTED" {
			t.Errorf("%s: %s", verb, got)
		}
		if got := fmt.Sprintf(verb, none); got != "" {
			t.Errorf("%s of none: %s", verb, got)
		}
	}
	var _ encoding.TextMarshaler = s
	text, err := s.MarshalText()
	if err != nil || string(text) != "REDACTED" {
		t.Errorf("MarshalText: %s, %v", text, err)
	}
	raw, err := json.Marshal(map[string]any{"some": s, "none": none})
	if err != nil || string(raw) != `{"none":"","some":"REDACTED"}` {
		t.Errorf("json: %s, %v", raw, err)
	}
	if got := s.LogValue().String(); got != "REDACTED" {
		t.Errorf("LogValue: %s", got)
	}
	if got := s.GoString(); got != "REDACTED" {
		t.Errorf("GoString: %s", got)
	}
}

func TestJSONIsNotDecodedIntoASecret(t *testing.T) {
	for _, text := range []string{`"canary"`, `"REDACTED"`, `""`, `1`, `true`, `["canary"]`, `{}`, `{"text":"canary"}`} {
		s := token.NewSecret("old")
		into := struct{ Field *token.Secret }{&s}
		err := json.Unmarshal([]byte(`{"Field":`+text+`}`), &into)
		if err == nil || !strings.Contains(err.Error(), "token.Secret") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", text, err)
		}
		if s.Reveal() != "old" {
			t.Errorf("%s changed the secret", text)
		}
	}
	// A token that was written as JSON does not come back without its secrets, but not at all.
	raw, err := json.Marshal(tok("U1", "R1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &token.OAuthToken{}); err == nil {
		t.Error("a token was read back from JSON")
	}
}
