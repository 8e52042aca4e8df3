package vaultstoretest

import (
	"path"
	"slices"
	"strings"
	"time"
)

// A store is the storage below the mounts: keys with values that never change, and
// as much of their past as stale readers need.
type store struct {
	areas map[string]map[string][]revision // by area and key
	index uint64                           // of the newest write; one request's writes share one
	marks []mark                           // when which index was reached; only while somebody lags by time
	keep  retention                        // how much of the past is needed
}

// A revision is a value and the write that brought it. Value nil means that there
// was nothing.
type revision struct {
	index uint64
	value any
}

type mark struct {
	index uint64
	at    time.Time
}

// retention is the largest lag of any node. The zero value is none.
type retention struct {
	writes uint64
	time   time.Duration
}

func newStore() *store { return &store{areas: map[string]map[string][]revision{}} }

// A tx is one request's access to the store.
type tx struct {
	store *store
	now   time.Time
	upTo  uint64 // what it sees
	ro    bool   // it may not write
	wrote bool
}

// begin starts a request that sees and changes the newest state.
func (st *store) begin(now time.Time) *tx { return &tx{store: st, now: now, upTo: ^uint64(0)} }

// get returns what the request sees under a key of an area, nil if nothing.
func (t *tx) get(area, key string) any {
	for _, r := range slices.Backward(t.store.areas[area][key]) {
		if r.index <= t.upTo {
			return r.value
		}
	}
	return nil
}

// put stores a value; nil deletes. Deleting what is not there is no write.
func (t *tx) put(area, key string, value any) error {
	if t.ro {
		return errReadOnly
	}
	st := t.store
	if value == nil && t.get(area, key) == nil {
		return nil
	}
	if !t.wrote {
		t.wrote = true
		st.index++
		st.mark(t.now)
	}
	cells := st.areas[area]
	if cells == nil {
		cells = map[string][]revision{}
		st.areas[area] = cells
	}
	revisions := cells[key]
	revisions = append(revisions, revision{st.index, value})
	horizon := st.horizon(t.now)
	cut := 0
	for cut+1 < len(revisions) && revisions[cut+1].index <= horizon {
		cut++
	}
	revisions = slices.Delete(revisions, 0, cut)
	if len(revisions) == 1 && value == nil {
		delete(cells, key)
		return nil
	}
	cells[key] = revisions
	return nil
}

// horizon is the oldest index that anybody may still look at.
func (st *store) horizon(now time.Time) uint64 {
	horizon := st.index - min(st.index, st.keep.writes)
	if st.keep.time > 0 {
		horizon = min(horizon, st.reached(now.Add(-st.keep.time)))
	}
	return horizon
}

// mark remembers when the newest index was reached.
func (st *store) mark(now time.Time) {
	if st.keep.time == 0 {
		st.marks = nil
		return
	}
	st.marks = append(st.marks, mark{st.index, now})
	old := now.Add(-st.keep.time)
	cut := 0
	for cut+1 < len(st.marks) && !st.marks[cut+1].at.After(old) {
		cut++
	}
	st.marks = slices.Delete(st.marks, 0, cut)
}

// reached returns the index that was the newest at t.
func (st *store) reached(t time.Time) uint64 {
	for _, m := range slices.Backward(st.marks) {
		if !m.at.After(t) {
			return m.index
		}
	}
	if len(st.marks) > 0 {
		return st.marks[0].index - 1
	}
	return st.index
}

// list returns what stands directly below a prefix, which is empty or ends in a
// slash, sorted. What has something below it ends in a slash, and may be listed
// twice, with and without.
func (t *tx) list(area, prefix string) []string {
	var names []string
	seen := map[string]bool{}
	for key := range t.store.areas[area] {
		name, below := strings.CutPrefix(key, prefix)
		if !below || name == "" {
			continue
		}
		if i := strings.IndexByte(name, '/'); i >= 0 {
			name = name[:i+1]
		}
		if !seen[name] && t.get(area, key) != nil {
			seen[name] = true
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// cleanKey is what KV version 2 does to the name of a key before it looks for its
// metadata: a slash at the end does not count, "a//b" is "a/b", and "a/../b" is "b".
//
// sdk/helper/keysutil/encrypted_key_storage.go, encryptPath
func cleanKey(key string) string {
	if key == "" || key == "/" {
		return ""
	}
	return strings.TrimPrefix(path.Clean(key), "/")
}
