package zohofile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
)

const header = "id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,expiry_time,redirect_url,api_domain"

// The rows of the files in testdata.
var (
	ana = record{"1", "ana@example.com:600012345", "1000.CLIENTEXAMPLE", "secret-example", "1000.r1.example", "1000.a1.example",
		"1000.g1.example", "1893456000000", "https://app.example.com/cb", "https://www.zohoapis.com"}
	bo = record{"2", "bo@example.com:600012346", "1000.CLIENTEXAMPLE", "secret-example", "1000.r2.example", "1000.a2.example",
		"", "1893456000000", `https://app.example.com/cb?a=1,2&b="q"`, "https://www.zohoapis.eu"}
	noUser = record{"3", "", "1000.CLIENTEXAMPLE", "secret-example", "1000.r3.example", "1000.a3.example",
		"", "1893456000000", "", "https://www.zohoapis.in"}
	accessOnly = record{"4", "", "", "", "", "1000.a4.example", "", "", "", ""}
)

// with returns a copy of r with some cells changed.
func (r record) with(cells map[column]string) record {
	for c, text := range cells {
		r[c] = text
	}
	return r
}

// plain returns what a token holds, as the record of its row.
func plain(t *token.OAuthToken) record {
	r := record{t.ID, t.UserSignature.Name, t.ClientID, t.ClientSecret.Reveal(), t.RefreshToken.Reveal(),
		t.AccessToken.Reveal(), t.GrantToken.Reveal(), "", t.RedirectURL, t.APIDomain}
	if !t.Expiry.IsZero() {
		r[expiryTime] = strconv.FormatInt(t.Expiry.UnixMilli(), 10)
	}
	return r
}

func wantRecords(t *testing.T, tokens []*token.OAuthToken, want []record) {
	t.Helper()
	if len(tokens) != len(want) {
		t.Fatalf("%d tokens, want %d", len(tokens), len(want))
	}
	for i, tok := range tokens {
		if got := plain(tok); got != want[i] {
			t.Errorf("token %d:\n got %q\nwant %q", i, got, want[i])
		}
	}
}

func TestReadTakesTheFileOfEachSDK(t *testing.T) {
	plainBo := bo.with(map[column]string{redirectURL: "https://app.example.com/cb?a=1"})
	v2 := func(sdk string) []record {
		return []record{
			ana.with(map[column]string{id: sdk + "_ana_us_prd_mple", userName: "ana@example.com", grantToken: "", redirectURL: "", apiDomain: ""}),
			bo.with(map[column]string{id: sdk + "_bo_eu_prd_mple", userName: "bo@example.com", redirectURL: "https://app.example.com/cb?a=1,2", apiDomain: ""}),
		}
	}
	v2node := v2("nodejs")
	v2node[1][redirectURL] = "https://app.example.com/cb"
	v1 := v2("")
	for i := range v1 {
		for _, c := range []column{id, clientSecret, redirectURL} {
			v1[i][c] = ""
		}
	}
	files := map[string][]record{
		"python": {ana, bo, noUser,
			accessOnly.with(map[column]string{accessToken: "1000.a4.only.access"}),
			{id: "5", userName: "zoë o'neil@example.com:600012347", clientID: "1000.CLIENTEXAMPLE", clientSecret: "secret-example", grantToken: "1000.g5.example"}},
		"java":       {ana, bo, noUser, accessOnly},
		"node":       {ana, plainBo, noUser, accessOnly},
		"typescript": {ana, plainBo, noUser, accessOnly},
		"php":        {ana, plainBo, noUser},
		"csharp":     {ana, plainBo, noUser},
		"ruby":       {ana, bo, noUser, accessOnly},
		"scala": {ana, plainBo, noUser,
			accessOnly.with(map[column]string{apiDomain: "https://www.zohoapis.com"})},
		"2x":                v2("python"),
		"2x-windows":        v2("python"),
		"2x-widened-python": v2("python"),
		"2x-widened-node":   v2node,
		"1x":                v1,
		"python-headerless": {ana, noUser},
	}
	for name, want := range files {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(filepath.Join("testdata", "sdk_tokens."+name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			tokens, err := Read(f)
			if err != nil {
				t.Fatal(err)
			}
			wantRecords(t, tokens, want)
		})
	}
	all, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(all) != len(files) {
		t.Errorf("%d files in testdata, %d tested (%v)", len(all), len(files), err)
	}
}

// lineEnds returns s with other line ends than LF.
func lineEnds(s, end string) string { return strings.ReplaceAll(s, "\n", end) }

func TestReadTakes(t *testing.T) {
	row := func(r record) string { return strings.Join(r[:], ",") + "\n" }
	a, n := row(ana), row(noUser)
	pythonHeader := strings.Replace(header, "redirect_url", "redirect_uri", 1)
	tests := map[string]struct {
		in   string
		want []record
	}{
		"a header only":                               {header + "\n", nil},
		"a header only, without line end":             {header, nil},
		"a byte order mark":                           {"\ufeff" + header + "\n" + a, []record{ana}},
		"a byte order mark without header":            {"\ufeff" + a + n, []record{ana, noUser}},
		"CR LF":                                       {lineEnds(header+"\n"+a+n, "\r\n"), []record{ana, noUser}},
		"CR CR LF":                                    {lineEnds(header+"\n"+a+n, "\r\r\n"), []record{ana, noUser}},
		"mixed line ends":                             {header + "\r\n" + a + lineEnds(n, "\r\r\n"), []record{ana, noUser}},
		"a last row that ends with CR":                {header + "\n" + lineEnds(a, "\r"), []record{ana}},
		"blank lines":                                 {"\n" + header + "\n\n\r\n" + a + "\n\n" + n + "\n\n", []record{ana, noUser}},
		"Java's and Node's rows of two empty cells":   {header + "\n,\n" + a + ",\n" + n + ",", []record{ana, noUser}},
		"columns in another order":                    {"api_domain,redirect_uri,expiry_time,grant_token,access_token,refresh_token,client_secret,client_id,user_mail,id\n,,,,,r,,,u,7\n", []record{{id: "7", userName: "u", refreshToken: "r"}}},
		"a header in quotes, and then quotes freely":  {`"` + strings.ReplaceAll(header, ",", `","`) + "\"\n" + `"7","u","","","r","","","","",""` + "\n", []record{{id: "7", userName: "u", refreshToken: "r"}}},
		"quotes freely where the header is Python's":  {pythonHeader + "\n" + `7,"u ""x""",,,r,,,,,` + "\n", []record{{id: "7", userName: `u "x"`, refreshToken: "r"}}},
		"a line break inside quotes, unchanged":       {pythonHeader + "\n7,\"u\r\nv\",,,r,,,,,\n" + n, []record{{id: "7", userName: "u\r\nv", refreshToken: "r"}, noUser}},
		"the cell of two quotation marks as empty":    {header + "\n" + `7,"",,,r,,,,,""` + "\n", []record{{id: "7", refreshToken: "r"}}},
		"null in Scala's file":                        {header + "\n7,null,null,null,r,null,null,null,null,null\n", []record{{id: "7", refreshToken: "r"}}},
		"null beside a row that another SDK wrote":    {header + "\n7,null,null,null,r,null,null,null,null,null\n" + n, []record{{id: "7", refreshToken: "r"}, noUser}},
		"a user under two clients, as two records":    {header + "\n" + a + row(ana.with(map[column]string{id: "2", clientID: "other"})), []record{ana, ana.with(map[column]string{id: "2", clientID: "other"})}},
		"two users with one token, as two records":    {header + "\n" + a + row(ana.with(map[column]string{id: "2", userName: "other"})), []record{ana, ana.with(map[column]string{id: "2", userName: "other"})}},
		"one token under two clients, as two records": {header + "\n1,,c1,,r,,,,,\n2,,c2,,r,,,,,\n", []record{{id: "1", clientID: "c1", refreshToken: "r"}, {id: "2", clientID: "c2", refreshToken: "r"}}},
		"ids as opaque text":                          {header + "\n007,,,,r1,,,,,\n7,,,,r2,,,,,\n 7 ä,,,,r3,,,,,\n", []record{{id: "007", refreshToken: "r1"}, {id: "7", refreshToken: "r2"}, {id: " 7 ä", refreshToken: "r3"}}},
		"an id of 256 bytes":                          {header + "\n" + strings.Repeat("i", 256) + ",,,,r,,,,,\n", []record{{id: strings.Repeat("i", 256), refreshToken: "r"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			// One byte at a time, since a reader may return what it likes.
			tokens, err := Read(iotest.OneByteReader(strings.NewReader(tt.in)))
			if err != nil {
				t.Fatal(err)
			}
			wantRecords(t, tokens, tt.want)
		})
	}
}

func TestExpiryIsTheInstantThatTheFileSays(t *testing.T) {
	for text, want := range map[string]time.Time{
		"":                   {},
		"1893456000000":      time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
		"1893456000123":      time.Date(2030, 1, 1, 0, 0, 0, 123e6, time.UTC),
		"1893456000123.0":    time.Date(2030, 1, 1, 0, 0, 0, 123e6, time.UTC),
		"1893456000123.9":    time.Date(2030, 1, 1, 0, 0, 0, 123e6, time.UTC),
		"1.893456E+12":       time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
		"1.893456000123E+12": time.Date(2030, 1, 1, 0, 0, 0, 123e6, time.UTC),
		"1.7e12":             time.UnixMilli(1700000000000).UTC(),
		"1893456000":         time.Date(1970, 1, 22, 21, 57, 36, 0, time.UTC), // seconds, not corrected
		"0":                  time.Unix(0, 0).UTC(),
		"253402300799999":    time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC),
	} {
		tokens, err := Read(strings.NewReader(header + "\n1,,,,,a,," + text + ",,\n"))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := tokens[0].Expiry; got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestReadReturnsTheErrorOfItsReader(t *testing.T) {
	broken := errors.New("broken")
	tokens, err := Read(iotest.ErrReader(broken))
	if !errors.Is(err, broken) || tokens != nil {
		t.Errorf("%v, %v", tokens, err)
	}
}

func TestTokensDoNotShareMemoryWithTheFile(t *testing.T) {
	data := []byte(header + "\n" + strings.Join(ana[:], ","))
	r, _, err := firstRow(data, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(r.cells)
	clear(data)
	if !slices.Equal(r.cells, want) {
		t.Error("cells changed with the data")
	}
}
