package codec

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The files under testdata are the at-rest format. To change one of them is to
// change the format: secrets that look like the old one are out there, written by
// every version so far, and must be read for ever. A new member needs a new file
// beside the old ones; -update is for that.
var update = flag.Bool("update", false, "write the golden files anew: a change of the at-rest format")

var same = cmp.Options{
	cmp.AllowUnexported(Record{}, Frame{}, Index{}),
	cmpopts.EquateEmpty(),
}

// frame is the frame of a secret's n-th write, with the history that it then has.
func frame(kind Kind, n int) Frame {
	var f Frame
	for i := range n {
		f = f.Next(kind, "write-"+string(rune('a'+i%26)))
	}
	return f
}

func goldenRecords() map[string]*Record {
	return map[string]*Record{
		"record_full": {
			Frame:        frame(KindToken, 3),
			ID:           "Ann's CRM",
			Chosen:       true,
			UserName:     "ann@example.com:60001",
			ClientID:     "1000.CLIENT",
			ClientSecret: "client-secret",
			GrantToken:   "1000.grant",
			RefreshToken: "1000.refresh",
			AccessToken:  "1000.access",
			Expiry:       time.UnixMilli(1_893_456_000_123).UTC(),
			RedirectURL:  "https://example.com/callback?a=1&b=<2>",
			APIDomain:    "https://www.zohoapis.eu",
			TokenType:    "Bearer",
			Scopes:       []string{"ZohoCRM.users.ALL", "ZohoCRM.modules.ALL"},
			Extra:        map[string]string{"instance_url": "https://eu.example.com", "id_token": "eyJ…"},
		},
		"record_minimal": {
			Frame:        frame(KindToken, 1),
			ID:           "abcdefghijklmnopqrst",
			RefreshToken: "1000.refresh",
		},
		"record_long_history": {
			Frame:       frame(KindToken, 20),
			ID:          "abcdefghijklmnopqrst",
			AccessToken: "1000.access",
		},
		"tombstone": {
			Frame:  frame(KindToken, 2).Next(KindTombstone, "write-x"),
			ID:     "Ann's CRM",
			Chosen: true,
			Buried: time.Unix(1_893_456_000, 0).UTC(),
		},
		"tombstone_without_time": {
			Frame: frame(KindToken, 2).Next(KindTombstone, "write-x"),
			ID:    "abcdefghijklmnopqrst",
		},
		"tombstone_before_creation": { // the id was chosen; only its hash is known
			Frame: Frame{}.Next(KindTombstone, "write-x"),
		},
		"purging": {
			Frame: frame(KindTombstone, 2).Next(KindPurging, "write-x"),
			ID:    "abcdefghijklmnopqrst",
		},
	}
}

func goldenIndexes() map[string]*Index {
	key := []byte("0123456789abcdef0123456789abcdef")
	ann, bob := NewHash(key, "user", "ann"), NewHash(key, "user", "bob")
	entries := map[Hash][]Entry{
		ann: {{Ref: "abcdefghijklmnopqrst"}},
		bob: {{Ref: "22222222222222222222", Base: 7}, {Ref: RefOf("chosen")}},
	}
	leaf := map[Hash][]Entry{}
	for h, list := range entries {
		if h.Under("1") {
			leaf[h] = list
		}
	}
	return map[string]*Index{
		"root_alone": {
			Frame:   frame(KindIndex, 4),
			Key:     key,
			Leaves:  map[string]string{"": RootName},
			Entries: entries,
		},
		"root_with_graves": {
			Frame:   frame(KindIndex, 5),
			Key:     key,
			Leaves:  map[string]string{"": RootName},
			Entries: entries,
			Graves:  map[string]time.Time{"33333333333333333333": time.Unix(1_893_456_000, 0).UTC(), "yyyyyyyyyyyyyyyyyyyy": time.Unix(1_893_542_400, 0).UTC()},
		},
		"root_of_leaves": {
			Frame:  frame(KindIndex, 9),
			Key:    key,
			Leaves: map[string]string{"0": "index-2", "10": "index-3", "11": "index-4"},
		},
		"root_moving": {
			Frame:   frame(KindIndex, 6),
			Key:     key,
			Leaves:  map[string]string{"0": "index-" + refA, "1": "index-" + refB},
			Entries: entries,
			Moving:  true,
		},
		"root_with_retired": {
			Frame:   frame(KindIndex, 7),
			Key:     key,
			Leaves:  map[string]string{"0": "index-" + refA, "1": "index-" + refB},
			Paced:   []time.Time{time.Unix(1_893_456_000, 0).UTC(), time.Unix(1_893_456_060, 0).UTC()},
			Retired: map[string]time.Time{"33333333333333333333": time.Unix(1_893_456_000, 0).UTC()},
		},
		"leaf_sealed": {
			Frame:   frame(KindIndex, 3).Next(KindSealed, "write-x"),
			Prefix:  "1",
			Leaves:  map[string]string{"10": "index-" + refA, "11": "index-" + refB},
			Entries: leaf,
			Paced:   []time.Time{time.Unix(1_893_456_000, 0).UTC()},
		},
		"leaf_sealed_for_one": { // it was written often, and is not large
			Frame:   frame(KindIndex, 3).Next(KindSealed, "write-x"),
			Prefix:  "1",
			Leaves:  map[string]string{"1": "index-" + refA},
			Entries: leaf,
		},
		"leaf": {
			Frame:   frame(KindIndex, 2),
			Prefix:  "1",
			Entries: leaf,
		},
	}
}

// golden compares a value with its file, and returns what the file holds.
func golden(t *testing.T, name string, value []byte) []byte {
	t.Helper()
	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(file, append(bytes.Clone(value), '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want = bytes.TrimSuffix(want, []byte{'\n'})
	if diff := cmp.Diff(string(want), string(value)); diff != "" {
		t.Errorf("the at-rest format has changed (-file +now):\n%s", diff)
	}
	return want
}

func TestGoldenRecords(t *testing.T) {
	for name, want := range goldenRecords() {
		t.Run(name, func(t *testing.T) {
			value, err := EncodeRecord(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := DecodeRecord(golden(t, name, value))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, same); diff != "" {
				t.Errorf("read from the file (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGoldenIndexes(t *testing.T) {
	for name, want := range goldenIndexes() {
		t.Run(name, func(t *testing.T) {
			value, err := EncodeIndex(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := DecodeIndex(golden(t, name, value))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, same); diff != "" {
				t.Errorf("read from the file (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoGoldenFileIsLeftOver(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if want := len(goldenRecords()) + len(goldenIndexes()); len(files) != want {
		t.Errorf("%d files under testdata, want %d: %v", len(files), want, files)
	}
}
