package zohofile

import (
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode"

	"github.com/tokenkeep/tokenkeep/token"
)

// A record is the values of a row by column; an absent value is empty.
type record [columns]string

// record sorts the cells of a row into their columns. It refuses a row that can
// be read in two ways, or in none.
func (l layout) record(r row) (record, error) {
	n := len(l.columns)
	if len(r.cells) != n {
		return record{}, refuse(r.line, "%d cells instead of %d: a value with a comma was written without quotes, "+
			"or the row is damaged", len(r.cells), n)
	}
	if r.quoted && r.fitsUnquoted(n) {
		if slices.Contains(r.raw, '\n') {
			return record{}, refuse(r.line, "a quotation mark opens a value over several lines, which may be whole rows")
		}
		if !l.quotes {
			return record{}, refuse(r.line, "quotation marks that may be part of a value")
		}
	}
	var rec record
	for i, c := range l.columns {
		cell := r.cells[i]
		if named, ok := columnOf[cell]; ok && named == c {
			return record{}, refuseCell(r.line, c, "the value is the column's name: a header, or what is left of one")
		}
		if cell == "null" {
			if !l.scala || slices.Contains(r.cells, "") {
				return record{}, refuseCell(r.line, c, "the text null in a row that is not as Scala's SDK writes it; "+
					"if it means that there is no value, empty the cell")
			}
			cell = ""
		}
		rec[c] = cell
	}
	if slices.Contains(l.columns, id) && rec[id] == "" {
		return record{}, refuseCell(r.line, id, "empty")
	}
	return rec, nil
}

// token makes a token of the record of the row at line.
func (rec record) token(line int) (*token.OAuthToken, error) {
	if len(rec[id]) > 256 {
		return nil, refuseCell(line, id, "longer than 256 bytes")
	}
	for _, r := range rec[id] {
		if unicode.IsControl(r) {
			return nil, refuseCell(line, id, "a control character")
		}
	}
	var expiry time.Time
	if text := rec[expiryTime]; text != "" {
		ms, ok := parseMillis(text)
		if !ok {
			return nil, refuseCell(line, expiryTime, "not a number of milliseconds between the years 1970 and 9999")
		}
		expiry = time.UnixMilli(ms).UTC()
	}
	if rec[refreshToken] == "" && rec[accessToken] == "" && rec[grantToken] == "" {
		return nil, refuse(line, "the row has no refresh, access or grant token")
	}
	return &token.OAuthToken{
		ID:            rec[id],
		UserSignature: token.UserSignature{Name: rec[userName]},
		ClientID:      rec[clientID],
		ClientSecret:  token.NewSecret(rec[clientSecret]),
		GrantToken:    token.NewSecret(rec[grantToken]),
		RefreshToken:  token.NewSecret(rec[refreshToken]),
		AccessToken:   token.NewSecret(rec[accessToken]),
		Expiry:        expiry,
		RedirectURL:   rec[redirectURL],
		APIDomain:     rec[apiDomain],
	}, nil
}

// float is how PHP writes a float.
var float = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$`)

// maxMillis is the last millisecond of the year 9999, after which a time has no
// form in JSON.
const maxMillis = 253402300799999

// parseMillis reads the milliseconds since the Unix epoch. A fraction of one is
// dropped.
func parseMillis(text string) (ms int64, ok bool) {
	if !float.MatchString(text) {
		return 0, false
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		// Exact: whole numbers have room in a float64 up to 2^53, which is more
		// than maxMillis.
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f > maxMillis {
			return 0, false
		}
		ms = int64(f)
	}
	return ms, ms <= maxMillis
}
