package history

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"
)

// A state is the record of one user, and what became of those before it.
type state struct {
	// live: there is a record. Its ID is empty if nobody has been told it yet.
	live   bool
	record Record
	// dead are the ids that were deleted, each with a space behind it.
	dead string
}

func (s state) String() string {
	if !s.live {
		return "no record; dead: " + s.dead
	}
	return fmt.Sprintf("%v; dead: %s", s.record, s.dead)
}

// model is what a store does to the record of one user.
//
// An operation whose outcome is unknown may be put behind all others, which is as
// if it had not happened.
var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(s, in, out any) (bool, any) {
		return step(s.(state), in.(Input), out.(Output)) //nolint:forcetypeassert // no others are put in
	},
	DescribeOperation: func(in, out any) string {
		return describe(in.(Input), out.(Output)) //nolint:forcetypeassert // no others are put in
	},
	DescribeState: func(s any) string { return fmt.Sprint(s) },
}

// step returns whether an operation can have gone that way in a state, and the state
// after it.
//
// Operations by id are by one that somebody was told before. So they never mean a
// record whose id nobody has been told.
func step(s state, in Input, out Output) (bool, state) {
	if out.Outcome == Refused {
		return true, s
	}
	meant := s.live && s.record.ID == in.ID
	switch in.Kind {
	case SaveAccess, SaveRefresh, Keep:
		return s.save(in, out)
	case Update:
		// Of a client that died nobody knows what its update saw.
		unseen := out.Outcome == Unknown && out.Seen == (Record{})
		fits := meant && (s.record == out.Seen || unseen)
		switch {
		case out.Outcome == NotFound:
			return !meant, s
		case out.Outcome == Unknown && !fits:
			return !out.must, s
		}
		s.record.Count++
		s.record.Marks = s.record.Marks.With(in.Mark)
		return fits, s
	case Delete:
		if out.Outcome == NotFound || out.Outcome == Unknown && !meant {
			return !meant, s
		}
		return meant, state{dead: s.dead + in.ID + " "}
	case FindByRefresh:
		meant = s.live && s.record.Refresh == in.Refresh
	case FindByUser:
		meant = s.live
	case FindByID:
	}
	if out.Outcome == NotFound {
		return !meant, s
	}
	if meant && !s.told(out.Seen.ID, &s) {
		return false, s
	}
	return meant && s.record == out.Seen, s
}

// save is a save that took effect.
func (s state) save(in Input, out Output) (bool, state) {
	if out.Outcome == NotFound {
		return false, s
	}
	if !s.live {
		s.live, s.record = true, Record{User: in.User}
	}
	if out.ID != "" && !s.told(out.ID, &s) {
		return false, s
	}
	if in.Access != "" {
		s.record.Access = in.Access
	}
	if in.Refresh != "" {
		s.record.Refresh = in.Refresh
	}
	s.record.Marks = s.record.Marks.With(in.Mark)
	return true, s
}

// told sets the id of the record in next if it was not known, and reports whether
// the record can have it.
func (s state) told(id string, next *state) bool {
	if s.record.ID == "" && !strings.Contains(s.dead, id+" ") {
		next.record.ID = id
		return true
	}
	return s.record.ID == id
}
