package gcpsm

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file is what a driver remembers of the secrets that it read and wrote: where
// their logs end, and when it may write them again.

// A log is what is known of a secret: its head, and that all versions above it up to
// top are void. The zero log is that of a secret of which nothing is known.
type log struct {
	head int64
	tag  string // of the head's value
	top  int64
}

// logs remembers so many secrets, the least used forgotten first. Numbers only rise,
// so that what is remembered can be old, and not wrong, as long as the secret is not
// deleted; every Put finds out.
type logs struct {
	mu    sync.Mutex
	known *simplelru.LRU[string, *memo]
	adds  int           // in each window, of one secret; 0: as many as one likes
	per   time.Duration // the window
}

type memo struct {
	log log
	// read is when the head was read or written, and not taken to stand because the
	// number above it does not exist.
	read time.Time
	// gap is a number that did not exist when a higher one did, since then.
	gap   int64
	since time.Time
	// sent are the times of the last adds, the oldest first.
	sent []time.Time
	// lost counts the adds that came too late since one came in time.
	lost int
}

func newLogs(size, adds int, per time.Duration) (*logs, error) {
	known, err := simplelru.NewLRU[string, *memo](size, nil)
	return &logs{known: known, adds: adds, per: per}, err
}

// memo returns the memo of a secret; the caller has the lock.
func (l *logs) memo(name string) *memo {
	m, ok := l.known.Get(name)
	if !ok {
		m = &memo{}
		l.known.Add(name, m)
	}
	return m
}

// recall returns what is known of the log of an item that the caller has, and whether
// the item is the head that is known.
func (l *logs) recall(have driver.Item) (known log, held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var read time.Time
	if m, ok := l.known.Get(have.Name); ok {
		known, read = m.log, m.read
	}
	n, tag := parseRevision(have.Revision)
	if n > known.head {
		known, read = log{head: n, tag: tag, top: n}, time.Time{} // nobody knows when
	}
	return known, n > 0 && n == known.head && tag == known.tag && have.Value != nil && age(read) < readAge
}

// readAge is for how long a head need not be read again to be the answer. A secret that
// is deleted by hand has no next number either; after so long that is found out.
const readAge = 5 * time.Minute

// age returns how long ago something was, by the clock that says more: the monotonic
// one stands still while a machine is suspended, the other one can be set back.
func age(at time.Time) time.Duration {
	return max(time.Since(at), time.Now().Round(0).Sub(at.Round(0)))
}

// learn remembers a log unless more is known. Read says that its head was read or
// written just now.
func (l *logs) learn(name string, now log, read bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.memo(name)
	switch {
	case now.head < m.log.head:
		return
	case now.head == m.log.head && now.tag == m.log.tag:
		m.log.top = max(m.log.top, now.top)
	default:
		m.log = now
	}
	if read {
		m.read = time.Now()
	}
}

// forget forgets the log of a secret, and not when it was written.
func (l *logs) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m, ok := l.known.Get(name); ok {
		m.log, m.gap = log{}, 0
	}
}

// gapAge returns how long it is known that a number is missing.
func (l *logs) gapAge(name string, n int64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.memo(name)
	if m.gap != n {
		m.gap, m.since = n, time.Now()
	}
	return time.Since(m.since)
}

// done notes whether an add came in time.
func (l *logs) done(name string, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.memo(name)
	if lost {
		m.lost = min(m.lost+1, maxLost)
	} else {
		m.lost = 0
	}
}

// maxLost bounds the wait that follows lost races: crowd is its unit.
const (
	maxLost = 4
	crowd   = 20 * time.Millisecond
)

// pace waits until a secret may be written: until the service's quota allows one more
// add and, after a lost race, for a random time that grows with each, so that the
// crowd thins out. It reports whether it waited: others may have written meanwhile.
func (l *logs) pace(ctx context.Context, name string) (waited bool, err error) {
	wait := l.reserve(name, time.Now())
	if wait <= 0 {
		return false, ctx.Err()
	}
	return true, sleep(ctx, wait)
}

// reserve notes an add and returns how long it has to wait: no window of time holds
// more of them than the quota.
func (l *logs) reserve(name string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.memo(name)
	at := now
	if m.lost > 0 {
		unit := crowd
		if l.adds > 0 {
			unit = max(unit, l.per/time.Duration(l.adds)/2)
		}
		at = at.Add(rand.N(unit << m.lost)) //nolint:gosec // nobody gains from guessing a wait
	}
	if l.adds > 0 {
		if len(m.sent) == l.adds {
			if free := m.sent[0].Add(l.per); free.After(at) {
				at = free.Add(rand.N(l.per / 10)) //nolint:gosec // as above
			}
			m.sent = append(m.sent[:0], m.sent[1:]...)
		}
		if n := len(m.sent); n > 0 && m.sent[n-1].After(at) {
			at = m.sent[n-1]
		}
		m.sent = append(m.sent, at)
	}
	return at.Sub(now)
}

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

// The waits between two sendings of a request: random and growing.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second
	quotaPause = 10 // times as long after a quota error
)

func pause(ctx context.Context, try int, quota bool) error {
	top := min(firstPause<<min(try, 10), maxPause)
	if quota {
		top *= quotaPause
	}
	return sleep(ctx, rand.N(top)+time.Millisecond) //nolint:gosec // as above
}
