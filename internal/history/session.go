package history

import (
	"fmt"
	"math"
)

// CheckSessions returns what a store showed that is older than what it had written
// or shown itself. Stale reads of the service excuse nothing here.
func CheckSessions(ops []Operation) []string {
	s := sessions{ops: ops}
	for _, o := range ops {
		if o.Output.Outcome != Done && o.Output.Outcome != NotFound || o.Input.Kind.saves() || o.Final {
			continue
		}
		for _, before := range ops {
			if before.Store == o.Store && before.Input.User == o.Input.User &&
				before.Return < o.Call && before.Output.Outcome == Done {
				if why := s.compare(before, o); why != "" {
					s.bad = append(s.bad, fmt.Sprintf("%s:\n\tbefore: %v\n\tafter:  %v", why, before, o))
				}
			}
		}
	}
	return s.bad
}

type sessions struct {
	ops []Operation
	bad []string
}

// compare says what is wrong with an operation after another one of its store.
func (s *sessions) compare(before, o Operation) string {
	in, seen := o.Input, o.Output.Seen
	if before.Input.Kind == Delete {
		if seen.ID == before.Input.ID {
			return "a record was seen after its deletion"
		}
		return ""
	}
	id := before.Output.Seen.ID
	if before.Input.Kind.saves() {
		id = before.Output.ID
	}
	marks := before.Output.Seen.Marks.With(before.Input.Mark)
	if seen.ID == id {
		if lost := marks.without(seen.Marks); lost != (Marks{}) {
			return fmt.Sprintf("marks %v were seen or written before", lost)
		}
		return ""
	}
	if s.deleted(id, o.Return) {
		return ""
	}
	// What was done by id says nothing about the index, so the store may not know yet
	// how to find the record by its keys.
	saved := before.Input.Kind.saves()
	switch {
	case in.ID == id:
		return "a record was not found that was seen or written before"
	case in.ID != "": // of another record: it was deleted when this one came to be
	case saved && in.Kind == FindByUser:
		return "another record, or none, was found than the one that was saved before"
	case saved && o.Output.Outcome == NotFound && in.Kind == FindByRefresh &&
		in.Refresh == before.Input.Refresh && !s.rotated(before, o):
		return "a refresh token finds nothing that was written before"
	}
	return ""
}

// deleted reports whether a deletion of a record may have taken effect before a time.
func (s *sessions) deleted(id string, time int64) bool {
	for _, o := range s.ops {
		if o.Input.Kind == Delete && o.Input.ID == id && o.Call < time &&
			(o.Output.Outcome == Done || o.Output.Outcome == Unknown) {
			return true
		}
	}
	return false
}

// rotated reports whether the refresh token that a save wrote may have been replaced
// before an operation returned.
func (s *sessions) rotated(save, until Operation) bool {
	for _, o := range s.ops {
		in, ended := o.Input, o.Return
		if o.Output.Outcome == Unknown {
			ended = math.MaxInt64
		}
		if in.Kind.saves() && in.User == save.Input.User && in.Refresh != "" && in.Refresh != save.Input.Refresh &&
			o.Output.Outcome != Refused && o.Call < until.Return && ended > save.Call {
			return true
		}
	}
	return false
}
