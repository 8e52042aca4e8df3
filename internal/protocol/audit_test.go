package protocol

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// This file is what has to hold, whatever happens.

// A history is what an audit remembers.
type history struct {
	buried  map[string]bool // ids that the store made and that were used and deleted
	deleted map[int]bool    // saves that were in records that were deleted
	acked   map[int]bool
}

// violated notes the first violation of each kind.
func (w *world) violated(kind, format string, args ...any) {
	if w.bad[kind] == "" {
		w.bad[kind] = fmt.Sprintf(format, args...)
		w.trace("VIOLATED: %s: %s", kind, w.bad[kind])
	}
}

// audit looks at a write, and at everything that is stored after it.
func (w *world) audit(name string, was, now any) {
	if strings.HasPrefix(name, root) {
		w.auditIndex(name, was, now)
	} else {
		w.auditRecord(name, was, now)
	}
	live := map[string]*record{}
	for name := range w.secrets {
		if r, ok := w.value(name).(*record); ok && r.live() {
			live[name] = r
		}
	}
	for ref, r := range live {
		for _, key := range r.keys() {
			if !slices.ContainsFunc(w.entries(key), func(e entry) bool { return e.ref == ref }) {
				w.violated("unreachable", "%s by %s", ref, key)
			}
		}
		for other, o := range live {
			if other < ref && r.user == o.user && (r.user != "" || r.refresh == o.refresh) {
				w.violated("duplicate", "%s and %s of %q with %s", other, ref, r.user, r.refresh)
			}
		}
	}
}

func (w *world) auditIndex(name string, was, now any) {
	if x, ok := was.(*index); ok && x.next != nil && now != nil {
		y := now.(*index)
		if !y.told && !reflect.DeepEqual(x, y) {
			w.violated("seal", "%s was sealed and is changed", name)
		}
	}
	if now == nil {
		return
	}
	x, _ := was.(*index)
	for key, list := range now.(*index).entries {
		for _, e := range list {
			if x != nil && slices.ContainsFunc(x.entries[key], func(o entry) bool { return o.ref == e.ref && o.base > e.base }) {
				w.violated("base", "that of %s under %s went back to %d", e.ref, key, e.base)
			}
		}
	}
}

func (w *world) auditRecord(name string, was, now any) {
	r, _ := was.(*record)
	next, _ := now.(*record)
	switch {
	case next.live():
		if w.buried[name] {
			w.violated("reuse", "%s lives again", name)
		}
	case r.live():
		w.buried[name] = !chosen(name)
		if next == nil && w.off != tomb {
			break // who removed it did not mean to delete it
		}
		for _, mark := range r.saves {
			w.deleted[mark] = true
		}
	}
}

// entries returns the entries of a key.
func (w *world) entries(key string) []entry {
	x, _ := w.value(root).(*index)
	for x != nil && x.next != nil {
		prefix := x.below(key)
		next, _ := w.value(x.next[prefix]).(*index)
		if next == nil && !x.told {
			next = x.part(prefix)
		}
		x = next
	}
	if x == nil {
		return nil
	}
	return x.entries[key]
}

// last looks at what has to hold in the end: that no save is lost, or applied twice.
func (w *world) last() {
	found := map[int]int{}
	for name := range w.secrets {
		if r, ok := w.value(name).(*record); ok && r.live() {
			for _, mark := range r.saves {
				found[mark]++
			}
		}
	}
	for _, mark := range slices.Sorted(maps.Keys(w.acked)) {
		if found[mark] == 0 && !w.deleted[mark] {
			w.violated("lost", "save %d was acknowledged", mark)
		}
	}
	for mark, n := range found {
		if n > 1 {
			w.violated("twice", "save %d is in %d records", mark, n)
		}
	}
}
