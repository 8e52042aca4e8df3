// Package oplog is what workers write down: a line of JSON when an operation begins, and
// one when it ends. A line is one write, so that a worker that is killed leaves whole lines;
// what it had begun and not ended has an outcome that nobody knows.
//
// All that is named in a log has a number: users, tokens, and the marks that writes leave in
// records. So the names themselves must be nowhere in it.
package oplog

import (
	"encoding/json"
	"io"
	"sync"
)

// A Line is one of a log. Exactly one of its fields beside At is set.
type Line struct {
	// At is when it was written, in nanoseconds of a clock that all workers share.
	At int64 `json:"at"`
	// Confined is the first line: what the worker sees of its confinement.
	Confined *Confined `json:"confined,omitempty"`

	Begin *Begin `json:"begin,omitempty"`
	End   *End   `json:"end,omitempty"`
	Look  *Look  `json:"look,omitempty"`
	// Repair is what a run of the repair found.
	Repair *Repair `json:"repair,omitempty"`
	// Listed is what a worker measured while it listed many tokens.
	Listed *Listed `json:"listed,omitempty"`
	// Problem is what must not happen.
	Problem string `json:"problem,omitempty"`
	// Ended is the last line: the worker did all that it had to do.
	Ended bool `json:"ended,omitempty"`
}

// Unknown is what a worker says of what it cannot see.
const Unknown = "unknown"

// Confined is what a worker sees of its confinement.
type Confined struct {
	UID int `json:"uid"`
	GID int `json:"gid"`
	// RootWritable and DirWritable: it could create a file in /, and in its working directory.
	RootWritable bool `json:"root_writable"`
	DirWritable  bool `json:"dir_writable"`
	// Capabilities are those in effect, in hexadecimal digits, and NoNewPrivs is "1" if it cannot
	// gain any, as /proc/self/status has them.
	Capabilities string `json:"capabilities"`
	NoNewPrivs   string `json:"no_new_privs"`
	// Memory is the limit of its control group, in bytes, as the kernel writes it: "max", or a
	// very large number, if there is none.
	Memory string `json:"memory"`
}

// A Begin is an operation before it is done.
type Begin struct {
	Op     int    `json:"op"` // numbers the operations of a client, from 1 and without a gap
	Client int    `json:"client"`
	Do     string `json:"do"` // a Kind of package history
	User   int    `json:"user"`
	ID     string `json:"id,omitempty"`
	// Access and Refresh are the numbers of tokens, from 1.
	Access  int   `json:"access,omitempty"`
	Refresh int   `json:"refresh,omitempty"`
	Mark    int64 `json:"mark,omitempty"`
	Final   bool  `json:"final,omitempty"`
}

// An End is what came of an operation.
type End struct {
	Op      int     `json:"op"`
	Client  int     `json:"client"`
	Outcome string  `json:"outcome"` // an Outcome of package history
	Err     string  `json:"err,omitempty"`
	Late    bool    `json:"late,omitempty"` // its time was up when it ended
	ID      string  `json:"id,omitempty"`   // what a save set
	Seen    *Record `json:"seen,omitempty"`
}

// A Record is what a find returned, or what an update changed.
type Record struct {
	ID      string  `json:"id"`
	User    int     `json:"user"`
	Access  int     `json:"access,omitempty"`
	Refresh int     `json:"refresh,omitempty"`
	Count   int     `json:"count,omitempty"`
	Marks   []int64 `json:"marks,omitempty"`
}

// A Look is one record of the list at the end, and what each of its keys finds.
type Look struct {
	Record Record `json:"record"`
	// Found is the id that each key finds, "user", "id", "refresh", or an error.
	Found map[string]string `json:"found"`
}

// A Repair is one run of the repair.
type Repair struct {
	Run      string           `json:"run"` // "before", "mend" or "after"
	Records  int              `json:"records"`
	Problems map[string]Count `json:"problems,omitempty"`
	Err      string           `json:"err,omitempty"`
	Done     bool             `json:"done"`
}

// A Count is how often a problem was found, mended, and left to rest.
type Count struct {
	Found   int `json:"found,omitempty"`
	Fixed   int `json:"fixed,omitempty"`
	Waiting int `json:"waiting,omitempty"`
}

// A Listed is a measurement.
type Listed struct {
	Tokens int `json:"tokens"`
	// Peak is the most memory that the process ever had resident, in bytes, pages of its files
	// included (VmHWM).
	Peak int64 `json:"peak"`
	// Anonymous is what it has resident when all is listed and that is no page of a file
	// (RssAnon): no part of the peak, which was before.
	Anonymous int64 `json:"anonymous"`
	// Missing are those of the two that /proc/self/status does not tell. They are 0 then.
	Missing []string `json:"missing,omitempty"`
	Seconds float64  `json:"seconds"`
}

// A Writer writes lines. It is safe for concurrent use.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter returns a writer to an unbuffered w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write puts the time on a line and writes it.
func (w *Writer) Write(l Line) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.At = Now()
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = w.w.Write(append(text, '\n'))
	return err
}
