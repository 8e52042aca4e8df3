package codec

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestMadeIDsAreTheirOwnRef(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id, err := NewID(rand.Reader)
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
	if _, err := NewID(bytes.NewReader(make([]byte, 12))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestAllBitsOfAnIDAreRandom(t *testing.T) {
	low, err := NewID(bytes.NewReader(make([]byte, 13)))
	if err != nil {
		t.Fatal(err)
	}
	high, err := NewID(bytes.NewReader(bytes.Repeat([]byte{0xff}, 13)))
	if err != nil {
		t.Fatal(err)
	}
	if low != strings.Repeat("a", 20) || high != strings.Repeat("7", 20) {
		t.Errorf("ids of bits 0 and 1: %q and %q", low, high)
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
