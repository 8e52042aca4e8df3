package memstore

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// kept is how many states of a secret a memory with hooks remembers. One without
// hooks needs the newest only.
const kept = 64

// A memory is the service below the drivers: secrets and their states.
type memory struct {
	mu     sync.Mutex
	limits driver.Limits
	now    func() time.Time
	states map[key][]state // the newest is the last; none is empty
	last   int64           // the number of the last revision
	hooked bool            // there are hooks, so old states are kept
	late   []func()        // writes that are still on their way
	// budget holds the time at which the quota of a secret would be full again.
	budget map[key]time.Time
}

// A key names a secret, prefix and all.
type key struct{ prefix, name string }

// A state is what one write made of a secret: the zero state is absence.
type state struct {
	rev       driver.Revision
	value     []byte
	restUntil time.Time // of a deletion
	resting   bool      // filled in when the state is read
}

func newMemory() *memory {
	return &memory{
		limits: driver.Limits{Value: 64 << 10},
		now:    time.Now,
		states: map[key][]state{},
		budget: map[key]time.Time{},
	}
}

// current is the newest state of a secret. The caller of this method, and of those
// below but for put, remove and known, holds m.mu.
func (m *memory) current(k key) state { return m.behind(k, 0) }

// behind is the state that was n writes before the newest.
func (m *memory) behind(k key, n int) state {
	states := m.states[k]
	i := len(states) - 1 - max(n, 0)
	if i < 0 {
		return state{}
	}
	at := states[i]
	at.resting = at.rev == driver.Absent && m.now().Before(at.restUntil)
	return at
}

// put is what a service does, in one step, and then what a driver has to make of
// a conflict: a write that finds itself has won. Again says that it was sent
// before and that its answer was lost.
func (m *memory) put(k key, value []byte, prev driver.Revision, again bool) (driver.Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.current(k)
	switch {
	case at.resting:
		return "", unsettled(again, driver.ErrDeleted)
	case at.rev != prev && !rule.Off(rule.CAS):
		return m.settle(k, at, value, again)
	case !m.spend(k):
		return "", unsettled(again, driver.ErrQuota)
	}
	return m.push(k, state{value: value}), nil
}

// settle finds out whether a write that met a conflict is the one that it met,
// or lies below it.
func (m *memory) settle(k key, at state, value []byte, again bool) (driver.Revision, error) {
	switch {
	case rule.Off(rule.WriteID):
		return "", driver.ErrConflict
	case bytes.Equal(at.value, value):
		return at.rev, nil
	case codec.Includes(at.value, value):
		for _, s := range m.states[k] {
			if bytes.Equal(s.value, value) {
				return s.rev, nil
			}
		}
		return "", unsettled(again, driver.ErrConflict)
	case codec.Excludes(at.value, value):
		return "", driver.ErrConflict
	}
	return "", unsettled(again, driver.ErrConflict)
}

// unsettled is the error of a write that was refused, which says nothing about an
// earlier sending of the same write.
func unsettled(again bool, err error) error {
	if again {
		return driver.ErrOutcomeUnknown
	}
	return err
}

// remove deletes a secret, unless there is none.
func (m *memory) remove(k key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current(k).rev == driver.Absent {
		return
	}
	var gone state
	if m.limits.DeletedNameRests > 0 {
		gone.restUntil = m.now().Add(m.limits.DeletedNameRests)
	}
	m.push(k, gone)
}

// push makes s the newest state and gives it a revision, unless it is a deletion.
func (m *memory) push(k key, s state) driver.Revision {
	m.last++
	if s.value != nil {
		s.rev = driver.Revision(strconv.FormatInt(m.last, 10))
	}
	switch {
	case m.hooked:
		old := m.states[k]
		m.states[k] = append(old[max(0, len(old)-kept+1):], s)
	case s.rev == driver.Absent && s.restUntil.IsZero():
		delete(m.states, k)
	default:
		m.states[k] = []state{s}
	}
	return s.rev
}

// spend takes one write out of the quota of a secret, which fills up steadily.
func (m *memory) spend(k key) bool {
	const day = 24 * time.Hour
	if m.limits.WritesPerDay == 0 {
		return true
	}
	now, full := m.now(), m.budget[k]
	if full.Before(now) {
		full = now
	}
	full = full.Add(day / time.Duration(m.limits.WritesPerDay))
	if full.Sub(now) > day {
		return false
	}
	m.budget[k] = full
	return true
}

// known are the names under a prefix of which there is a state, sorted.
func (m *memory) known(prefix string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for k := range maps.Keys(m.states) {
		if k.prefix == prefix {
			names = append(names, k.name)
		}
	}
	slices.Sort(names)
	return names
}
