// Package history records what concurrent clients do with stores, and checks that
// every record behaved as one would expect of a single variable: each operation
// took effect at one moment between its call and its return (linearizability).
//
// [Run] lets goroutines work through several stores of one service while faults
// happen, and checks what they saw. Only tests import this package.
package history

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/tokenkeep/tokenkeep/token"
)

// A Kind is what an operation does.
type Kind string

// The kinds. Those that write leave their mark in the record, so that it can be
// seen later whether they took effect; Keep leaves none.
const (
	SaveAccess    Kind = "save access"     // SaveToken with the user and an access token
	SaveRefresh   Kind = "save refresh"    // SaveToken with the user and a refresh token
	Keep          Kind = "keep refresh"    // the same, with nothing new if the record has that token
	Update        Kind = "update"          // UpdateToken that adds one to a counter
	Delete        Kind = "delete"          // DeleteToken
	FindByUser    Kind = "find by user"    // FindToken
	FindByID      Kind = "find by id"      // FindTokenByID
	FindByRefresh Kind = "find by refresh" // FindToken
)

func (k Kind) saves() bool { return k == SaveAccess || k == SaveRefresh || k == Keep }

func (k Kind) writes() bool { return k.saves() || k == Update || k == Delete }

// An Input is what is asked for.
type Input struct {
	Kind    Kind
	User    string
	ID      string // of Update, Delete and FindByID
	Access  string // of SaveAccess
	Refresh string // of SaveRefresh, Keep and FindByRefresh
	Mark    int    // of SaveAccess, SaveRefresh and Update: unique among those of the user, not 0
}

// An Outcome is how an operation ended.
type Outcome string

// The outcomes.
const (
	Done     Outcome = "done"
	NotFound Outcome = "not found"
	// Unknown: the write took effect, or may do so at any time from its call on.
	Unknown Outcome = "outcome unknown"
	// Refused: an error that says that nothing was written.
	Refused Outcome = "refused"
)

// An Output is what came of it.
type Output struct {
	Outcome Outcome
	// ID is what a save that is done set.
	ID string
	// Seen is what a find returned, or what an update changed.
	Seen Record
	// must: the outcome is unknown, but somebody saw the mark.
	must bool
}

// A Record is what a find sees.
type Record struct {
	User, ID, Access, Refresh string
	Count                     int
	Marks                     Marks
}

func (r Record) String() string {
	return fmt.Sprintf("{%s %s access=%s refresh=%s count=%d marks=%v}", r.User, r.ID, r.Access, r.Refresh, r.Count, r.Marks)
}

// Marks is a set of marks below MaxMarks.
type Marks [8]uint64

// MaxMarks bounds the writes of one user in a history.
const MaxMarks = 8 * 64

// With returns the set with a mark more. Mark 0 is none.
func (m Marks) With(mark int) Marks {
	if mark > 0 {
		m[mark/64] |= 1 << (mark % 64)
	}
	return m
}

func (m Marks) has(mark int) bool { return mark > 0 && m[mark/64]&(1<<(mark%64)) != 0 }

// without returns the marks of m that are not in o.
func (m Marks) without(o Marks) Marks {
	for i := range m {
		m[i] &^= o[i]
	}
	return m
}

func (m Marks) String() string {
	var marks []string
	for i, word := range m {
		for ; word != 0; word &= word - 1 {
			marks = append(marks, strconv.Itoa(64*i+bits.TrailingZeros64(word)))
		}
	}
	return "[" + strings.Join(marks, " ") + "]"
}

// The names in Extra.
const (
	counter = "count"
	marked  = "mark-"
)

func markName(mark int) string { return marked + strconv.Itoa(mark) }

// recordOf returns what a history keeps of a token.
func recordOf(t *token.OAuthToken) (Record, error) {
	reveal := func(s token.Secret) string {
		return s.Reveal() //nolint:forbidigo // the tokens here are made by tests
	}
	r := Record{User: t.UserSignature.Name, ID: t.ID, Access: reveal(t.AccessToken), Refresh: reveal(t.RefreshToken)}
	for name, value := range t.Extra {
		number := reveal(value)
		if mark, ok := strings.CutPrefix(name, marked); ok {
			number = mark
		}
		n, err := strconv.Atoi(number)
		switch {
		case err != nil || n < 1 || n >= MaxMarks:
			return r, fmt.Errorf("record %s holds %q, which nobody wrote", t.ID, name)
		case name == counter:
			r.Count = n
		default:
			r.Marks = r.Marks.With(n)
		}
	}
	return r, nil
}

// An Operation is one call of a store. Call and Return are readings of one clock:
// what returned at a lower reading than another was called came before it.
type Operation struct {
	Client, Store int
	Input         Input
	Output        Output
	Call, Return  int64
	// Final operations come after all others, when the service has settled.
	Final bool
}

func (o Operation) String() string {
	return fmt.Sprintf("%d-%d client %d store %d: %s", o.Call, o.Return, o.Client, o.Store, describe(o.Input, o.Output))
}

func describe(in Input, out Output) string {
	words := []string{string(in.Kind), in.User}
	for _, f := range []struct{ name, value string }{{"id", in.ID}, {"access", in.Access}, {"refresh", in.Refresh}} {
		if f.value != "" {
			words = append(words, f.name+"="+f.value)
		}
	}
	if in.Mark > 0 {
		words = append(words, "mark="+strconv.Itoa(in.Mark))
	}
	words = append(words, "->", string(out.Outcome), out.ID)
	if out.Seen != (Record{}) {
		words = append(words, out.Seen.String())
	}
	return strings.Join(words, " ")
}
