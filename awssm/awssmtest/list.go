package awssmtest

import (
	"cmp"
	"slices"
)

type listOutput struct {
	NextToken  string `json:",omitempty"`
	SecretList []description
}

// listSecrets lists secrets, as late as [WithListLag] says.
func (s *Server) listSecrets(in *input) (any, *Error) {
	if e := checkRange(in.MaxResults, "maxResults", maxPage); e != nil {
		return nil, e
	}
	if e := s.permit("ListSecrets", "", "*"); e != nil {
		return nil, e
	}
	list, next, e := s.list("ListSecrets", in, maxPage)
	if e != nil {
		return nil, e
	}
	out := listOutput{NextToken: next, SecretList: make([]description, len(list))}
	for i, sec := range list {
		out.SecretList[i] = s.description(sec)
		out.SecretList[i].SecretVersionsToStages = sec.stages()
	}
	return out, nil
}

// list returns a page of secrets and the token of the next. MaxResults counts
// the secrets looked at, before filters: "This can occur even when the response
// includes no values at all, such as when you ask for a filtered view of a long
// list." A program that stops at a short page is wrong.
func (s *Server) list(operation string, in *input, pageSize int) ([]*secret, string, *Error) {
	if e := checkFilters(in.Filters); e != nil {
		return nil, "", e
	}
	order, e := newOrder(in)
	if e != nil {
		return nil, "", e
	}
	if in.MaxResults != nil {
		pageSize = *in.MaxResults
	}
	after, e := readCursor(in.NextToken, operation, order.name)
	if e != nil {
		return nil, "", e
	}

	type row struct {
		*secret
		cursor
	}
	var rows []row
	planned := in.IncludePlannedDeletion != nil && *in.IncludePlannedDeletion
	for _, c := range s.cells {
		sec := s.listed(c)
		if sec == nil || sec.scheduled() && !planned {
			continue
		}
		at := cursor{Operation: operation, Order: order.name, Seq: sec.seq}
		order.place(s, sec, &at)
		if after == nil || order.compare(at, *after) > 0 {
			rows = append(rows, row{sec, at})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return order.compare(a.cursor, b.cursor) })

	next := ""
	if len(rows) > pageSize {
		rows = rows[:pageSize]
		next = rows[pageSize-1].cursor.String()
	}
	var page []*secret
	for _, r := range rows {
		if matchAll(in.Filters, r.secret) {
			page = append(page, r.secret)
		}
	}
	return page, next, nil
}

// An order sorts secrets by a name or a date and, where that is equal, by age.
type order struct {
	name  string
	place func(*Server, *secret, *cursor) // fills in what it sorts by
	sign  int
}

func (o order) compare(a, b cursor) int {
	return o.sign * cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Date, b.Date), cmp.Compare(a.Seq, b.Seq))
}

// newOrder reads SortBy, by default created-date, and SortOrder, by default asc.
func newOrder(in *input) (order, *Error) {
	by, direction := "created-date", "asc"
	if in.SortBy != nil {
		by = *in.SortBy
	}
	if in.SortOrder != nil {
		direction = *in.SortOrder
	}
	o := order{name: by + " " + direction}
	switch by {
	case "created-date":
		o.place = func(_ *Server, sec *secret, at *cursor) { at.Date = sec.created.UnixNano() }
	case "last-changed-date":
		o.place = func(_ *Server, sec *secret, at *cursor) { at.Date = sec.changed.UnixNano() }
	case "last-accessed-date":
		o.place = func(s *Server, sec *secret, at *cursor) {
			if day := s.accessed(sec); !day.IsZero() {
				at.Date = day.UnixNano()
			}
		}
	case "name":
		o.place = func(_ *Server, sec *secret, at *cursor) { at.Name = sec.name }
	default:
		return o, errConstraint(by, "sortBy", "satisfy enum value set: [created-date, last-accessed-date, last-changed-date, name]")
	}
	switch direction {
	case "asc":
		o.sign = 1
	case "desc":
		o.sign = -1
	default:
		return o, errConstraint(direction, "sortOrder", "satisfy enum value set: [asc, desc]")
	}
	return o, nil
}
