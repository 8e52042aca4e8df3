package refresh_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/refresh/oauthserver"
	"github.com/tokenkeep/tokenkeep/integration/refresh/said"
	"github.com/tokenkeep/tokenkeep/integration/refresh/service"
	"github.com/tokenkeep/tokenkeep/tokensource"
)

// A loss is a user who had to log in again.
type loss struct {
	user   string
	cause  tokensource.Cause // as the record had it
	family oauthserver.Family
	spent  oauthserver.Generation // the refresh token that the record held
	found  time.Time              // when the record said so
}

// Some are killed while they refresh, the others at any time.
func TestAProcessThatIsKilledLosesATokenOnlyBetweenItsRedemptionAndItsCommit(t *testing.T) {
	t.Parallel()
	seed := *flagSeed
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	draw := rand.New(rand.NewPCG(uint64(seed), 0))
	t.Logf("-seed %d", seed)

	refreshes := make(chan string, 1000) // by whom
	s := newScene(t, service.AWS, 2*time.Second, oauthserver.Options{Lifetime: lifetime, Trouble: func(r oauthserver.Request) oauthserver.Trouble {
		select {
		case refreshes <- r.By:
		default:
		}
		return oauthserver.Trouble{Before: within(0, 20*time.Millisecond), Drops: true, After: within(20*time.Millisecond, 60*time.Millisecond)}
	}})
	c := s.newCrew(0, pause)
	lost := make(chan string, 1000) // users who have to log in, as processes say
	c.hears = func(_ *member, l said.Line) {
		if l.Call != nil && l.Call.Cause != "" {
			select {
			case lost <- l.Call.User:
			default:
			}
		}
	}
	for range processes {
		c.start()
	}

	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	var losses []loss
	all.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case user := <-lost:
				losses = s.logInAgain(losses, user)
			}
		}
	})
	aimed := 0
	all.Go(func() { aimed = c.killSome(ctx, refreshes, draw) })

	wait(t, *flagFor)
	c.rest()
	stop()
	all.Wait()
	c.stop()

	// What is held still, lapses.
	errs := make([]error, len(users))
	var last sync.WaitGroup
	for i, user := range users {
		last.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), s.lease()+20*time.Second)
			defer cancel()
			_, errs[i] = s.source(s.store, user).TokenContext(ctx)
		})
	}
	last.Wait()
	for i, user := range users {
		if errs[i] != nil {
			t.Logf("in the end %s: %v", user, errs[i])
			losses = s.logInAgain(losses, user)
		}
		s.isNewest(user)
	}
	f := c.figures()
	t.Log(f)
	t.Logf("killed while they refreshed %d; of these requests, %d were dropped; losses %d", aimed, s.server.Dropped(), len(losses))
	t.Attr("refresh", f.row())
	c.judge(losses, f)
}

// logInAgain logs a user in if the record says that this is due.
func (s *scene) logInAgain(losses []loss, user string) []loss {
	record, state := s.record(user)
	if state.Reauth == "" {
		return losses // somebody said so who had not heard of the login
	}
	l := loss{user: user, cause: state.Reauth, found: time.UnixMilli(state.ReauthMillis)}
	family, generation, ok := s.server.Family(record.RefreshToken.Reveal())
	if !ok {
		s.Errorf("the record of %s has a refresh token that was never issued", user)
		return losses
	}
	l.family, l.spent = family, family.Generations[generation]
	s.login(user)
	return append(losses, l)
}

// killSome kills processes until ctx ends: one a second at any time, and each eighth of those that
// refresh, at a moment after their request arrived. It returns how many these were.
func (c *crew) killSome(ctx context.Context, refreshes <-chan string, draw *rand.Rand) (aimed int) {
	next := time.After(time.Second)
	for n := 1; ; {
		select {
		case <-ctx.Done():
			return aimed
		case <-next:
			c.kill(c.any(draw))
			next = time.After(time.Second/2 + time.Duration(draw.Int64N(int64(time.Second))))
		case name := <-refreshes:
			if n++; n%8 != 0 {
				continue
			}
			select {
			case <-ctx.Done():
				return aimed
			case <-time.After(time.Duration(draw.Int64N(int64(80 * time.Millisecond)))):
			}
			if c.kill(name) {
				aimed++
			}
		}
	}
}

// judge says whether each loss is one that cannot be helped: its refresh token was spent, once, by a process that
// was killed, or did not get the answer, and has not stored what came of it.
func (c *crew) judge(losses []loss, f *figures) {
	unanswered := 0
	for _, l := range losses {
		by := c.members[l.spent.By]
		switch {
		case l.cause != tokensource.Interrupted:
			c.Errorf("%s has to log in, and the record says why: %s", l.user, l.cause)
		case l.spent.Accepted != 1 || !l.family.Revoked || by == nil:
			c.Errorf("%s has to log in, and the refresh token was spent %d times; revoked: %v; by %q", l.user, l.spent.Accepted, l.family.Revoked, l.spent.By)
		case by.stored(l.user, l.spent.At, l.found):
			c.Errorf("%s has to log in, and %s had stored the new token", l.user, by.name)
		case by.unanswered(l.user, l.spent.At, l.found):
			unanswered++
		case !by.killed:
			c.Errorf("%s has to log in, and %s, who spent the refresh token, lives", l.user, by.name)
		}
	}
	c.Logf("of the losses, answers that did not come in time: %d", unanswered)
	if f.twice+f.expired > 0 || f.revoked != len(losses) || f.logins != len(users)+len(losses) || c.server.Stray() > 0 {
		c.Errorf("%d losses do not explain that", len(losses))
	}
	if len(losses) == 0 {
		c.Attr("notrun", "a kill between redemption and commit: chance brought none")
	}
	delete(f.causes, string(tokensource.Interrupted))
	if len(f.causes) > 0 {
		c.Errorf("causes that nothing explains: %v", f.causes)
	}
}
