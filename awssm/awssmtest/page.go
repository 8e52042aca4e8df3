package awssmtest

import (
	"encoding/base64"
	"encoding/json"
)

// A cursor is the place of the last item of a page. As it names no number of
// items, what is created or deleted between two pages moves no others.
type cursor struct {
	Operation string
	Order     string // what the list is sorted by; for versions the secret
	Name      string // the one that it is sorted by, or empty
	Date      int64  // the one that it is sorted by, in nanoseconds, or 0
	Seq       int
}

// String is the cursor as a NextToken.
func (c cursor) String() string {
	text, _ := json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(text)
}

// readCursor reads a NextToken, nil if there is none. A token serves only the
// operation and the order that it is from.
func readCursor(token *string, operation, order string) (*cursor, *Error) {
	if token == nil {
		return nil, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(*token)
	if err != nil {
		return nil, errNextToken()
	}
	var c cursor
	if json.Unmarshal(text, &c) != nil || c.Operation != operation || c.Order != order {
		return nil, errNextToken()
	}
	return &c, nil
}
