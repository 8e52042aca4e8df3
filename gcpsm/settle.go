package gcpsm

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	secretmanagerpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/googleapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// A write is one Put.
type write struct {
	d     *Driver
	name  string
	value []byte
	tag   string
	// log is what the write builds on: it is valid if it gets the number top+1.
	log log
	// created: the secret exists.
	created bool
	// unsure: a request for the number top+1 may have been applied, or may still be,
	// though it was not answered so.
	unsure bool
	// unanswered: it is unsure because one was not answered at all. If each was answered
	// with another number, it takes a service that applies a request twice.
	unanswered bool
	// exists is a number above top that is known to exist, if there is one.
	exists int64
}

// base finds the log whose head is prev. It returns a revision instead if the value
// is the head already.
//
// A conflict that is seen here is one for ever: the version that replaced prev is
// valid, and read by its number.
func (w *write) base(ctx context.Context, prev driver.Revision) (driver.Revision, error) {
	number, tag := parseRevision(prev)
	is := func(l log) bool { return l.head == number && l.tag == tag }
	if number == 0 && prev != driver.Absent {
		return "", w.conflict(errors.New("the revision is none of this driver"))
	}
	var lately bool
	w.log, lately = w.d.logs.recall(driver.Item{Name: w.name})
	switch {
	case is(w.log) && (lately || number == 0):
		return "", nil
	case lately && w.log.head > number && w.log.tag != w.tag:
		return "", w.conflict(nil) // this driver has just seen what replaced it
	}
	item, err := w.d.read(ctx, driver.Any, driver.Item{Name: w.name, Revision: prev})
	if err == nil {
		err = item.Err
	}
	if err != nil {
		return "", err
	}
	number, tag = parseRevision(item.Revision)
	w.log, _ = w.d.logs.recall(item)
	switch {
	case item.Revision == prev && is(w.log):
		return "", nil
	case item.Revision != driver.Absent && tag == w.tag && !rule.Off(rule.WriteID):
		return item.Revision, nil
	}
	return "", w.conflict(nil)
}

// settle sends a write until it is known what became of it.
//
// The place of a write is the number after those that its payload has seen. If a request
// is not answered, that place tells: it holds this write, or another one, or nothing yet,
// and then the same payload is sent again. However often it is sent, and however late a
// request arrives: at any other number it is void.
func (w *write) settle(ctx context.Context) (driver.Revision, error) {
	began := time.Now()
	var last *driver.Error // of the step that was taken last
	for try := 0; ; try++ {
		if try > 0 {
			if err := pause(ctx, try-1, errors.Is(last.Kind, driver.ErrQuota)); err != nil {
				return "", w.gaveUp(err, last)
			}
		}
		waited, err := w.d.logs.pace(ctx, w.name)
		if err != nil {
			return "", w.gaveUp(err, last)
		}
		existed := false
		if w.log.top == 0 && !w.created {
			var e *driver.Error
			if existed, e = w.create(ctx); e != nil {
				return "", e
			}
		}
		if waited || existed || try > 0 {
			// Others may have come in the meantime. To look costs less than an add in vain.
			v, n, e := w.look(ctx)
			switch {
			case v == blind && w.final(e, try, began):
				return "", e
			case v == blind:
				last = e
				continue
			case v != open:
				return w.end(ctx, v, n)
			}
		}
		n, e := w.send(ctx)
		switch {
		case e == nil && n == w.log.top+1, e == nil && rule.Off(rule.CAS):
			return w.won(ctx, n)
		case e == nil && n <= w.log.top:
			// The numbers began anew: what was to be replaced was deleted.
			w.d.logs.forget(w.name)
			return "", w.conflict(nil)
		case e == nil:
			// It came too late for its number, or an earlier request of it was in time, or the
			// service applied it twice and says what became of the second time.
			w.unsure, w.exists = true, n
			e = &driver.Error{Op: opAdd, Name: w.name, Kind: driver.ErrUnavailable}
		case errors.Is(e.Kind, driver.ErrQuota) && !errors.Is(e, errNoTime):
			// Others write it too, most of the time. What they wrote is looked at after a wait:
			// who looked now would be back at once.
			w.d.logs.done(w.name, true)
			last = e
			continue
		case w.final(e, try, began):
			return "", e
		}
		last = e
		if v, n, _ := w.look(ctx); v != open && v != blind {
			return w.end(ctx, v, n)
		}
	}
}

// final reports whether a refusal is the outcome: no request of the write can have been
// applied, and to try again is of no use.
func (w *write) final(e *driver.Error, try int, began time.Time) bool {
	switch {
	case w.unsure, errors.Is(e.Kind, errNotYet), errors.Is(e.Kind, driver.ErrQuota) && !errors.Is(e, errNoTime):
		return false
	case errors.Is(e.Kind, driver.ErrUnavailable):
		return enough(try, began) || errors.Is(e, errNoTime)
	}
	return true
}

// create creates the secret. It reports whether there is one already.
func (w *write) create(ctx context.Context) (existed bool, e *driver.Error) {
	d := w.d
	req := &secretmanagerpb.CreateSecretRequest{Parent: d.parent, SecretId: d.id(w.name), Secret: d.secretOf}
	_, e = call(ctx, d, opCreate, w.name, req, d.client.CreateSecret)
	existed = e != nil && errors.Is(e.Kind, errExists)
	if e == nil || existed {
		w.created = true
		return existed, nil
	}
	return false, e
}

// send adds the version. It returns the number that the version got.
func (w *write) send(ctx context.Context) (int64, *driver.Error) {
	d, writes := w.d, 1
	if w.log.head > 0 {
		writes = 2 // to destroy what it replaces is one too
	}
	if e := d.paceWrite(ctx, opAdd, w.name, writes); e != nil {
		return 0, e
	}
	d.logs.sent(w.name)
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var to peer.Peer
	p := payload(w.log.top, w.value)
	out, err := d.client.AddSecretVersion(bounded, &secretmanagerpb.AddSecretVersionRequest{
		Parent:  d.secret(w.name),
		Payload: &secretmanagerpb.SecretPayload{Data: p, DataCrc32C: checksum(p)},
	}, once, gax.WithGRPCOptions(grpc.Peer(&to)))
	if err == nil {
		if n := numberOf(out.GetName()); n > 0 {
			return n, nil
		}
		err = errNoNumber
	}
	e := failed(ctx, opAdd, w.name, err)
	switch {
	case tellsNothing(err) && sent(err, &to):
		w.unsure, w.unanswered = true, true
	case errors.Is(e.Kind, errNone) && w.log.top == 0:
		w.created = false
		e.Kind = errNotYet
	case errors.Is(e.Kind, errNone):
		e.Kind = driver.ErrConflict // what was to be replaced is not there
	}
	return 0, e
}

var (
	errNoNumber = errors.New("the answer names no version")
	// errNotYet: the secret was just created, and not everybody knows.
	errNotYet = errors.New("the secret is not known everywhere yet")
)

// sent reports whether a request that failed can have left: gRPC notes the peer of one
// that found a connection.
func sent(err error, to *peer.Peer) bool {
	var dial *net.OpError
	var name *net.DNSError
	if errors.As(err, &dial) && dial.Op == "dial" || errors.As(err, &name) {
		return false
	}
	var rest *googleapi.Error
	_, _, answered := answerOf(err)
	return !answered || errors.As(err, &rest) || to.Addr != nil
}

// A verdict is what became of a write.
type verdict int

const (
	open   verdict = iota // it is not there, and nothing else is
	blind                 // it cannot be seen now
	won                   // it has its number
	lost                  // another one has, and this one never will
	hidden                // what is there was not written by this package
	untold                // nothing tells any more
)

// look reads the numbers above those that the write has seen, and says what became of
// it. If nothing is decided, the write goes on from the newest number: the head is still
// what it was.
func (w *write) look(ctx context.Context) (verdict, int64, *driver.Error) {
	r := w.d.reading(w.name)
	for n := w.log.top + 1; ; n++ {
		s, err := r.slot(ctx, n)
		if err == nil && s.state == none && n < w.exists {
			s, err = w.gap(ctx, r, n)
		}
		taken := n == w.log.top+1 && s.state != none && s.tag != w.tag
		switch {
		case err != nil: // only an answer decides
			return blind, 0, w.unseen(ctx, err)
		case s.state == none && n > w.exists:
			w.log.top = n - 1
			return open, 0, nil
		case s.state == valid && s.tag == w.tag && !rule.Off(rule.WriteID):
			return won, n, nil
		case s.state == valid:
			w.d.logs.learn(w.name, log{head: n, tag: s.tag, top: n}, true)
			return lost, n, nil
		case s.state == foreign:
			return hidden, n, nil
		case s.state == shut:
			v, e := w.superseded(ctx, n)
			return v, n, e
		case taken:
			w.unsure, w.unanswered = false, false // its place is, for ever
		}
	}
}

// gap waits for a number that does not exist though a higher one does: it was given to
// a request that is still being worked off, and what comes there may be valid. Nothing
// comes there if the number is burnt, as far as anyone can know.
func (w *write) gap(ctx context.Context, r *reading, n int64) (slot, error) {
	for try := 0; !rule.Off(rule.Gap); try++ {
		// The age counts only if the number is still missing when it is read after that.
		age := w.d.logs.gapAge(w.name, n, w.exists)
		if age < gapWait && try == 0 {
			age = max(age, w.sinceCreated(ctx, n)-gapDrift)
		}
		s, err := r.slot(ctx, n)
		if err == nil && (s.state != none || age >= gapWait) {
			return s, nil
		}
		if err := pause(ctx, try, false); err != nil {
			return slot{}, err
		}
	}
	return slot{}, nil
}

// sinceCreated returns for how long a number is missing at least: since the service made
// the next version above it that can be told, by this machine's clock. It is for processes
// that do not live as long as a gap is waited for: the versions that they add above it
// are newer than the gap, and the first of them tells its age.
func (w *write) sinceCreated(ctx context.Context, n int64) time.Duration {
	for next := n + 1; next <= min(w.exists, n+holes); next++ {
		v, e := w.d.versionOf(ctx, w.name, strconv.FormatInt(next, 10))
		switch {
		case e == nil && v.GetCreateTime() != nil:
			return time.Since(v.GetCreateTime().AsTime())
		case e != nil && !errors.Is(e.Kind, errNone):
			return 0
		}
	}
	return 0
}

const (
	// gapWait is how long a gap is waited for: as long as the generated client lets a
	// request take, and longer than the service takes for one.
	gapWait = time.Minute
	// gapDrift is by how much the clocks of a machine and of the service may differ.
	gapDrift = 10 * time.Minute
)

// superseded decides a write whose place is destroyed: somebody has won at a higher
// number since. What stands there names the writes before it.
func (w *write) superseded(ctx context.Context, n int64) (verdict, *driver.Error) {
	item, err := w.d.read(ctx, driver.Any, driver.Item{Name: w.name})
	if err == nil && w.unanswered {
		err = item.Err
	}
	switch {
	case err != nil:
		return blind, w.unseen(ctx, err)
	case n == w.log.top+1 && codec.Includes(item.Value, w.value) && !rule.Off(rule.WriteID):
		return won, nil // also if no answer was lost: a request can arrive twice
	case w.unanswered && !codec.Excludes(item.Value, w.value):
		return untold, nil
	}
	return lost, nil
}

// unseen is the error of a look that showed nothing.
func (w *write) unseen(ctx context.Context, err error) *driver.Error {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e
	}
	return failed(ctx, opAccess, w.name, err)
}

// end returns what a verdict means. N is the number that won.
func (w *write) end(ctx context.Context, v verdict, n int64) (driver.Revision, error) {
	switch v {
	case won:
		return w.won(ctx, n)
	case hidden:
		return "", &driver.Error{Op: opAdd, Name: w.name, Kind: driver.ErrCorrupt, Hint: foreignHint(n)}
	case untold:
		return "", &driver.Error{Op: opAdd, Name: w.name, Kind: driver.ErrOutcomeUnknown,
			Hint: "so many others have written since that nothing tells any more"}
	}
	w.d.logs.done(w.name, true)
	if rule.Off(rule.Winner) {
		w.d.destroy(ctx, w.name, max(w.log.head, 1), n+1)
	}
	return "", w.conflict(nil)
}

// won ends a write that has its number.
func (w *write) won(ctx context.Context, n int64) (driver.Revision, error) {
	w.d.logs.done(w.name, false)
	w.d.logs.learn(w.name, log{head: n, tag: w.tag, top: n}, true)
	w.d.destroy(ctx, w.name, max(w.log.head, 1), n)
	return revisionOf(n, w.tag), nil
}

func (w *write) conflict(cause error) error {
	return &driver.Error{Op: opAdd, Name: w.name, Kind: driver.ErrConflict, Cause: cause}
}

// gaveUp is the error of a write that ran out of time, or would.
func (w *write) gaveUp(why error, last *driver.Error) error {
	e := &driver.Error{Op: opAdd, Name: w.name, Kind: why, Hint: "it was given up: " + why.Error()}
	switch {
	case last != nil:
		e.Op, e.Code, e.Kind, e.Cause = last.Op, last.Code, last.Kind, errors.Join(why, last.Cause)
		if last.Hint != "" {
			e.Hint += "; " + last.Hint
		}
		if errors.Is(e.Kind, errNotYet) {
			e.Kind = driver.ErrUnavailable
		}
	case errors.Is(why, errNoTime):
		e.Kind, e.Cause, e.Hint = driver.ErrQuota, why, paceHint
	}
	if w.unsure {
		e.Kind, e.Cause = driver.ErrOutcomeUnknown, errors.Join(why, e.Cause)
	}
	return e
}
