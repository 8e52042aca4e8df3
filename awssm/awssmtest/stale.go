package awssmtest

import (
	"math/rand/v2"
	"slices"
	"time"
)

// A cell is what happened to one name: its states, the newest last. A state
// without a secret means that there was none. Every cell starts with that.
type cell struct {
	history  []state
	accessed map[string]time.Time // by version id: the day of the last read
}

type state struct {
	at     time.Time
	secret *secret
}

// staleness says how far back reads may look. The zero value is none.
type staleness struct {
	max  int           // writes
	lag  time.Duration // of lists, by the server's clock
	draw *rand.Rand
}

// age draws how many writes a read misses.
func (st *staleness) age() int {
	if st.max == 0 {
		return 0
	}
	return st.draw.IntN(st.max + 1)
}

// newest returns the state that writes act on, nil if there is no such secret.
func (s *Server) newest(name string) *secret {
	c := s.cells[name]
	if c == nil {
		return nil
	}
	s.expire(c)
	return c.history[len(c.history)-1].secret
}

// seen returns a state that a read may see.
func (s *Server) seen(name string) *secret {
	c := s.cells[name]
	if c == nil {
		return nil
	}
	s.expire(c)
	return c.back(len(c.history)-1, s.stale.age())
}

// listed returns a state that a list may show.
func (s *Server) listed(c *cell) *secret {
	s.expire(c)
	return c.back(s.horizon(c), s.stale.age())
}

// horizon is the newest state that lists show.
func (s *Server) horizon(c *cell) int {
	if s.stale.lag == 0 {
		return len(c.history) - 1
	}
	return c.index(s.now().Add(-s.stale.lag))
}

func (c *cell) back(from, age int) *secret { return c.history[max(from-age, 0)].secret }

// index finds the state that was the newest at t.
func (c *cell) index(t time.Time) int {
	for i := len(c.history) - 1; i > 0; i-- {
		if !c.history[i].at.After(t) {
			return i
		}
	}
	return 0
}

// exist counts the secrets.
func (s *Server) exist() int {
	n := 0
	for name := range s.cells {
		if s.newest(name) != nil {
			n++
		}
	}
	return n
}

// store makes sec the newest state of the name; nil removes the secret.
func (s *Server) store(name string, sec *secret) {
	c := s.cells[name]
	if c == nil {
		c = &cell{history: []state{{}}, accessed: map[string]time.Time{}}
		s.cells[name] = c
	}
	s.push(c, sec, s.now())
}

func (s *Server) push(c *cell, sec *secret, at time.Time) {
	c.history = append(c.history, state{at, sec})
	if sec == nil {
		clear(c.accessed)
	}
	if cut := s.horizon(c) - s.stale.max; cut > 0 {
		c.history = slices.Delete(c.history, 0, cut)
	}
}

// expire removes a secret whose deletion is due.
func (s *Server) expire(c *cell) {
	sec := c.history[len(c.history)-1].secret
	if sec == nil || !sec.scheduled() {
		return
	}
	if due := sec.deletion.Add(s.deletionDelay); !s.now().Before(due) {
		s.push(c, nil, due)
	}
}

// Settle lets everything written so far be seen by every read and list from now
// on, as if the service had had time to converge. Later writes can be missed
// again.
func (s *Server) Settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, c := range s.cells {
		s.expire(c)
		last := c.history[len(c.history)-1].secret
		if last == nil {
			delete(s.cells, name)
			continue
		}
		c.history = []state{{secret: last}}
	}
}

// touch remembers that a version was read. AWS keeps the day only.
func (s *Server) touch(sec *secret, id string) {
	if c := s.cells[sec.name]; c != nil {
		c.accessed[id] = s.now().UTC().Truncate(24 * time.Hour)
	}
}

// accessed returns the last day on which the secret was read, zero if never.
func (s *Server) accessed(sec *secret) time.Time {
	var last time.Time
	for _, day := range s.cells[sec.name].accessed {
		if day.After(last) {
			last = day
		}
	}
	return last
}
