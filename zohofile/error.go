package zohofile

import "fmt"

// An Error says where and why a file is refused. It holds line numbers, column
// names and counts, and nothing that stands in the file.
type Error struct {
	// Line is where the row begins, counted from 1 by line feeds. Zero: it is
	// about the file as a whole.
	Line int
	// Column is the column's name in SDK 8.0, such as expiry_time. Empty: it is
	// about the row as a whole.
	Column string
	// Reason is for people.
	Reason string
}

// Error returns the place and the reason.
func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return "zohofile: " + e.Reason
	case e.Column == "":
		return fmt.Sprintf("zohofile: line %d: %s", e.Line, e.Reason)
	default:
		return fmt.Sprintf("zohofile: line %d, column %s: %s", e.Line, e.Column, e.Reason)
	}
}

// refuse returns an Error about a row, or about the file if line is 0. It takes
// numbers only, so that no value can get into a reason.
func refuse(line int, reason string, numbers ...int) error {
	args := make([]any, len(numbers))
	for i, n := range numbers {
		args[i] = n
	}
	return &Error{Line: line, Reason: fmt.Sprintf(reason, args...)}
}

// refuseCell returns an Error about one cell of a row.
func refuseCell(line int, c column, reason string) error {
	return &Error{Line: line, Column: names[c], Reason: reason}
}
