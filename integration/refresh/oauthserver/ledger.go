package oauthserver

import (
	"errors"
	"sync"
	"time"

	"github.com/ory/fosite"
)

// A Ledger is what a server did. Its methods are safe for concurrent use, and what they return is a
// copy.
type Ledger struct {
	mu       sync.Mutex
	families map[string]*Family
	order    []*Family
	of       map[string]place // where a refresh token stands
	stray    int
	dropped  int
}

type place struct {
	family     *Family
	generation int
}

// A Family is all that descends from a login.
type Family struct {
	User        string
	Generations []Generation
	// Revoked: a refresh token that was spent came again.
	Revoked bool
}

// A Generation is a refresh token.
type Generation struct {
	Refresh  string
	Asked    []time.Time // when requests for it came
	Accepted int         // how often it was
	By       string      // the User-Agent of who spent it last
	At       time.Time   // when it had its effect
	Refused  int         // how often it was refused
}

func newLedger() *Ledger {
	return &Ledger{families: map[string]*Family{}, of: map[string]place{}}
}

// asked notes that a request for a refresh came.
func (l *Ledger) asked(spent string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, ok := l.of[spent]; ok {
		g := &p.family.Generations[p.generation]
		g.Asked = append(g.Asked, time.Now())
	}
}

// issued notes that tokens were issued: for a refresh token, or for a login if spent is empty.
func (l *Ledger) issued(id, user, by, spent, next string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.families[id]
	if f == nil {
		f = &Family{User: user}
		l.families[id] = f
		l.order = append(l.order, f)
	}
	if p, ok := l.of[spent]; ok {
		g := &p.family.Generations[p.generation]
		g.Accepted++
		g.By, g.At = by, time.Now()
	}
	f.Generations = append(f.Generations, Generation{Refresh: next})
	l.of[next] = place{f, len(f.Generations) - 1}
}

// refused notes that a refresh token was refused.
func (l *Ledger) refused(spent string, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.of[spent]
	if !ok {
		l.stray++
		return
	}
	p.family.Generations[p.generation].Refused++
	if errors.Is(why, fosite.ErrInactiveToken) {
		p.family.Revoked = true
	}
}

func (l *Ledger) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped++
}

// Dropped is how many requests had no effect since their client had left.
func (l *Ledger) Dropped() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// UserOf is whose a refresh token is, "" if it is none.
func (l *Ledger) UserOf(refresh string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, ok := l.of[refresh]; ok {
		return p.family.User
	}
	return ""
}

// Families are all, in the order in which their users logged in.
func (l *Ledger) Families() []Family {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Family
	for _, f := range l.order {
		c := *f
		c.Generations = append([]Generation(nil), f.Generations...)
		all = append(all, c)
	}
	return all
}

// Family returns the one that a refresh token belongs to, and which of its generations that is.
func (l *Ledger) Family(refresh string) (f Family, generation int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.of[refresh]
	if !ok {
		return Family{}, 0, false
	}
	f = *p.family
	f.Generations = append([]Generation(nil), f.Generations...)
	return f, p.generation, true
}

// Stray is how often a refresh token came that is none of this server's.
func (l *Ledger) Stray() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stray
}
