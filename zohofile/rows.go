package zohofile

import (
	"bytes"
	"iter"
)

// A row is one row of the file.
type row struct {
	line  int      // where it begins
	raw   []byte   // as it stands in the file, without its line end
	cells []string // its values, as an SDK that quotes reads them
	// quoted: a cell that is not empty stands in quotation marks.
	quoted bool
}

// isFiller reports whether the row is a blank line, or what an SDK makes of a
// blank line when it appends a column: Python's "" and Node's and Java's lone
// comma.
func (r row) isFiller() bool {
	switch len(r.cells) {
	case 1:
		return r.cells[0] == ""
	case 2:
		return r.cells[0] == "" && r.cells[1] == ""
	}
	return false
}

// fitsUnquoted reports whether an SDK that knows no quotation marks could have
// written the row, or one of the lines that it runs over, as a row of n cells.
func (r row) fitsUnquoted(n int) bool {
	for line := range bytes.SplitSeq(r.raw, []byte("\n")) {
		if bytes.Count(line, []byte(",")) == n-1 {
			return true
		}
	}
	return false
}

// rows yields the rows of a file. It stops after the first error.
//
// It is not encoding/csv, which cannot say whether a cell was quoted, changes
// line ends inside quotes, hides blank lines and knows no CR CR LF.
func rows(data []byte) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		rest, line := data, 1
		for len(rest) > 0 {
			r, size, err := firstRow(rest, line)
			if err != nil {
				yield(row{}, err)
				return
			}
			line += bytes.Count(rest[:size], []byte("\n"))
			rest = rest[size:]
			if !yield(r, nil) {
				return
			}
		}
	}
}

// firstRow reads the row that data begins with, and returns its size with its
// line end.
func firstRow(data []byte, line int) (r row, size int, err error) {
	r.line = line
	at := 0
	for {
		var cell []byte
		inQuotes := at < len(data) && data[at] == '"'
		if inQuotes {
			var ok bool
			if cell, at, ok = unquote(data, at); !ok {
				return row{}, 0, refuse(line, "a quotation mark is not closed")
			}
			r.quoted = r.quoted || len(cell) > 0
		} else {
			end := len(data)
			if i := bytes.IndexAny(data[at:], ",\n\r\""); i >= 0 {
				end = at + i
			}
			cell, at = data[at:end], end
		}
		// A copy: a token must not keep the whole file in memory.
		r.cells = append(r.cells, string(cell))

		if at < len(data) && data[at] == ',' {
			at++
			continue
		}
		if size, ok := lineEnd(data[at:]); ok {
			if at > maxRow {
				return row{}, 0, refuse(line, "the row is over %d MiB", maxRow>>20)
			}
			r.raw = data[:at]
			return r, at + size, nil
		}
		switch {
		case inQuotes:
			return row{}, 0, refuse(line, "text behind a closing quotation mark")
		case data[at] == '"':
			return row{}, 0, refuse(line, "a quotation mark inside a value that is not quoted")
		default:
			return row{}, 0, refuse(line, "a carriage return inside the row")
		}
	}
}

// unquote returns the value of the quoted cell that begins at data[at], and the
// position behind it; false if its quotation mark is not closed.
func unquote(data []byte, at int) (cell []byte, next int, ok bool) {
	at++
	for {
		i := bytes.IndexByte(data[at:], '"')
		if i < 0 {
			return nil, 0, false
		}
		cell = append(cell, data[at:at+i]...)
		at += i + 1
		if at == len(data) || data[at] != '"' {
			return cell, at, true
		}
		cell = append(cell, '"')
		at++
	}
}

// lineEnd returns the size of the line end that data begins with: LF, CR LF,
// CR CR LF, or the same without LF at the end of the file.
func lineEnd(data []byte) (size int, ok bool) {
	for size < len(data) && size < 2 && data[size] == '\r' {
		size++
	}
	if size == len(data) {
		return size, true
	}
	return size + 1, data[size] == '\n'
}
