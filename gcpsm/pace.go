package gcpsm

import (
	"context"
	"fmt"
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

func (l log) revision() driver.Revision {
	if l.head == 0 {
		return driver.Absent
	}
	return revisionOf(l.head, l.tag)
}

// logs remembers so many secrets, the least used forgotten first. Numbers only rise, so
// that what is remembered is old, and not wrong, unless a secret is deleted: then it is
// read again after some minutes at the latest.
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
	// above is a number that existed at a time, since, when some below it did not.
	above int64
	since time.Time
	// turn holds a value while a Put is at work.
	turn chan struct{}
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
		m = &memo{turn: make(chan struct{}, 1)}
		l.known.Add(name, m)
	}
	return m
}

// recall returns what is known of the log of an item that the caller has, and whether its
// head was read lately.
func (l *logs) recall(have driver.Item) (known log, lately bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m, ok := l.known.Get(have.Name); ok {
		known, lately = m.log, age(m.read) < readAge
	}
	if n, tag := parseRevision(have.Revision); n > known.head {
		return log{head: n, tag: tag, top: n}, false // nobody knows when
	}
	return known, lately && known.head > 0
}

// take waits until no other Put of this driver is at work on a secret. Of several that
// build on the same version one can win: the others see that, and spend no add on it.
func (l *logs) take(ctx context.Context, name string) (release func(), err error) {
	l.mu.Lock()
	turn := l.memo(name).turn
	l.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
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
		m.log, m.above = log{}, 0
	}
}

// gapAge returns for how long it is known that a number is missing below one that exists.
func (l *logs) gapAge(name string, n, exists int64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.memo(name)
	if n >= m.above {
		m.above, m.since = exists, time.Now()
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
// crowd thins out. It reports whether it waited: others may have written meanwhile. If the
// context would end before, it does not wait.
func (l *logs) pace(ctx context.Context, name string) (waited bool, err error) {
	wait := l.wait(name, time.Now())
	if wait <= 0 {
		return false, ctx.Err()
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) < wait {
		return false, errNoTime
	}
	return true, sleep(ctx, wait)
}

var errNoTime = fmt.Errorf("so many writes wait that the time does not suffice: %w", context.DeadlineExceeded)

// wait returns how long an add has to wait: no window of time holds more of them than
// the quota.
func (l *logs) wait(name string, now time.Time) time.Duration {
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
	if l.adds > 0 && len(m.sent) == l.adds {
		if free := m.sent[0].Add(l.per); free.After(at) {
			at = free.Add(rand.N(l.per / 10)) //nolint:gosec // as above
		}
	}
	return at.Sub(now)
}

// sent notes an add.
func (l *logs) sent(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.memo(name); l.adds > 0 {
		m.sent = append(m.sent[max(0, len(m.sent)+1-l.adds):], time.Now())
	}
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
