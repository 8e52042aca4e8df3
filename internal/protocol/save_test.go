package protocol

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// This file is who may gain a key. The numbers of the rules are those of
// docs/consistency.md.

// A record is a token, or what is left of one.
type record struct {
	kind          kind
	seq           int
	user, refresh string
	saves         []int
	buried        int // when it became a tombstone
}

type kind int

const (
	token kind = iota
	tombstone
	purging
)

func (r *record) live() bool { return r != nil && r.kind == token }

func (r *record) keys() []string {
	return slices.DeleteFunc([]string{r.user, r.refresh}, func(k string) bool { return k == "" })
}

func (r *record) has(key string) bool { return r.live() && slices.Contains(r.keys(), key) }

// An id that a caller chose begins with "#", one that the store made with its hour.
func chosen(ref string) bool { return strings.HasPrefix(ref, "#") }

// young reports whether a missing record can be about to be created. Rule 5: one whose id
// was made longer ago may have been removed, and somebody may have judged it then.
func (c *client) young(ref string) bool {
	var made int
	_, err := fmt.Sscanf(ref, "%d:", &made)
	return err == nil && (c.now()-c.w.adoptable)/hour <= made
}

type meaning int

const (
	dead meaning = iota
	holder
	pendingCreate
	pendingGain
)

type judgement struct {
	key string
	entry
	view *view
	meaning
}

func (j *judgement) record() *record { r, _ := j.view.value.(*record); return r }

// record reads a record, once an attempt.
func (c *client) record(ref string) *view {
	if c.records[ref] == nil {
		c.records[ref] = c.get(ref)
	}
	return c.records[ref]
}

// judge says what the entries of a key mean.
func (c *client) judge(key string) []*judgement {
	if list, ok := c.judgements[key]; ok {
		return list
	}
	list := []*judgement{}
	for _, e := range c.place(key).value.(*index).entries[key] {
		v := c.record(e.ref)
		j := &judgement{key: key, entry: e, view: v}
		r := j.record()
		switch {
		case r == nil && e.base == 0:
			j.meaning = pendingCreate
		case (r == nil || r.seq < e.base) && c.w.off != overtake:
			c.bury(v, e.base+1) // rule 8
			panic(again)
		case r == nil:
		case r.has(key):
			j.meaning = holder
		case r.kind != purging && r.seq == e.base && c.w.off != base:
			j.meaning = pendingGain
		}
		list = append(list, j)
	}
	c.judgements[key] = list
	return list
}

// bury raises the seq of a record. One that is missing becomes a tombstone.
func (c *client) bury(v *view, seq int) bool {
	next := &record{kind: tombstone, buried: c.now()}
	if r, ok := v.value.(*record); ok {
		*next = *r
	}
	next.seq = seq
	return c.put(v, next)
}

// save writes a user and a refresh token, where they belong. It returns the id.
func (c *client) save(mark int, user, refresh, id string) string {
	q := &record{user: user, refresh: refresh}
	ref := c.identify(q, id)
	v := c.record(ref)
	old, _ := v.value.(*record)
	next := &record{seq: 1, user: user, refresh: refresh}
	if old != nil {
		next.seq = old.seq + 1
	}
	if old.live() {
		next.saves = slices.Clone(old.saves)
		if user == "" {
			next.user = old.user
		}
		if refresh == "" {
			next.refresh = old.refresh
		}
	}
	next.saves = append(next.saves, mark)
	// Whether two records may have one refresh token depends on their users: who gets
	// another user claims all keys anew.
	gained := next.keys()
	if old.live() && old.user == next.user {
		gained = slices.DeleteFunc(gained, old.has)
	}
	late := c.w.off == claim
	if !late {
		c.claim(v, next, gained)
	}
	if !c.put(v, next) {
		panic(again)
	}
	if late {
		c.claim(v, next, gained)
	}
	return ref
}

// identify returns the ref of the record that q means, or of a new one.
func (c *client) identify(q *record, id string) string {
	if id != "" {
		r, _ := c.record(id).value.(*record)
		if r.live() && q.user != "" && r.user != "" && q.user != r.user {
			panic(refused)
		}
		if r.live() {
			return id
		}
	}
	var pending []*judgement
	for _, key := range q.keys() {
		var found *judgement
		for _, j := range c.judge(key) {
			fits := j.meaning == holder && (key == q.user || q.user == "" || j.record().user == "")
			if fits && (found == nil || found.record().user != "" && j.record().user == "") {
				found = j
			}
		}
		if found != nil {
			return found.ref
		}
		pending = append(pending, c.judge(key)...)
	}
	if id != "" {
		switch r, _ := c.record(id).value.(*record); {
		case chosen(id) && (r == nil || r.kind == tombstone):
			return id
		case r == nil && c.w.off == once:
			return id
		}
		// Rule 6: an id that the store made is not used again, even if a caller names it.
	}
	for _, j := range pending { // rule 5
		if j.meaning == pendingCreate && (j.key == q.user || q.user == "") && c.young(j.ref) {
			return j.ref
		}
	}
	return c.name(fmt.Sprint(c.now()/hour, ":"))
}

// claim writes (key, ref, seq) into the leaf of each gained key.
func (c *client) claim(v *view, next *record, gained []string) {
	type edit struct {
		leaf    *view
		entries map[string][]entry
	}
	var edits []*edit // the user's leaf first
	var fences []*judgement
	mine := entry{v.name, next.seq - 1}
	old, _ := v.value.(*record)
	for _, key := range gained {
		list := c.judge(key)
		entries := []entry{}
		fenced := false
		for _, j := range list {
			switch {
			case j.ref == mine.ref: // rule 4: its base is not above ours, or judge had raised seq
			case j.meaning == holder:
				if key == next.user || j.record().user == next.user {
					panic(refused)
				}
				if j.base == j.record().seq { // its user may be about to change
					fences = append(fences, j)
				}
				entries = append(entries, j.entry)
			case j.meaning != dead:
				fences = append(fences, j)
				fenced = true
			}
		}
		if !fenced && slices.ContainsFunc(list, func(j *judgement) bool { return j.entry == mine }) {
			continue
		}
		leaf := c.place(key)
		i := slices.IndexFunc(edits, func(e *edit) bool { return e.leaf == leaf })
		if i < 0 {
			i, edits = len(edits), append(edits, &edit{leaf, maps.Clone(leaf.value.(*index).entries)})
		}
		if edits[i].entries == nil {
			edits[i].entries = map[string][]entry{}
		}
		edits[i].entries[key] = append(entries, mine)
	}
	for _, j := range fences { // rule 2
		if c.w.off == fence {
			break
		}
		seq := 1
		if r := j.record(); r != nil {
			seq = r.seq + 1
		}
		if !c.bury(j.view, seq) {
			panic(again)
		}
	}
	for _, e := range edits { // rule 1
		// What former states of the record left here goes too.
		for key, list := range e.entries {
			if !slices.Contains(gained, key) && old != nil && !old.has(key) {
				e.entries[key] = slices.DeleteFunc(slices.Clone(list), func(o entry) bool { return o.ref == mine.ref && o.base < old.seq })
			}
		}
		c.write(e.leaf, e.entries)
	}
}

// delete buries the record of a user, and takes its entry out of the user's leaf if that is
// no trouble. Rule 6.
func (c *client) delete(user string) {
	for _, j := range c.judge(user) {
		if j.meaning != holder {
			continue
		}
		if c.w.off == tomb {
			c.remove(j.ref)
			return
		}
		if !c.put(j.view, &record{kind: tombstone, seq: j.record().seq + 1, buried: c.now()}) {
			panic(again)
		}
		if !c.flip() {
			return
		}
		leaf := c.place(user)
		entries := maps.Clone(leaf.value.(*index).entries)
		entries[user] = slices.DeleteFunc(slices.Clone(entries[user]), func(e entry) bool { return e.ref == j.ref })
		c.write(leaf, entries)
		return
	}
}

// dig removes a tombstone that has rested. Rule 7.
func (c *client) dig(ref string) {
	v := c.record(ref)
	r, _ := v.value.(*record)
	if r == nil || r.kind == token || chosen(ref) || c.now()-r.buried < c.w.grace {
		return
	}
	if r.kind == tombstone {
		next := *r
		next.kind, next.seq = purging, r.seq+1
		if !c.put(v, &next) {
			panic(again)
		}
	}
	c.remove(ref)
}
