package stories

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tokenkeep/tokenkeep/token"
)

// The records of the table below. No two share a key.
var precedenceRecords = []string{
	"id one,user U1,client c1,grant G1,refresh R1",
	"id two,user U2,refresh R2",
	"id three,access A3",
	"id four,grant G4",
	"id five,refresh R5,client c5",
}

// A meaning is a query, what FindToken makes of it and what SaveToken does: the id of
// a record, "new", or an error.
type meaning struct {
	query       string
	find, write any
}

const isNew = "new"

var precedence = []struct {
	rule  string
	cases []meaning
}{
	{"the id comes first: a find asks for nothing else, a save goes on to other keys if there is no such record", []meaning{
		{"id two", "two", "two"},
		{"id two,refresh R2", "two", "two"},
		{"id two,user U1", "two", token.ErrConflict},
		{"id two,client c9", "two", "two"},
		{"id one,client c9", "one", token.ErrConflict},
		{"id three,user U1", "three", token.ErrConflict},
		{"id five,grant G4", "five", token.ErrConflict},
		{"id five,grant G1", "five", "five"}, // it is U1's, and five is nobody's yet
		{"id none,user U1", token.ErrNotFound, "one"},
		{"id none,access A3", token.ErrNotFound, "three"},
		{"id none,grant G4", token.ErrNotFound, "four"},
		{"id none,refresh R5", token.ErrNotFound, "five"},
		{"id none,refresh R9", token.ErrNotFound, isNew},
		{"id none", token.ErrNotFound, token.ErrInvalid},
		{"id none,user U9", token.ErrNotFound, token.ErrInvalid},
		{"id none,client c1,access A9", token.ErrNotFound, isNew},
	}},
	{"the user comes second", []meaning{
		{"user U1", "one", "one"},
		{"user U1,access A3", "one", "one"},
		{"user U1,access A9", "one", "one"},
		{"user U1,grant G4", "one", "one"},
		{"user U1,refresh R5", "one", "one"},
		{"user U1,refresh R9", "one", "one"},
		{"user U2,refresh R1", "two", "two"},
		{"user U9", token.ErrNotFound, token.ErrInvalid},
		{"user U9,refresh R9", token.ErrNotFound, isNew},
	}},
	{"users are compared byte for byte", []meaning{
		{"user u1", token.ErrNotFound, token.ErrInvalid},
		{"user U1 ", token.ErrNotFound, token.ErrInvalid},
		{"user  U1", token.ErrNotFound, token.ErrInvalid},
		{"user U1\x00", token.ErrNotFound, token.ErrInvalid},
		{"user U", token.ErrNotFound, token.ErrInvalid},
		{"user U11", token.ErrNotFound, token.ErrInvalid},
		{"user %", token.ErrNotFound, token.ErrInvalid},
	}},
	{"the access token comes third, if the query has neither client id nor client secret", []meaning{
		{"access A3", "three", "three"},
		{"access A3,grant G4", "three", token.ErrConflict},
		{"access A3,refresh R5", "three", token.ErrConflict},
		{"access A3,refresh R9", "three", "three"},
		{"access A3,client c5,refresh R5", "five", "five"},
		{"access A3,secret s,refresh R5", "five", "five"},
		{"access A3,client c9,refresh R9", token.ErrNotFound, isNew},
		{"access A3,client c5", token.ErrInvalid, token.ErrInvalid},
		{"access A3,secret s", token.ErrInvalid, token.ErrInvalid},
		{"access A9", token.ErrNotFound, isNew},
	}},
	{"the grant token comes fourth, with a compatible client", []meaning{
		{"grant G4", "four", "four"},
		{"grant G4,client c9", "four", "four"},
		{"grant G4,access A9", "four", "four"},
		{"grant G4,refresh R5", "four", token.ErrConflict},
		{"grant G4,refresh R9", "four", "four"},
		{"grant G1", "one", "one"},
		{"grant G1,client c1", "one", "one"},
		{"grant G1,client c9", token.ErrNotFound, isNew},
		{"grant G9", token.ErrNotFound, isNew},
	}},
	{"the refresh token comes fifth, with a compatible client", []meaning{
		{"refresh R5", "five", "five"},
		{"refresh R5,client c5", "five", "five"},
		{"refresh R5,secret s", "five", "five"},
		{"refresh R5,grant G9", "five", "five"},
		{"refresh R5,grant G9,access A9", "five", "five"},
		{"refresh R5,client c9", token.ErrNotFound, token.ErrConflict}, // it would be the second nobody's
		{"refresh R1,client c9", token.ErrNotFound, isNew},
		{"refresh R2,client c9", "two", "two"},
		{"refresh R9", token.ErrNotFound, isNew},
	}},
	{"a query that names a user matches by its tokens only records that have no user yet", []meaning{
		{"user U9,access A3", "three", "three"},
		{"user U9,grant G4", "four", "four"},
		{"user U9,refresh R5", "five", "five"},
		{"user U9,client c5,refresh R5", "five", "five"},
		{"user U9,client c9,refresh R5", token.ErrNotFound, isNew},
		{"user U9,refresh R1", token.ErrNotFound, isNew},
		{"user U9,grant G1", token.ErrNotFound, isNew},
		{"user U9,grant G1,refresh R5", "five", "five"},
	}},
	{"a query that names nothing is invalid and never returns a record", []meaning{
		{"", token.ErrInvalid, token.ErrInvalid},
		{"client c1", token.ErrInvalid, token.ErrInvalid},
		{"client c1,secret s", token.ErrInvalid, token.ErrInvalid},
		{"secret s", token.ErrInvalid, token.ErrInvalid},
		{"domain x", token.ErrInvalid, token.ErrInvalid},
		{"mark x", token.ErrInvalid, token.ErrInvalid},
		{"client c1,secret s,access A3", token.ErrInvalid, token.ErrInvalid},
		{"user ", token.ErrInvalid, token.ErrInvalid},
		{"refresh ", token.ErrInvalid, token.ErrInvalid},
		{"access ,grant ,refresh ", token.ErrInvalid, token.ErrInvalid},
	}},
	{"one kind of token is not taken for another", []meaning{
		{"access G4", token.ErrNotFound, isNew},
		{"grant R5", token.ErrNotFound, isNew},
		{"refresh A3", token.ErrNotFound, isNew},
		{"refresh U1", token.ErrNotFound, isNew},
		{"grant one", token.ErrNotFound, isNew},
	}},
}

// The table's records and nothing else.
func precedenceStage(st *stage) []*token.OAuthToken {
	for _, r := range precedenceRecords {
		st.save(strings.Split(r, ",")...)
	}
	return st.all()
}

func (m meaning) fields() []string {
	if m.query == "" {
		return nil
	}
	return strings.Split(m.query, ",")
}

// checkRead finds, and saves what is refused: the records stay as they are.
func (m meaning) checkRead(st *stage) {
	switch found := m.find.(type) {
	case error:
		st.findsNot(found, m.fields()...)
	case string:
		st.finds(found, m.fields()...)
	}
	if err, ok := m.write.(error); ok {
		st.refused(err, m.fields()...)
	}
}

// checkWrite saves with a mark.
func (m meaning) checkWrite(st *stage) {
	want := len(precedenceStage(st))
	id := st.save(append(m.fields(), "mark here")...)
	if m.write == isNew {
		want++
	} else if id != m.write {
		st.Fatalf("SaveToken updated record %q, want %q", id, m.write)
	}
	st.counts(want)
	for _, t := range st.all() {
		if marked := !t.Extra["here"].IsZero(); marked != (t.ID == id) {
			st.Fatalf("record %q was written: %v", t.ID, marked)
		}
	}
}

var which = []story{
	{"keys are tried in order, and the first that applies and matches decides", func(st *stage) {
		for _, group := range precedence {
			st.scene(group.rule, func(st *stage) {
				before := precedenceStage(st)
				for _, m := range group.cases {
					m.checkRead(st)
				}
				st.same(st.all(), before)
			})
			for _, m := range group.cases {
				if _, refused := m.write.(error); !refused {
					st.scene(fmt.Sprintf("%s: a save of %q", group.rule, m.query), m.checkWrite)
				}
			}
		}
	}},
	{"a record whose user becomes known later is updated, not duplicated", func(st *stage) {
		for _, key := range []string{"access A1", "grant G1", "refresh R1"} {
			st.scene(key, func(st *stage) {
				id := st.save(key, "domain d")
				if again := st.save(key, "user U1"); again != id {
					st.Fatal("it was duplicated")
				}
				st.same(st.byID(id), tok("id "+id, key, "domain d", "user U1"))
				st.finds(id, "user U1")
				st.finds(id, key)
				st.counts(1)
			})
		}
	}},
	{"two users never share a record", func(st *stage) {
		nobodys := st.save("refresh R1", "client c1")
		first := st.save("user U1", "refresh R1", "client c1")
		second := st.save("user U2", "refresh R1", "client c1")
		if first != nobodys || second == first {
			st.Fatal("the first user did not adopt the record, or the second did too")
		}
		st.finds(first, "user U1")
		st.finds(second, "user U2")
		st.counts(2)
	}},
	{"a lookup by a token that two users hold returns the one that held it first", func(st *stage) {
		for _, kind := range []string{"refresh", "grant"} {
			st.scene(kind, func(st *stage) {
				shared := kind + " shared"
				first := st.save("user U1", shared)
				second := st.save("user U2", shared)
				st.save("user U1", shared, "access A1") // no matter who was updated last
				st.finds(first, shared)
				st.save("user U1", kind+" other")
				st.finds(second, shared)
				st.save("user U1", shared)
				st.finds(second, shared)
				st.succeeds(st.store.DeleteToken(st.Context(), second))
				st.finds(first, shared)
			})
		}
	}},
	{"of those that hold a token the first with a compatible client is meant", func(st *stage) {
		first := st.save("user U1", "client c1", "refresh shared")
		second := st.save("user U2", "client c2", "refresh shared")
		st.finds(first, "refresh shared")
		st.finds(first, "refresh shared", "client c1")
		st.finds(second, "refresh shared", "client c2")
		st.findsNot(token.ErrNotFound, "refresh shared", "client c3")
	}},
	{"two records hold one token only if they belong to different users", func(st *stage) {
		for _, kind := range []string{"refresh", "grant"} {
			st.scene(kind, func(st *stage) {
				st.save("user U1", "client c1", kind+" T1")
				st.save("user U1", "client c2", kind+" T2")
				st.refused(token.ErrConflict, "user U1", "client c2", kind+" T1")
				st.refused(token.ErrConflict, "user U1", "client c3", kind+" T1")
				st.save("user U2", "client c2", kind+" T1")
				st.counts(3)
			})
		}
	}},
	{"the same user under two clients is two records", func(st *stage) {
		one := st.save("user U1", "client c1", "refresh R1")
		two := st.save("user U1", "client c2", "refresh R2")
		if one == two {
			st.Fatal("the second client overwrote the first")
		}
		st.finds(one, "user U1", "client c1")
		st.finds(two, "user U1", "client c2")
		st.counts(2)
	}},
	{"several records of one user and a query without client are ambiguous, for a save too", func(st *stage) {
		st.save("user U1", "client c1", "refresh R1")
		st.save("user U1", "client c2", "refresh R2")
		st.findsNot(token.ErrAmbiguous, "user U1")
		st.findsNot(token.ErrAmbiguous, "user U1", "refresh R1")
		st.refused(token.ErrAmbiguous, "user U1", "access A1")
		st.refused(token.ErrAmbiguous, "user U1", "refresh R1", "access A1")
		st.findsNot(token.ErrNotFound, "user U1", "client c3")
	}},
	{"deleting one of two records ends the ambiguity", func(st *stage) {
		one := st.save("user U1", "client c1", "refresh R1")
		two := st.save("user U1", "client c2", "refresh R2")
		st.succeeds(st.store.DeleteToken(st.Context(), one))
		st.finds(two, "user U1")
		if id := st.save("user U1", "access A1"); id != two {
			st.Fatal("another record was updated")
		}
	}},
	{"a client is compatible with a record that has none, and becomes the record's", func(st *stage) {
		id := st.save("user U1", "refresh R1")
		st.finds(id, "user U1", "client c1")
		if again := st.save("user U1", "client c1", "access A1"); again != id {
			st.Fatal("another record was made")
		}
		st.same(st.byID(id), tok("id "+id, "user U1", "client c1", "refresh R1", "access A1"))
		st.findsNot(token.ErrNotFound, "user U1", "client c2")
		two := st.save("user U1", "client c2", "refresh R2")
		st.finds(two, "user U1", "client c2")
		st.counts(2)
	}},
	{"a rotated refresh token replaces the old one, and the old one finds nothing", func(st *stage) {
		id := st.save("user U1", "client c1", "refresh R1", "access A1")
		for i := 2; i < 6; i++ {
			rotated := fmt.Sprint("refresh R", i)
			if again := st.save("user U1", "client c1", rotated); again != id {
				st.Fatal("a rotation made another record")
			}
			st.finds(id, rotated)
			st.findsNot(token.ErrNotFound, fmt.Sprint("refresh R", i-1))
		}
		st.save("id "+id, "refresh R1")
		st.finds(id, "refresh R1")
		st.findsNot(token.ErrNotFound, "refresh R5")
		st.counts(1)
	}},
	{"a grant token stays a key after its use", func(st *stage) {
		id := st.save("client c1", "secret s", "grant G1")
		st.save("id "+id, "refresh R1", "access A1", "user U1")
		st.finds(id, "client c1", "secret s", "grant G1")
	}},
	{"a record is found by its access token though it has other keys", func(st *stage) {
		st.save("user U0", "refresh R0", "access A0")
		id := st.save("user U1", "refresh R1", "access A1")
		st.finds(id, "access A1")
		st.save("user U1", "access A2")
		st.finds(id, "access A2")
		st.findsNot(token.ErrNotFound, "access A1")
		if again := st.save("access A2", "domain d"); again != id {
			st.Fatal("another record was made")
		}
		st.counts(2)
	}},
	{"an access token that two records have is ambiguous", func(st *stage) {
		st.save("user U1", "refresh R1", "access shared")
		st.save("user U2", "refresh R2", "access shared")
		st.findsNot(token.ErrAmbiguous, "access shared")
		err := st.store.SaveToken(st.Context(), tok("access shared", "domain d"))
		if !errors.Is(err, token.ErrAmbiguous) {
			st.Fatal(err)
		}
	}},
}
