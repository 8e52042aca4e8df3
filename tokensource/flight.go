package tokensource

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeep/tokenkeep/token"
)

// A flight is one look at the record, and what follows from it, for all calls of a source that
// wait for it. It goes on as long as one of them waits, and once a refresh token was sent it goes on
// in any case.
type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int // guarded by the source's mu
	token   *oauth2.Token
	err     error
}

// join returns what a flight finds, the one that is on or a new one. While one is on, a token
// that is good is returned at once.
func (s *Source) join(ctx context.Context) (*oauth2.Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, during("token", err)
	}
	s.mu.Lock()
	c := s.current.Load()
	if c != nil && time.Now().Before(c.until) { // a flight has just landed
		s.mu.Unlock()
		return c.token, c.err
	}
	f := s.flight
	if f != nil && c.good() {
		s.mu.Unlock()
		return c.token, c.err
	}
	if f == nil {
		f = s.takeOff(ctx)
	}
	f.waiting++
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		if f.waiting--; f.waiting == 0 {
			f.cancel()
			if s.flight == f {
				s.flight = nil // who comes now must not wait for one that was given up
				if c.good() {
					s.current.Store(c.again(firstCooldown))
				}
			}
		}
		if c.good() {
			return c.token, c.err
		}
		return nil, during("token", ctx.Err())
	}
}

// takeOff begins a flight. The caller holds mu.
func (s *Source) takeOff(ctx context.Context) *flight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{done: make(chan struct{}), cancel: cancel}
	s.flight = f
	go func() {
		next := &current{err: errNoResult} // for a transport or an Adapt that ends the goroutine
		defer func() {
			cancel()
			s.mu.Lock()
			defer s.mu.Unlock()
			f.token, f.err = next.token, next.err
			if s.flight == f {
				s.flight = nil
				s.current.Store(next)
			}
			close(f.done)
		}()
		next = s.fly(ctx)
	}()
	return f
}

var errNoResult = errors.New("tokenkeep: token: the refresh ended without a result")

// A recordKey names a record in one process.
type recordKey struct {
	store *token.Store
	id    string
}

// A desk is what all sources of a process share about one record: only one of them at a time
// does something about it. It exists while one does, and while there is something that
// must not be forgotten.
type desk struct {
	turn  chan struct{} // holds one element while somebody has the turn
	users int           // who have or want it
	used  time.Time     // when somebody wanted it last

	// These belong to who has the turn.
	unsaved *unsaved // new tokens that are not stored yet
	seen    sighting // of a lease that another process holds
	unsent  []string // the names of leases of this process under which nothing was sent
}

// idle reports whether nothing at the desk must be remembered, or nobody has come back for it for long.
func (d *desk) idle() bool {
	if d.users > 0 || d.unsaved != nil { // who has the turn may be writing to the rest
		return false
	}
	return d.seen.holder == "" && len(d.unsent) == 0 || time.Since(d.used) > farOff
}

// A sighting is since when this process has known a lease, by its own clock.
type sighting struct {
	holder string
	since  time.Time
}

// desks are those of this process: sources that know nothing of each other must not
// refresh one record at the same time.
var desks = struct {
	sync.Mutex
	of map[recordKey]*desk
}{of: make(map[recordKey]*desk)}

// sit takes the turn at the desk of a record, or waits for it if patient. The caller ends it with leave. Waited
// tells that somebody else had it: what the caller knows of the record is old.
func sit(ctx context.Context, k recordKey, patient bool) (d *desk, leave func(), waited bool, err error) {
	desks.Lock()
	d = desks.of[k]
	if d == nil {
		for other, old := range desks.of { // there are few
			if old.idle() {
				delete(desks.of, other)
			}
		}
		d = &desk{turn: make(chan struct{}, 1)}
		desks.of[k] = d
	}
	d.users++
	d.used = time.Now()
	desks.Unlock()
	gone := func() {
		desks.Lock()
		defer desks.Unlock()
		if d.users--; d.idle() {
			delete(desks.of, k)
		}
	}
	leave = func() { <-d.turn; gone() }
	select {
	case d.turn <- struct{}{}:
		return d, leave, false, nil
	default:
	}
	if !patient {
		gone()
		return nil, nil, true, errBusy
	}
	select {
	case d.turn <- struct{}{}:
		return d, leave, true, nil
	case <-ctx.Done():
		gone()
		return nil, nil, true, ctx.Err()
	}
}

var errBusy = errors.New("another source of this process refreshes")

// clearDesk forgets what is at the desk of a record that r shows, if it has other tokens since.
func clearDesk(k recordKey, r *reading) {
	desks.Lock()
	defer desks.Unlock()
	d := desks.of[k]
	if d == nil || d.users > 0 || d.unsaved != nil && d.unsaved.lease.untouched(r.OAuthToken, r.state) {
		return
	}
	delete(desks.of, k)
}

// abandon forgets what is at the desk of a record that is gone.
func abandon(k recordKey) {
	desks.Lock()
	defer desks.Unlock()
	if d := desks.of[k]; d != nil && d.users == 0 {
		delete(desks.of, k)
	}
}

// age is how long ago something was, by the clock of this machine that says more: the monotonic
// one stands still while a machine is suspended, the other one can be set back.
func age(at time.Time) time.Duration {
	return max(time.Since(at), time.Now().Round(0).Sub(at.Round(0)))
}

// sleep waits, or returns the error of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
