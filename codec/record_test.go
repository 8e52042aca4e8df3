package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// canary is in data that no error and no printed record may show.
const canary = "canary-7d1e0c52"

func mustEncode(t testing.TB, r *Record) []byte {
	t.Helper()
	value, err := EncodeRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func mustDecode(t testing.TB, value []byte) *Record {
	t.Helper()
	r, err := DecodeRecord(value)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	base := func(change func(*Record)) *Record {
		r := &Record{Frame: frame(KindToken, 1), ID: "id"}
		change(r)
		return r
	}
	for name, want := range map[string]*Record{
		"id alone":                 base(func(*Record) {}),
		"text of any script":       base(func(r *Record) { r.UserName = "Zoë 张伟 🐘 \u2028 \x00 \"\\/<&>" }),
		"a token of 10 KiB":        base(func(r *Record) { r.AccessToken = strings.Repeat("x", 10<<10) }),
		"a name as of members":     base(func(r *Record) { r.Extra = map[string]string{"tokenkeep": "a", "": "b", "id": ""} }),
		"before 1970":              base(func(r *Record) { r.Expiry = time.UnixMilli(-1).UTC() }),
		"at 1970":                  base(func(r *Record) { r.Expiry = time.UnixMilli(0).UTC() }),
		"a far expiry":             base(func(r *Record) { r.Expiry = time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC) }),
		"scopes, one of them none": base(func(r *Record) { r.Scopes = []string{"a b", "", "a b"} }),
		"as many writes as fit":    base(func(r *Record) { r.Seq = maxSeq }),
	} {
		t.Run(name, func(t *testing.T) {
			got := mustDecode(t, mustEncode(t, want))
			if diff := cmp.Diff(want, got, same); diff != "" {
				t.Errorf("(-put +got):\n%s", diff)
			}
		})
	}
}

func TestAnExpiryHasMilliseconds(t *testing.T) {
	r := &Record{Frame: frame(KindToken, 1), ID: "id", Expiry: time.Date(2030, 1, 2, 3, 4, 5, 678_999_999, time.FixedZone("", 3600))}
	got := mustDecode(t, mustEncode(t, r)).Expiry
	if want := time.Date(2030, 1, 2, 2, 4, 5, 678_000_000, time.UTC); !got.Equal(want) {
		t.Errorf("expiry %v, want %v", got, want)
	}
}

func TestEqualRecordsMakeEqualValues(t *testing.T) {
	r := goldenRecords()["record_full"]
	want := mustEncode(t, r)
	for range 20 {
		if got := mustEncode(t, mustDecode(t, want)); !bytes.Equal(got, want) {
			t.Fatalf("a value that is read and written again is another:\n%s\n%s", want, got)
		}
	}
}

func TestATombstoneHasNoKeys(t *testing.T) {
	r := goldenRecords()["record_full"]
	got := r.Bury(time.Unix(7, 8))
	if diff := cmp.Diff(&Record{ID: r.ID, Chosen: true, Buried: time.Unix(7, 0).UTC()}, got, same); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

func TestOnlyATokenIsLive(t *testing.T) {
	for kind, want := range map[Kind]bool{KindToken: true, KindTombstone: false, KindPurging: false} {
		if got := (&Record{Frame: Frame{Kind: kind}}).Live(); got != want {
			t.Errorf("%s: live is %v", kind, got)
		}
	}
	if (*Record)(nil).Live() {
		t.Error("no record is live")
	}
}

// Versions to come may add members anywhere. This one keeps them when it writes.
func TestUnknownMembersAreKept(t *testing.T) {
	value := []byte(`{"tokenkeep":{"format":1,"kind":"token","seq":3,"write":"w3","history":["w2"],` +
		`"frame_new":{"a":[1.50,null]}},"id":"id","access_token":"a","Access_Token":"another","new":[{"b":1e400}],"newer":null}`)
	r := mustDecode(t, value)
	r.Frame = r.Next(KindToken, "w4")
	r.AccessToken = "b"
	want := `{"tokenkeep":{"format":1,"kind":"token","seq":4,"write":"w4","history":["w3","w2"],` +
		`"frame_new":{"a":[1.50,null]}},"id":"id","access_token":"b","Access_Token":"another","new":[{"b":1e400}],"newer":null}`
	if diff := cmp.Diff(want, string(mustEncode(t, r))); diff != "" {
		t.Errorf("written again (-want +got):\n%s", diff)
	}
}

func TestReplaceKeepsWhatIsNotTheCallers(t *testing.T) {
	old := mustDecode(t, []byte(`{"tokenkeep":{"format":1,"kind":"token","seq":1,"write":"w1"},"id":"id","id_chosen":true,"access_token":"a","new":1}`))
	next := old.Replace(&Record{AccessToken: "b"})
	next.Frame = next.Next(KindToken, "w2")
	want := `{"tokenkeep":{"format":1,"kind":"token","seq":2,"write":"w2","history":["w1"]},"id":"id","id_chosen":true,"access_token":"b","new":1}`
	if diff := cmp.Diff(want, string(mustEncode(t, next))); diff != "" {
		t.Errorf("written again (-want +got):\n%s", diff)
	}
}

func TestNothingPrintsARecord(t *testing.T) {
	r := &Record{
		Frame: frame(KindToken, 1), ID: canary, UserName: canary, ClientID: canary, ClientSecret: canary,
		GrantToken: canary, RefreshToken: canary, AccessToken: canary, RedirectURL: canary,
		APIDomain: canary, TokenType: canary, Scopes: []string{canary}, Extra: map[string]string{canary: canary},
		unknown: members{canary: json.RawMessage(canary)},
	}
	x := &Index{
		Frame: frame(KindIndex, 1), Key: []byte(canary), Leaves: map[string]string{"": canary},
		Entries: map[Hash][]Entry{{}: {{Ref: canary}}}, unknown: members{canary: json.RawMessage(canary)},
	}
	type holder struct {
		Record  Record
		Pointer *Record
		Any     any
		Index   Index
	}
	in := holder{*r, r, *r, *x}
	printed := map[string]any{
		"a pointer": r, "a value": *r, "a struct": in, "a pointer to a struct": &in, "a slice": []Record{*r},
		"a slice of pointers": []*Record{r}, "a map": map[string]Record{"a": *r}, "an index": x, "the value of an index": *x,
	}
	for name, value := range printed {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%q", "%x", "%X", "%t", "%10.3v", "%T", "%!", "none"} {
				fmt.Fprintf(&out, verb+"\n", value)
			}
			fmt.Fprintln(&out, value)
			for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
				slog.New(handler).InfoContext(t.Context(), "read", "value", value, slog.Group("group", "value", value))
			}
			if err := json.NewEncoder(&out).Encode(value); err != nil {
				t.Fatal(err)
			}
			secrets := []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary))}
			for _, secret := range secrets {
				if strings.Contains(out.String(), secret) {
					t.Errorf("printed: %s", out.String())
				}
			}
			if out.Len() == 0 {
				t.Error("nothing was printed at all")
			}
		})
	}
	if got, want := fmt.Sprintf("%v", r), "record(token)"; got != want {
		t.Errorf("a record prints as %q, want %q", got, want)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range goldenRecords() {
		f.Add(mustEncode(f, r))
	}
	for _, value := range damaged {
		f.Add([]byte(value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := DecodeRecord(value)
		if err != nil {
			noEcho(t, err, value)
			return
		}
		again := mustEncode(t, r)
		got := mustDecode(t, again)
		if diff := cmp.Diff(r, got, known); diff != "" {
			t.Errorf("written and read again (-first +second):\n%s", diff)
		}
		if len(got.unknown) != len(r.unknown) || len(got.Frame.unknown) != len(r.Frame.unknown) {
			t.Error("a member that is not known was lost")
		}
		if third := mustEncode(t, got); !bytes.Equal(again, third) {
			t.Errorf("two values of one record:\n%s\n%s", again, third)
		}
		if !Includes(value, value) || Excludes(value, value) {
			t.Error("a value does not include itself")
		}
	})
}
