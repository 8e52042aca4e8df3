package gcpsm

import (
	"context"
	"errors"
	"fmt"
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
	if w.log, _ = w.d.logs.recall(driver.Item{Name: w.name}); is(w.log) {
		return "", nil
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
	var last *driver.Error
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
		if waited || try > 0 {
			// Others may have come in the meantime. To look costs less than an add in vain.
			if v, n := w.look(ctx, w.log.top); v != open {
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
			w.unsure = true
			e = &driver.Error{Op: opAdd, Name: w.name, Kind: driver.ErrUnavailable}
		case errors.Is(e.Kind, driver.ErrQuota):
			// Others write it too, most of the time. What they wrote is looked at after a wait:
			// who looked now would be back at once.
			w.d.logs.done(w.name, true)
			last = e
			continue
		case !w.unsure && final(e, try):
			return "", e
		}
		last = e
		if v, n := w.look(ctx, n); v != open {
			return w.end(ctx, v, n)
		}
	}
}

// final reports whether a refusal is the outcome of a write of which no request can have
// been applied.
func final(e *driver.Error, try int) bool {
	return !errors.Is(e.Kind, driver.ErrUnavailable) || try+1 >= callTries
}

// send creates the secret if there is none, and adds the version. It returns the number
// that the version got.
func (w *write) send(ctx context.Context) (int64, *driver.Error) {
	d := w.d
	if w.log.top == 0 && !w.created {
		req := &secretmanagerpb.CreateSecretRequest{Parent: d.parent, SecretId: d.id(w.name), Secret: d.secretOf}
		if _, e := call(ctx, d, opCreate, w.name, req, d.client.CreateSecret); e != nil && !errors.Is(e.Kind, errExists) {
			return 0, e
		}
		w.created = true
	}
	if e := d.paceWrite(ctx, opAdd, w.name); e != nil {
		return 0, e
	}
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
		// The secret was just created, and not everybody knows yet.
		w.created = false
		e.Kind = driver.ErrUnavailable
	case errors.Is(e.Kind, errNone):
		e.Kind = driver.ErrConflict // what was to be replaced is not there
	}
	return 0, e
}

var errNoNumber = errors.New("the answer names no version")

// sent reports whether a request that failed can have left: gRPC notes the peer of one
// that found a connection.
func sent(err error, to *peer.Peer) bool {
	var rest *googleapi.Error
	_, _, answered := answerOf(err)
	return !answered || errors.As(err, &rest) || to.Addr != nil
}

// A verdict is what became of a write.
type verdict int

const (
	open   verdict = iota // not known yet
	won                   // it has its number
	lost                  // another one has, and this one never will
	untold                // nothing tells any more
)

// look reads the numbers above those that the write has seen, and says what became of
// it; exists is a number that is known to exist. If nothing is decided, the write goes on
// from the newest number: the head is still what it was.
func (w *write) look(ctx context.Context, exists int64) (verdict, int64) {
	r := w.d.reading(w.name)
	for n := w.log.top + 1; ; n++ {
		s, err := r.slot(ctx, n)
		if err == nil && s.state == none && n < exists {
			s, err = w.gap(ctx, r, n)
		}
		switch {
		case err != nil: // no matter why: only an answer decides
			return open, 0
		case s.state == none && n > exists:
			if w.log.top < n-1 {
				w.log.top, w.unsure, w.unanswered = n-1, false, false // its place is taken
			}
			return open, 0
		case s.state == valid && s.tag == w.tag && !rule.Off(rule.WriteID):
			return won, n
		case s.state == valid:
			w.d.logs.learn(w.name, log{head: n, tag: s.tag, top: n}, true)
			return lost, n
		case s.state == shut:
			return w.superseded(ctx, n), n
		}
	}
}

// gap waits for a number that does not exist though a higher one does: it was given to
// a request that is still being worked off, and what comes there may be valid. Nothing
// comes there if the number is burnt, as far as anyone can know.
func (w *write) gap(ctx context.Context, r *reading, n int64) (slot, error) {
	for try := 0; ; try++ {
		if rule.Off(rule.Gap) || w.d.logs.gapAge(w.name, n) >= gapWait {
			return slot{}, nil
		}
		if err := pause(ctx, try, false); err != nil {
			return slot{}, err
		}
		if s, err := r.slot(ctx, n); err == nil && s.state != none {
			return s, nil
		}
	}
}

// gapWait is how long a gap is waited for: as long as the generated client lets a
// request take, and longer than the service takes for one.
const gapWait = time.Minute

// superseded decides a write whose place is destroyed: somebody has won at a higher
// number since. What stands there names the writes before it.
func (w *write) superseded(ctx context.Context, n int64) verdict {
	item, err := w.d.read(ctx, driver.Any, driver.Item{Name: w.name})
	switch {
	case err != nil, item.Err != nil && w.unanswered:
		return open
	case n == w.log.top+1 && codec.Includes(item.Value, w.value) && !rule.Off(rule.WriteID):
		return won // also if no answer was lost: a request can arrive twice
	case w.unanswered && !codec.Excludes(item.Value, w.value):
		return untold
	}
	return lost
}

// end returns what a verdict means. N is the number that won.
func (w *write) end(ctx context.Context, v verdict, n int64) (driver.Revision, error) {
	switch v {
	case won:
		return w.won(ctx, n)
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

// gaveUp is the error of a write that ran out of time.
func (w *write) gaveUp(why error, last *driver.Error) error {
	e := &driver.Error{Op: opAdd, Name: w.name, Kind: why, Hint: "it was given up: " + why.Error()}
	if last != nil {
		e.Op, e.Code, e.Kind, e.Cause = last.Op, last.Code, last.Kind, errors.Join(why, last.Cause)
		if last.Hint != "" {
			e.Hint += "; " + last.Hint
		}
	}
	if w.unsure {
		e.Kind, e.Cause = driver.ErrOutcomeUnknown, errors.Join(why, e.Cause)
	}
	return e
}

// destroy destroys the versions of a secret from one number to below another: what a
// write that won at that number has replaced, and what came too late before it. Only a
// winner does that, and only below its own number, so that whoever finds a version
// destroyed knows that there is a valid one above it; nobody destroys the newest.
//
// It is not left to the background: a process may be frozen or gone as soon as a save
// returns, and what it leaves is charged for every month and holds the tokens of before.
// The write stands whatever becomes of it: what is left is destroyed by a later one.
func (d *Driver) destroy(ctx context.Context, name string, from, to int64) {
	ctx, cancel := context.WithTimeout(ctx, destroyTimeout)
	defer cancel()
	numbers := make([]int64, 0, 1)
	for n := from; n < to; n++ {
		numbers = append(numbers, n)
	}
	if to/sweepEvery > from/sweepEvery {
		numbers = d.leftovers(ctx, name, from, numbers)
	}
	each(len(numbers), func(i int) {
		if e := d.destroyOne(ctx, version{name, numbers[i]}); e != nil && errors.Is(e.Kind, driver.ErrPermission) {
			d.undestroyed.Store(&version{name, numbers[i]})
		}
	})
}

const (
	destroyTimeout = 5 * time.Second
	// sweepEvery is how often the versions are listed, for those that a process left when
	// it died between a write and what it had to destroy.
	sweepEvery = 16
)

func (d *Driver) destroyOne(ctx context.Context, v version) *driver.Error {
	req := &secretmanagerpb.DestroySecretVersionRequest{Name: d.version(v.name, decimal(v.number))}
	_, e := call(ctx, d, opDestroy, v.name, req, d.client.DestroySecretVersion)
	return e
}

// leftovers appends the active versions below a number.
func (d *Driver) leftovers(ctx context.Context, name string, below int64, numbers []int64) []int64 {
	req := &secretmanagerpb.ListSecretVersionsRequest{Parent: d.secret(name), PageSize: pageSize, Filter: "state:ENABLED OR state:DISABLED"}
	found, _ := inTime(ctx, func() (found []int64, err error) {
		for v, err := range d.client.ListSecretVersions(ctx, req, once).All() {
			if err != nil {
				return found, err // the right to list is not needed for anything else
			}
			if n := numberOf(v.GetName()); n > 0 && n < below && v.GetScheduledDestroyTime() == nil {
				found = append(found, n)
			}
		}
		return found, nil
	})
	return append(numbers, found...)
}

// mayDestroy makes sure that a right to destroy that was missing is there now: a store
// that keeps every rotated token, and pays for it, says so before it writes again.
func (d *Driver) mayDestroy(ctx context.Context) error {
	v := d.undestroyed.Load()
	if v == nil {
		return nil
	}
	if e := d.destroyOne(ctx, *v); e != nil && errors.Is(e.Kind, driver.ErrPermission) {
		e.Hint = fmt.Sprintf("secretmanager.versions.destroy is needed, or version %d stays and is charged: %s", v.number, permissionHint)
		return e
	}
	d.undestroyed.CompareAndSwap(v, nil)
	return nil
}
