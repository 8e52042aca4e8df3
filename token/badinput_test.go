package token_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// stocked returns a driver whose memory holds some records: two users, one record
// that is nobody's, one under an id that was chosen.
func stocked(tb testing.TB) *memstore.Driver {
	tb.Helper()
	d := memstore.NewDriver()
	s := open(tb, d)
	for _, t := range []*token.OAuthToken{
		tok("U1", "c1", "G1", "R1", "A1"), tok("U2", "R2", "A2"), tok("R3"), tok("#chosen", "U4", "R4"), tok("A5"),
	} {
		if err := s.SaveToken(tb.Context(), t); err != nil {
			tb.Fatal(err)
		}
	}
	return d
}

// unchanged fails the test unless a memory holds at its end what it holds now.
func unchanged(t *testing.T, d *memstore.Driver) {
	t.Helper()
	before := d.Dump()
	t.Cleanup(func() {
		if diff := cmp.Diff(before, d.Dump()); diff != "" {
			t.Errorf("the secrets changed (-before +after):\n%s", diff)
		}
	})
}

func change1(t *token.OAuthToken) error { t.APIDomain = "changed"; return nil }

func TestBadArgumentsAreInvalidAndChangeNothing(t *testing.T) {
	long := strings.Repeat("x", 257)
	ids := map[string]string{
		"empty": "", "257 bytes": long, "257 bytes of two-byte characters": strings.Repeat("я", 128) + "x",
		"a line feed": "a\nb", "a zero byte": "\x00", "a delete character": "a\x7f", "a C1 control": "a\u0085b", "an escape": "\x1b[31m",
		"not UTF-8": "\xff", "half a character": "ab\xc3",
	}
	for name, id := range ids {
		t.Run("an id of "+name, func(t *testing.T) {
			d := stocked(t)
			s := open(t, d)
			unchanged(t, d)
			_, err := s.FindTokenByID(t.Context(), id)
			invalid(t, err)
			_, err = s.ReadToken(t.Context(), id)
			invalid(t, err)
			invalid(t, s.DeleteToken(t.Context(), id))
			invalid(t, s.UpdateToken(t.Context(), id, change1))
			invalid(t, s.TryUpdateToken(t.Context(), id, change1))
			if id == "" {
				return // no id is a good one for these
			}
			bad := tok("U1", "R9")
			bad.ID = id
			invalid(t, s.SaveToken(t.Context(), bad))
			_, err = s.FindToken(t.Context(), bad)
			invalid(t, err)
		})
	}
	texts := map[string]func(*token.OAuthToken){
		"UserSignature.Name": func(t *token.OAuthToken) { t.UserSignature.Name = "U\xff" },
		"ClientID":           func(t *token.OAuthToken) { t.ClientID = "\xff" },
		"ClientSecret":       func(t *token.OAuthToken) { t.ClientSecret = token.NewSecret("\xff") },
		"GrantToken":         func(t *token.OAuthToken) { t.GrantToken = token.NewSecret("\xff") },
		"RefreshToken":       func(t *token.OAuthToken) { t.RefreshToken = token.NewSecret("\xff") },
		"AccessToken":        func(t *token.OAuthToken) { t.AccessToken = token.NewSecret("\xff") },
		"RedirectURL":        func(t *token.OAuthToken) { t.RedirectURL = "\xff" },
		"APIDomain":          func(t *token.OAuthToken) { t.APIDomain = "\xff" },
		"TokenType":          func(t *token.OAuthToken) { t.TokenType = "\xff" },
		"Scopes":             func(t *token.OAuthToken) { t.Scopes = []string{"good", "\xff"} },
		"a name in Extra":    func(t *token.OAuthToken) { t.Extra = map[string]token.Secret{"\xff": token.NewSecret("x")} },
		"a value in Extra":   func(t *token.OAuthToken) { t.Extra = map[string]token.Secret{"x": token.NewSecret("\xff")} },
	}
	for field, spoil := range texts {
		t.Run(field+" that is not UTF-8 is named by the error", func(t *testing.T) {
			d := stocked(t)
			s := open(t, d)
			unchanged(t, d)
			bad := tok("U1", "R1")
			spoil(bad)
			err := s.SaveToken(t.Context(), bad)
			invalid(t, err)
			if !strings.Contains(err.Error(), field) {
				t.Errorf("the error does not name the field: %v", err)
			}
			if bad.ID != "" {
				t.Error("the argument was changed")
			}
			_, err = s.FindToken(t.Context(), bad)
			invalid(t, err)
			found, err := s.FindToken(t.Context(), tok("U1"))
			if err != nil {
				t.Fatal(err)
			}
			invalid(t, s.UpdateToken(t.Context(), found.ID, func(r *token.OAuthToken) error { spoil(r); return nil }))
		})
	}
	t.Run("a nil token, a nil function, an empty query, an empty name in Extra", func(t *testing.T) {
		d := stocked(t)
		s := open(t, d)
		unchanged(t, d)
		_, err := s.FindToken(t.Context(), nil)
		invalid(t, err)
		_, err = s.FindToken(t.Context(), &token.OAuthToken{})
		invalid(t, err)
		invalid(t, s.SaveToken(t.Context(), nil))
		invalid(t, s.SaveToken(t.Context(), &token.OAuthToken{}))
		invalid(t, s.SaveToken(t.Context(), &token.OAuthToken{RefreshToken: token.NewSecret("R9"), Extra: map[string]token.Secret{"": token.NewSecret("x")}}))
		invalid(t, s.SaveTokens(t.Context(), []*token.OAuthToken{nil}))
		invalid(t, s.UpdateToken(t.Context(), "chosen", nil))
		invalid(t, s.TryUpdateToken(t.Context(), "chosen", nil))
	})
	t.Run("of several tokens the others are saved", func(t *testing.T) {
		d := stocked(t)
		s := open(t, d)
		invalid(t, s.SaveTokens(t.Context(), []*token.OAuthToken{tok("U7", "R7"), nil, tok("U8", "R8")}))
		for _, user := range []string{"U7", "U8"} {
			if _, err := s.FindToken(t.Context(), tok(user)); err != nil {
				t.Errorf("user %s: %v", user, err)
			}
		}
	})
}

func invalid(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, token.ErrInvalid) {
		t.Errorf("the error is %v, want %v", err, token.ErrInvalid)
	}
	if err != nil && !strings.HasPrefix(err.Error(), "tokenkeep: ") {
		t.Errorf("the error does not say whose it is: %v", err)
	}
}

func TestBadQueriesMakeNoCall(t *testing.T) {
	d := stocked(t)
	s := open(t, d)
	calls := count(d)
	invalid(t, s.SaveToken(t.Context(), tok("c1")))
	_, err := s.FindTokenByID(t.Context(), "")
	invalid(t, err)
	_, err = s.FindToken(t.Context(), tok("c1", "A1"))
	invalid(t, err)
	calls.want(t, "a query that names nothing", "")
}

func TestATokenThatIsTooLargeIsRefusedAndChangesNothing(t *testing.T) {
	huge := strings.Repeat("x", 64<<10)
	for name, enlarge := range map[string]func(*token.OAuthToken){
		"access token": func(t *token.OAuthToken) { t.AccessToken = token.NewSecret(huge) },
		"user":         func(t *token.OAuthToken) { t.UserSignature.Name = huge },
		"extra value":  func(t *token.OAuthToken) { t.Extra = map[string]token.Secret{"x": token.NewSecret(huge)} },
		"many scopes":  func(t *token.OAuthToken) { t.Scopes = strings.Split(strings.Repeat("scope ", 12_000), " ") },
		"escapes":      func(t *token.OAuthToken) { t.RedirectURL = strings.Repeat("\x01", 12_000) },
	} {
		t.Run(name, func(t *testing.T) {
			d := stocked(t)
			s := open(t, d)
			unchanged(t, d)
			for _, big := range []*token.OAuthToken{tok("U9", "R9"), tok("#new", "R9"), tok("U2"), tok("R3")} {
				if name == "user" && big.UserSignature.Name == "U2" {
					continue // it would be another user
				}
				enlarge(big)
				id := big.ID
				if err := s.SaveToken(t.Context(), big); !errors.Is(err, token.ErrTooLarge) {
					t.Errorf("SaveToken: %v", err)
				}
				if big.ID != id {
					t.Error("the argument was changed")
				}
			}
			err := s.UpdateToken(t.Context(), "chosen", func(t *token.OAuthToken) error { enlarge(t); return nil })
			if !errors.Is(err, token.ErrTooLarge) || !strings.Contains(err.Error(), "token-") {
				t.Errorf("UpdateToken: %v", err)
			}
		})
	}
	t.Run("what just fits is saved and found", func(t *testing.T) {
		s := open(t, memstore.NewDriver())
		fits := tok("U1", "R1")
		fits.AccessToken = token.NewSecret(strings.Repeat("x", 64<<10-800))
		if err := s.SaveToken(t.Context(), fits); err != nil {
			t.Fatal(err)
		}
		found, err := s.FindTokenByID(t.Context(), fits.ID)
		if err != nil || !found.AccessToken.Equal(fits.AccessToken) {
			t.Errorf("FindTokenByID: %v", err)
		}
	})
}

func TestNewStoreRefusesBadOptions(t *testing.T) {
	d := memstore.NewDriver()
	for name, opts := range map[string]*token.Options{
		"a negative Timeout":                  {Timeout: -1},
		"a Timeout of more than MaxTimeout":   {Timeout: token.MaxTimeout + 1},
		"a negative Remember":                 {Remember: -1},
		"a Timeout of hours, Remember of one": {Timeout: 24 * time.Hour, Remember: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := token.NewStore(d, opts)
			invalid(t, err)
			if s != nil {
				t.Error("a store was returned beside the error")
			}
		})
	}
	t.Run("no driver", func(t *testing.T) {
		_, err := token.NewStore(nil, nil)
		invalid(t, err)
	})
	t.Run("good ones are read and not changed, and make no call", func(t *testing.T) {
		calls := count(d)
		for _, opts := range []*token.Options{nil, {}, {Timeout: token.MaxTimeout}, {Timeout: 1}, {Remember: 1}} {
			var before token.Options
			if opts != nil {
				before = *opts
			}
			if _, err := token.NewStore(d, opts); err != nil {
				t.Errorf("%+v: %v", opts, err)
			}
			if opts != nil && *opts != before {
				t.Errorf("%+v became %+v", before, *opts)
			}
		}
		calls.want(t, "NewStore", "")
	})
	t.Run("memstore.New passes them on", func(t *testing.T) {
		_, err := memstore.New(&token.Options{Remember: -1})
		invalid(t, err)
	})
}

func TestAStoreThatRemembersOneSecretIsAsCorrectAsOthers(t *testing.T) {
	s, err := token.NewStore(memstore.NewDriver(), &token.Options{Remember: 1})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for round := range 3 {
		for i := range 10 {
			user := fmt.Sprint("U", i)
			saved := tok(user, fmt.Sprint("R", i), fmt.Sprint("A", round))
			if err := s.SaveToken(t.Context(), saved); err != nil {
				t.Fatal(err)
			}
			if ids[user] != "" && ids[user] != saved.ID {
				t.Fatalf("round %d: user %d has another record", round, i)
			}
			ids[user] = saved.ID
		}
	}
	listed, err := s.GetTokens(t.Context())
	if err != nil || len(listed) != 10 {
		t.Fatalf("%d records: %v", len(listed), err)
	}
	for _, l := range listed {
		if ids[l.UserSignature.Name] != l.ID || !l.AccessToken.Equal(token.NewSecret("A2")) {
			t.Errorf("record %s is not what was saved", l.ID)
		}
	}
}

// records returns the secrets that are not of the index.
func records(d *memstore.Driver) map[string][]byte {
	secrets := d.Dump()
	maps.DeleteFunc(secrets, func(name string, _ []byte) bool { return strings.HasPrefix(name, codec.RootName) })
	return secrets
}

// Leaves are split between hashes: the records of one user stand in one.
func TestAUserOfTooManyClientsIsRefusedAndNothingIsLost(t *testing.T) {
	d := memstore.NewDriver()
	d.SetLimits(driver.Limits{Value: 2000})
	s := open(t, d)
	others := func() {
		t.Helper()
		for i := range 100 {
			if err := s.SaveToken(t.Context(), tok(fmt.Sprint("U-other", i), fmt.Sprint("A", i))); err != nil {
				t.Errorf("another user: %v", err)
			}
		}
	}
	others()
	var saved []*token.OAuthToken
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		next := tok("U1", fmt.Sprint("c", i), "A-first")
		if err = s.SaveToken(t.Context(), next); err == nil {
			saved = append(saved, next)
		}
	}
	if !errors.Is(err, token.ErrTooLarge) || !strings.Contains(err.Error(), "too many records hold one key") {
		t.Fatalf("SaveToken: %v", err)
	}
	before := records(d)
	for _, full := range []*token.OAuthToken{tok("U1", "c-new", "R-new"), tok("#new", "U1", "c-new", "A-new")} {
		id := full.ID
		if err := s.SaveToken(t.Context(), full); !errors.Is(err, token.ErrTooLarge) || full.ID != id {
			t.Errorf("SaveToken: %v", err)
		}
	}
	if diff := cmp.Diff(before, records(d)); diff != "" {
		t.Errorf("something was written: %s", diff)
	}
	for i, old := range saved {
		old.AccessToken = token.NewSecret("later")
		if err := s.SaveToken(t.Context(), old); err != nil {
			t.Errorf("an update without new keys: %v", err)
		}
		if found, err := open(t, d).FindToken(t.Context(), tok("U1", fmt.Sprint("c", i))); err != nil || found.ID != old.ID {
			t.Errorf("FindToken: %v", err)
		}
	}
	for i := range 100 {
		if err := s.SaveToken(t.Context(), tok(fmt.Sprint("U-later", i), fmt.Sprint("R-later", i))); err != nil {
			t.Errorf("a new user: %v", err)
		}
	}
	others()
	if err := s.DeleteToken(t.Context(), saved[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveToken(t.Context(), tok("U1", "c-new", "A1")); err != nil {
		t.Errorf("a deletion made no room: %v", err)
	}
}
