// Package refresh_test holds what tokensource promises against a real OAuth server, with
// processes of which some are killed.
package refresh_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/refresh/oauthserver"
	"github.com/tokenkeep/tokenkeep/integration/refresh/said"
	"github.com/tokenkeep/tokenkeep/integration/refresh/service"
)

const (
	processes = 32
	lifetime  = 2 * time.Second // of access tokens
	pause     = 500 * time.Millisecond
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
	c := s.newCrew(processes, pause)
	wait(t, *flagFor)
	c.stop()
	f := c.figures()
	t.Log(f)
	t.Attr("refresh", f.row())
	if f.spent < len(users)*int(*flagFor/lifetime)/2 { // a machine that is busy makes them fewer
		t.Errorf("only %d refresh tokens were spent", f.spent)
	}
	if f.twice+f.revoked+f.refused+f.expired+f.revokedUsed+len(f.causes)+len(f.errs)+s.server.Stray() > 0 || f.logins != len(users) || f.stored != f.spent {
		t.Error("that is not what was promised")
	}
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
	c := s.newCrew(8, pause/4)
	wait(t, *flagFor/3)
	c.stop()
	f := c.figures()
	t.Log(f)
	t.Attr("refresh", "the server takes access tokens away: "+f.row())
	if f.twice+f.revoked+f.refused+f.expired+len(f.causes)+len(f.errs) > 0 || f.logins != len(users) || f.stored != f.spent {
		t.Error("that is not what was promised")
	}
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

// unanswered reports whether a process said in a span of time that the answer of the OAuth server
// had not come.
func (m *member) unanswered(user string, from, to time.Time) bool {
	return slices.ContainsFunc(m.lines, func(l said.Line) bool {
		told := l.Call != nil && l.Call.User == user && strings.Contains(l.Call.Err, late) || l.Log != nil && l.Log.User == user && strings.Contains(l.Log.Err, late)
		return told && !l.At.Before(from) && l.At.Before(to)
	})
}

// late is what a source says when an answer does not come in time.
const late = "did not answer in time"
