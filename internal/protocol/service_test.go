package protocol

import "slices"

// This file is the service: each secret is the list of its states, and a write takes
// effect only on top of the state that its writer saw.

// Times are in minutes, and all short: what counts is only which is longer.
const (
	lifetime  = 15 // of an operation, at most
	staleness = 10 // of what a read returns: it was replaced so lately
	behind    = 2  // how many states a read may be old
	hour      = 6
	apart     = 5 // what two clocks differ, at most
	// grace is longer than an operation, and than what it read first is old.
	grace = lifetime + staleness + apart + 1
	// adoptable is the age up to which an id is adopted. An id tells its hour only, so that
	// it may be an hour older. A record is removed grace after its id was made, or later;
	// clocks that differ make that less, and what is told of the age less too.
	adoptable = grace - hour - 2*apart
)

// A state of a secret: a record, an index, or nil if there is none.
type state struct {
	value any
	at    int // when it was written
	write int
	trail uint64 // see explorer
}

// A view is a state of a secret as somebody read it.
type view struct {
	name  string
	n     int // the how manieth state of the secret
	rev   int // n, or 0 if there is no secret
	value any
}

// get reads a secret: as it is, or as it was lately, but not older than this process saw
// it before.
func (c *client) get(name string) *view {
	c.call()
	log := c.w.secrets[name]
	oldest := max(c.floor[name], len(log)-behind)
	for oldest < len(log) && log[oldest].at < c.w.now-staleness {
		oldest++
	}
	v := &view{name: name, n: len(log) - c.w.dice.fault(stale, len(log)-oldest+1)}
	if v.n > 0 && log[v.n-1].value != nil {
		v.rev, v.value = v.n, log[v.n-1].value
	}
	c.floor[name] = v.n
	c.saw(name, v.n)
	return v
}

// put writes a secret on top of a state, and reports whether it won.
func (c *client) put(v *view, value any) bool {
	c.writes++
	write := c.writes
	for sent := 1; ; sent++ {
		c.call()
		won := c.w.apply(v.name, v.rev, state{value, c.w.now, write, c.trail})
		// An answer to what was sent twice tells nothing: the first may have won.
		if c.w.dice.fault(lost, 2) == 0 && (won || sent == 1) {
			if won {
				c.floor[v.name] = len(c.w.secrets[v.name])
			}
			c.saw(v.name, c.floor[v.name])
			return won
		}
		now := c.get(v.name)
		switch {
		case slices.ContainsFunc(c.w.secrets[v.name][:now.n], func(s state) bool { return s.write == write }):
			return true
		case now.rev > v.rev:
			return false
		case now.value == nil && v.rev > 0:
			panic(died) // nobody can tell
		}
	}
}

// remove removes a secret, whatever it is.
func (c *client) remove(name string) {
	c.call()
	if rev := c.w.rev(name); rev > 0 {
		c.w.apply(name, rev, state{nil, c.w.now, 0, c.trail})
	}
}

func (w *world) rev(name string) int {
	log := w.secrets[name]
	if len(log) == 0 || log[len(log)-1].value == nil {
		return 0
	}
	return len(log)
}

func (w *world) value(name string) any {
	if log := w.secrets[name]; len(log) > 0 {
		return log[len(log)-1].value
	}
	return nil
}

// apply is the compare-and-set.
func (w *world) apply(name string, prev int, next state) bool {
	if w.rev(name) != prev {
		return false
	}
	was := w.value(name)
	w.trace("    %s is now %+v", name, next.value)
	w.secrets[name] = append(w.secrets[name], next)
	w.audit(name, was, next.value)
	return true
}
