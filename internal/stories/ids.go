package stories

import (
	"fmt"
	"strings"

	"github.com/tokenkeep/tokenkeep/token"
)

var ids = []story{
	{"ids that the store makes are random, and say nothing of what came before", func(st *stage) {
		seen := map[string]bool{}
		for i := range 30 {
			id := st.save(fmt.Sprint("refresh R", i))
			if seen[id] || len(id) < 16 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") != "" {
				st.Fatalf("id %q", id)
			}
			seen[id] = true
		}
		st.counts(30)
	}},
	{"an id may be any text of 1 to 256 bytes", func(st *stage) {
		for _, id := range []string{
			"1", "id", "0 or 1=1", "007", "7", " ", "index", "token-", "token-aaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaa",
			"../x", "a/b", "python_ann_us_prd_mple", "o'brien", "ann@example.com:60001", "ключ", "日本語", "A", "a", "null", "%",
			strings.Repeat("x", 256), strings.Repeat("я", 128), "arn:aws:secretsmanager:us-east-1:1:secret:x-AbCdEf",
		} {
			if got := st.save("id "+id, "refresh of "+id); got != id {
				st.Fatalf("%q became %q", id, got)
			}
		}
		for _, t := range st.all() {
			st.finds(t.ID, "id "+t.ID)
			st.finds(t.ID, "refresh of "+t.ID)
		}
		st.succeeds(st.store.DeleteToken(st.Context(), "0 or 1=1"))
		st.succeeds(st.store.DeleteToken(st.Context(), "007"))
		st.counts(22)
	}},
	{"ids are compared byte for byte", func(st *stage) {
		st.save("id Ann", "refresh R1")
		for _, id := range []string{"ann", "Ann ", "An", "Ann\u0301", "Ann%"} {
			st.findsNot(token.ErrNotFound, "id "+id)
			st.fails(st.store.DeleteToken(st.Context(), id), token.ErrNotFound)
		}
		st.counts(1)
	}},
	{"an id that does not exist is the new record's, if no other key matches", func(st *stage) {
		if id := st.save("id mine", "user U1", "refresh R1"); id != "mine" {
			st.Fatalf("it has id %q", id)
		}
		st.finds("mine", "user U1")
	}},
	{"the record that another key matches keeps its id, which is set on the argument", func(st *stage) {
		id := st.save("user U1", "refresh R1")
		for _, key := range []string{"user U1", "refresh R1"} {
			if got := st.save("id seven", key, "access A1"); got != id {
				st.Fatalf("the argument says %q", got)
			}
		}
		st.findsNot(token.ErrNotFound, "id seven")
		st.counts(1)
	}},
	{"an id and a user that point to two records are a conflict, and nothing is written", func(st *stage) {
		st.save("id one", "user U1", "refresh R1")
		st.save("id two", "user U2", "refresh R2")
		st.save("id three", "refresh R3")
		st.refused(token.ErrConflict, "id one", "user U2", "access A1")
		st.refused(token.ErrConflict, "id one", "user U2", "client c2", "refresh R9")
		st.refused(token.ErrConflict, "id three", "user U1", "access A1")
		st.refused(token.ErrConflict, "id one", "user U3", "access A1")
	}},
	{"a record without a user that an id leads to gains the user", func(st *stage) {
		st.save("id one", "refresh R1")
		st.save("id one", "user U1")
		st.finds("one", "user U1")
		st.counts(1)
	}},
	{"a deleted id that the caller chose comes back to life", func(st *stage) {
		for range 3 {
			if id := st.save("id mine", "user U1", "refresh R1"); id != "mine" {
				st.Fatalf("it has id %q", id)
			}
			st.finds("mine", "user U1")
			st.finds("mine", "refresh R1")
			st.succeeds(st.Open().DeleteToken(st.Context(), "mine"))
			st.findsNot(token.ErrNotFound, "id mine")
			st.findsNot(token.ErrNotFound, "user U1")
		}
		st.save("id mine", "user U2", "refresh R2")
		st.same(st.byID("mine"), tok("id mine", "user U2", "refresh R2"))
		st.counts(1)
	}},
	{"a deleted id that the store made is never used again", func(st *stage) {
		id := st.save("user U1", "refresh R1")
		st.succeeds(st.store.DeleteToken(st.Context(), id))
		next := st.save("id "+id, "user U1", "refresh R1")
		if next == id {
			st.Fatal("it was")
		}
		st.findsNot(token.ErrNotFound, "id "+id)
		st.finds(next, "user U1")
		st.counts(1)
	}},
	{"a deleted id that the caller chose in the form of a made one comes back to life", func(st *stage) {
		const id = "abcdefghijklmnopqrst"
		st.save("id "+id, "refresh R1")
		st.succeeds(st.store.DeleteToken(st.Context(), id))
		if next := st.save("id "+id, "refresh R1"); next != id {
			st.Fatalf("it has id %q", next)
		}
	}},
	{"the id of a record never changes", func(st *stage) {
		id := st.save("refresh R1")
		for _, update := range [][]string{
			{"refresh R1", "user U1"}, {"user U1", "client c1", "grant G1"}, {"user U1", "refresh R2"}, {"grant G1", "access A1"},
		} {
			if got := st.save(update...); got != id {
				st.Fatalf("after %q it is another one", update)
			}
		}
		st.counts(1)
	}},
	{"an empty id is none for a save and no id for the rest", func(st *stage) {
		_, err := st.store.FindTokenByID(st.Context(), "")
		st.fails(err, token.ErrInvalid)
		st.fails(st.store.DeleteToken(st.Context(), ""), token.ErrInvalid)
		st.fails(st.store.UpdateToken(st.Context(), "", func(*token.OAuthToken) error { return nil }), token.ErrInvalid)
	}},
}
