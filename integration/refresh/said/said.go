// Package said is what workers write down, and how: a line of JSON for each thing that happened. A line is one
// write, so that a worker that is killed leaves whole lines. No line holds a token, but
// fingerprints of some.
package said

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"sync"
	"time"
)

// A Line is one thing that happened. Exactly one field beside At is set.
type Line struct {
	At    time.Time `json:"at"`
	Call  *Call     `json:"call,omitempty"`
	Log   *Log      `json:"log,omitempty"`
	Ended string    `json:"ended,omitempty"` // the last line: how it ended, "well" or an error
}

// How an access token was come by.
const (
	First     = "first"     // by the first call of a process
	Warm      = "warm"      // the source had it
	Found     = "found"     // in the record
	Refreshed = "refreshed" // by this call
)

// NoAnswer stands for the answer of a resource server that did not come.
const NoAnswer = "no answer"

// A Call is one of Source.Token, and the use of what it returned.
type Call struct {
	User   string        `json:"user"`
	Took   time.Duration `json:"took"`
	Stored int           `json:"stored,omitempty"` // calls to the secret manager
	How    string        `json:"how"`
	Access string        `json:"access,omitempty"` // the fingerprint of the access token
	// Left is how long it was good from then on, as far as the source knew.
	Left time.Duration `json:"left,omitempty"`
	// Used is what the resource server said of it: whose it is, or why it refused it. NoAnswer: it
	// said nothing.
	Used string `json:"used,omitempty"`
	// Err is its error, and Cause why the user has to log in again, if that is the error.
	Err   string `json:"err,omitempty"`
	Cause string `json:"cause,omitempty"`
}

// A Log is what a source told its logger.
type Log struct {
	User    string `json:"user"`
	Message string `json:"message"`
	Err     string `json:"err,omitempty"`
}

// The messages of a source that has stored new tokens, and of one that could not.
const (
	Stored  = "token refreshed"
	Unsaved = "new tokens are not stored yet"
)

// Fingerprint is a hash of a token.
func Fingerprint(tok string) string {
	sum := sha256.Sum256([]byte(tok))
	return hex.EncodeToString(sum[:8])
}

// A Writer writes lines. It is safe for concurrent use.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter returns a writer to an unbuffered w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write puts the time on a line and writes it. Nobody could be told that it cannot.
func (w *Writer) Write(l Line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.At = time.Now()
	text, err := json.Marshal(l)
	if err != nil {
		panic(err) // it has nothing in it that cannot be written
	}
	_, _ = w.w.Write(append(text, '\n'))
}
