package zohofile

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// canary stands in every value of the files that are refused, and in no error.
const canary = "c4nary"

// wantRefused checks that an input is refused at a place, without a word of it.
func wantRefused(t *testing.T, in string, line int, column, reason string) {
	t.Helper()
	tokens, err := Read(strings.NewReader(in))
	if tokens != nil {
		t.Errorf("%d tokens beside the error", len(tokens))
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want an *Error", err)
	}
	if e.Line != line || e.Column != column || !strings.Contains(e.Reason, reason) {
		t.Errorf("got line %d, column %q: %s\nwant line %d, column %q: %s", e.Line, e.Column, e.Reason, line, column, reason)
	}
	if text := strings.ToLower(err.Error()); strings.Contains(text, canary) || strings.Contains(text, "example") {
		t.Errorf("the error shows a value: %s", err)
	}
}

func TestReadRefusesByLine(t *testing.T) {
	// good is a row that is fine, whatever its id.
	good := func(id string) string {
		return id + ",c4nary" + id + "@example.com,c4nary.CLIENT,c4nary-secret,c4nary.r" + id + ",c4nary.a" + id + ",c4nary.g" + id + ",1893456000000,https://c4nary.example.com,https://c4nary\n"
	}
	g := header + "\n" + good("1") + good("2") // the next line is 4
	python := strings.Replace(header, "redirect_url", "redirect_uri", 1) + "\n"
	v2 := strings.Replace(strings.TrimSuffix(header, ",api_domain"), "user_name", "user_mail", 1) + "\n"
	v1 := "user_mail,client_id,refresh_token,access_token,grant_token,expiry_time\n"

	tests := map[string]struct {
		in     string
		line   int
		column string
		reason string
	}{
		"an empty file":                          {"", 0, "", "empty"},
		"a file of blank lines":                  {"\ufeff\r\n\n,\n", 0, "", "empty"},
		"a row with a cell too many":             {g + "3,c4nary,c4nary,c4nary,c4nary,,,,https://c4nary?a=1,2,https://c4nary\n", 4, "", "11 cells instead of 10"},
		"a row that was cut off":                 {g + "3,c4nary,c4nary,c4nary,c4na", 4, "", "5 cells instead of 10"},
		"a short row in Scala's file":            {g + "3,null,null,null,c4nary,null\n" + good("4"), 4, "", "6 cells instead of 10"},
		"a row of ten in a file of nine":         {v2 + "1,c4nary,,,c4nary,,,,\n2,c4nary,,,c4nary,,,,,\n", 3, "", "10 cells instead of 9"},
		"a row of nine in a file of six":         {v1 + "1,c4nary,,,c4nary,,,,\n", 2, "", "9 cells instead of 6"},
		"a row of one cell":                      {g + "c4nary\n", 4, "", "1 cells instead of 10"},
		"the line of a row after blank lines":    {header + "\n\n\n" + good("1") + ",\n" + "c4nary\n", 6, "", "1 cells"},
		"the line after CR CR LF":                {lineEnds(g, "\r\r\n") + "c4nary\r\r\n", 4, "", "1 cells"},
		"the line after a row of two lines":      {python + "1,\"c4\nnary\",,,c4nary,,,,,\nc4nary\n", 4, "", "1 cells"},
		"a quote that is not closed":             {g + good("3") + "4,\"c4nary,,,c4nary,,,,,\n" + good("5"), 5, "", "not closed"},
		"text behind a closing quote":            {g + "3,\"c4nary,\"x,,,c4nary,,,,,\n", 4, "", "behind a closing quotation mark"},
		"a CR behind a closing quote":            {g + "3,\"c4nary,\"\rx,,,c4nary,,,,,\n", 4, "", "behind a closing quotation mark"},
		"a quote inside an unquoted value":       {g + "3,c4\"nary,,,c4nary,,,,,\n", 4, "", "inside a value that is not quoted"},
		"a quote inside Python's unquoted value": {python + "3,c4nary\",,,c4nary,,,,,\n", 2, "", "inside a value that is not quoted"},
		"quotes that may be part of the value":   {g + "3,\"c4nary\",,,c4nary,,,,,\n", 4, "", "may be part of a value"},
		"doubled quotes that may be the value's": {g + "3,\"c4\"\"nary\",,,c4nary,,,,,\n", 4, "", "may be part of a value"},
		"a quote that swallows rows": {g + "3,\"c4nary,,,c4nary,,,,,\n" + good("4") + "5,c4nary\",,,c4nary,,,,,\n", 4, "",
			"may be whole rows"},
		"a quote that swallows rows of Python": {python + "3,\"c4nary,,,c4nary,,,,,\n" + good("4") + "5,c4nary\",,,c4nary,,,,,\n", 2, "", "may be whole rows"},
		"a CR inside a row":                    {g + "3,c4nary\r,,,c4nary,,,,,\n", 4, "", "carriage return"},
		"a file with CR line ends":             {lineEnds(g, "\r"), 1, "", "carriage return"},
		"three CRs before LF":                  {g + "3,,,,c4nary,,,,,\r\r\r\n", 4, "", "carriage return"},
		"Node's widening of a file with CR LF": {header + "\n1,c4nary,,,c4nary,,,,c4nary\r,\n", 2, "", "carriage return"},
		"null where there is a CR":             {lineEnds(header+"\n3,null,null,null,c4nary,null,null,null,null,null\n", "\r\n"), 2, "user_name", "null"},
		"null where there is a quote":          {header + "\n3,null,null,null,c4nary,null,null,null,null,null\n4,\"c4nary,\",,,c4nary,,,,,\n", 2, "user_name", "null"},
		"null under Python's header":           {python + "3,c4nary,null,null,c4nary,null,null,null,null,null\n", 2, "client_id", "null"},
		"null without header":                  {good("1") + "3,null,null,null,c4nary,null,null,null,null,null\n", 2, "user_name", "null"},
		"null in a file of 2.x":                {v2 + "3,null,null,null,c4nary,null,null,null,null\n", 2, "user_name", "null"},
		"null beside an empty cell":            {g + "3,c4nary,,,c4nary,,null,,,\n", 4, "grant_token", "null"},
		"null as Scala's id":                   {g + "null,c4nary,null,null,c4nary,null,null,null,null,null\n", 4, "id", "empty"},
		"an empty id":                          {g + ",c4nary,,,c4nary,,,,,\n", 4, "id", "empty"},
		"an empty id in a file of 2.x":         {v2 + ",c4nary,,,c4nary,,,,\n", 2, "id", "empty"},
		"an id over 256 bytes":                 {g + "c4nary" + strings.Repeat("i", 251) + ",,,,c4nary,,,,,\n", 4, "id", "256"},
		"an id with a tab":                     {g + "c4nary\t,,,,c4nary,,,,,\n", 4, "id", "control character"},
		"an id with a C1 control":              {g + "c4nary\u0085,,,,c4nary,,,,,\n", 4, "id", "control character"},
		"an id with a line break":              {python + "\"c4nary\n\",,,,c4nary,,,,,\n", 2, "", "may be whole rows"},
		"a row without any token":              {g + "3,c4nary,c4nary,c4nary,,,,1893456000000,c4nary,c4nary\n", 4, "", "no refresh, access or grant token"},
		"an empty record with an id":           {g + "3,,,,,,,,,\n", 4, "", "no refresh, access or grant token"},
		"a row of ten empty cells":             {g + ",,,,,,,,,\n", 4, "id", "empty"},
		"a row of six empty cells":             {v1 + ",,,,,\n", 2, "", "no refresh, access or grant token"},
		"a second header":                      {g + header + "\n", 4, "id", "a header"},
		"what is left of a header":             {g + "3,user_mail,c4nary,c4nary,c4nary,,,,,\n", 4, "user_name", "a header"},
		"a header that a save overwrote":       {"id,c4nary,c4nary,c4nary,c4nary,c4nary,grant_token,expiry_time,c4nary,api_domain\n", 1, "", "4 of 10 cells"},
		"Scala's file without line breaks":     {header + "1,c4nary,c4nary,c4nary,c4nary,null,null,null,null,null", 1, "", "a damaged header: 9 of 19"},
		"a header with a column twice":         {strings.Replace(header, "client_id", "user_mail", 1) + "\n", 1, "", "missing or there twice"},
		"a header of nine with another missing": {strings.Replace(header, ",redirect_url", "", 1) + "\n", 1, "",
			"missing or there twice"},
		"a header of six with others":              {strings.Replace(v1, "expiry_time", "redirect_url", 1), 1, "", "missing or there twice"},
		"a user of several clients without client": {header + "\n1,c4nary,c1,,c4nary1,,,,,\n2,c4nary,c2,,c4nary2,,,,,\n3,c4nary,,,c4nary3,,,,,\n", 4, "user_name", "line 2"},
		"a token of several users without user":    {header + "\n1,u2,,,c4nary,,,,,\n2,u1,c1,,c4nary,,,,,\n3,,c1,,c4nary,,,,,\n", 4, "refresh_token", "line 2"},
		"a header of one column":                   {"id\nc4nary\n", 1, "", "missing or there twice"},
		"a file of nine columns, headerless":       {"1,c4nary,,,c4nary,,,,\n", 1, "", "no header, and 9 cells"},
		"a file of six columns, headerless":        {"c4nary,c4nary,c4nary,,,\n", 1, "", "no header, and 6 cells"},
		"a text that is no token file":             {"c4nary\nc4nary\n", 1, "", "no header, and 1 cells"},
		"a headerless file of something else":      {"c4nary,b,c,d,e,f,g,c4nary,i,j\n", 1, "expiry_time", "not a number"},
		"bytes that are not UTF-8":                 {g + "3,c4nary\xe9,,,c4nary,,,,,\n", 4, "", "convert the file to UTF-8"},
		"a truncated UTF-8 sequence":               {g + "3,c4nary\xc3", 4, "", "convert the file to UTF-8"},
		"a byte order mark of UTF-16":              {"\xff\xfei\x00d\x00", 1, "", "convert the file to UTF-8"},
		"UTF-16 without byte order mark":           {"i\x00d\x00,\x00", 1, "", "NUL"},
		"a NUL byte":                               {g + "3,c4nary\x00,,,c4nary,,,,,\n", 4, "", "NUL"},
		"a row over 1 MiB":                         {g + "3," + strings.Repeat("c4nary", 200_000) + ",,,c4nary,,,,,\n", 4, "", "over 1 MiB"},
		"two rows with one id":                     {g + "1,c4naryX,,,c4nary,,,,,\n", 4, "id", "the same record as in line 2"},
		"two rows of one user and client":          {g + "3,c4nary2@example.com,c4nary.CLIENT,,c4nary,,,,,\n", 4, "user_name", "line 3"},
		"a user with and without client":           {g + "3,c4nary2@example.com,,,c4nary,,,,,\n", 4, "user_name", "line 3"},
		"a user without and with client":           {header + "\n3,c4nary2@example.com,,,c4nary,,,,,\n" + good("2"), 3, "user_name", "line 2"},
		"a user twice in a file of 1.x":            {v1 + "c4nary,c,c4nary,,,\nc4nary,c,c4naryX,,,\n", 3, "user_name", "line 2"},
		"a refresh token twice":                    {g + "3,,c4nary.CLIENT,,c4nary.r2,,,,,\n", 4, "refresh_token", "line 3"},
		"a grant token twice":                      {g + "3,,,,,,c4nary.g1,,,\n", 4, "grant_token", "line 2"},
		"an access token twice":                    {header + "\n3,,,,,c4nary.a2,,,,\n" + good("2"), 3, "access_token", "line 2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { wantRefused(t, tt.in, tt.line, tt.column, tt.reason) })
	}
}

func TestReadRefusesAnExpiryThatIsNoNumberOfMilliseconds(t *testing.T) {
	for _, text := range []string{
		"c4nary", "1893456000000c4nary", "-1893456000000", "+1893456000000", " 1893456000000", "1893456000000 ", "1_893_456",
		"0x1p40", "NaN", "Inf", "1e", "1e+", ".5", "5.", "1.5.5", "1e999", "1e9999", "253402300800000", "2.534023008E+14",
		"99999999999999999999999999", "2030-01-01T00:00:00Z", "undefined", "None", "１８９３",
	} {
		in := header + "\n1,c4nary,c4nary,c4nary,c4nary,c4nary,," + text + ",,\n"
		t.Run(text, func(t *testing.T) { wantRefused(t, in, 2, "expiry_time", "not a number of milliseconds") })
	}
}

func TestReadRefusesAFileOver64MiB(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(header+"\n"), zeros{})
	tokens, err := Read(endless)
	var e *Error
	if !errors.As(err, &e) || e.Line != 0 || tokens != nil {
		t.Fatalf("%v, %v", tokens, err)
	}
	if want := "zohofile: the file is over 64 MiB"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// zeros reads zero bytes without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestErrorNamesLineAndColumn(t *testing.T) {
	for _, tt := range []struct {
		err  Error
		want string
	}{
		{Error{Reason: "the file is empty"}, "zohofile: the file is empty"},
		{Error{Line: 3, Reason: "5 cells"}, "zohofile: line 3: 5 cells"},
		{Error{Line: 3, Column: "id", Reason: "empty"}, "zohofile: line 3, column id: empty"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
