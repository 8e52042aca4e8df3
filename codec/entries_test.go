package codec

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEntriesAreReadAsTheyWereWritten(t *testing.T) {
	chosen := RefOf("chosen by somebody")
	for name, entries := range map[string]map[Hash][]Entry{
		"none":            {},
		"one":             {{1}: {{Ref: refA}}},
		"a base":          {{1}: {{Ref: refA, Base: 1}}},
		"two of one hash": {{1}: {{Ref: refB}, {Ref: refA}}},
		"two hashes":      {{2}: {{Ref: refB}}, {1, 9}: {{Ref: refA}}, {}: {{Ref: refA}}},
		"chosen ids":      {{1}: {{Ref: refB, Base: 12}, {Ref: chosen, Base: 1234567}}, {3}: {{Ref: chosen}}},
		"all bits":        {{255, 255, 255, 255, 255, 255, 255, 255, 255}: {{Ref: strings.Repeat("7", 20), Base: maxSeq/2 - 1}, {Ref: strings.Repeat("7", 40)}}},
		"no bits":         {{}: {{Ref: strings.Repeat("a", 20)}, {Ref: strings.Repeat("a", 40), Base: 128}}},
	} {
		text := packEntries(entries)
		got, err := unpackEntries(text, "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(entries, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAnEntryIsShort(t *testing.T) {
	entries := map[Hash][]Entry{}
	for i := range 60 {
		entries[Hash{byte(i)}] = []Entry{{Ref: refA}}
	}
	if got, want := len(packEntries(entries)), 60*22*4/3; got != want {
		t.Errorf("60 entries take %d characters, want %d", got, want)
	}
}

func TestDamagedEntriesAreRefused(t *testing.T) {
	pack := func(b ...byte) string { return base64.StdEncoding.EncodeToString(b) }
	of := func(h byte, ref string, base int64) string {
		return string(unpacked(t, packEntries(map[Hash][]Entry{{h}: {{Ref: ref, Base: base}}})))
	}
	ref, based := of(1, refA, 0), of(1, refA, 7)
	chosen := of(1, RefOf("chosen"), 0)
	with := func(b string, at int, bits byte) string {
		changed := []byte(b)
		changed[at] |= bits
		return pack(changed...)
	}
	for name, text := range map[string]string{
		"no base64":                    canary + "!",
		"base64 without padding":       strings.TrimRight(pack(1), "="),
		"base64 of another kind":       "-_-_",
		"bits after the end":           pack([]byte(ref)...)[:29] + "B" + "==",
		"a line break":                 pack([]byte(ref)...) + "\n",
		"half a hash":                  pack(1, 2, 3),
		"a hash alone":                 pack(1, 2, 3, 4, 5, 6, 7, 8, 9),
		"half a ref":                   pack([]byte(ref)[:len(ref)-1]...),
		"half a chosen ref":            pack([]byte(chosen)[:len(chosen)-1]...),
		"half a second entry":          pack([]byte(ref + ref[:10])...),
		"a flag that is not known":     with(ref, len(ref)-1, 1),
		"another one":                  with(ref, len(ref)-1, 2),
		"a flag within a chosen ref":   with(chosen, len(chosen)-1, flagBase),
		"a base that is missing":       with(ref, len(ref)-1, flagBase),
		"a base of zero":               pack([]byte(based[:len(based)-1] + "\x00")...),
		"a base in too many bytes":     pack([]byte(based[:len(based)-1] + "\x87\x00")...),
		"a base that does not end":     pack([]byte(based[:len(based)-1] + "\x87")...),
		"a base too large":             pack([]byte(based[:len(based)-1] + strings.Repeat("\xff", 9) + "\x01")...),
		"hashes out of order":          pack([]byte(of(2, refA, 0) + of(1, refB, 0))...),
		"a record twice":               pack([]byte(ref + based)...),
		"a record twice, with another": pack([]byte(ref + of(1, refB, 0) + based)...),
	} {
		if entries, err := unpackEntries(text, ""); err == nil {
			t.Errorf("%s: read as %v", name, entries)
		} else {
			noEcho(t, err, []byte(text))
		}
	}
	if _, err := unpackEntries(pack([]byte(of(0x80, refA, 0))...), "0"); err == nil {
		t.Error("a hash of another leaf is read")
	}
}

func unpacked(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
