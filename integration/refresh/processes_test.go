// Package refresh_test holds what tokensource promises against a real OAuth server, with
// processes of which some are killed.
package refresh_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/refresh/oauthserver"
	"github.com/tokenkeep/tokenkeep/integration/refresh/said"
	"github.com/tokenkeep/tokenkeep/integration/refresh/service"
)

const (
	processes = 32
	lifetime  = 4 * time.Second // of access tokens
	pause     = 3 * time.Second // about how long a process waits between two calls for one user
)

func within(low, high time.Duration) time.Duration { return low + rand.N(high-low) }

func TestOfThirtyTwoProcessesOneSpendsEachRefreshTokenAndNoTokenIsLost(t *testing.T) {
	t.Parallel()
	s := newScene(t, service.AWS, 8*time.Second, oauthserver.Options{Lifetime: lifetime, Trouble: func(oauthserver.Request) oauthserver.Trouble {
		trouble := oauthserver.Trouble{Before: within(0, 20*time.Millisecond), After: within(0, 20*time.Millisecond)}
		if rand.N(20) == 0 {
			trouble.After = within(100*time.Millisecond, 200*time.Millisecond)
		}
		return trouble
	}})
	c := s.newCrew(pause)
	c.startAll(processes)
	wait(t, *flagFor)
	c.stop()
	f := c.figures()
	t.Log(f)
	t.Attr("refresh", f.row())
	if least := f.least(len(users) * int(*flagFor/lifetime)); f.spent < least { // no access token is left to die
		t.Errorf("%d refresh tokens were spent, want %d at least", f.spent, least)
	}
	if f.takenOver+f.gaveUp+f.twice+f.revoked+f.refused+f.expired+f.revokedUsed+len(f.causes)+len(f.errs)+s.server.Stray() > 0 || f.logins != len(users) || !f.allStored() {
		t.Error("that is not what was promised")
	}
	f.judgeLate(t)
	for _, user := range users {
		c.isNewest(user)
	}
}

// isNewest fails the test unless the record holds the refresh token that is good.
func (s *scene) isNewest(user string) {
	s.Helper()
	record, _ := s.record(user)
	family, generation, ok := s.server.Family(record.RefreshToken.Reveal())
	if !ok || family.Revoked || family.User != user || generation != len(family.Generations)-1 {
		s.Errorf("the record of %s holds generation %d of %d, revoked %v", user, generation, len(family.Generations), family.Revoked)
	}
}

func TestProcessesThatUseTokensWhichARefreshTookAwayGetTheNextOneAndSpendNone(t *testing.T) {
	t.Parallel()
	s := newScene(t, service.Vault, 8*time.Second, oauthserver.Options{Lifetime: lifetime, TakesAccess: true})
	c := s.newCrew(pause / 4)
	c.startAll(8)
	wait(t, *flagFor/3)
	c.stop()
	f := c.figures()
	t.Log(f)
	t.Attr("refresh", "the server takes access tokens away: "+f.row())
	if least := f.least(len(users) * int(*flagFor/3/lifetime)); f.spent < least {
		t.Errorf("%d refresh tokens were spent, want %d at least", f.spent, least)
	}
	if f.takenOver+f.gaveUp+f.twice+f.revoked+f.refused+f.expired+len(f.causes)+len(f.errs) > 0 || f.logins != len(users) || !f.allStored() {
		t.Error("that is not what was promised")
	}
	f.judgeLate(t)
	if f.revokedUsed == 0 {
		t.Error("no access token was taken away while it was in use")
	}
	// A token that was refused is never returned again.
	for _, m := range c.members {
		refused := map[string]string{}
		for _, l := range m.lines {
			switch {
			case l.Call == nil || l.Call.Access == "":
			case l.Call.Access == refused[l.Call.User]:
				t.Fatalf("%s got an access token again that it had rejected", m.name)
			case l.Call.Used != l.Call.User && l.Call.Used != said.NoAnswer:
				refused[l.Call.User] = l.Call.Access
			}
		}
	}
	for _, user := range users {
		c.isNewest(user)
	}
}

// wait lets the processes work for a time.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("interrupted")
	}
}

// stored reports whether a process said in a span of time that it has stored new tokens of a user.
func (m *member) stored(user string, from, to time.Time) bool {
	return slices.ContainsFunc(m.lines, func(l said.Line) bool {
		return l.Log != nil && l.Log.Message == said.Stored && l.Log.User == user && !l.At.Before(from) && l.At.Before(to)
	})
}
