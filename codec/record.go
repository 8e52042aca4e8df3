package codec

import (
	"fmt"
	"log/slog"
	"time"
)

// A Record is a secret that holds a token, or the tombstone of one. It holds the
// texts in clear, so it prints as nothing but its kind; the engine turns it into
// a token.OAuthToken before anybody else sees it.
type Record struct {
	Frame

	ID string
	// Chosen: the caller gave the id. A save under a chosen id may bring a
	// tombstone back to life; an id that the store made is never used again.
	Chosen bool

	UserName     string
	ClientID     string
	ClientSecret string
	GrantToken   string
	RefreshToken string
	AccessToken  string
	// Expiry has milliseconds; the zero time is absent.
	Expiry      time.Time
	RedirectURL string
	APIDomain   string
	TokenType   string
	Scopes      []string
	Extra       map[string]string
	// Buried is when a tombstone was written, to the second; zero in a record that lives.
	Buried time.Time

	unknown members
}

// Live reports whether r holds a token: whether it is no tombstone.
func (r *Record) Live() bool { return r != nil && r.Kind == KindToken }

// Bury returns the tombstone of r: what is left of it when its tokens are gone.
// The caller sets its frame. The tombstone of a record that never was has no id
// if only the hash of the id is known.
func (r *Record) Bury(at time.Time) *Record {
	return &Record{ID: r.ID, Chosen: r.Chosen, Buried: at.UTC().Truncate(time.Second)}
}

// Replace returns the content of c as a later state of r: with r's frame, id and
// unknown members.
func (r *Record) Replace(c *Record) *Record {
	next := *c
	next.Frame, next.ID, next.Chosen, next.unknown = r.Frame, r.ID, r.Chosen, r.unknown
	return &next
}

// Format keeps a record from printing what it holds, whatever the verb. Package fmt
// asks no type about %p and about a misplaced %w, both of which go vet finds, nor
// about a value in an unexported field: keep a pointer there.
func (r Record) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "record(%s)", r.Kind) }

// LogValue does for log/slog what Format does for fmt.
func (r Record) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(r)) }

// MarshalText does for encoding/json what Format does for fmt: a secret is
// written by EncodeRecord and nothing else.
func (r Record) MarshalText() ([]byte, error) { return fmt.Append(nil, r), nil }

// EncodeRecord returns the value of the secret that holds r. Equal records make
// equal values.
func EncodeRecord(r *Record) ([]byte, error) {
	o := r.start()
	o.addText("id", r.ID)
	if r.Chosen {
		o.add("id_chosen", true)
	}
	o.addText("user_name", r.UserName)
	o.addText("client_id", r.ClientID)
	o.addText("client_secret", r.ClientSecret)
	o.addText("grant_token", r.GrantToken)
	o.addText("refresh_token", r.RefreshToken)
	o.addText("access_token", r.AccessToken)
	if !r.Expiry.IsZero() {
		o.add("expiry_time", r.Expiry.UnixMilli())
	}
	o.addText("redirect_url", r.RedirectURL)
	o.addText("api_domain", r.APIDomain)
	o.addText("token_type", r.TokenType)
	if len(r.Scopes) > 0 {
		o.add("scopes", r.Scopes)
	}
	if len(r.Extra) > 0 {
		o.add("extra", r.Extra)
	}
	if !r.Buried.IsZero() {
		o.add("buried_time", r.Buried.Unix())
	}
	o.addMembers(r.unknown)
	return o.bytes()
}

// DecodeRecord reads a value that EncodeRecord wrote.
func DecodeRecord(value []byte) (*Record, error) {
	frame, m, err := decode(value)
	if err != nil {
		return nil, err
	}
	switch frame.Kind {
	case KindToken, KindTombstone, KindPurging:
	default:
		return nil, fieldError("kind", "is not that of a record")
	}
	r := &Record{Frame: frame}
	d := fields{m: m}
	d.text("id", &r.ID)
	d.truth("id_chosen", &r.Chosen)
	d.text("user_name", &r.UserName)
	d.text("client_id", &r.ClientID)
	d.text("client_secret", &r.ClientSecret)
	d.text("grant_token", &r.GrantToken)
	d.text("refresh_token", &r.RefreshToken)
	d.text("access_token", &r.AccessToken)
	if _, ok := m["expiry_time"]; ok {
		var ms int64
		d.number("expiry_time", &ms)
		r.Expiry = time.UnixMilli(ms).UTC()
	}
	d.text("redirect_url", &r.RedirectURL)
	d.text("api_domain", &r.APIDomain)
	d.text("token_type", &r.TokenType)
	d.texts("scopes", &r.Scopes)
	d.textMap("extra", &r.Extra)
	if _, ok := m["buried_time"]; ok {
		var seconds int64
		d.number("buried_time", &seconds)
		r.Buried = time.Unix(seconds, 0).UTC()
	}
	if d.err != nil {
		return nil, d.err
	}
	if r.ID == "" && r.Kind == KindToken {
		return nil, fieldError("id", "is missing")
	}
	r.unknown = m
	return r, nil
}
