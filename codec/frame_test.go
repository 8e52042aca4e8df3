package codec

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// known compares what this version knows: what it does not loses its white space
// when it is written.
var known = cmp.Options{same, cmpopts.IgnoreTypes(members{})}

const token1 = `{"format":1,"kind":"token","seq":1,"write":"w"}`

// damaged are values that are no secret of this version.
var damaged = map[string]string{
	"nothing":                   ``,
	"white space":               " \n",
	"binary":                    "\xff\xfe\x00",
	"no object":                 `"` + canary + `"`,
	"a list":                    `[{"tokenkeep":` + token1 + `,"id":"` + canary + `"}]`,
	"null":                      `null`,
	"truncated in a text":       `{"tokenkeep":` + token1 + `,"id":"` + canary,
	"truncated after a member":  `{"tokenkeep":` + token1 + `,"id":"` + canary + `"`,
	"truncated after a name":    `{"tokenkeep":` + token1 + `,"id"`,
	"truncated after a comma":   `{"tokenkeep":` + token1 + `,"id":"` + canary + `",`,
	"a comma too many":          `{"tokenkeep":` + token1 + `,"id":"` + canary + `",}`,
	"data after the object":     `{"tokenkeep":` + token1 + `,"id":"` + canary + `"}x`,
	"an object after it":        `{"tokenkeep":` + token1 + `,"id":"` + canary + `"}{}`,
	"a brace after it":          `{"tokenkeep":` + token1 + `,"id":"` + canary + `"}}`,
	"invalid UTF-8 in a text":   `{"tokenkeep":` + token1 + `,"id":"` + canary + "\xff\"}",
	"invalid UTF-8 in a name":   `{"tokenkeep":` + token1 + `,"id":"` + canary + "\",\"\xff\":1}",
	"a name without quotes":     `{tokenkeep:` + token1 + `,id:"` + canary + `"}`,
	"a comment":                 `{/* ` + canary + ` */"tokenkeep":` + token1 + `,"id":"x"}`,
	"a member twice":            `{"tokenkeep":` + token1 + `,"id":"` + canary + `","id":"b"}`,
	"an unknown member twice":   `{"tokenkeep":` + token1 + `,"id":"a","` + canary + `":1,"` + canary + `":1}`,
	"a member twice, escaped":   `{"tokenkeep":` + token1 + `,"id":"` + canary + `","\u0069d":"b"}`,
	"a member twice in a frame": `{"tokenkeep":{"format":1,"kind":"token","seq":1,"seq":1,"write":"w"},"id":"` + canary + `"}`,
	"a frame twice":             `{"tokenkeep":` + token1 + `,"id":"` + canary + `","tokenkeep":` + token1 + `}`,
	"a member of extra twice":   `{"tokenkeep":` + token1 + `,"id":"a","extra":{"a":"` + canary + `","a":""}}`,

	"no frame":                     `{"id":"` + canary + `"}`,
	"another's JSON":               `{"username":"admin","password":"` + canary + `"}`,
	"a frame in other case":        `{"TokenKeep":` + token1 + `,"id":"` + canary + `"}`,
	"a frame that is a text":       `{"tokenkeep":"` + canary + `","id":"a"}`,
	"a frame that is null":         `{"tokenkeep":null,"id":"` + canary + `"}`,
	"a frame that is empty":        `{"tokenkeep":{},"id":"` + canary + `"}`,
	"no format":                    `{"tokenkeep":{"kind":"token","seq":1,"write":"w"},"id":"` + canary + `"}`,
	"a format of text":             `{"tokenkeep":{"format":"` + canary + `","kind":"token","seq":1,"write":"w"},"id":"a"}`,
	"a format of zero":             `{"tokenkeep":{"format":0,"kind":"token","seq":1,"write":"w"},"id":"` + canary + `"}`,
	"a format between two":         `{"tokenkeep":{"format":1.5,"kind":"token","seq":1,"write":"w"},"id":"` + canary + `"}`,
	"a format in other case":       `{"tokenkeep":{"Format":1,"kind":"token","seq":1,"write":"w"},"id":"` + canary + `"}`,
	"no kind":                      `{"tokenkeep":{"format":1,"seq":1,"write":"w"},"id":"` + canary + `"}`,
	"an unknown kind":              `{"tokenkeep":{"format":1,"kind":"` + canary + `","seq":1,"write":"w"},"id":"a"}`,
	"a kind that is null":          `{"tokenkeep":{"format":1,"kind":null,"seq":1,"write":"w"},"id":"` + canary + `"}`,
	"no seq":                       `{"tokenkeep":{"format":1,"kind":"token","write":"w"},"id":"` + canary + `"}`,
	"a seq of zero":                `{"tokenkeep":{"format":1,"kind":"token","seq":0,"write":"w"},"id":"` + canary + `"}`,
	"a seq below zero":             `{"tokenkeep":{"format":1,"kind":"token","seq":-1,"write":"w"},"id":"` + canary + `"}`,
	"a seq that cannot be":         `{"tokenkeep":{"format":1,"kind":"token","seq":9223372036854775807,"write":"w"},"id":"` + canary + `"}`,
	"a seq of text":                `{"tokenkeep":{"format":1,"kind":"token","seq":"` + canary + `","write":"w"},"id":"a"}`,
	"a seq that is too long":       `{"tokenkeep":{"format":1,"kind":"token","seq":1` + strings.Repeat("0", 40) + `,"write":"w"},"id":"` + canary + `"}`,
	"no write id":                  `{"tokenkeep":{"format":1,"kind":"token","seq":1},"id":"` + canary + `"}`,
	"an empty write id":            `{"tokenkeep":{"format":1,"kind":"token","seq":1,"write":""},"id":"` + canary + `"}`,
	"a history of text":            `{"tokenkeep":{"format":1,"kind":"token","seq":1,"write":"w","history":"` + canary + `"},"id":"a"}`,
	"a history with null":          `{"tokenkeep":{"format":1,"kind":"token","seq":1,"write":"w","history":[null]},"id":"` + canary + `"}`,
	"no id":                        `{"tokenkeep":` + token1 + `,"access_token":"` + canary + `"}`,
	"an id in other case":          `{"tokenkeep":` + token1 + `,"ID":"` + canary + `"}`,
	"an id that is null":           `{"tokenkeep":` + token1 + `,"id": null ,"access_token":"` + canary + `"}`,
	"an id that is a number":       `{"tokenkeep":` + token1 + `,"id":1,"access_token":"` + canary + `"}`,
	"id_chosen that is a text":     `{"tokenkeep":` + token1 + `,"id":"a","id_chosen":"` + canary + `"}`,
	"a token that is an object":    `{"tokenkeep":` + token1 + `,"id":"a","access_token":{"value":"` + canary + `"}}`,
	"a token that is null":         `{"tokenkeep":` + token1 + `,"id":"` + canary + `","access_token":null}`,
	"an expiry of text":            `{"tokenkeep":` + token1 + `,"id":"a","expiry_time":"` + canary + `"}`,
	"a burial of text":             `{"tokenkeep":` + token1 + `,"id":"a","buried_time":"` + canary + `"}`,
	"a burial that is null":        `{"tokenkeep":` + token1 + `,"id":"` + canary + `","buried_time":null}`,
	"an expiry with a fraction":    `{"tokenkeep":` + token1 + `,"id":"` + canary + `","expiry_time":1.5}`,
	"an expiry that is null":       `{"tokenkeep":` + token1 + `,"id":"` + canary + `","expiry_time":null}`,
	"scopes of text":               `{"tokenkeep":` + token1 + `,"id":"a","scopes":"` + canary + `"}`,
	"a scope that is null":         `{"tokenkeep":` + token1 + `,"id":"a","scopes":["` + canary + `",null]}`,
	"a scope that is a number":     `{"tokenkeep":` + token1 + `,"id":"a","scopes":["` + canary + `",1]}`,
	"extra that is a list":         `{"tokenkeep":` + token1 + `,"id":"a","extra":["` + canary + `"]}`,
	"an extra that is null":        `{"tokenkeep":` + token1 + `,"id":"a","extra":{"` + canary + `":null}}`,
	"an extra that is an object":   `{"tokenkeep":` + token1 + `,"id":"a","extra":{"` + canary + `":{}}}`,
	"an index":                     `{"tokenkeep":{"format":1,"kind":"index","seq":1,"write":"w"},"prefix":"","entries":"","id":"` + canary + `"}`,
	"a newer format":               `{"tokenkeep":{"format":2,"kind":"token","seq":1,"write":"w"},"id":"` + canary + `"}`,
	"a newer format, all else new": `{"tokenkeep":{"format":7,"kind":["` + canary + `"],"seq":{}}}`,
}

// noEcho makes sure that an error says nothing that is in the data.
func noEcho(t *testing.T, err error, value []byte) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	if strings.Contains(text, canary) {
		t.Errorf("an error carries what is in the data: %s", text)
	}
	// Errors say a few things of their own, so what they share with the data is
	// only of interest from some length on.
	for i := 0; i+24 <= len(value); i++ {
		if strings.Contains(text, string(value[i:i+24])) {
			t.Fatalf("an error carries a part of the data: %s", text)
		}
	}
}

func TestDamagedRecordsAreRefused(t *testing.T) {
	for name, value := range damaged {
		t.Run(name, func(t *testing.T) {
			r, err := DecodeRecord([]byte(value))
			if err == nil || r != nil {
				t.Fatalf("read: %v, error %v", r, err)
			}
			noEcho(t, err, []byte(value))
		})
	}
}

func TestWhatIsNotOursSaysSo(t *testing.T) {
	for value, want := range map[string]error{
		``:                errNotJSON,
		`[]`:              errNotJSON,
		`{"id":"a"}`:      errNotOurs,
		`{}`:              errNotOurs,
		"\xff":            errNotJSON,
		`{"a":"` + "\xc3": errNotJSON,
	} {
		if _, err := KindOf([]byte(value)); !errors.Is(err, want) {
			t.Errorf("%q: error %v, want %v", value, err, want)
		}
	}
}

func TestANewerFormatIsRefusedByItsNumber(t *testing.T) {
	for _, kind := range []string{"token", "index", "other"} {
		value := fmt.Appendf(nil, `{"tokenkeep":{"format":2,"kind":%q,"seq":1,"write":"w"},"id":"id"}`, kind)
		_, ofKind := KindOf(value)
		_, ofRecord := DecodeRecord(value)
		_, ofIndex := DecodeIndex(value)
		for _, err := range []error{ofKind, ofRecord, ofIndex} {
			if want := "format 2 is newer than this version of tokenkeep reads (1)"; err == nil || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
		}
		if Includes(value, value) || Excludes(value, value) {
			t.Error("something is said about a value that cannot be read")
		}
	}
}

func TestKindOf(t *testing.T) {
	for name, r := range goldenRecords() {
		if got, err := KindOf(mustEncode(t, r)); err != nil || got != r.Kind {
			t.Errorf("%s: kind %q, error %v", name, got, err)
		}
	}
	for name, x := range goldenIndexes() {
		value, err := EncodeIndex(x)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := KindOf(value); err != nil || got != x.Kind {
			t.Errorf("%s: kind %q, error %v", name, got, err)
		}
	}
}

func TestNextCountsAndRemembers(t *testing.T) {
	var f Frame
	var writes []string
	for n := range HistoryLen + 5 {
		write := fmt.Sprintf("w%d", n)
		next := f.Next(KindToken, write)
		want := Frame{Kind: KindToken, Seq: int64(n + 1), Write: write, History: writes[:min(len(writes), HistoryLen)]}
		if diff := cmp.Diff(want, next, same); diff != "" {
			t.Fatalf("write %d (-want +got):\n%s", n, diff)
		}
		before := slices.Clone(f.History)
		if _ = f.Next(KindToken, "another"); !slices.Equal(before, f.History) {
			t.Fatal("Next changes the frame that it follows")
		}
		writes = slices.Insert(writes, 0, write)
		f = next
	}
}

func TestIncludesAndExcludes(t *testing.T) {
	// Two lines of writes fork after the second.
	encode := func(f Frame) []byte { return mustEncode(t, &Record{Frame: f, ID: "id"}) }
	var line, fork []Frame
	for n := range 40 {
		var prev, prevFork Frame
		if n > 0 {
			prev, prevFork = line[n-1], fork[n-1]
		}
		line = append(line, prev.Next(KindToken, fmt.Sprintf("w%d", n)))
		if n < 2 {
			fork = append(fork, line[n])
			continue
		}
		fork = append(fork, prevFork.Next(KindToken, fmt.Sprintf("f%d", n)))
	}
	tests := []struct {
		name               string
		stored, put        []byte
		includes, excludes bool
	}{
		{"the value itself", encode(line[5]), encode(line[5]), true, false},
		{"one write on top", encode(line[6]), encode(line[5]), true, false},
		{"the creation below another", encode(line[1]), encode(line[0]), true, false},
		{"sixteen writes on top", encode(line[5+HistoryLen]), encode(line[5]), true, false},
		{"seventeen writes on top: forgotten", encode(line[6+HistoryLen]), encode(line[5]), false, false},
		{"another in its place", encode(line[2]), encode(fork[2]), false, true},
		{"another in its place, and one on top", encode(line[3]), encode(fork[2]), false, true},
		{"another in its place, and sixteen on top", encode(line[2+HistoryLen]), encode(fork[2]), false, true},
		{"another in its place, and seventeen on top: forgotten", encode(line[3+HistoryLen]), encode(fork[2]), false, false},
		{"a state before its place", encode(line[2]), encode(line[3]), false, false},
		{"nothing stored", nil, encode(line[2]), false, false},
		{"damage stored", []byte(`{"tokenkeep":`), encode(line[2]), false, false},
		{"damage put", encode(line[2]), []byte(`{}`), false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Includes(tt.stored, tt.put); got != tt.includes {
				t.Errorf("Includes: %v", got)
			}
			if got := Excludes(tt.stored, tt.put); got != tt.excludes {
				t.Errorf("Excludes: %v", got)
			}
		})
	}
}

func TestWriteIDsAreRandom(t *testing.T) {
	id, err := NewWriteID(strings.NewReader("0123456789abcdef-more"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "MDEyMzQ1Njc4OWFiY2RlZg"; id != want {
		t.Errorf("write id %q, want %q", id, want)
	}
	if _, err := NewWriteID(strings.NewReader("too short")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
	}
}
