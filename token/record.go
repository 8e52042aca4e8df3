package token

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokenkeep/tokenkeep/codec"
)

// This file is the one place where the engine reveals secrets: it turns an
// OAuthToken into a record at rest and back.

// toRecord checks t and returns it as a record without a frame. The record shares
// nothing with t.
func toRecord(t *OAuthToken) (*codec.Record, error) {
	if t == nil {
		return nil, fmt.Errorf("%w: the token is nil", ErrInvalid)
	}
	r := &codec.Record{
		ID:           t.ID,
		UserName:     t.UserSignature.Name,
		ClientID:     t.ClientID,
		ClientSecret: t.ClientSecret.Reveal(),
		GrantToken:   t.GrantToken.Reveal(),
		RefreshToken: t.RefreshToken.Reveal(),
		AccessToken:  t.AccessToken.Reveal(),
		RedirectURL:  t.RedirectURL,
		APIDomain:    t.APIDomain,
		TokenType:    t.TokenType,
		Scopes:       slices.Clone(t.Scopes),
	}
	if !t.Expiry.IsZero() {
		if year := t.Expiry.UTC().Year(); year < 1 || year > 9999 {
			return nil, fmt.Errorf("%w: Expiry is not between the years 1 and 9999", ErrInvalid)
		}
		r.Expiry = time.UnixMilli(t.Expiry.UnixMilli()).UTC()
	}
	for name, value := range t.Extra {
		if name == "" {
			return nil, fmt.Errorf("%w: Extra has an empty name", ErrInvalid)
		}
		if !value.IsZero() {
			if r.Extra == nil {
				r.Extra = make(map[string]string)
			}
			r.Extra[name] = value.Reveal()
		}
	}
	return r, checkTexts(r)
}

// fromRecord returns a record as the caller sees it. It shares nothing with r.
func fromRecord(r *codec.Record) *OAuthToken {
	t := &OAuthToken{
		ID:            r.ID,
		UserSignature: UserSignature{Name: r.UserName},
		ClientID:      r.ClientID,
		ClientSecret:  NewSecret(r.ClientSecret),
		GrantToken:    NewSecret(r.GrantToken),
		RefreshToken:  NewSecret(r.RefreshToken),
		AccessToken:   NewSecret(r.AccessToken),
		Expiry:        r.Expiry,
		RedirectURL:   r.RedirectURL,
		APIDomain:     r.APIDomain,
		TokenType:     r.TokenType,
		Scopes:        slices.Clone(r.Scopes),
	}
	if len(r.Extra) > 0 {
		t.Extra = make(map[string]Secret, len(r.Extra))
		for name, value := range r.Extra {
			t.Extra[name] = NewSecret(value)
		}
	}
	return t
}

// checkID reports what is wrong with an id that a caller gave.
func checkID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: the id is empty", ErrInvalid)
	case len(id) > 256:
		return fmt.Errorf("%w: the id has %d bytes, more than 256", ErrInvalid, len(id))
	case !utf8.ValidString(id):
		return fmt.Errorf("%w: the id is not UTF-8", ErrInvalid)
	}
	for _, c := range id {
		if unicode.IsControl(c) {
			return fmt.Errorf("%w: the id has a control character", ErrInvalid)
		}
	}
	return nil
}

// checkTexts refuses what JSON would silently change.
func checkTexts(r *codec.Record) error {
	if r.ID != "" {
		if err := checkID(r.ID); err != nil {
			return err
		}
	}
	check := func(field string, texts ...string) error {
		for _, text := range texts {
			if !utf8.ValidString(text) {
				return fmt.Errorf("%w: %s is not UTF-8", ErrInvalid, field)
			}
		}
		return nil
	}
	for _, f := range []struct {
		field string
		texts []string
	}{
		{"UserSignature.Name", []string{r.UserName}},
		{"ClientID", []string{r.ClientID}},
		{"ClientSecret", []string{r.ClientSecret}},
		{"GrantToken", []string{r.GrantToken}},
		{"RefreshToken", []string{r.RefreshToken}},
		{"AccessToken", []string{r.AccessToken}},
		{"RedirectURL", []string{r.RedirectURL}},
		{"APIDomain", []string{r.APIDomain}},
		{"TokenType", []string{r.TokenType}},
		{"Scopes", r.Scopes},
		{"a name in Extra", slices.Collect(maps.Keys(r.Extra))},
		{"a value in Extra", slices.Collect(maps.Values(r.Extra))},
	} {
		if err := check(f.field, f.texts...); err != nil {
			return err
		}
	}
	return nil
}

// carriesToken reports whether r has any token, so that it is worth a record.
func carriesToken(r *codec.Record) bool {
	return r.GrantToken != "" || r.RefreshToken != "" || r.AccessToken != ""
}

// merge returns top with its empty fields filled from base. The id, the frame and
// what the format does not know are base's.
func merge(top, base *codec.Record) *codec.Record {
	r := *base
	for _, f := range []struct{ to, from *string }{
		{&r.UserName, &top.UserName},
		{&r.ClientID, &top.ClientID},
		{&r.ClientSecret, &top.ClientSecret},
		{&r.GrantToken, &top.GrantToken},
		{&r.RefreshToken, &top.RefreshToken},
		{&r.AccessToken, &top.AccessToken},
		{&r.RedirectURL, &top.RedirectURL},
		{&r.APIDomain, &top.APIDomain},
		{&r.TokenType, &top.TokenType},
	} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
	if !top.Expiry.IsZero() {
		r.Expiry = top.Expiry
	}
	if len(top.Scopes) > 0 {
		r.Scopes = top.Scopes
	}
	if len(top.Extra) > 0 {
		r.Extra = maps.Clone(base.Extra)
		if r.Extra == nil {
			r.Extra = make(map[string]string, len(top.Extra))
		}
		for name, value := range top.Extra {
			if !strings.HasPrefix(name, ownExtra) {
				r.Extra[name] = value
			}
		}
	}
	return &r
}

// ownExtra is what the names in Extra begin with that are this library's own. What they say is about
// the record as it is now, so that a save of one that was found a while ago must not bring them back.
const ownExtra = "tokenkeep."

// sameContent reports whether two records differ in nothing but their frames.
func sameContent(a, b *codec.Record) bool {
	return a.UserName == b.UserName && a.ClientID == b.ClientID && a.ClientSecret == b.ClientSecret &&
		a.GrantToken == b.GrantToken && a.RefreshToken == b.RefreshToken && a.AccessToken == b.AccessToken &&
		a.Expiry.Equal(b.Expiry) && a.RedirectURL == b.RedirectURL && a.APIDomain == b.APIDomain &&
		a.TokenType == b.TokenType && slices.Equal(a.Scopes, b.Scopes) && maps.Equal(a.Extra, b.Extra)
}
