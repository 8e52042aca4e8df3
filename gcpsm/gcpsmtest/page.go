package gcpsmtest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
)

// A cursor is the place of the last entry of a page. As it names no number of
// entries, what is created or deleted between two pages moves no others.
type cursor struct {
	List string // a hash of what is listed and how
	Seq  int64
}

// String is the cursor as a page token.
func (c cursor) String() string {
	text, _ := json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(text)
}

// readCursor reads a page token, nil if there is none. A token serves only the
// list and the filter that it is from.
func readCursor(token, list string) (*cursor, error) {
	if token == "" {
		return nil, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, errPageToken()
	}
	var c cursor
	if json.Unmarshal(text, &c) != nil || c.List != list {
		return nil, errPageToken()
	}
	return &c, nil
}

// listID tells lists apart.
func listID(method, parent, filter string) string {
	sum := sha256.Sum256([]byte(method + "\n" + parent + "\n" + filter))
	return hex.EncodeToString(sum[:8])
}

// A page cuts a list. With a filter it counts the entries looked at: a page may
// then be short or empty and still have a successor. A program that stops at a
// short page is wrong.
func page[T any](entries []T, seq func(T) int64, after *cursor, size int, list string, matches func(T) bool) (out []T, next string) {
	left := size
	for i, e := range entries {
		if after != nil && seq(e) >= after.Seq {
			continue
		}
		if left == 0 {
			return out, cursor{list, seq(entries[i-1])}.String()
		}
		left--
		if matches(e) {
			out = append(out, e)
		}
	}
	return out, ""
}
