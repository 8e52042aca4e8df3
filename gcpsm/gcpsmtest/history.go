package gcpsmtest

import (
	"slices"
	"strconv"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
)

// A cell is what happened to one name: its states, the newest last. A state
// without a secret means that there was none. Every cell starts with that.
type cell struct {
	history []moment
}

type moment struct {
	at     time.Time
	secret *secret
}

// newest returns the state that writes act on and that reads by number see, nil
// if there is no such secret.
func (s *Server) newest(r resource) *secret {
	c := s.cells[r.name()]
	if c == nil {
		return nil
	}
	s.advance(c)
	return c.last()
}

// seen returns the state that eventually consistent reads see: the one of
// [WithLag] ago.
func (s *Server) seen(r resource) *secret {
	c := s.cells[r.name()]
	if c == nil {
		return nil
	}
	return s.late(c)
}

func (s *Server) late(c *cell) *secret {
	s.advance(c)
	return c.history[s.horizon(c)].secret
}

func (c *cell) last() *secret { return c.history[len(c.history)-1].secret }

// horizon is the newest state that eventually consistent reads see.
func (s *Server) horizon(c *cell) int {
	visible := s.now().Add(-s.lag)
	for i := len(c.history) - 1; i > 0; i-- {
		if !c.history[i].at.After(visible) {
			return i
		}
	}
	return 0
}

// store makes sec the newest state of the name; nil removes the secret.
func (s *Server) store(r resource, sec *secret) {
	c := s.cells[r.name()]
	if c == nil {
		c = &cell{history: []moment{{}}}
		s.cells[r.name()] = c
	}
	s.push(c, sec, s.now())
}

func (s *Server) push(c *cell, sec *secret, at time.Time) {
	if s.lag == 0 {
		c.history = append(c.history[:0], moment{at, sec})
		return
	}
	if last := &c.history[len(c.history)-1]; !at.IsZero() && last.at.Equal(at) {
		last.secret = sec // nobody could see the one before
	} else {
		c.history = append(c.history, moment{at, sec})
	}
	if cut := s.horizon(c); cut > 0 {
		c.history = slices.Delete(c.history, 0, cut)
	}
}

// advance does what is due by the clock: delayed destructions, and the deletion
// of a secret that expires. Each happens at its own time, so that late reads see
// it late.
func (s *Server) advance(c *cell) {
	now := s.now()
	for {
		sec := c.last()
		if sec == nil {
			return
		}
		due, v := sec.due()
		if due.IsZero() || due.After(now) {
			return
		}
		if v == nil { // "Expired secrets are irreversibly deleted."
			s.push(c, nil, due)
			return
		}
		sec = sec.clone()
		sec.put(s.destroyed(v, due))
		s.push(c, sec, due)
	}
}

// due returns what happens next by itself: the destruction of a version, or the
// expiration of the secret, for which the version is nil. The time is zero if
// nothing will.
func (s *secret) due() (time.Time, *version) {
	var at time.Time
	var next *version
	if s.plans > 0 {
		for _, v := range s.versions {
			if !v.scheduled.IsZero() && (at.IsZero() || v.scheduled.Before(at)) {
				at, next = v.scheduled, v
			}
		}
	}
	if expire := s.meta.GetExpireTime(); expire != nil && (at.IsZero() || !expire.AsTime().After(at)) {
		return expire.AsTime(), nil
	}
	return at, next
}

// destroyed is the version without its payload.
func (s *Server) destroyed(v *version, at time.Time) *version {
	d := *v
	d.state, d.payload, d.destroyed, d.scheduled = pb.SecretVersion_DESTROYED, nil, at, time.Time{}
	d.etag = s.etag()
	return &d
}

// etag returns one that was never given out before. "Resource ETags are generated
// at resource creation and updated for each of the modification requests. [...]
// Updating a secret version does not affect the secret ETag, and vice versa."
//
// https://cloud.google.com/secret-manager/docs/etags
func (s *Server) etag() string {
	s.changes++
	return strconv.Quote(strconv.FormatInt(0x16000000000000+int64(s.changes), 16))
}

// Settle lets everything written so far be seen by every read and list from now
// on, as if the service had had time to converge. Later writes are late again.
func (s *Server) Settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.cells {
		s.advance(c)
		c.history = []moment{{secret: c.last()}}
	}
}
