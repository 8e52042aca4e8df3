package codec

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	refA = "aaaaaaaaaaaaaaaaaaaa"
	refB = "bbbbbbbbbbbbbbbbbbbb"
)

func TestEntriesAreReadAsTheyWereWritten(t *testing.T) {
	chosen := RefOf("chosen by somebody")
	for text, list := range map[string][]Entry{
		refA:                                {{Ref: refA}},
		refA + ":1":                         {{Ref: refA, Base: 1}},
		refA + " " + refB:                   {{Ref: refA}, {Ref: refB}},
		refB + ":12 " + refA:                {{Ref: refB, Base: 12}, {Ref: refA}},
		refB + ":12 " + chosen + ":1234567": {{Ref: refB, Base: 12}, {Ref: chosen, Base: 1234567}},
	} {
		if got := formatEntries(list); got != text {
			t.Errorf("written: %q, want %q", got, text)
		}
		got, err := parseEntries(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(list, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestDamagedEntriesAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":               "",
		"a space":               " ",
		"two spaces":            refA + "  " + refB,
		"a space before":        " " + refA,
		"a space after":         refA + " ",
		"a tab":                 refA + "\t" + refB,
		"a short ref":           "aaa",
		"a ref of 21":           refA + "a",
		"a ref in capitals":     strings.ToUpper(refA),
		"a ref with a 1":        "1" + refA[1:],
		"an empty base":         refA + ":",
		"a base of zero":        refA + ":0",
		"a base below zero":     refA + ":-1",
		"a base of text":        refA + ":" + canary,
		"a base too large":      refA + ":99999999999999999999",
		"two bases":             refA + ":1:2",
		"a record twice":        refA + " " + refB + ":3 " + refA + ":7",
		"something else at all": canary,
	} {
		if list, err := parseEntries(text); err == nil {
			t.Errorf("%s: read as %v", name, list)
		} else {
			noEcho(t, err, []byte(text))
		}
	}
}

func TestLeavesCoverEachHashOnce(t *testing.T) {
	long := strings.Repeat("0", MaxPrefix)
	ladder := map[string]string{long: "a", long[:MaxPrefix-1] + "1": "b"} // as deep as it goes
	for i := range MaxPrefix - 1 {
		ladder[long[:i]+"1"] = "c"
	}
	tests := []struct {
		name   string
		leaves map[string]string
		ok     bool
	}{
		{"one", map[string]string{"": "a"}, true},
		{"two", map[string]string{"0": "a", "1": "b"}, true},
		{"three", map[string]string{"0": "a", "10": "b", "11": "c"}, true},
		{"of many depths", map[string]string{"00": "a", "010": "b", "0110": "c", "0111": "d", "1": "e"}, true},
		{"as deep as it goes", ladder, true},
		{"none", nil, false},
		{"half", map[string]string{"0": "a"}, false},
		{"the other half", map[string]string{"1": "a"}, false},
		{"a gap in the middle", map[string]string{"00": "a", "1": "b"}, false},
		{"a gap at the end", map[string]string{"0": "a", "10": "b"}, false},
		{"an overlap", map[string]string{"": "a", "0": "b"}, false},
		{"an overlap that fills a gap", map[string]string{"0": "a", "00": "b", "10": "c"}, false},
		{"all, and one below", map[string]string{"0": "a", "1": "b", "11": "c"}, false},
		{"no name", map[string]string{"0": "a", "1": ""}, false},
		{"no bits", map[string]string{"a": "a"}, false},
		{"a sign", map[string]string{"+": "a", "1": "b"}, false},
		{"other digits", map[string]string{"0": "a", "1": "b", "2": "c"}, false},
		{"too deep", map[string]string{long + "0": "a", long + "1": "b"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := checkLeaves("", tt.leaves); (err == nil) != tt.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAHashIsUnderItsOwnBits(t *testing.T) {
	h := Hash{0b1010_0101, 0b1100_0011}
	all := "1010010111000011" + strings.Repeat("0", 80)
	for n := range len(all) + 1 {
		if !h.Under(all[:n]) {
			t.Errorf("not under its first %d bits", n)
		}
		if n > 0 {
			other := all[:n-1] + string('0'+'1'-all[n-1])
			if h.Under(other) {
				t.Errorf("under %s", other)
			}
		}
	}
	for _, prefix := range []string{all + "0", "2", "x", "1010 "} {
		if h.Under(prefix) {
			t.Errorf("under %q", prefix)
		}
	}
}

func TestHashesTellKindsValuesAndKeysApart(t *testing.T) {
	key, other := []byte("key"), []byte("other key")
	seen := map[Hash]string{}
	for name, h := range map[string]Hash{
		"a user": NewHash(key, "user", "ann"), "a token": NewHash(key, "refresh", "ann"),
		"another user": NewHash(key, "user", "bob"), "another key": NewHash(other, "user", "ann"),
		"the border moved": NewHash(key, "use", "rann"), "nobody": NewHash(key, "user", ""),
	} {
		if before, ok := seen[h]; ok {
			t.Errorf("%s and %s have one hash", before, name)
		}
		seen[h] = name
		text := h.String()
		if got, ok := parseHash(text); !ok || got != h || len(text) != 16 {
			t.Errorf("%s: %q is read as %v, %v", name, text, got, ok)
		}
	}
	for _, text := range []string{"", "short", strings.Repeat("A", 15), strings.Repeat("A", 17), strings.Repeat("+", 16), strings.Repeat("A", 15) + "\n"} {
		if _, ok := parseHash(text); ok {
			t.Errorf("%q is a hash", text)
		}
	}
}

// indexValue is an index secret with the members given as JSON.
func indexValue(rest string) string {
	return `{"tokenkeep":{"format":1,"kind":"index","seq":1,"write":"w"}` + rest + `}`
}

// sealedValue is a sealed leaf with the members given as JSON.
func sealedValue(rest string) string {
	return strings.Replace(indexValue(rest), `"kind":"index"`, `"kind":"sealed"`, 1)
}

func TestDamagedIndexesAreRefused(t *testing.T) {
	h := Hash{0x80}.String() // under 1
	values := map[string]string{
		"a record":                   `{"tokenkeep":` + token1 + `,"id":"` + canary + `"}`,
		"a hash twice":               indexValue(`,"prefix":"","entries":{"` + h + `":"` + refA + `","` + h + `":"` + refB + `"}`),
		"a hash of another leaf":     indexValue(`,"prefix":"0","entries":{"` + h + `":"` + refA + `"}`),
		"a hash that is none":        indexValue(`,"prefix":"","entries":{"` + canary + `":"` + refA + `"}`),
		"a word that is no record":   indexValue(`,"prefix":"","entries":{"` + h + `":"` + canary + `"}`),
		"an empty entry":             indexValue(`,"prefix":"","entries":{"` + h + `":""}`),
		"an entry that is null":      indexValue(`,"prefix":"","entries":{"` + h + `":null}`),
		"an entry that is a list":    indexValue(`,"prefix":"","entries":{"` + h + `":["` + canary + `"]}`),
		"entries that are null":      indexValue(`,"prefix":"","entries":null`),
		"entries that are a list":    indexValue(`,"prefix":"","entries":["` + canary + `"]`),
		"a prefix of no bits":        indexValue(`,"prefix":"` + canary + `","entries":{}`),
		"a prefix that is null":      indexValue(`,"prefix":null,"entries":{}`),
		"a prefix too long":          indexValue(`,"prefix":"` + strings.Repeat("0", MaxPrefix+1) + `","entries":{}`),
		"a key that is no base64":    indexValue(`,"hash_key":"` + canary + `!","leaves":{"":"index"},"entries":{}`),
		"a key that is a number":     indexValue(`,"hash_key":7,"leaves":{"":"index"},"entries":{}`),
		"a root without leaves":      indexValue(`,"hash_key":"a2V5","entries":{}`),
		"a root with half a tree":    indexValue(`,"hash_key":"a2V5","leaves":{"0":"` + canary + `"},"entries":{}`),
		"a leaf twice":               indexValue(`,"hash_key":"a2V5","leaves":{"":"` + canary + `","":"index"},"entries":{}`),
		"leaves without the key":     indexValue(`,"leaves":{"":"` + canary + `"},"entries":{}`),
		"leaves with an empty key":   indexValue(`,"hash_key":"","leaves":{"":"` + canary + `"},"entries":{}`),
		"leaves that are a list":     indexValue(`,"hash_key":"a2V5","leaves":["` + canary + `"],"entries":{}`),
		"a leaf's name that is null": indexValue(`,"hash_key":"a2V5","leaves":{"":null},"entries":{}`),

		"a sealed leaf without leaves":       sealedValue(`,"prefix":"0","entries":{}`),
		"a sealed leaf of no leaves":         sealedValue(`,"prefix":"0","leaves":{},"entries":{}`),
		"a sealed leaf of half its hashes":   sealedValue(`,"prefix":"0","leaves":{"00":"` + canary + `"},"entries":{}`),
		"a sealed leaf of others' hashes":    sealedValue(`,"prefix":"0","leaves":{"00":"` + canary + `","01":"a","1":"b"},"entries":{}`),
		"a sealed leaf of all hashes":        sealedValue(`,"prefix":"0","leaves":{"":"` + canary + `"},"entries":{}`),
		"a sealed leaf that names one twice": sealedValue(`,"prefix":"0","leaves":{"0":"` + canary + `","00":"a"},"entries":{}`),
		"a sealed leaf that names nothing":   sealedValue(`,"prefix":"0","leaves":{"0":""},"entries":{}`),
		"a sealed leaf with another's hash":  sealedValue(`,"prefix":"0","leaves":{"0":"a"},"entries":{"` + h + `":"` + refA + `"}`),
		"a sealed root":                      sealedValue(`,"hash_key":"a2V5","prefix":"","leaves":{"":"` + canary + `"},"entries":{}`),
		"moving on a leaf":                   indexValue(`,"prefix":"0","entries":{},"moving":true`),
		"moving on a sealed leaf":            sealedValue(`,"prefix":"0","leaves":{"0":"` + canary + `"},"entries":{},"moving":true`),
		"moving on a root that is a leaf":    indexValue(`,"hash_key":"a2V5","leaves":{"":"index"},"entries":{},"moving":true`),
		"moving that is a text":              indexValue(`,"hash_key":"a2V5","leaves":{"":"a"},"entries":{},"moving":"` + canary + `"`),
		"moving that is null":                indexValue(`,"hash_key":"a2V5","leaves":{"":"a"},"entries":{},"moving":null`),
		"retired that is a list":             indexValue(`,"hash_key":"a2V5","leaves":{"":"a"},"entries":{},"retired":["` + canary + `"]`),
		"retired leaves without a time":      indexValue(`,"hash_key":"a2V5","leaves":{"":"a"},"entries":{},"retired":{"` + refA + `":"` + canary + `"}`),
		"retired of what is no ref":          indexValue(`,"hash_key":"a2V5","leaves":{"":"a"},"entries":{},"retired":{"` + canary + `":1}`),
		"paced that is a number":             indexValue(`,"prefix":"0","entries":{},"paced":7`),
		"paced of texts":                     indexValue(`,"prefix":"0","entries":{},"paced":["` + canary + `"]`),
		"paced of fractions":                 indexValue(`,"prefix":"0","entries":{},"paced":[1.5]`),
		"paced that is null":                 indexValue(`,"prefix":"0","entries":{},"paced":null`),
	}
	for name, value := range damaged {
		if name != "an index" {
			values["as a record: "+name] = value
		}
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			x, err := DecodeIndex([]byte(value))
			if err == nil || x != nil {
				t.Fatalf("read: %v, error %v", x, err)
			}
			noEcho(t, err, []byte(value))
		})
	}
}

func TestPartsOfAnIndexAreItsEntries(t *testing.T) {
	x := goldenIndexes()["root_moving"]
	all := map[Hash][]Entry{}
	for prefix := range x.Leaves {
		part := x.Part(prefix)
		if part.Root() || part.Seq != 0 || part.Prefix != prefix || !part.Live() {
			t.Errorf("the part of %s is not a new leaf: %+v", prefix, part)
		}
		for h, list := range part.Entries {
			if !h.Under(prefix) {
				t.Errorf("the part of %s has %v", prefix, h)
			}
			all[h] = list
			list[0].Base = 99 // it is the part's own
		}
	}
	if len(all) != len(x.Entries) {
		t.Errorf("%d of %d hashes are handed on", len(all), len(x.Entries))
	}
	if diff := cmp.Diff(goldenIndexes()["root_moving"], x, same); diff != "" {
		t.Errorf("a change of a part changed the index:\n%s", diff)
	}
}

func TestALeafIsLiveUntilItsEntriesAreHandedOn(t *testing.T) {
	for name, x := range goldenIndexes() {
		want := name == "root_alone" || name == "root_with_graves" || name == "leaf"
		if x.Live() != want {
			t.Errorf("%s: live %v", name, x.Live())
		}
	}
}

func TestUnknownMembersOfAnIndexAreKept(t *testing.T) {
	value := `{"tokenkeep":{"format":1,"kind":"index","seq":1,"write":"w1","new":1},` +
		`"hash_key":"a2V5","leaves":{"":"index"},"prefix":"","entries":{},"newer":{"a":[1]}}`
	x, err := DecodeIndex([]byte(value))
	if err != nil {
		t.Fatal(err)
	}
	x = x.Clone()
	x.Frame = x.Next(KindIndex, "w2")
	x.Entries[Hash{}] = []Entry{{Ref: refA, Base: 2}}
	x.Entries[Hash{1}] = []Entry{} // all gone
	got, err := EncodeIndex(x)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"tokenkeep":{"format":1,"kind":"index","seq":2,"write":"w2","history":["w1"],"new":1},` +
		`"hash_key":"a2V5","leaves":{"":"index"},"prefix":"","entries":{"AAAAAAAAAAAAAAAA":"` + refA + `:2"},"newer":{"a":[1]}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("written again (-want +got):\n%s", diff)
	}
}

func TestACloneSharesNoEntries(t *testing.T) {
	x := goldenIndexes()["root_alone"]
	c := x.Clone()
	for h := range c.Entries {
		c.Entries[h][0].Base = 99
		c.Entries[h] = append(c.Entries[h], Entry{Ref: refA})
	}
	c.Entries[Hash{7}] = []Entry{{Ref: refB}}
	if diff := cmp.Diff(goldenIndexes()["root_alone"], x, same); diff != "" {
		t.Errorf("a change of the clone changed the index:\n%s", diff)
	}
}

func TestEqualIndexesMakeEqualValues(t *testing.T) {
	x := &Index{Frame: frame(KindIndex, 1), Entries: map[Hash][]Entry{}}
	for i := range 200 {
		x.Entries[NewHash(nil, "user", fmt.Sprint(i))] = []Entry{{Ref: refA}}
	}
	want, err := EncodeIndex(x)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		got, err := EncodeIndex(x.Clone())
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("two values of one index, error %v", err)
		}
	}
}

func FuzzDecodeIndex(f *testing.F) {
	for _, x := range goldenIndexes() {
		value, err := EncodeIndex(x)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	for _, value := range damaged {
		f.Add([]byte(value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		x, err := DecodeIndex(value)
		if err != nil {
			noEcho(t, err, value)
			return
		}
		again, err := EncodeIndex(x)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeIndex(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(x, got, known); diff != "" {
			t.Errorf("written and read again (-first +second):\n%s", diff)
		}
		if len(got.unknown) != len(x.unknown) || len(got.Frame.unknown) != len(x.Frame.unknown) {
			t.Error("a member that is not known was lost")
		}
		if third, err := EncodeIndex(got); err != nil || !bytes.Equal(again, third) {
			t.Errorf("two values of one index, error %v:\n%s\n%s", err, again, third)
		}
	})
}
