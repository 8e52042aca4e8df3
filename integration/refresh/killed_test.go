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
	spent  oauthserver.Generation // the refresh token that was spent when it came again
	found  time.Time              // when the record said so
}

// An aim is a refresh of which one part is met by a kill. The server takes its time with it, so that the kill meets that
// part on a busy machine too.
type aim struct {
	by   string // the process
	part part
}

// A part is one of a refresh.
type part int

const (
	request part = iota // it is on its way, and has no effect yet
	answer              // it had its effect, and the answer is on its way
	commit              // the answer is there
	parts
)

// slow is how long the server takes for each part of a request that was aimed at.
const slow = 200 * time.Millisecond

// Some are killed while they refresh, the others at any time.
func TestAProcessThatIsKilledLosesATokenOnlyBetweenItsRedemptionAndItsCommit(t *testing.T) {
	t.Parallel()
	seed := *flagSeed
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	draw := rand.New(rand.NewPCG(uint64(seed), 0))
	t.Logf("-seed %d", seed)

	// Each eighth refresh is one.
	aims := make(chan aim)
	var mu sync.Mutex
	waiting, next := 0, request
	s := newScene(t, service.AWS, 2*time.Second, oauthserver.Options{Lifetime: lifetime, Trouble: func(r oauthserver.Request) oauthserver.Trouble {
		mu.Lock()
		defer mu.Unlock()
		if waiting++; waiting >= 8 {
			select {
			case aims <- aim{r.By, next}:
				waiting, next = 0, (next+1)%parts
				return oauthserver.Trouble{Before: slow, Drops: true, After: slow}
			default: // who kills is busy
			}
		}
		return oauthserver.Trouble{Before: within(0, 20*time.Millisecond), Drops: true, After: within(0, 20*time.Millisecond)}
	}})
	c := s.newCrew(pause)
	lost := make(chan string, 1000) // users who have to log in, as processes say
	c.hears = func(_ *member, l said.Line) {
		if l.Call != nil && l.Call.Cause != "" {
			select {
			case lost <- l.Call.User:
			default:
			}
		}
	}
	c.startAll(processes)
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
	var met [parts]int
	all.Go(func() { met = c.killSome(ctx, aims, draw) })

	wait(t, *flagFor)
	c.rest()
	stop()
	all.Wait()
	c.stop()

	// What is held still, lapses: each user is refreshed once more.
	errs := make([]error, len(users))
	var last sync.WaitGroup
	for i, user := range users {
		last.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), s.lease()+20*time.Second)
			defer cancel()
			source := s.source(s.stores[user], user, 0)
			tok, err := source.TokenContext(ctx)
			if err == nil {
				source.Reject(tok)
				_, err = source.TokenContext(ctx)
			}
			errs[i] = err
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
	t.Logf("killed before the effect of their request %d, before its answer %d, after it %d; requests that were dropped %d, losses %d",
		met[request], met[answer], met[commit], s.server.Dropped(), len(losses))
	t.Attr("refresh", f.row())
	c.judge(losses, f)
	f.enough(t, met)
}

// enough fails the test if too little happened for it to say anything: less than half of the usual.
func (f *figures) enough(t *testing.T, met [parts]int) {
	t.Helper()
	each := func(d time.Duration) int { return int(*flagFor / d) }
	for what, n := range map[string]struct{ got, least int }{
		"refresh tokens that were spent":       {f.spent, each(400 * time.Millisecond)},
		"kills":                                {f.killed, each(2 * time.Second)},
		"kills before the effect of a request": {met[request], each(15 * time.Second)},
		"kills before the answer to a request": {met[answer], each(15 * time.Second)},
		"kills after the answer to a request":  {met[commit], each(15 * time.Second)},
		"refreshes that were taken over":       {f.takenOver, each(8 * time.Second)},
		"of these, without a loss":             {f.madeUp, each(40 * time.Second)},
		"families that were revoked":           {f.revoked, each(10 * time.Second)},
	} {
		if n.got < f.least(n.least) {
			t.Errorf("%s: %d, want %d at least", what, n.got, f.least(n.least))
		}
	}
}

// logInAgain logs a user in if the record says that this is due.
func (s *scene) logInAgain(losses []loss, user string) []loss {
	record, state := s.record(user)
	if state.Reauth == "" {
		return losses // somebody said so who had not heard of the login
	}
	l := loss{user: user, cause: state.Reauth, found: time.UnixMilli(state.ReauthMillis)}
	var generation int
	var ok bool
	if l.family, generation, ok = s.server.Family(record.RefreshToken.Reveal()); !ok {
		s.Errorf("the record of %s has a refresh token that was never issued", user)
		return losses
	}
	// As a rule the record holds it. Somebody may have stored the next one when it was too late.
	l.spent = l.family.Generations[generation]
	if before := generation - 1; l.spent.Accepted == 0 && before >= 0 {
		l.spent = l.family.Generations[before]
	}
	s.login(user)
	return append(losses, l)
}

// killSome kills processes until ctx ends: one a second at any time, and those that are aimed at. It returns how many
// these were, by part.
func (c *crew) killSome(ctx context.Context, aims <-chan aim, draw *rand.Rand) (met [parts]int) {
	next := time.After(time.Second)
	for {
		select {
		case <-ctx.Done():
			return met
		case <-next:
			c.kill(c.any(draw))
			next = time.After(time.Second/2 + time.Duration(draw.Int64N(int64(time.Second))))
		case a := <-aims:
			select {
			case <-ctx.Done():
				return met
			case <-time.After(time.Duration(a.part)*slow + time.Duration(draw.Int64N(int64(slow/3)))):
			}
			if c.kill(a.by) {
				met[a.part]++
			}
		}
	}
}

// judge says whether each loss is one that cannot be helped: its refresh token was spent, once, by a process that
// was killed within its lease, and has not stored what came of it. A process that does not get the time for that says so.
func (c *crew) judge(losses []loss, f *figures) {
	late := 0
	for _, l := range losses {
		by := c.members[l.spent.By]
		switch {
		case l.cause != tokensource.Interrupted:
			c.Errorf("%s has to log in, and the record says why: %s", l.user, l.cause)
		case l.spent.Accepted != 1 || !l.family.Revoked || by == nil:
			c.Errorf("%s has to log in, and the refresh token was spent %d times; revoked: %v; by %q", l.user, l.spent.Accepted, l.family.Revoked, l.spent.By)
		case by.late(l.user, l.spent.At, l.found.Add(c.lease())):
			late++
		case by.stored(l.user, l.spent.At, l.found):
			c.Errorf("%s has to log in, and %s had stored the new token", l.user, by.name)
		case by.killed.IsZero():
			c.Errorf("%s has to log in, and %s, who spent the refresh token, lives", l.user, by.name)
		case by.killed.Sub(l.spent.At) > c.lease():
			c.Errorf("%s has to log in, and %s, who spent the refresh token, was killed %v later", l.user, by.name, by.killed.Sub(l.spent.At))
		}
	}
	if late > 0 && f.lag < behind {
		c.Errorf("%d losses of processes that say they had no time, and lines are read within %v", late, f.lag)
	}
	f.judgeLate(c.T)
	if f.twice+f.expired+f.revokedUsed+len(f.errs) > 0 || f.revoked != len(losses) || f.logins != len(users)+len(losses) || c.server.Stray() > 0 {
		c.Errorf("%d losses do not explain that", len(losses))
	}
	if f.takenOver > 0 && f.soonest < c.timeout {
		c.Errorf("a refresh token was sent again after %v, when the request before it may still have been under way", f.soonest)
	}
	delete(f.causes, string(tokensource.Interrupted))
	if len(f.causes) > 0 {
		c.Errorf("causes that nothing explains: %v", f.causes)
	}
}
