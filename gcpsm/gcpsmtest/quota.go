package gcpsmtest

import (
	"cmp"
	"time"
)

// Quotas are how many requests the service takes within any second or minute. A
// zero field is what Google documents for the server's kind of endpoint, given
// here as global, regional; a negative one is no limit. Requests that are refused
// for any reason but a quota count. That the quotas per secret and per version
// count the methods together is the stricter reading; Google calls them
// soft-enforced, the double is hard.
//
// https://cloud.google.com/secret-manager/quotas
type Quotas struct {
	// Per project: AccessSecretVersion (90,000), all other reads (600), all writes
	// (600).
	AccessPerMinute, ReadPerMinute, WritePerMinute int
	// Per secret: AddSecretVersion and UpdateSecret together (2, 80 a second and
	// 120, 4,800 a minute).
	SecretPerSecond, SecretPerMinute int
	// Per version: EnableSecretVersion, DisableSecretVersion and
	// DestroySecretVersion together (1, 50 a second and 60, 3,000 a minute).
	VersionPerSecond, VersionPerMinute int
}

// complete fills in what is documented.
func (q Quotas) complete(regional bool) *Quotas {
	documented := Quotas{90_000, 600, 600, 2, 120, 1, 60}
	if regional {
		documented = Quotas{90_000, 600, 600, 80, 4800, 50, 3000}
	}
	return &Quotas{
		AccessPerMinute:  cmp.Or(q.AccessPerMinute, documented.AccessPerMinute),
		ReadPerMinute:    cmp.Or(q.ReadPerMinute, documented.ReadPerMinute),
		WritePerMinute:   cmp.Or(q.WritePerMinute, documented.WritePerMinute),
		SecretPerSecond:  cmp.Or(q.SecretPerSecond, documented.SecretPerSecond),
		SecretPerMinute:  cmp.Or(q.SecretPerMinute, documented.SecretPerMinute),
		VersionPerSecond: cmp.Or(q.VersionPerSecond, documented.VersionPerSecond),
		VersionPerMinute: cmp.Or(q.VersionPerMinute, documented.VersionPerMinute),
	}
}

// Quotas returns the quotas that the server enforces, complete; all negative if
// it enforces none.
func (s *Server) Quotas() Quotas {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quotas == nil {
		return Quotas{-1, -1, -1, -1, -1, -1, -1}
	}
	return *s.quotas
}

// spend counts a request against the quotas that it falls under. One that a
// quota refuses counts against none.
func (s *Server) spend(op operation, r resource) error {
	q := s.quotas
	type limit struct {
		key    string
		most   int
		within time.Duration
		err    error
	}
	var limits []limit
	switch op.group {
	case accesses:
		limits = append(limits, limit{"access " + r.project, q.AccessPerMinute, time.Minute, errQuota("Access requests", r.project)})
	case reads:
		limits = append(limits, limit{"read " + r.project, q.ReadPerMinute, time.Minute, errQuota("Read requests", r.project)})
	case writes:
		limits = append(limits, limit{"write " + r.project, q.WritePerMinute, time.Minute, errQuota("Write requests", r.project)})
	}
	switch op {
	case adding, updating:
		limits = append(limits,
			limit{"second " + r.name(), q.SecretPerSecond, time.Second, errThrottledAt(r.name())},
			limit{"minute " + r.name(), q.SecretPerMinute, time.Minute, errThrottledAt(r.name())})
	case enablingVersion, disablingVersion, destroying:
		name := r.name() + "/versions/" + r.version
		limits = append(limits,
			limit{"second " + name, q.VersionPerSecond, time.Second, errThrottledAt(name)},
			limit{"minute " + name, q.VersionPerMinute, time.Minute, errThrottledAt(name)})
	}
	now := s.now()
	for _, l := range limits {
		if l.most >= 0 && s.window(l.key).within(now, l.within) >= l.most {
			return l.err
		}
	}
	for _, l := range limits {
		if l.most >= 0 {
			w := s.window(l.key)
			w.times = append(w.times, now)
		}
	}
	return nil
}

func (s *Server) window(key string) *window {
	w := s.windows[key]
	if w == nil {
		w = &window{}
		s.windows[key] = w
	}
	return w
}

// A window holds when the requests were that still count.
type window struct {
	times []time.Time // oldest first
}

// within returns how many there were in the time before now, and forgets the
// older ones.
func (w *window) within(now time.Time, d time.Duration) int {
	old := 0
	for old < len(w.times) && now.Sub(w.times[old]) >= d {
		old++
	}
	w.times = w.times[old:]
	return len(w.times)
}
