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
	all := "1010010111000011" + strings.Repeat("0", 56)
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
	for _, prefix := range []string{"", "0", "1", all[:13], strings.Repeat("1", MaxPrefix)} {
		if first := FirstUnder(prefix); !first.Under(prefix + strings.Repeat("0", 8*len(first)-len(prefix))) {
			t.Errorf("the first hash under %q is %v", prefix, first)
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
	under1 := packEntries(map[Hash][]Entry{{0x80}: {{Ref: refA}}})
	values := map[string]string{
		"a record":                   `{"tokenkeep":` + token1 + `,"id":"` + canary + `"}`,
		"entries that are null":      indexValue(`,"prefix":"","entries":null`),
		"entries that are a list":    indexValue(`,"prefix":"","entries":["` + canary + `"]`),
		"entries that are an object": indexValue(`,"prefix":"","entries":{"` + canary + `":"` + refA + `"}`),
		"entries of another leaf":    indexValue(`,"prefix":"0","entries":"` + under1 + `"`),
		"a prefix of no bits":        indexValue(`,"prefix":"` + canary + `","entries":""`),
		"a prefix that is null":      indexValue(`,"prefix":null,"entries":""`),
		"a prefix too long":          indexValue(`,"prefix":"` + strings.Repeat("0", MaxPrefix+1) + `","entries":""`),
		"a key that is no base64":    indexValue(`,"hash_key":"` + canary + `!","leaves":{"":"index"},"entries":""`),
		"a key that is a number":     indexValue(`,"hash_key":7,"leaves":{"":"index"},"entries":""`),
		"a root without leaves":      indexValue(`,"hash_key":"a2V5","entries":""`),
		"a root with half a tree":    indexValue(`,"hash_key":"a2V5","leaves":{"0":"` + canary + `"},"entries":""`),
		"a leaf twice":               indexValue(`,"hash_key":"a2V5","leaves":{"":"` + canary + `","":"index"},"entries":""`),
		"leaves without the key":     indexValue(`,"leaves":{"":"` + canary + `"},"entries":""`),
		"leaves with an empty key":   indexValue(`,"hash_key":"","leaves":{"":"` + canary + `"},"entries":""`),
		"leaves that are a list":     indexValue(`,"hash_key":"a2V5","leaves":["` + canary + `"],"entries":""`),
		"a leaf's name that is null": indexValue(`,"hash_key":"a2V5","leaves":{"":null},"entries":""`),

		"a sealed leaf without leaves":       sealedValue(`,"prefix":"0","entries":""`),
		"a sealed leaf of no leaves":         sealedValue(`,"prefix":"0","leaves":{},"entries":""`),
		"a sealed leaf of half its hashes":   sealedValue(`,"prefix":"0","leaves":{"00":"` + canary + `"},"entries":""`),
		"a sealed leaf of others' hashes":    sealedValue(`,"prefix":"0","leaves":{"00":"` + canary + `","01":"a","1":"b"},"entries":""`),
		"a sealed leaf of all hashes":        sealedValue(`,"prefix":"0","leaves":{"":"` + canary + `"},"entries":""`),
		"a sealed leaf that names one twice": sealedValue(`,"prefix":"0","leaves":{"0":"` + canary + `","00":"a"},"entries":""`),
		"a sealed leaf that names nothing":   sealedValue(`,"prefix":"0","leaves":{"0":""},"entries":""`),
		"a sealed leaf with another's hash":  sealedValue(`,"prefix":"0","leaves":{"0":"a"},"entries":"` + under1 + `"`),
		"a sealed root":                      sealedValue(`,"hash_key":"a2V5","prefix":"","leaves":{"":"` + canary + `"},"entries":""`),
		"moving on a leaf":                   indexValue(`,"prefix":"0","entries":"","moving":true`),
		"moving on a sealed leaf":            sealedValue(`,"prefix":"0","leaves":{"0":"` + canary + `"},"entries":"","moving":true`),
		"moving on a root that is a leaf":    indexValue(`,"hash_key":"a2V5","leaves":{"":"index"},"entries":"","moving":true`),
		"moving that is a text":              indexValue(`,"hash_key":"a2V5","leaves":{"":"a"},"entries":"","moving":"` + canary + `"`),
		"moving that is null":                indexValue(`,"hash_key":"a2V5","leaves":{"":"a"},"entries":"","moving":null`),
		"retired that is a list":             indexValue(`,"hash_key":"a2V5","leaves":{"":"a"},"entries":"","retired":["` + canary + `"]`),
		"retired leaves without a time":      indexValue(`,"hash_key":"a2V5","leaves":{"":"a"},"entries":"","retired":{"` + refA + `":"` + canary + `"}`),
		"retired of what is no ref":          indexValue(`,"hash_key":"a2V5","leaves":{"":"a"},"entries":"","retired":{"` + canary + `":1}`),
		"paced that is a number":             indexValue(`,"prefix":"0","entries":"","paced":7`),
		"paced of texts":                     indexValue(`,"prefix":"0","entries":"","paced":["` + canary + `"]`),
		"paced of fractions":                 indexValue(`,"prefix":"0","entries":"","paced":[1.5]`),
		"paced that is null":                 indexValue(`,"prefix":"0","entries":"","paced":null`),
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
	x.Graves = goldenIndexes()["root_with_graves"].Graves
	all := map[Hash][]Entry{}
	for prefix := range x.Leaves {
		part := x.Part(prefix)
		if graves := prefix == "0"; graves != (len(part.Graves) > 0) {
			t.Errorf("the part of %s has the graves %v", prefix, part.Graves)
		}
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
	want := goldenIndexes()["root_moving"]
	want.Graves = x.Graves
	if diff := cmp.Diff(want, x, same); diff != "" {
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
		`"hash_key":"a2V5","leaves":{"":"index"},"prefix":"","entries":"","newer":{"a":[1]}}`
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
		`"hash_key":"a2V5","leaves":{"":"index"},"prefix":"","entries":"` + packEntries(map[Hash][]Entry{{}: {{Ref: refA, Base: 2}}}) + `","newer":{"a":[1]}}`
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
