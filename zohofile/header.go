package zohofile

import (
	"bytes"
	"strings"
)

// A column is a column of SDK 8.0, in the order that all SDKs write.
type column int

const (
	id column = iota
	userName
	clientID
	clientSecret
	refreshToken
	accessToken
	grantToken
	expiryTime
	redirectURL
	apiDomain
	columns // how many there are
)

var names = [columns]string{
	"id", "user_name", "client_id", "client_secret", "refresh_token",
	"access_token", "grant_token", "expiry_time", "redirect_url", "api_domain",
}

// columnOf finds a column by the names that headers give it.
var columnOf = func() map[string]column {
	m := map[string]column{"user_mail": userName, "redirect_uri": redirectURL}
	for c, name := range names {
		m[name] = column(c)
	}
	return m
}()

// The sets of columns that there are, a bit for each column.
const (
	columns8 = 1<<columns - 1 // 5.0 to 8.0
	columns2 = columns8 &^ (1 << apiDomain)
	columns1 = columns2 &^ (1<<id | 1<<clientSecret | 1<<redirectURL)
)

// A layout is what the first row says about the others.
type layout struct {
	columns []column // in the order of the cells
	header  bool     // the first row is a header, not a token
	quotes  bool     // the header shows that quotation marks quote
	scala   bool     // header and file are as Scala's SDK writes them
}

// newLayout returns the layout of the file whose first row is first. The row is a
// header if all its cells are names of columns, and a token if none is and
// there are ten of them. Anything between is a header that was damaged.
func newLayout(first row, data []byte) (layout, error) {
	var l layout
	set := 0
	for _, cell := range first.cells {
		if c, ok := columnOf[cell]; ok {
			l.columns = append(l.columns, c)
			set |= 1 << c
		}
	}
	n, known := len(first.cells), len(l.columns)
	switch {
	case known == 0 && n == int(columns):
		for c := range columns {
			l.columns = append(l.columns, c)
		}
		return l, nil
	case known == 0:
		return layout{}, refuse(first.line, "no header, and %d cells: without a header there must be %d", n, int(columns))
	case known < n:
		return layout{}, refuse(first.line, "a damaged header: %d of %d cells are the name of a column", known, n)
	case n == 10 && set == columns8, n == 9 && set == columns2, n == 6 && set == columns1:
	default:
		return layout{}, refuse(first.line, "a header that no SDK writes: a column is missing or there twice")
	}

	header := strings.Join(first.cells, ",")
	l.header = true
	l.quotes = first.quoted || strings.Contains(header, "redirect_uri")
	l.scala = header == strings.Join(names[:], ",") && !bytes.ContainsAny(data, "\r\"")
	return l, nil
}
