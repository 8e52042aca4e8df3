package stories

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tokenkeep/tokenkeep/token"
)

var lists = []story{
	{"DeleteToken deletes one record and no other", func(st *stage) {
		id := st.save("user U1", "client c1", "grant G1", "refresh R1", "access A1")
		other := st.save("user U2", "client c1", "grant G2", "refresh R2", "access A2")
		st.succeeds(st.store.DeleteToken(st.Context(), id))
		for _, query := range []string{"id " + id, "user U1", "grant G1", "refresh R1", "access A1"} {
			st.findsNot(token.ErrNotFound, query)
		}
		_, err := st.store.FindTokenByID(st.Context(), id)
		st.fails(err, token.ErrNotFound)
		for _, query := range []string{"id " + other, "user U2", "grant G2", "refresh R2", "access A2"} {
			st.finds(other, query)
		}
		st.counts(1)
	}},
	{"DeleteToken of what is not there is ErrNotFound, the second time too", func(st *stage) {
		st.fails(st.store.DeleteToken(st.Context(), "none"), token.ErrNotFound)
		for _, id := range []string{st.save("user U1", "refresh R1"), st.save("id chosen", "user U2", "refresh R2")} {
			st.succeeds(st.Open().DeleteToken(st.Context(), id))
			st.fails(st.store.DeleteToken(st.Context(), id), token.ErrNotFound)
			st.fails(st.Open().DeleteToken(st.Context(), id), token.ErrNotFound)
		}
	}},
	{"what was deleted can be saved anew by its keys", func(st *stage) {
		id := st.save("user U1", "refresh R1", "access A1", "domain old")
		st.succeeds(st.store.DeleteToken(st.Context(), id))
		next := st.save("user U1", "refresh R1")
		if next == id {
			st.Fatal("the id of a deleted record was given again")
		}
		want := tok("id "+next, "user U1", "refresh R1")
		st.same(st.byID(next), want)
		st.counts(1)
	}},
	{"an update of a deleted record finds no record", func(st *stage) {
		id := st.save("user U1", "refresh R1")
		st.succeeds(st.Open().DeleteToken(st.Context(), id))
		err := st.store.UpdateToken(st.Context(), id, func(t *token.OAuthToken) error { t.APIDomain = "x"; return nil })
		st.fails(err, token.ErrNotFound)
		st.refused(token.ErrInvalid, "id "+id)
		st.counts(0)
	}},
	{"GetTokens returns all records, as they were saved", func(st *stage) {
		var want []*token.OAuthToken
		for i := range 5 {
			t := full()
			t.UserSignature.Name = fmt.Sprint("U", i)
			st.saveToken(t)
			want = append(want, t)
		}
		slices.SortFunc(want, func(a, b *token.OAuthToken) int { return strings.Compare(a.ID, b.ID) })
		got, err := st.store.GetTokens(st.Context())
		st.succeeds(err)
		st.same(got, want)
		st.same(st.all(), want)
	}},
	{"GetTokens of an empty store returns nothing", func(st *stage) {
		st.counts(0)
		id := st.save("user U1", "refresh R1")
		st.succeeds(st.store.DeleteToken(st.Context(), id))
		st.counts(0)
	}},
	{"GetTokens lists a record once, however many keys it has or had", func(st *stage) {
		id := st.save("user U1", "grant G1", "refresh R1", "access A1")
		for i := range 5 {
			st.save("user U1", fmt.Sprint("refresh R", i), fmt.Sprint("access A", i))
		}
		if got := st.all(); len(got) != 1 || got[0].ID != id {
			st.Fatalf("%d records are listed", len(got))
		}
	}},
	{"All streams the records in the order of GetTokens", func(st *stage) {
		for i := range 7 {
			st.save(fmt.Sprint("user U", i), fmt.Sprint("refresh R", i))
		}
		var got []*token.OAuthToken
		for t, err := range st.store.All(st.Context()) {
			st.succeeds(err)
			got = append(got, t)
		}
		st.same(got, st.all())
	}},
	{"All can be stopped early and run again", func(st *stage) {
		for i := range 5 {
			st.save(fmt.Sprint("user U", i), fmt.Sprint("refresh R", i))
		}
		all := st.store.All(st.Context())
		for want := range 5 {
			got := 0
			for _, err := range all {
				st.succeeds(err)
				if got++; got > want {
					break
				}
			}
			if got != want+1 {
				st.Fatalf("%d records came before the end, want %d", got, want+1)
			}
		}
	}},
	{"records can be deleted while All is under way", func(st *stage) {
		for i := range 5 {
			st.save(fmt.Sprint("user U", i), fmt.Sprint("refresh R", i))
		}
		for t, err := range st.store.All(st.Context()) {
			st.succeeds(err)
			st.succeeds(st.store.DeleteToken(st.Context(), t.ID))
		}
		st.counts(0)
	}},
	{"DeleteTokens deletes all records of this store and nothing of another prefix", func(st *stage) {
		neighbour := st.Neighbour()
		theirs := tok("user U1", "refresh R1")
		st.succeeds(neighbour.SaveToken(st.Context(), theirs))
		for i := range 5 {
			st.save(fmt.Sprint("user U", i), fmt.Sprint("refresh R", i))
		}
		st.save("id chosen", "access A1")
		st.succeeds(st.store.DeleteTokens(st.Context()))
		st.counts(0)
		st.findsNot(token.ErrNotFound, "user U1")
		st.findsNot(token.ErrNotFound, "id chosen")
		found, err := neighbour.FindToken(st.Context(), tok("user U1"))
		st.succeeds(err)
		st.same(found, theirs)
	}},
	{"DeleteTokens of an empty store is no error, and neither is the second time", func(st *stage) {
		st.succeeds(st.store.DeleteTokens(st.Context()))
		st.save("user U1", "refresh R1")
		st.succeeds(st.store.DeleteTokens(st.Context()))
		st.succeeds(st.store.DeleteTokens(st.Context()))
		st.succeeds(st.Open().DeleteTokens(st.Context()))
		st.counts(0)
	}},
	{"a store is used on after DeleteTokens, by this process and by others", func(st *stage) {
		st.save("user U1", "refresh R1")
		other := st.Open()
		_, err := other.FindToken(st.Context(), tok("user U1"))
		st.succeeds(err)
		st.succeeds(st.store.DeleteTokens(st.Context()))
		first := tok("user U1", "refresh R1")
		st.succeeds(other.SaveToken(st.Context(), first))
		st.finds(first.ID, "user U1")
		st.finds(st.save("user U2", "refresh R2"), "user U2")
		st.counts(2)
	}},
	{"three hundred records fit into one store", func(st *stage) {
		const n = 300
		saved := make(map[string]string, n)
		for i := range n {
			user := fmt.Sprintf("user%03d@example.com:60001", i)
			saved[user] = st.save("user "+user, fmt.Sprint("refresh R", i), "client c1", "access A")
		}
		other := st.Open()
		for user, id := range saved {
			found, err := other.FindToken(st.Context(), tok("user "+user))
			st.succeeds(err)
			if found.ID != id {
				st.Fatalf("%s has another id", user)
			}
		}
		listed := st.all()
		for _, t := range listed {
			if saved[t.UserSignature.Name] != t.ID {
				st.Errorf("%s is listed under another id", t.UserSignature.Name)
			}
		}
		if len(listed) != n {
			st.Errorf("%d records are listed, want %d", len(listed), n)
		}
	}},
}
