package refresh_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/refresh/oauthserver"
	"github.com/tokenkeep/tokenkeep/integration/refresh/said"
)

// figures are what a run came to.
type figures struct {
	processes, killed int
	logins            int
	spent             int                // generations that were accepted
	twice             int                // those of them that were accepted more than once
	takenOver         int                // requests with a refresh token that had been sent before
	soonest           time.Duration      // how long after it at least
	madeUp            int                // refresh tokens that were accepted when they were sent again
	revoked           int                // families
	refused           int                // refresh tokens that were refused, in all
	stored            int                // generations that workers said they stored
	unsaved           int                // or could not store in time
	perExpiry         map[string]float64 // calls to the secret manager, by operation
	allPerExpiry      float64
	revokedUsed       int            // access tokens that the resource server refused, since they had been revoked
	expiredUsed       int            // or had expired when they got there
	unused            int            // or of which it said nothing
	expired           int            // access tokens that a source returned after their end
	lag               time.Duration  // the crew's
	slow              int            // refreshes that took longer than the access token lived, which is what the machine may do
	gaveUp            int            // calls that waited for two leases and more, and were told so
	lease             time.Duration  // of the crew's sources
	late              map[string]int // errors of those who did not have the time
	errs              map[string]int // others
	causes            map[string]int // processes that were told so
	took              map[string][]time.Duration
}

// figures adds up what the server counted and the workers wrote. It is called when all have ended.
func (c *crew) figures() *figures {
	f := &figures{processes: len(c.members), lag: c.lag, lease: c.lease(), late: map[string]int{}, errs: map[string]int{}, causes: map[string]int{}, took: map[string][]time.Duration{}}
	for _, family := range c.server.Families() {
		f.logins++
		if family.Revoked {
			f.revoked++
		}
		for _, g := range family.Generations {
			f.refused += g.Refused
			f.countRequests(g)
		}
	}
	for _, m := range c.members {
		if !m.killed.IsZero() {
			f.killed++
		}
		for _, l := range m.lines {
			f.add(l)
		}
	}
	f.perExpiry = map[string]float64{}
	for operation, n := range c.calls() {
		f.perExpiry[operation] = float64(n) / float64(max(f.spent, 1))
		f.allPerExpiry += f.perExpiry[operation]
	}
	return f
}

func (f *figures) countRequests(g oauthserver.Generation) {
	if g.Accepted > 0 {
		f.spent++
	}
	if g.Accepted > 1 {
		f.twice++
	}
	for i := 1; i < len(g.Asked); i++ {
		gap := g.Asked[i].Sub(g.Asked[i-1])
		if f.takenOver++; f.takenOver == 1 || gap < f.soonest {
			f.soonest = gap
		}
	}
	if len(g.Asked) > 1 && g.At.After(g.Asked[1]) {
		f.madeUp++
	}
}

// What a source says when a refresh takes longer than its access token lives, and when one holder of a lease after the
// other did not come back.
const (
	dead   = "the access token had expired when it was stored"
	waited = "others have asked it for tokens and got none"
)

func (f *figures) add(l said.Line) {
	switch {
	case l.Log != nil && l.Log.Message == said.Stored:
		f.stored++
	case l.Log != nil && l.Log.Message == said.Unsaved:
		f.unsaved++
	case l.Call != nil && l.Call.Cause != "":
		f.causes[l.Call.Cause]++
	case l.Call != nil && strings.HasSuffix(l.Call.Err, dead) && (l.Call.How == said.Warm || l.Call.Took > lifetime/2):
		f.slow++ // a warm call says again what the one before it said
	case l.Call != nil && strings.HasSuffix(l.Call.Err, waited) && (l.Call.How == said.Warm || l.Call.Took > 2*f.lease):
		f.gaveUp++
	case l.Call != nil && tooLate(l.Call.Err):
		f.late[l.Call.Err]++
	case l.Call != nil && l.Call.Err != "":
		f.errs[l.Call.Err]++
	case l.Call != nil:
		f.took[l.Call.How] = append(f.took[l.Call.How], l.Call.Took)
		if l.Call.Left <= 0 {
			f.expired++
		}
		switch l.Call.Used {
		case oauthserver.Unknown:
			f.revokedUsed++
		case oauthserver.Expired:
			f.expiredUsed++
		case said.NoAnswer:
			f.unused++
		}
	}
}

// String is a table.
func (f *figures) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nprocesses %d, of them killed %d; logins %d\n", f.processes, f.killed, f.logins)
	fmt.Fprintf(&b, "refresh tokens spent %d, more than once %d, refused %d times; families revoked %d\n", f.spent, f.twice, f.refused, f.revoked)
	fmt.Fprintf(&b, "taken over %d, after %v at least; accepted then %d\n", f.takenOver, f.soonest.Round(time.Millisecond), f.madeUp)
	fmt.Fprintf(&b, "stored by workers that lived to say so %d\n", f.stored)
	fmt.Fprintf(&b, "access tokens returned after their end %d; in use found revoked %d, expired %d; not answered %d\n", f.expired, f.revokedUsed, f.expiredUsed, f.unused)
	fmt.Fprintf(&b, "refreshes that took longer than the access token lived %d\n", f.slow)
	fmt.Fprintf(&b, "calls that gave up after two leases %d\n", f.gaveUp)
	fmt.Fprintf(&b, "the machine is behind by %v\n", f.lag.Round(time.Millisecond))
	fmt.Fprintf(&b, "calls to the secret manager for each expiry, of all processes together: %.1f\n", f.allPerExpiry)
	for _, operation := range slices.Sorted(maps.Keys(f.perExpiry)) {
		fmt.Fprintf(&b, "  %s %.2f\n", operation, f.perExpiry[operation])
	}
	for _, how := range []string{said.First, said.Warm, said.Found, said.Refreshed} {
		all := f.took[how]
		slices.Sort(all)
		fmt.Fprintf(&b, "Token, %-9s %6d calls: p50 %8v, p99 %8v, max %8v\n", how, len(all), at(all, 50), at(all, 99), at(all, 100))
	}
	for _, cause := range slices.Sorted(maps.Keys(f.causes)) {
		fmt.Fprintf(&b, "calls that said to log in again, %s: %d\n", cause, f.causes[cause])
	}
	for text, n := range f.late {
		fmt.Fprintf(&b, "too slow: %d times %s\n", n, text)
	}
	errs := slices.SortedFunc(maps.Keys(f.errs), func(x, y string) int { return cmp.Compare(f.errs[y], f.errs[x]) })
	for _, text := range errs[:min(len(errs), 10)] {
		fmt.Fprintf(&b, "other errors: %d times %s\n", f.errs[text], text)
	}
	return b.String()
}

// row is the table in one line.
func (f *figures) row() string {
	return fmt.Sprintf("%d processes (%d killed), %d refresh tokens spent, %d of them twice, %d families revoked, %.1f calls to the secret manager each; Token p50/p99/max: warm %v/%v/%v, with a look %v/%v/%v",
		f.processes, f.killed, f.spent, f.twice, f.revoked, f.allPerExpiry,
		at(f.took[said.Warm], 50), at(f.took[said.Warm], 99), at(f.took[said.Warm], 100),
		at(f.took[said.Found], 50), at(f.took[said.Found], 99), at(f.took[said.Found], 100))
}

// at is a percentile of what is sorted.
func at(all []time.Duration, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	d := all[min(len(all)*percent/100, len(all)-1)]
	if d > time.Millisecond {
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(100 * time.Nanosecond)
}
