package stories

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/tokenkeep/tokenkeep/token"
)

var methods = []story{
	{"FindToken fills the empty fields of its argument and returns that same argument", func(st *stage) {
		saved := full()
		st.saveToken(saved)
		query := tok("user ann@example.com:60001")
		found, err := st.Open().FindToken(st.Context(), query)
		st.succeeds(err)
		if found != query {
			st.Fatal("another pointer was returned")
		}
		st.same(query, saved)
	}},
	{"FindToken lets the given fields win", func(st *stage) {
		id := st.saveToken(full())
		query := tok("user ann@example.com:60001", "client c1", "secret mine", "access mine", "domain mine")
		query.Scopes = []string{"mine"}
		query.Extra = map[string]token.Secret{"id_token": token.NewSecret("mine")}
		_, err := st.store.FindToken(st.Context(), query)
		st.succeeds(err)
		want := full()
		want.ID = id
		want.ClientSecret, want.AccessToken, want.APIDomain = query.ClientSecret, token.NewSecret("mine"), "mine"
		want.Scopes = []string{"mine"}
		want.Extra["id_token"] = token.NewSecret("mine")
		st.same(query, want)
	}},
	{"FindToken writes nothing", func(st *stage) {
		id := st.save("user U1", "refresh R1", "access A1")
		before := st.all()
		st.finds(id, "user U1", "access A2", "domain mine")
		st.same(st.all(), before)
	}},
	{"FindToken returns ErrNotFound if there is no record, and leaves its argument alone", func(st *stage) {
		st.findsNot(token.ErrNotFound, "user U1")
		st.save("user U1", "refresh R1", "access A1")
		for _, query := range []string{"id none", "user U2", "refresh R2", "grant R1", "access R1", "refresh A1"} {
			st.findsNot(token.ErrNotFound, query)
		}
	}},
	{"FindTokenByID returns the full record", func(st *stage) {
		saved := full()
		id := st.saveToken(saved)
		st.same(st.byID(id), saved)
	}},
	{"FindTokenByID returns ErrNotFound if there is none", func(st *stage) {
		for _, id := range []string{"none", "aaaaaaaaaaaaaaaaaaaa", "1", "id", "index"} {
			t, err := st.store.FindTokenByID(st.Context(), id)
			st.fails(err, token.ErrNotFound)
			if t != nil {
				st.Fatal("a token was returned beside the error")
			}
		}
	}},
	{"what a store returns is the caller's to change", func(st *stage) {
		saved := full()
		id := st.saveToken(saved)
		saved.Scopes[0], saved.Extra["id_token"] = "changed", token.NewSecret("changed")
		found, err := st.store.FindTokenByID(st.Context(), id)
		st.succeeds(err)
		found.Scopes[0], found.Extra["id_token"] = "changed", token.NewSecret("changed")
		again, err := st.store.FindTokenByID(st.Context(), id)
		st.succeeds(err)
		want := full()
		want.ID = id
		st.same(again, want)
	}},
	{"SaveToken inserts a record, sets its id on the argument and changes nothing else there", func(st *stage) {
		saved := full()
		id := st.saveToken(saved)
		want := full()
		want.ID = id
		st.same(saved, want)
		st.counts(1)
	}},
	{"SaveToken updates the record that the fields identify, and sets its id on the argument", func(st *stage) {
		id := st.save("user U1", "refresh R1")
		for _, s := range []*token.Store{st.store, st.Open()} {
			update := tok("user U1", "access A1")
			st.succeeds(s.SaveToken(st.Context(), update))
			want := tok("user U1", "access A1")
			want.ID = id
			st.same(update, want)
		}
		st.counts(1)
	}},
	{"SaveToken sets the id also where nothing is to be written", func(st *stage) {
		id := st.save("user U1", "refresh R1")
		if again := st.save("user U1", "refresh R1"); again != id {
			st.Fatal("an unchanged save led to another record")
		}
		st.counts(1)
	}},
	{"SaveToken leaves its argument alone if there is an error", func(st *stage) {
		st.save("id one", "user U1", "refresh R1")
		st.save("id two", "user U2", "refresh R2")
		st.refused(token.ErrConflict, "id one", "user U2", "access A1")
		st.refused(token.ErrInvalid, "client c1")
		st.refused(token.ErrInvalid, "user U3")
	}},
	{"SaveTokens saves all that can be saved, and says which were not", func(st *stage) {
		st.save("user U4", "refresh R4")
		list := []*token.OAuthToken{
			tok("user U1", "refresh R1"), tok("user U2", "refresh R2"), tok("user U3"), nil,
			tok("user U4", "refresh R5", "access A4"), tok("user U1", "refresh R6"), tok("client c1"), tok("id one", "refresh R7"),
		}
		err := st.store.SaveTokens(st.Context(), list)
		st.fails(err, token.ErrInvalid)
		var report *token.BatchError
		if !errors.As(err, &report) || report.Saved != 5 || report.Total != 8 || len(report.Left) > 0 ||
			!slices.Equal(slices.Sorted(maps.Keys(report.Failed)), []int{2, 3, 6}) || !strings.Contains(err.Error(), "5 of 8 saved") {
			st.Fatalf("the error does not say what was saved: %v, %+v", err, report)
		}
		for i, words := range map[int][]string{0: {"user U1"}, 1: {"refresh R2"}, 4: {"refresh R5"}, 5: {"refresh R6"}, 7: {"refresh R7"}} {
			st.finds(list[i].ID, words...)
		}
		if list[0].ID != list[5].ID || list[7].ID != "one" {
			st.Fatalf("the ids %q, %q and %q", list[0].ID, list[5].ID, list[7].ID)
		}
		st.same([]*token.OAuthToken{list[2], list[6]}, []*token.OAuthToken{tok("user U3"), tok("client c1")})
		st.counts(4)
	}},
	{"SaveEach yields each token when it is saved", func(st *stage) {
		list := []*token.OAuthToken{tok("user U1", "refresh R1"), tok("user U3"), tok("user U2", "refresh R2")}
		saved := 0
		for t, err := range st.store.SaveEach(st.Context(), slices.Values(list)) {
			if bad := t == list[1]; bad != errors.Is(err, token.ErrInvalid) || bad != (t.ID == "") {
				st.Fatalf("token %q: %v", t.ID, err)
			}
			saved++
		}
		if saved != 3 {
			st.Fatalf("%d tokens were yielded", saved)
		}
		st.counts(2)
	}},
	{"SaveTokens of nothing does nothing", func(st *stage) {
		st.succeeds(st.store.SaveTokens(st.Context(), nil))
		st.counts(0)
	}},
	{"a context that has ended ends every method", func(st *stage) {
		id := st.save("user U1", "refresh R1")
		before := st.all()
		ctx, cancel := context.WithCancel(st.Context())
		cancel()
		for name, err := range map[string]error{
			"FindToken":     second(st.store.FindToken(ctx, tok("user U1"))),
			"FindTokenByID": second(st.store.FindTokenByID(ctx, id)),
			"SaveToken":     st.store.SaveToken(ctx, tok("user U1", "refresh R2")),
			"SaveTokens":    st.store.SaveTokens(ctx, []*token.OAuthToken{tok("user U2", "refresh R2")}),
			"UpdateToken":   st.store.UpdateToken(ctx, id, func(t *token.OAuthToken) error { t.APIDomain = "x"; return nil }),
			"DeleteToken":   st.store.DeleteToken(ctx, id),
			"GetTokens":     second(st.store.GetTokens(ctx)),
			"DeleteTokens":  st.store.DeleteTokens(ctx),
		} {
			if !errors.Is(err, context.Canceled) {
				st.Errorf("%s: %v, want %v", name, err, context.Canceled)
			}
		}
		st.same(st.all(), before)
	}},
	{"a Store is a TokenStore", func(st *stage) {
		var s token.TokenStore = st.store
		t := tok("user U1", "refresh R1")
		st.succeeds(s.SaveToken(st.Context(), t))
		st.finds(t.ID, "user U1")
	}},
}

func second[T any](_ T, err error) error { return err }
