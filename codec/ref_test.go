package codec

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestMadeIDsAreTheirOwnRef(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id, err := NewID(rand.Reader, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(id) != madeRefLen || !ValidRef(id) || RefOf(id) != id || ChosenRef(id) {
			t.Fatalf("id %q has the ref %q", id, RefOf(id))
		}
		if seen[id] {
			t.Fatalf("id %q was made twice", id)
		}
		seen[id] = true
	}
	if _, err := NewID(bytes.NewReader(make([]byte, 9)), time.Now()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestAnIDIsItsHourAndRandomBits(t *testing.T) {
	hours := func(n int64) time.Time { return time.Unix(n*3600+1234, 0) }
	for _, tt := range []struct {
		at   time.Time
		bits byte
		want string
	}{
		{hours(0), 0, strings.Repeat("a", 20)},
		{hours(1), 0, "aaab" + strings.Repeat("a", 16)},
		{hours(1<<20 - 1), 0xff, strings.Repeat("7", 20)},
		{hours(1 << 20), 0xff, "aaaa" + strings.Repeat("7", 16)},
	} {
		got, err := NewID(bytes.NewReader(bytes.Repeat([]byte{tt.bits}, 10)), tt.at)
		if err != nil || got != tt.want {
			t.Errorf("made at %v of bits %x: %q, error %v, want %q", tt.at, tt.bits, got, err, tt.want)
		}
	}
}

func TestAnIDTellsWhetherItWasMadeBefore(t *testing.T) {
	at := time.Date(2026, 11, 26, 10, 59, 59, 0, time.UTC)
	for name, tt := range map[string]struct {
		now  time.Time
		want bool
	}{
		"the same hour":               {at, false},
		"an hour that began":          {at.Add(time.Second), true},
		"a day":                       {at.Add(24 * time.Hour), true},
		"fifty years":                 {at.AddDate(50, 0, 0), true},
		"an hour to come":             {at.Add(-time.Hour), false},
		"a year to come":              {at.AddDate(-1, 0, 0), false},
		"the hours have begun anew":   {at.AddDate(100, 0, 0).Add(24 * time.Hour), false}, // 60 years are the limit
		"just before they begin anew": {time.Unix((1<<20)*3600-1, 0), false},
		"just after":                  {time.Unix((1<<20)*3600, 0), false},
	} {
		made := at
		switch name {
		case "just before they begin anew":
			made = tt.now
		case "just after":
			made, tt.want = tt.now.Add(-time.Second), true
		}
		id, err := NewID(rand.Reader, made)
		if err != nil {
			t.Fatal(err)
		}
		if got := MadeBefore(id, tt.now); got != tt.want {
			t.Errorf("%s: made at %v, before %v: %v", name, made, tt.now, got)
		}
	}
	for _, ref := range []string{"", RefOf("chosen"), "not a ref", strings.Repeat("1", 20)} {
		if MadeBefore(ref, at) {
			t.Errorf("%q was made before", ref)
		}
	}
}

func TestChosenIDsAreHashed(t *testing.T) {
	seen := map[string]string{}
	for _, id := range []string{
		"1", "a", "Ann's CRM", "ann@example.com:60001", strings.Repeat("x", 256), "zoë", " ", "../index", "index",
		strings.Repeat("a", 19), strings.Repeat("a", 21), strings.Repeat("A", 20), strings.Repeat("1", 20),
		strings.Repeat("a", 40), RefOf("1"), NameOf(RefOf("1")),
	} {
		ref := RefOf(id)
		if len(ref) != chosenRefLen || !ValidRef(ref) || !ChosenRef(ref) {
			t.Errorf("id %q has the ref %q", id, ref)
		}
		if strings.Contains(ref, strings.ToLower(id)) && len(id) > 1 {
			t.Errorf("the ref %q tells the id %q", ref, id)
		}
		if other, ok := seen[ref]; ok {
			t.Errorf("ids %q and %q have one ref", id, other)
		}
		seen[ref] = id
	}
	// Written down, since it is where secrets are found.
	if got, want := RefOf("1"), "abxnapeux2f44gcbrxcccsa6ygfefat5sdrli5r6"; got != want {
		t.Errorf("the ref of id 1 is %q, want %q", got, want)
	}
}

func TestRefOfName(t *testing.T) {
	for name, want := range map[string]string{
		NameOf(refA):                     refA,
		NameOf(RefOf("1")):               RefOf("1"),
		RootName:                         "",
		"index-2":                        "",
		"":                               "",
		"token-":                         "",
		"token":                          "",
		refA:                             "",
		"token-short":                    "",
		"Token-" + refA:                  "",
		"token-" + refA + "a":            "",
		"token-" + strings.ToUpper(refA): "",
		"token-token-" + refA:            "",
	} {
		if got, ok := RefOfName(name); ok != (want != "") || ok && got != want {
			t.Errorf("name %q is of the ref %q, %v; want %q", name, got, ok, want)
		}
	}
}

// Secrets Manager takes a name that ends in a hyphen and six characters for the
// end of an ARN.
func TestNoNameLooksLikeTheEndOfAnARN(t *testing.T) {
	for _, name := range []string{RootName, NameOf(refA), NameOf(RefOf("1"))} {
		if i := strings.LastIndexByte(name, '-'); i >= 0 && len(name)-i-1 == 6 {
			t.Errorf("name %q", name)
		}
		if len(name) > 80 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("name %q is not one of the contract", name)
		}
	}
}
