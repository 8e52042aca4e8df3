package zohofile

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A dialect writes a file as an SDK does.
type dialect struct {
	header string
	end    string // of a line
	final  bool   // the last line has an end too
	plain  bool   // no quotes
	null   string
}

var dialects = map[string]dialect{
	"python":     {header: strings.Replace(header, "redirect_url", "redirect_uri", 1), end: "\r\n", final: true},
	"node":       {header: header, end: "\n", plain: true},
	"typescript": {header: strings.Replace(header, "user_name", "user_mail", 1), end: "\n", plain: true},
	"csharp":     {header: header, end: "\r\n", final: true, plain: true},
	"scala":      {header: header, end: "\n", plain: true, null: "null"},
	"headerless": {end: "\r\n", final: true, plain: true},
	"windows":    {header: strings.Replace(header, "redirect_url", "redirect_uri", 1), end: "\r\r\n", final: true},
}

func (d dialect) write(records []record) string {
	var lines []string
	if d.header != "" {
		lines = append(lines, d.header)
	}
	for _, r := range records {
		for c, cell := range r {
			switch {
			case cell == "":
				r[c] = d.null
			case !d.plain && strings.ContainsAny(cell, ",\"\r\n"):
				r[c] = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
			}
		}
		lines = append(lines, strings.Join(r[:], ","))
	}
	text := strings.Join(lines, d.end)
	if d.final {
		text += d.end
	}
	return text
}

// writable reports whether a file can say the record, and a reader be sure of it.
func writable(rec record) bool {
	size := 0
	for c, cell := range rec {
		size += 2 * len(cell)
		named, isName := columnOf[cell]
		if cell == "null" || isName && named == column(c) || !utf8.ValidString(cell) || strings.ContainsRune(cell, 0) {
			return false
		}
		// A value with whole rows in it.
		if strings.Contains(cell, "\n") && strings.Count(strings.Join(rec[:], ","), ",") > 9 {
			return false
		}
	}
	// Its last line is a whole row if a line break is in the first cell and its
	// first if it is in the last.
	broken := strings.Contains(rec[apiDomain], "\n")
	return size < maxRow/2 && !broken && validID(rec[id]) &&
		slices.ContainsFunc([]column{refreshToken, accessToken, grantToken}, func(c column) bool { return rec[c] != "" })
}

func validID(s string) bool {
	return s != "" && len(s) <= 256 && !strings.ContainsFunc(s, unicode.IsControl)
}

func formatMillis(ms uint64) string { return strconv.FormatUint(ms, 10) }
