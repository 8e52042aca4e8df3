package token

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// How long what a store saw of a secret counts.
const (
	// floorAge: for so long an answer that is older than what the store saw is
	// known to be stale. AWS names five minutes as its longest lag (ListSecrets);
	// after them the service is believed, so that a secret that somebody restored
	// or removed by hand does not stop a process for ever.
	floorAge = 5 * time.Minute
	// baseAge: a compare-and-set on a revision that was read longer ago is not
	// tried. AWS drops old version ids after 24 hours and 100 newer ones, and could
	// then take a successor of a base a second time.
	baseAge = time.Hour
)

// age returns how long ago something was, by the clock that says more: the monotonic
// one stands still while a machine is suspended, the other one can be set back.
func age(at time.Time) time.Duration {
	return max(time.Since(at), time.Now().Round(0).Sub(at.Round(0)))
}

// A memory holds the newest view of each secret that a store saw or wrote, at
// most so many of them, the least used forgotten first. It makes a store see its
// own writes and saves it calls; no decision rests on it that a compare-and-set
// does not check.
type memory struct {
	mu      sync.Mutex
	records *simplelru.LRU[string, memo]
	index   *simplelru.LRU[string, memo] // index secrets are large: there are few of them
}

// A memo is what is remembered of one secret.
type memo struct {
	// view is the newest state, nil if it is known to be newer than any that was seen.
	view *view
	// floor is the sequence number below which an answer is stale.
	floor int64
	at    time.Time
}

// indexShare is how many records are remembered for one index secret.
const indexShare = 40

func newMemory(size int) (*memory, error) {
	records, err := simplelru.NewLRU[string, memo](size, nil)
	if err != nil {
		return nil, err
	}
	index, err := simplelru.NewLRU[string, memo](max(16, size/indexShare), nil)
	return &memory{records: records, index: index}, err
}

// of returns where a secret is remembered. The caller holds mu.
func (m *memory) of(name string) *simplelru.LRU[string, memo] {
	if isIndexName(name) {
		return m.index
	}
	return m.records
}

// recall returns the newest view of a secret if it can still be the base of a
// compare-and-set, or nil.
func (m *memory) recall(name string) *view {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.of(name).Get(name)
	if !ok || k.view == nil || age(k.view.at) > baseAge {
		return nil
	}
	return k.view
}

// answer returns the newest view of a secret if it may answer a find that is content with
// what was read or written so long ago, or nil. It does not grow younger by that.
func (m *memory) answer(name string, within time.Duration) *view {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.of(name).Get(name)
	if !ok || k.view == nil || k.view.asOf.IsZero() || age(k.view.asOf) > within {
		return nil
	}
	return k.view
}

// floor returns the sequence number that an answer must have not to be stale.
func (m *memory) floor(name string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.of(name).Peek(name)
	if !ok || age(k.at) > floorAge {
		return 0
	}
	return k.floor
}

// keep remembers a view unless a newer one is known. Absence is not remembered: it
// says nothing about what was written since.
//
// What cannot be read is not remembered either: it only ends what finds are answered with.
// Absence that is believed ends what was remembered: the secret was removed by hand, or some
// time after its deletion.
func (m *memory) keep(v *view) {
	if v.err != nil || v.gone {
		m.doubt(v.name)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch k, ok := m.of(v.name).Peek(v.name); {
	case ok && v.seq() < k.floor && age(k.at) <= floorAge:
		return
	case v.absent():
		m.of(v.name).Remove(v.name)
		return
	case ok && k.view != nil && k.view.rev == v.rev && v.asOf.Before(k.view.asOf):
		v = v.seenAt(k.view.asOf)
	case ok && k.view == nil && v.asOf.Before(k.at):
		// This read began before a write of this store ended that it may not show.
		v = v.seenAt(time.Time{})
	}
	m.of(v.name).Add(v.name, memo{view: v, floor: v.seq(), at: time.Now()})
}

// doubt ends what finds are answered with, since the service said something else of the
// secrets than what is remembered.
func (m *memory) doubt(names ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		if k, ok := m.of(name).Peek(name); ok && k.view != nil {
			k.view = k.view.seenAt(time.Time{})
			m.of(name).Add(name, k)
		}
	}
}

// outdate remembers that a secret has at least the sequence number floor, in a
// state that was not seen.
func (m *memory) outdate(name string, floor int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.of(name).Peek(name); ok && age(k.at) <= floorAge {
		floor = max(floor, k.floor)
	}
	m.of(name).Add(name, memo{floor: floor, at: time.Now()})
}

// forget removes what is remembered of a secret.
func (m *memory) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(name).Remove(name)
}
