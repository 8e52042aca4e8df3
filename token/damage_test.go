package token_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// damaged are values that are no secrets of this format.
var damaged = map[string]string{
	"nothing":                        "",
	"an object that is not ours":     `{"password":"x"}`,
	"no object":                      `"text"`,
	"a number":                       `1`,
	"half a secret":                  `{"tokenkeep":{"format":1,"kind":"token","seq":1,"write":"w"},"id":"chosen","refresh_to`,
	"two secrets":                    `{"tokenkeep":{"format":1,"kind":"token","seq":1,"write":"w"},"id":"chosen"}{}`,
	"a newer format":                 `{"tokenkeep":{"format":2,"kind":"token","seq":1,"write":"w"},"id":"chosen","refresh_token":"R4"}`,
	"format zero":                    `{"tokenkeep":{"format":0,"kind":"token","seq":1,"write":"w"},"id":"chosen"}`,
	"no frame":                       `{"tokenkeep":null,"id":"chosen","refresh_token":"R4"}`,
	"a frame that is a text":         `{"tokenkeep":"1","id":"chosen"}`,
	"an unknown kind":                `{"tokenkeep":{"format":1,"kind":"other","seq":1,"write":"w"},"id":"chosen"}`,
	"no number":                      `{"tokenkeep":{"format":1,"kind":"token","write":"w"},"id":"chosen"}`,
	"a negative number":              `{"tokenkeep":{"format":1,"kind":"token","seq":-1,"write":"w"},"id":"chosen"}`,
	"no write id":                    `{"tokenkeep":{"format":1,"kind":"token","seq":1},"id":"chosen"}`,
	"a member that stands twice":     `{"tokenkeep":{"format":1,"kind":"token","seq":1,"write":"w"},"id":"chosen","id":"chosen"}`,
	"null for a text":                `{"tokenkeep":{"format":1,"kind":"token","seq":1,"write":"w"},"id":"chosen","refresh_token":null}`,
	"a text for a number":            `{"tokenkeep":{"format":1,"kind":"token","seq":1,"write":"w"},"id":"chosen","expiry_time":"1"}`,
	"bytes that are not UTF-8":       "{\"tokenkeep\":{\"format\":1,\"kind\":\"token\",\"seq\":1,\"write\":\"w\"},\"id\":\"\xff\"}",
	"a byte order mark":              "\ufeff{}",
	"what begins with a white space": ` {"tokenkeep":{"format":1,"kind":"token","seq":1,"write":"w"},"id":"chosen","refresh_token":"R4"}`,
}

func corrupt(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, token.ErrCorrupt) || errors.Is(err, token.ErrNotFound) {
		t.Errorf("%s: %v, want %v", what, err, token.ErrCorrupt)
	}
}

func TestADamagedRecordIsReportedAndNotWrittenOver(t *testing.T) {
	name := codec.NameOf(codec.RefOf("chosen"))
	other := codec.NameOf(codec.RefOf("another id"))
	values := maps.Clone(damaged)
	values["an index"] = string(stocked(t).Dump()[codec.RootName])
	values["the record of another id"] = `{"tokenkeep":{"format":1,"kind":"token","seq":9,"write":"w"},"id":"another id","user_name":"U4","refresh_token":"R4"}`
	for what, value := range values {
		t.Run(what, func(t *testing.T) {
			d := stocked(t)
			d.Set(name, []byte(value))
			unchanged(t, d)
			corrupt(t, "FindTokenByID", second(open(t, d).FindTokenByID(t.Context(), "chosen")))
			corrupt(t, "FindToken", second(open(t, d).FindToken(t.Context(), tok("#chosen"))))
			corrupt(t, "SaveToken", open(t, d).SaveToken(t.Context(), tok("#chosen", "U4", "R9")))
			corrupt(t, "UpdateToken", open(t, d).UpdateToken(t.Context(), "chosen", change1))
			corrupt(t, "DeleteToken", open(t, d).DeleteToken(t.Context(), "chosen"))
			if what == "the record of another id" {
				return // its keys are those that it says; only its name is wrong
			}
			corrupt(t, "FindToken by user", second(open(t, d).FindToken(t.Context(), tok("U4"))))
			corrupt(t, "SaveToken by user", open(t, d).SaveToken(t.Context(), tok("U4", "A9")))
			listed, err := open(t, d).GetTokens(t.Context())
			corrupt(t, "GetTokens", err)
			if err != nil && !strings.Contains(err.Error(), name) {
				t.Errorf("GetTokens does not say which: %v", err)
			}
			if len(listed) != 4 {
				t.Errorf("GetTokens returned %d of the 4 other records", len(listed))
			}
			if found, err := open(t, d).FindToken(t.Context(), tok("U1")); err != nil || !found.RefreshToken.Equal(token.NewSecret("R1")) {
				t.Errorf("another record: %v", err)
			}
		})
	}
	t.Run("where none has been yet", func(t *testing.T) {
		d := stocked(t)
		d.Set(other, []byte(`{"password":"x"}`))
		unchanged(t, d)
		corrupt(t, "SaveToken", open(t, d).SaveToken(t.Context(), tok("#another id", "R9")))
	})
}

func TestADamagedIndexIsReportedAndNotWrittenOver(t *testing.T) {
	values := maps.Clone(damaged)
	root := string(stocked(t).Dump()[codec.RootName])
	values["a record"] = `{"tokenkeep":{"format":1,"kind":"token","seq":1,"write":"w"},"id":"index","refresh_token":"R4"}`
	values["no hash key"] = strings.Replace(root, `"hash_key"`, `"hash_yek"`, 1)
	values["an empty hash key"] = `{"tokenkeep":{"format":1,"kind":"index","seq":1,"write":"w"},"hash_key":"","leaves":{},"prefix":"","entries":""}`
	values["a leaf that is missing"] = strings.Replace(root, `{"":"index"}`, `{"":"index-lost"}`, 1)
	values["another prefix"] = strings.Replace(root, `"prefix":""`, `"prefix":"0"`, 1)
	values["leaves that do not cover all hashes"] = strings.Replace(root, `{"":"index"}`, `{"0":"index"}`, 1)
	values["an entry that is no ref"] = strings.Replace(root, `"entries":"`, `"entries":"../x`, 1)
	values["a hash that is none"] = strings.Replace(root, `"entries":"`, `"entries":"////`, 1)
	for what, value := range values {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // what is missing is looked for again and again
				d := stocked(t)
				d.Set(codec.RootName, []byte(value))
				unchanged(t, d)
				indexIsCorrupt(t, d)
			})
		})
	}
	t.Run("a leaf that is none", func(t *testing.T) {
		d := memstore.NewDriver()
		splitIndex(t, d)
		if err := open(t, d).SaveToken(t.Context(), tok("#chosen", "U4", "R4")); err != nil {
			t.Fatal(err)
		}
		for name := range d.Dump() {
			if strings.HasPrefix(name, codec.RootName+"-") {
				d.Set(name, []byte("{}"))
			}
		}
		unchanged(t, d)
		indexIsCorrupt(t, d)
	})
}

// indexIsCorrupt tells what still goes without an index, and what does not.
func indexIsCorrupt(t *testing.T, d *memstore.Driver) {
	t.Helper()
	for _, query := range []string{"U4", "R4", "A5", "U9"} {
		corrupt(t, "FindToken", second(open(t, d).FindToken(t.Context(), tok(query))))
	}
	corrupt(t, "SaveToken of a new user", open(t, d).SaveToken(t.Context(), tok("U9", "R9")))
	corrupt(t, "SaveToken of a known user", open(t, d).SaveToken(t.Context(), tok("U4", "A9")))
	corrupt(t, "SaveToken that gains a key by id", open(t, d).SaveToken(t.Context(), tok("#chosen", "R9")))
	corrupt(t, "GetTokens", second(open(t, d).GetTokens(t.Context())))
	corrupt(t, "DeleteTokens", open(t, d).DeleteTokens(t.Context()))
	if found, err := open(t, d).FindTokenByID(t.Context(), "chosen"); err != nil || !found.RefreshToken.Equal(token.NewSecret("R4")) {
		t.Errorf("FindTokenByID: %v", err)
	}
}

func TestAnIndexThatWasDeletedByHandIsNotTakenForAnEmptyStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		root, before := d.Dump()[codec.RootName], content(t, d)
		d.Remove(codec.RootName)
		lost := d.Dump()
		indexIsCorrupt(t, d)
		if diff := cmp.Diff(lost, d.Dump()); diff != "" {
			t.Errorf("something was written: %s", diff)
		}
		s := open(t, d)
		if err := s.SaveToken(t.Context(), tok("#chosen", "A9")); err != nil {
			t.Errorf("an update by id without new keys: %v", err)
		}
		d.Set(codec.RootName, root)
		for _, query := range []string{"U1", "U2", "R3", "U4", "A5"} {
			if _, err := s.FindToken(t.Context(), tok(query)); err != nil {
				t.Errorf("after the index is restored, %s: %v", query, err)
			}
		}
		if err := s.SaveToken(t.Context(), tok("U9", "R9")); err != nil {
			t.Errorf("after the index is restored: %v", err)
		}
		if got := len(content(t, d)); got != len(before)+1 {
			t.Errorf("%d records, want %d", got, len(before)+1)
		}
	})
}

func TestForeignSecretsUnderThePrefixAreNobodysBusiness(t *testing.T) {
	d := stocked(t)
	foreign := map[string]string{"other": "{}", "token": "x", "token-short": "{}", "tokens-aaaaaaaaaaaaaaaaaaaa": "", "UPPER_case": "{}", "index-old": "x"}
	for name, value := range foreign {
		d.Set(name, []byte(value))
	}
	s := open(t, d)
	listed, err := s.GetTokens(t.Context())
	if err != nil || len(listed) != 5 {
		t.Errorf("%d records: %v", len(listed), err)
	}
	if err := s.SaveToken(t.Context(), tok("U9", "R9")); err != nil {
		t.Error(err)
	}
	if err := s.DeleteTokens(t.Context()); err != nil {
		t.Error(err)
	}
	for name, value := range foreign {
		if got, ok := d.Dump()[name]; !ok || string(got) != value {
			t.Errorf("secret %s was touched", name)
		}
	}
	empty := memstore.NewDriver()
	empty.Set("other", []byte("{}"))
	if err := open(t, empty).SaveToken(t.Context(), tok("U9", "R9")); err != nil {
		t.Errorf("the first save beside a foreign secret: %v", err)
	}
}

// editIndex changes the entries as somebody does it by hand.
func editIndex(t *testing.T, d *memstore.Driver, edit func(*codec.Index)) {
	t.Helper()
	x, err := codec.DecodeIndex(d.Dump()[codec.RootName])
	if err != nil {
		t.Fatal(err)
	}
	edit(x)
	x.Frame = x.Next(x.Kind, "by hand")
	value, err := codec.EncodeIndex(x)
	if err != nil {
		t.Fatal(err)
	}
	d.Set(codec.RootName, value)
}

func TestAnIndexThatWasEditedByHandHidesRecordsAndNeverReturnsAWrongOne(t *testing.T) {
	queries := map[string]string{"U1": "R1", "R1": "R1", "G1": "R1", "U2": "R2", "R2": "R2", "R3": "R3", "U4": "R4", "R4": "R4"}
	neverWrong := func(t *testing.T, d *memstore.Driver) {
		t.Helper()
		for query, refresh := range queries {
			found, err := open(t, d).FindToken(t.Context(), tok(query))
			if err == nil && !found.RefreshToken.Equal(token.NewSecret(refresh)) {
				t.Errorf("%s finds the wrong record", query)
			}
			if err != nil && !errors.Is(err, token.ErrNotFound) {
				t.Errorf("%s: %v", query, err)
			}
		}
	}
	t.Run("entries removed", func(t *testing.T) {
		d := stocked(t)
		editIndex(t, d, func(x *codec.Index) { clear(x.Entries) })
		neverWrong(t, d)
		wantErr(t, second(open(t, d).FindToken(t.Context(), tok("U1"))), token.ErrNotFound)
		if _, err := open(t, d).FindTokenByID(t.Context(), "chosen"); err != nil {
			t.Errorf("FindTokenByID: %v", err)
		}
	})
	t.Run("entries that point to other records", func(t *testing.T) {
		for shift := 1; shift < 5; shift++ {
			d := stocked(t)
			editIndex(t, d, func(x *codec.Index) {
				hashes := make([]codec.Hash, 0, len(x.Entries))
				for h := range x.Entries {
					hashes = append(hashes, h)
				}
				moved := map[codec.Hash][]codec.Entry{}
				for i, h := range hashes {
					moved[h] = x.Entries[hashes[(i+shift)%len(hashes)]]
				}
				x.Entries = moved
			})
			neverWrong(t, d)
			before := content(t, d)
			for query := range queries {
				_ = open(t, d).SaveToken(t.Context(), tok(query, "A-later"))
			}
			for _, r := range before {
				r = strings.TrimSuffix(r[:strings.LastIndex(r, "|")], "A1")
				if !strings.Contains(strings.Join(content(t, d), "\n"), strings.TrimSuffix(r, "A2")) {
					t.Errorf("a save changed whose record it is: %s", r)
				}
			}
		}
	})
	t.Run("entries of records that never were", func(t *testing.T) {
		d := stocked(t)
		editIndex(t, d, func(x *codec.Index) {
			for h := range x.Entries {
				x.Entries[h] = append([]codec.Entry{{Ref: "aaaaaaaaaaaaaaaaaaaa"}, {Ref: "bbbbbbbbbbbbbbbbbbbb", Base: 3}}, x.Entries[h]...)
			}
		})
		for query := range queries {
			if _, err := open(t, d).FindToken(t.Context(), tok(query)); err != nil {
				t.Errorf("%s: %v", query, err)
			}
		}
		if err := open(t, d).SaveToken(t.Context(), tok("U1", "A9", "R9")); err != nil {
			t.Error(err)
		}
	})
	t.Run("a base that is too high heals with the next save", func(t *testing.T) {
		d := stocked(t)
		editIndex(t, d, func(x *codec.Index) {
			for h := range x.Entries {
				x.Entries[h][0].Base += 1000
			}
		})
		neverWrong(t, d)
		for _, words := range [][]string{{"U1", "A9"}, {"U2", "R9"}, {"U7", "R3"}, {"#chosen", "A9"}} {
			if err := open(t, d).SaveToken(t.Context(), tok(words...)); err != nil {
				t.Errorf("%q: %v", words, err)
			}
		}
		if got := len(content(t, d)); got != 5 {
			t.Errorf("%d records, want 5", got)
		}
	})
}

func TestMembersThatThisVersionDoesNotKnowAreKept(t *testing.T) {
	d := stocked(t)
	name := codec.NameOf(codec.RefOf("chosen"))
	add := func(name string) {
		value := d.Dump()[name]
		value = append(bytes.TrimSuffix(value, []byte("}")), []byte(`,"later":{"a":[1,2.50,null],"b":"x"}}`)...)
		d.Set(name, bytes.Replace(value, []byte(`"format":1`), []byte(`"format":1,"hint":"kept"`), 1))
	}
	add(name)
	add(codec.RootName)
	s := open(t, d)
	for _, err := range []error{
		s.SaveToken(t.Context(), tok("#chosen", "A9")), s.SaveToken(t.Context(), tok("U4", "R9")),
		s.UpdateToken(t.Context(), "chosen", change1), s.SaveToken(t.Context(), tok("U9", "R99")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, secret := range []string{name, codec.RootName} {
		for _, kept := range []string{`"later":{"a":[1,2.50,null],"b":"x"}`, `"hint":"kept"`} {
			if got := string(d.Dump()[secret]); !strings.Contains(got, kept) {
				t.Errorf("%s is lost: %s", kept, got)
			}
		}
	}
}

func TestARecordThatWasRemovedByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		knows := open(t, d)
		gone, err := knows.FindToken(t.Context(), tok("U2"))
		if err != nil {
			t.Fatal(err)
		}
		d.Remove(codec.NameOf(gone.ID))
		fresh := open(t, d)
		wantErr(t, second(fresh.FindToken(t.Context(), tok("U2"))), token.ErrNotFound)
		wantErr(t, second(fresh.FindTokenByID(t.Context(), gone.ID)), token.ErrNotFound)
		// A store that saw it takes its absence for a stale read, for five minutes.
		for _, err := range []error{second(knows.FindToken(t.Context(), tok("U2"))), knows.SaveToken(t.Context(), tok("U2", "R2"))} {
			wantErr(t, err, context.DeadlineExceeded)
		}
		advance(6 * time.Minute)
		wantErr(t, second(knows.FindTokenByID(t.Context(), gone.ID)), token.ErrNotFound)
		wantErr(t, second(knows.FindToken(t.Context(), tok("U2"))), token.ErrNotFound)
		if err := fresh.SaveToken(t.Context(), tok("U2", "R2", "A9")); err != nil {
			t.Fatal(err)
		}
		_ = knows.SaveToken(t.Context(), tok("U2", "R2", "A10")) // may meet what it remembers once more
		advance(6 * time.Minute)
		if err := knows.SaveToken(t.Context(), tok("U2", "R2", "A10")); err != nil {
			t.Fatal(err)
		}
		if got := len(content(t, d)); got != 5 {
			t.Errorf("%d records, want 5", got)
		}
	})
}
