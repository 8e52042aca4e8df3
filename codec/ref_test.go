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
		id, err := NewID(rand.Reader, []byte("key"), time.Now())
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
	if _, err := NewID(bytes.NewReader(make([]byte, 7)), nil, time.Now()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestAnIDIsItsHourRandomBitsAndACheck(t *testing.T) {
	hours := func(n int64) time.Time { return time.Unix(n*3600+1234, 0) }
	for _, tt := range []struct {
		at   time.Time
		bits byte
		want string
	}{
		{hours(0), 0, strings.Repeat("a", 16)},
		{hours(1), 0, "aaab" + strings.Repeat("a", 12)},
		{hours(1<<20 - 1), 0xff, strings.Repeat("7", 16)},
		{hours(1 << 20), 0xff, "aaaa" + strings.Repeat("7", 12)},
	} {
		got, err := NewID(bytes.NewReader(bytes.Repeat([]byte{tt.bits}, 8)), []byte("key"), tt.at)
		if err != nil || !strings.HasPrefix(got, tt.want) {
			t.Errorf("made at %v of bits %x: %q, error %v, want %q", tt.at, tt.bits, got, err, tt.want)
		}
		other := got[:19] + string(got[19]^1)
		if !MadeUnder([]byte("key"), got) || MadeUnder([]byte("another key"), got) || MadeUnder([]byte("key"), other) {
			t.Errorf("%q is not known under its key, or is under another", got)
		}
	}
	for _, id := range []string{"", "short", RefOf("chosen"), strings.Repeat("1", 20)} {
		if MadeUnder(nil, id) {
			t.Errorf("%q was made under a key", id)
		}
	}
}

func TestAnIDTellsHowOldItIs(t *testing.T) {
	at := time.Date(2026, 11, 26, 10, 59, 59, 0, time.UTC)
	wraps := time.Unix((1<<20)*3600, 0) // the hours begin anew
	for name, tt := range map[string]struct {
		made, now time.Time
		want      int
	}{
		"the same hour":          {at, at.Add(-59 * time.Minute), 0},
		"an hour that began":     {at, at.Add(time.Second), 1},
		"a day":                  {at, at.Add(24 * time.Hour), 24},
		"fifty years":            {at, at.Add(50 * 8766 * time.Hour), 50 * 8766},
		"an hour to come":        {at, at.Add(-time.Hour), -1},
		"a year to come":         {at, at.Add(-8760 * time.Hour), -8760},
		"before they begin anew": {wraps.Add(-time.Second), wraps, 1},
		"after they begin anew":  {wraps, wraps.Add(-time.Second), -1},
		"the first and the last": {time.Unix(0, 0), wraps.Add(-time.Second), -1}, // 60 years are the limit
	} {
		id, err := NewID(rand.Reader, nil, tt.made)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := HoursOld(id, tt.now); got != tt.want || !ok {
			t.Errorf("%s: made at %v, and at %v it is %d hours old, want %d", name, tt.made, tt.now, got, tt.want)
		}
	}
	for _, ref := range []string{"", RefOf("chosen"), "not a ref", strings.Repeat("1", 20)} {
		if hours, ok := HoursOld(ref, at); ok {
			t.Errorf("%q is %d hours old", ref, hours)
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
