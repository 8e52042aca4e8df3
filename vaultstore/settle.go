package vaultstore

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// A write is one Put.
type write struct {
	d     *Driver
	name  string
	value string
	base  int64 // the version that it replaces, 0 for none; it makes the next one
	began time.Time
	seen  attempts
	// doubted is when the last refusal came that may be for this very write: a mismatch, or
	// what another node says to whom a first one sent it. Zero: none, or it was explained.
	doubted time.Time
	dark    int       // how many looks in a row told nothing
	place   *metadata // of the version that it made, if it was found there
}

// settle sends a write until it is known what became of it.
//
// To send it again is always right: Vault takes it if the current version is still the
// base, and it makes no other version than the next. But a mismatch proves nothing, since
// the version that does not match may be this very write: the client, a proxy or a
// standby may have sent it twice; and a node that is behind may have judged. So the
// version that the write makes is read then, and tells. Any other refusal is the outcome
// if no request of the write can have been applied.
//
// It ends when the outcome is known, or can no longer be known; if no request was
// applied, when Vault is in trouble for longer than a caller should wait; and with the
// context.
func (w *write) settle(ctx context.Context) (driver.Revision, error) {
	var e *driver.Error
	for try := 0; ; try++ {
		over := time.Since(w.began) > patience
		if try == 0 || !over || w.seen.unsure { // else what is left is to explain a refusal
			if e = w.send(ctx); e == nil {
				return w.won(ctx)
			}
		}
		var trouble *driver.Error
		if !w.refused() {
			var v verdict
			began := time.Now()
			v, trouble = w.look(ctx)
			w.count(v, trouble, began)
			switch {
			case v == won:
				return w.won(ctx)
			case v == lost:
				if rule.Off(rule.Winner) {
					w.d.destroy(ctx, w.name, w.base+2)
				}
				return "", w.conflict(e)
			case w.dark == darkLooks, v == untold && w.inTime():
				return "", w.inDoubt(v, e)
			}
			w.seen.late = w.seen.late || v != open || trouble != nil
			if trouble != nil {
				e = trouble
			}
		}
		// What is left is to go on, unless that has no use.
		switch over = time.Since(w.began) > patience; {
		case ctx.Err() != nil:
			return "", w.gaveUp(ctx.Err(), e)
		case !passes(e.Kind) && w.refused():
			return "", final(e)
		case over && !passes(e.Kind):
			return "", w.gaveUp(nil, e)
		case over && !w.seen.unsure && (w.doubted.IsZero() || trouble != nil):
			return "", w.gaveUp(nil, e)
		}
		if err := pause(ctx, try, e); err != nil {
			return "", w.gaveUp(err, e)
		}
	}
}

// count counts a look that began at some time. One that shows the base may be of a node
// that is behind: it explains a refusal of some time before.
func (w *write) count(v verdict, trouble *driver.Error, began time.Time) {
	switch {
	case v == below || v == untold:
		w.dark++
	case v == open:
		w.dark = 0
		if trouble == nil && began.Sub(w.doubted) >= lag {
			w.doubted = time.Time{}
		}
	}
}

// lag is how far behind a node may be for a read of it to be believed in the end.
const lag = 2 * time.Second

// refused reports whether all requests of the write were, so that none was applied.
func (w *write) refused() bool { return !w.seen.unsure && !w.seen.resent && w.doubted.IsZero() }

// inTime reports whether the write was sent once, refused, and looked for at once. To be
// there, something on the way must have sent it twice, and more others than a history
// names must have written between that and the look: such a write is lost.
func (w *write) inTime() bool { return !w.seen.unsure && !w.seen.resent && !w.seen.late }

// passes reports whether what a request ran into may pass.
func passes(kind error) bool {
	return errors.Is(kind, errMismatch) || errors.Is(kind, errTransient) || errors.Is(kind, driver.ErrUnavailable)
}

// prompt is how soon an answer comes that nobody on the way waited for.
const prompt = time.Second

// send makes one request.
func (w *write) send(ctx context.Context) *driver.Error {
	options := map[string]any{"cas": w.base}
	if rule.Off(rule.CAS) {
		options = map[string]any{}
	}
	began := time.Now()
	body, e := w.d.send(ctx, request{
		op: opPut, name: w.name, method: http.MethodPut, path: w.d.path("data", w.name),
		body: map[string]any{"data": map[string]string{member: w.value}, "options": options},
		how:  driver.Fresh, seen: &w.seen,
	})
	if e != nil {
		mismatch := errors.Is(e.Kind, errMismatch)
		if mismatch || w.seen.moved && passes(e.Kind) {
			w.doubted = time.Now()
		}
		w.seen.late = w.seen.late || mismatch && time.Since(began) > prompt
		return e
	}
	var out struct {
		wrapped
		Data *metadata `json:"data"`
	}
	err := json.Unmarshal(body, &out)
	switch n := out.Data.number(); {
	case rule.Off(rule.CAS) && err == nil && n > 0:
		w.base = n - 1
	case err == nil && out.is():
		return &driver.Error{Op: opPut, Name: w.name, Kind: driver.ErrOutcomeUnknown, Hint: wrappedHint}
	case err == nil && n == 0, len(body) == 0:
		// A mount of version 1 stores what it gets, and answers nothing.
		return &driver.Error{Op: opPut, Name: w.name, Kind: driver.ErrOutcomeUnknown, Hint: "the answer names no version; " + notVersioned}
	case err != nil || n != w.base+1:
		w.seen.unsure = true
		return &driver.Error{Op: opPut, Name: w.name, Kind: driver.ErrUnavailable, Hint: "the answer is none to what was asked"}
	}
	w.place = out.Data
	return nil
}

// A verdict is what became of a write.
type verdict int

const (
	open   verdict = iota // nothing yet, as far as one can see: it has to be sent again
	won                   // it is there, or was
	lost                  // another one is in its place
	below                 // its place is not there, nor the base that it was to replace
	untold                // its place was taken, and nothing tells by whom
)

// look reads the version that a write makes, its place, and, if that does not tell, the
// newest one, the head: each value names those before it.
//
//	the place       the head                                       verdict
//	our value       -                                              won
//	another value   -                                              lost
//	not there       the base                                       open
//	not there       older than the base, or none                   below
//	no value        its history names our write                    won
//	no value        its history names another one in our place     lost
//	no value        anything else                                  untold
//	-               cannot be read                                 open, and why
//
// "Not there" is no such version, and a head that is not newer than the base; "no value"
// is a version that was deleted, destroyed or, below a newer head, pruned.
//
// A version never gets another value, so that won and lost hold for ever. A node that is
// behind (a performance standby; OpenBao's standbys) can only show less: what looks open
// is sent again, below has to be seen several times until it counts, and so has untold
// unless the write was refused and nothing else: its place is taken (see inTime).
func (w *write) look(ctx context.Context) (verdict, *driver.Error) {
	value, place, e := w.d.readVersion(ctx, driver.Fresh, w, w.name, w.base+1)
	switch {
	case e != nil:
		return open, e
	case value == w.value && !rule.Off(rule.WriteID):
		w.place = place
		return won, nil
	case value != "":
		return lost, nil
	}
	value, head, e := w.d.readVersion(ctx, driver.Fresh, w, w.name, 0)
	switch {
	case e != nil:
		return open, e
	case place == nil && head.number() == w.base:
		return open, nil
	case head.number() <= w.base:
		return below, nil
	case codec.Includes([]byte(value), []byte(w.value)) && !rule.Off(rule.WriteID):
		return won, nil
	case codec.Excludes([]byte(value), []byte(w.value)):
		return lost, nil
	}
	return untold, nil
}

// darkLooks is how many looks that tell nothing end a write: about two seconds of them.
const darkLooks = 8

// inDoubt ends a write of which nothing tells any more what became of it.
func (w *write) inDoubt(v verdict, e *driver.Error) error {
	switch {
	case v == untold && w.inTime(), v == below && !w.seen.unsure:
		// Below: what it was to replace was removed, and the numbers began anew.
		return w.conflict(e)
	case v == below:
		return w.unknown(e, "what it was to replace is not there any more")
	}
	return w.unknown(e, "its version has no value any more, and nothing that is left names it")
}

// won ends a write that is there.
func (w *write) won(ctx context.Context) (driver.Revision, error) {
	if w.place != nil {
		w.d.noteLife(w.name, w.place, true)
	}
	w.d.destroy(ctx, w.name, w.base+1)
	return revisionOf(w.base+1, w.value), nil
}

func (w *write) conflict(e *driver.Error) error {
	return &driver.Error{Op: opPut, Name: w.name, Code: e.Code, Kind: driver.ErrConflict, Cause: e.Cause}
}

func (w *write) unknown(e *driver.Error, hint string) error {
	return &driver.Error{Op: opPut, Name: w.name, Code: e.Code, Kind: driver.ErrOutcomeUnknown, Cause: e.Cause, Hint: hint}
}

// gaveUp is the error of a write that ran out of time: of that of the context, which is
// why, or of patience.
func (w *write) gaveUp(why error, last *driver.Error) error {
	e := *final(last)
	e.Cause = errors.Join(why, last.Cause)
	if !w.refused() {
		e.Kind = driver.ErrOutcomeUnknown
	}
	text := "it was given up after " + patience.String()
	if why != nil {
		text = "it was given up: " + why.Error()
	}
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	e.Hint = text
	return &e
}

// final gives an error a kind that leaves this package.
func final(e *driver.Error) *driver.Error {
	switch {
	case errors.Is(e.Kind, errTransient), errors.Is(e.Kind, errMismatch):
		e.Kind = driver.ErrUnavailable
	case errors.Is(e.Kind, errNone):
		e.Kind, e.Hint = driver.ErrInvalid, mountHint
	}
	return e
}
