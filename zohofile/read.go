package zohofile

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/tokenkeep/tokenkeep/token"
)

const (
	maxFile = 64 << 20
	maxRow  = 1 << 20
)

// Read returns the tokens of a file in the order of its rows, all of them or an
// error: an [*Error] if the file is refused, else the error of r. A file that
// has a header only has no tokens. Tokens of a 1.x file have no ID.
//
// Read reads r to its end, or to a little over 64 MiB.
func Read(r io.Reader) ([]*token.OAuthToken, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("zohofile: reading: %w", err)
	}
	if len(data) > maxFile {
		return nil, refuse(0, "the file is over %d MiB", maxFile>>20)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if err := checkText(data); err != nil {
		return nil, err
	}

	var (
		l      layout
		tokens []*token.OAuthToken
		seen   = newIdentities()
	)
	for row, err := range rows(data) {
		if err != nil {
			return nil, err
		}
		if row.isFiller() {
			continue
		}
		if l.columns == nil {
			if l, err = newLayout(row, data); err != nil {
				return nil, err
			}
			if l.header {
				continue
			}
		}
		rec, err := l.record(row)
		if err != nil {
			return nil, err
		}
		t, err := rec.token(row.line)
		if err != nil {
			return nil, err
		}
		if err := seen.add(rec, row.line); err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
	}
	if l.columns == nil {
		return nil, refuse(0, "the file is empty: it has no header and no rows")
	}
	return tokens, nil
}

// checkText refuses what is not text in UTF-8.
func checkText(data []byte) error {
	if !utf8.Valid(data) {
		return refuse(lineOf(data, invalidAt(data)), "not UTF-8: Python's, Java's and Scala's SDK write in "+
			"the encoding of their platform; convert the file to UTF-8 first")
	}
	// A write that was torn by a crash leaves NUL bytes on many file systems.
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return refuse(lineOf(data, i), "a NUL byte: the file is damaged, or not UTF-8")
	}
	return nil
}

// invalidAt returns the position of the first byte that is not UTF-8.
func invalidAt(data []byte) int {
	at := 0
	for at < len(data) {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		at += size
	}
	return at
}

// lineOf returns the number of the line that data[at] is on.
func lineOf(data []byte, at int) int {
	return 1 + bytes.Count(data[:at], []byte("\n"))
}
