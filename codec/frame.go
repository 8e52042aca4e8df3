package codec

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"slices"
)

// Format is the version of the format that this package writes, and the highest
// that it reads.
const Format = 1

// HistoryLen is how many earlier writes a frame names at most.
const HistoryLen = 16

// A Kind says what a secret is.
type Kind string

// The kinds of secrets. A tombstone is a record that was deleted, or fenced
// before it was created: it has no keys. Purging is a tombstone that is about to
// be removed; nothing revives it. A sealed index secret is not written any more: it names
// those that take its place.
const (
	KindToken     Kind = "token"
	KindTombstone Kind = "tombstone"
	KindPurging   Kind = "purging"
	KindIndex     Kind = "index"
	KindSealed    Kind = "sealed"
)

// maxSeq is the highest whole number that every reader of JSON reads exactly. No
// secret is written so often.
const maxSeq = 1 << 53

// frameMember is the member of a secret that holds its frame.
const frameMember = "tokenkeep"

// A Frame is what every secret carries beside its content. The frame of a
// secret that does not exist yet is the zero value.
type Frame struct {
	Kind Kind
	// Seq counts the writes of the secret: 1 is its creation.
	Seq int64
	// Write is the random id of the write that made this value. It makes every
	// value unique, so a writer that finds its own value knows that it won.
	Write string
	// History holds the write ids before this one, newest first, at most
	// HistoryLen: it tells a writer that it won though others wrote since.
	History []string

	unknown members
}

// NewWriteID returns a random write id of 128 bits, read from random.
func NewWriteID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// Next returns the frame of the write that follows f.
func (f Frame) Next(kind Kind, write string) Frame {
	next := Frame{Kind: kind, Seq: f.Seq + 1, Write: write, unknown: f.unknown}
	if f.Write != "" {
		next.History = append([]string{f.Write}, f.History...)
		next.History = next.History[:min(len(next.History), HistoryLen)]
	}
	return next
}

// Includes reports whether the secret that now holds stored was once written with
// the value put: whether put is that value, or stored's history names its write.
// A driver settles a write with it after an answer that told neither.
func Includes(stored, put []byte) bool {
	s, _, err := decode(stored)
	if err != nil {
		return false
	}
	p, _, err := decode(put)
	if err != nil || p.Write == "" {
		return false
	}
	return s.Write == p.Write || slices.Contains(s.History, p.Write)
}

// Excludes reports whether the secret that now holds stored provably was never
// written with the value put: whether stored, or its history, names another write
// in the place of put. Neither Includes nor Excludes holds if the history no
// longer goes back that far, or if one of the two cannot be read: a driver whose
// write may have been applied then does not know.
func Excludes(stored, put []byte) bool {
	s, _, err := decode(stored)
	if err != nil {
		return false
	}
	p, _, err := decode(put)
	if err != nil || p.Seq > s.Seq {
		return false
	}
	writes := append([]string{s.Write}, s.History...)
	back := s.Seq - p.Seq
	return back < int64(len(writes)) && !slices.Contains(writes, p.Write)
}

// KindOf returns the kind of a secret, so that the caller knows which function
// decodes the rest.
func KindOf(value []byte) (Kind, error) {
	f, _, err := decode(value)
	return f.Kind, err
}

// decode splits a value into its frame and its other members.
func decode(value []byte) (Frame, members, error) {
	m, err := decodeObject(value)
	if err != nil {
		return Frame{}, nil, err
	}
	raw, ok := m[frameMember]
	if !ok {
		return Frame{}, nil, errNotOurs
	}
	delete(m, frameMember)
	inner, err := decodeObject(raw)
	if err != nil {
		return Frame{}, nil, errNotOurs
	}
	var format int64
	d := fields{m: inner}
	d.number("format", &format)
	switch {
	case d.err != nil || format < 1:
		return Frame{}, nil, errNotOurs
	case format > Format:
		return Frame{}, nil, newerError(format)
	}
	var f Frame
	d.text("kind", (*string)(&f.Kind))
	d.number("seq", &f.Seq)
	d.text("write", &f.Write)
	d.texts("history", &f.History)
	if d.err != nil {
		return Frame{}, nil, d.err
	}
	if f.Seq < 1 || f.Seq > maxSeq {
		return Frame{}, nil, fieldError("seq", "is not between 1 and 2^53")
	}
	if f.Write == "" {
		return Frame{}, nil, fieldError("write", "is missing")
	}
	f.unknown = inner
	return f, m, nil
}

// start begins a secret: its frame stands first, and its content is added to
// what start returns.
func (f Frame) start() *object {
	frame := new(object)
	if f.Seq < 1 || f.Seq > maxSeq {
		frame.err = fieldError("seq", "is not between 1 and 2^53")
	}
	frame.add("format", Format)
	frame.add("kind", f.Kind)
	frame.add("seq", f.Seq)
	frame.add("write", f.Write)
	if len(f.History) > 0 {
		frame.add("history", f.History)
	}
	frame.addMembers(f.unknown)
	secret := new(object)
	inner, err := frame.bytes()
	secret.err = err
	secret.add(frameMember, json.RawMessage(inner))
	return secret
}
