package stories

import (
	"errors"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
)

var errCallback = errors.New("the function's own error")

// A change is one field and what a save of another value of it is.
type change struct {
	field string
	set   func(*token.OAuthToken)
	erase func(*token.OAuthToken)
}

// All fields but the id, and the user and the client, which say whose record it is.
var changes = []change{
	{"ClientSecret", func(t *token.OAuthToken) { t.ClientSecret = token.NewSecret("new") }, func(t *token.OAuthToken) { t.ClientSecret = token.Secret{} }},
	{"GrantToken", func(t *token.OAuthToken) { t.GrantToken = token.NewSecret("new") }, func(t *token.OAuthToken) { t.GrantToken = token.Secret{} }},
	{"RefreshToken", func(t *token.OAuthToken) { t.RefreshToken = token.NewSecret("new") }, func(t *token.OAuthToken) { t.RefreshToken = token.Secret{} }},
	{"AccessToken", func(t *token.OAuthToken) { t.AccessToken = token.NewSecret("new") }, func(t *token.OAuthToken) { t.AccessToken = token.Secret{} }},
	{"Expiry", func(t *token.OAuthToken) { t.Expiry = time.UnixMilli(1).UTC() }, func(t *token.OAuthToken) { t.Expiry = time.Time{} }},
	{"RedirectURL", func(t *token.OAuthToken) { t.RedirectURL = "new" }, func(t *token.OAuthToken) { t.RedirectURL = "" }},
	{"APIDomain", func(t *token.OAuthToken) { t.APIDomain = "new" }, func(t *token.OAuthToken) { t.APIDomain = "" }},
	{"TokenType", func(t *token.OAuthToken) { t.TokenType = "new" }, func(t *token.OAuthToken) { t.TokenType = "" }},
	{"Scopes", func(t *token.OAuthToken) { t.Scopes = []string{"new"} }, func(t *token.OAuthToken) { t.Scopes = nil }},
	{"Extra", func(t *token.OAuthToken) { t.Extra = map[string]token.Secret{"id_token": token.NewSecret("new")} }, func(t *token.OAuthToken) { t.Extra = nil }},
}

var merges = []story{
	{"a save keeps what is stored wherever the token has an empty field", func(st *stage) {
		saved := full()
		id := st.saveToken(saved)
		for _, key := range []string{"id " + id, "user ann@example.com:60001", "grant G1", "refresh R1"} {
			st.save(key)
			st.same(st.byID(id), saved)
		}
		empty := tok("id " + id)
		empty.Scopes, empty.Extra = []string{}, map[string]token.Secret{"id_token": {}}
		st.saveToken(empty)
		st.same(st.byID(id), saved)
	}},
	{"a save changes the fields that it carries and no other", func(st *stage) {
		for _, c := range changes {
			st.scene(c.field, func(st *stage) {
				want := full()
				id := st.saveToken(want)
				update := tok("id " + id)
				c.set(update)
				st.saveToken(update)
				extra := want.Extra
				c.set(want)
				if c.field == "Extra" { // key by key
					extra["id_token"] = want.Extra["id_token"]
					want.Extra = extra
				}
				st.same(st.byID(id), want)
			})
		}
	}},
	{"a save replaces all scopes, and merges Extra key by key", func(st *stage) {
		want := full()
		id := st.saveToken(want)
		update := tok("id " + id)
		update.Scopes = []string{"b", "a", "b"}
		update.Extra = map[string]token.Secret{"id_token": {}, "more": token.NewSecret("M")}
		st.saveToken(update)
		want.Scopes = update.Scopes
		want.Extra["more"] = token.NewSecret("M")
		st.same(st.byID(id), want)
	}},
	{"an expiry is kept to the millisecond and comes back as the same instant", func(st *stage) {
		zone := time.FixedZone("east", 5*3600)
		for _, at := range []time.Time{
			time.UnixMilli(0), time.UnixMilli(1), time.UnixMilli(-1), time.UnixMilli(1893456000999).In(zone),
			time.Date(9999, 12, 31, 23, 59, 59, 0, zone),
		} {
			t := tok("user U1", "refresh R1")
			t.Expiry = at
			id := st.saveToken(t)
			if got := st.byID(id).Expiry; !got.Equal(at) {
				st.Errorf("%v comes back as %v", at, got)
			}
		}
		t := tok("user U1")
		t.Expiry = time.Unix(1893456000, 123_999_999)
		if got := st.byID(st.saveToken(t)).Expiry; !got.Equal(time.Unix(1893456000, 123_000_000)) {
			st.Errorf("the expiry comes back as %v", got)
		}
	}},
	{"every text comes back as it was saved", func(st *stage) {
		for _, text := range []string{
			"o'brien@example.com", `"quoted"`, `back\slash`, "a,b;c", "line\r\nbreak", "nul\x00byte", "tab\t", "<&>", "%s%d%!",
			" spaces ", "null", "REDACTED", "{}", "ключ", "日本語", "\u2028\u2029", "\ufeffbom", "\ufffd", "👩‍👧", "1e400", "007",
		} {
			st.scene(text, func(st *stage) {
				t := tok("user "+text, "client "+text, "secret "+text, "grant "+text, "refresh "+text, "access "+text, "domain "+text)
				t.RedirectURL, t.TokenType, t.Scopes = text, text, []string{text, "", text}
				t.Extra = map[string]token.Secret{text: token.NewSecret(text)}
				id := st.saveToken(t)
				st.same(st.byID(id), t)
				st.finds(id, "user "+text)
				st.finds(id, "grant "+text)
				st.finds(id, "refresh "+text)
				st.finds(id, "access "+text)
			})
		}
	}},
	{"UpdateToken can erase a field", func(st *stage) {
		for _, c := range changes {
			st.scene(c.field, func(st *stage) {
				want := full()
				id := st.saveToken(want)
				st.succeeds(st.store.UpdateToken(st.Context(), id, func(t *token.OAuthToken) error { c.erase(t); return nil }))
				c.erase(want)
				st.same(st.byID(id), want)
				st.counts(1)
			})
		}
	}},
	{"a key that UpdateToken erased finds nothing, and those that stay do", func(st *stage) {
		id := st.save("user U1", "grant G1", "refresh R1", "access A1")
		st.succeeds(st.store.UpdateToken(st.Context(), id, func(t *token.OAuthToken) error {
			t.UserSignature.Name, t.GrantToken, t.RefreshToken = "", token.Secret{}, token.Secret{}
			return nil
		}))
		for _, gone := range []string{"user U1", "grant G1", "refresh R1"} {
			st.findsNot(token.ErrNotFound, gone)
		}
		st.finds(id, "access A1")
		if again := st.save("access A1", "domain d"); again != id {
			st.Fatal("another record was made")
		}
	}},
	{"UpdateToken can change the user and the client, unless another record is theirs", func(st *stage) {
		id := st.save("user U1", "client c1", "refresh R1")
		other := st.save("user U2", "client c2", "refresh R2")
		move := func(user, client string) error {
			return st.store.UpdateToken(st.Context(), id, func(t *token.OAuthToken) error {
				t.UserSignature.Name, t.ClientID = user, client
				return nil
			})
		}
		st.succeeds(move("U3", "c3"))
		st.finds(id, "user U3", "client c3")
		st.findsNot(token.ErrNotFound, "user U1")
		st.fails(move("U2", "c2"), token.ErrConflict)
		st.fails(move("U2", ""), token.ErrConflict)
		st.finds(id, "user U3")
		st.finds(other, "user U2")
		st.succeeds(move("U2", "c1"))
		st.finds(id, "user U2", "client c1")
		st.finds(other, "user U2", "client c2")
	}},
	{"UpdateToken is given the newest state and writes what its function leaves", func(st *stage) {
		id := st.save("user U1", "refresh R1")
		_, err := st.store.FindTokenByID(st.Context(), id)
		st.succeeds(err)
		st.succeeds(st.Open().SaveToken(st.Context(), tok("user U1", "access A1")))
		st.succeeds(st.store.UpdateToken(st.Context(), id, func(t *token.OAuthToken) error { t.APIDomain = "d"; return nil }))
		st.same(st.byID(id), tok("id "+id, "user U1", "refresh R1", "access A1", "domain d"))
	}},
	{"the error of UpdateToken's function is returned and nothing is written", func(st *stage) {
		id := st.saveToken(full())
		before := st.all()
		err := st.store.UpdateToken(st.Context(), id, func(t *token.OAuthToken) error { t.APIDomain = "x"; return errCallback })
		st.fails(err, errCallback)
		st.same(st.all(), before)
	}},
	{"UpdateToken leaves the id and a token", func(st *stage) {
		id := st.saveToken(full())
		before := st.all()
		for name, f := range map[string]func(*token.OAuthToken){
			"another id": func(t *token.OAuthToken) { t.ID = "other" },
			"no id":      func(t *token.OAuthToken) { t.ID = "" },
			"no token": func(t *token.OAuthToken) {
				t.GrantToken, t.RefreshToken, t.AccessToken = token.Secret{}, token.Secret{}, token.Secret{}
			},
			"not UTF-8":           func(t *token.OAuthToken) { t.APIDomain = "\xff" },
			"an empty extra name": func(t *token.OAuthToken) { t.Extra[""] = token.NewSecret("x") },
		} {
			err := st.store.UpdateToken(st.Context(), id, func(t *token.OAuthToken) error { f(t); return nil })
			if !errors.Is(err, token.ErrInvalid) {
				st.Errorf("%s: %v, want %v", name, err, token.ErrInvalid)
			}
		}
		st.same(st.all(), before)
	}},
	{"UpdateToken of a record that does not exist is ErrNotFound", func(st *stage) {
		err := st.store.UpdateToken(st.Context(), "none", func(*token.OAuthToken) error { st.Error("it was called"); return nil })
		st.fails(err, token.ErrNotFound)
	}},
}
