package zohofile

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzRead reads anything: it never panics, never returns a token that a store
// would not take, and never shows a value in an error.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatal("no files in testdata", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(bytes.ReplaceAll(data, []byte("example"), []byte(canary)))
		f.Add(data[:len(data)/2])
	}
	for _, in := range []string{
		"", "\ufeff", ",", `""`, "\r\r\n", header + "\n1,\"c4nary\n", header + "\n1,c4nary\"\n", header + "\nnull,null,,,c4nary,,,1e5,,\n",
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tokens, err := Read(bytes.NewReader(data))
		if err != nil {
			if tokens != nil {
				t.Error("tokens beside an error")
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows a value: %s", err)
			}
			return
		}
		oldest := bytes.Contains(data, []byte("user_mail,")) && !bytes.Contains(data, []byte("client_secret"))
		for _, tok := range tokens {
			if tok.ID == "" && oldest {
				continue
			}
			if len(tok.ID) < 1 || len(tok.ID) > 256 || !utf8.ValidString(tok.ID) || strings.ContainsFunc(tok.ID, unicode.IsControl) {
				t.Errorf("an id of %d bytes that cannot be one", len(tok.ID))
			}
			if tok.RefreshToken.IsZero() && tok.AccessToken.IsZero() && tok.GrantToken.IsZero() {
				t.Error("a token without tokens")
			}
		}
		sameAsCSV(t, data)
	})
}

// sameAsCSV compares the rows of an accepted file to what encoding/csv reads,
// where that says the same by design: it changes carriage returns.
func sameAsCSV(t *testing.T, data []byte) {
	t.Helper()
	if bytes.ContainsRune(data, '\r') {
		return
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var got [][]string
	for r, err := range rows(data) {
		if err != nil {
			t.Fatal(err)
		}
		if !r.isFiller() {
			got = append(got, r.cells)
		}
	}
	reader := csv.NewReader(bytes.NewReader(data))
	reader.FieldsPerRecord = -1
	all, err := reader.ReadAll()
	if err != nil {
		t.Fatalf("accepted, but encoding/csv says: %v", err)
	}
	want := slices.DeleteFunc(all, func(cells []string) bool { return row{cells: cells}.isFiller() })
	if !slices.EqualFunc(got, want, slices.Equal[[]string]) {
		t.Errorf("rows\n%q\nencoding/csv reads\n%q", got, want)
	}
}

// FuzzRoundTrip writes one token as each SDK does, between two others, and reads
// it back.
func FuzzRoundTrip(f *testing.F) {
	f.Add("7", "zoë:600", "client", "secret", "refresh", "access", "grant", uint64(1893456000000), "https://app.example.com/cb", "https://www.zohoapis.eu")
	f.Add("python_x", "a,b \"c\"", "", "", "\"", "", ",", uint64(1), "https://app.example.com/cb?a=1,2", "")
	f.Add("8", "a\r\nb", "", "", "", "a", "", uint64(maxMillis), "\n", "")
	f.Fuzz(func(t *testing.T, rid, user, client, secret, refresh, access, grant string, expiry uint64, redirect, domain string) {
		rec := record{rid, user, client, secret, refresh, access, grant, "", redirect, domain}
		if expiry > 0 && expiry <= maxMillis {
			rec[expiryTime] = formatMillis(expiry)
		}
		if !writable(rec) {
			t.Skip()
		}
		before := record{id: "\u2190", refreshToken: "\u2190"}
		after := record{id: "\u2192", refreshToken: "\u2192"}
		if slices.Contains(rec[:], "\u2190") || slices.Contains(rec[:], "\u2192") {
			t.Skip()
		}
		records := []record{before, rec, after}
		for name, d := range dialects {
			if d.plain && strings.ContainsAny(strings.Join(rec[:], ""), ",\n\r\"") {
				continue
			}
			tokens, err := Read(strings.NewReader(d.write(records)))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			wantRecords(t, tokens, records)
		}
	})
}
