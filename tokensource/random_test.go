package tokensource_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
	"github.com/tokenkeep/tokenkeep/tokensource"
	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

var (
	flagRuns = flag.Int("refresh.runs", 0, "how many random runs there are of each kind of server; 0: 60, with the race detector 15")
	flagSeed = flag.Uint64("refresh.seed", 0, "the seed of the only random run; 0: seeds 1, 2, ...")
)

// Some processes live for a day in which everything fails at times. Nobody gets a token that is not
// good, no token is lost but between its redemption and the commit, and in the end all is well.
func TestADayInWhichEverythingFails(t *testing.T) {
	for name, newServer := range rotations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seeds, runs := []uint64{*flagSeed}, cmp.Or(*flagRuns, 60)
			if *flagRuns == 0 && underRace {
				runs = 15
			}
			if *flagSeed == 0 {
				seeds = nil
				for i := range runs {
					seeds = append(seeds, uint64(i+1))
				}
			}
			var sum tally
			for _, seed := range seeds {
				synctest.Test(t, func(t *testing.T) {
					server, unleased := newServer()
					d := &day{world: newWorld(t, server, time.Hour), unleased: unleased, rand: rand.New(rand.NewPCG(seed, 0))}
					d.live()
					sum.add(d.tally)
					if t.Failed() {
						t.Logf("what happened:\n%s", d.journal.Bytes())
					}
				})
				if t.Failed() {
					t.Fatalf("again with -run '%s' -refresh.seed %d", t.Name(), seed)
				}
			}
			t.Logf("%d days: %+v", len(seeds), sum)
			if sum.Mishaps == 0 || sum.Refreshes == 0 || sum.Tokens == 0 {
				t.Error("nothing happened")
			}
		})
	}
}

// A tally counts what happened.
type tally struct{ Tokens, Errors, Refreshes, Mishaps, Deaths, Logins int }

func (t *tally) add(o tally) {
	t.Tokens += o.Tokens
	t.Errors += o.Errors
	t.Refreshes += o.Refreshes
	t.Mishaps += o.Mishaps
	t.Deaths += o.Deaths
	t.Logins += o.Logins
}

// A day is a world in which things go wrong at random.
type day struct {
	*world
	unleased bool

	mu        sync.Mutex
	rand      *rand.Rand
	calm      bool // nothing goes wrong any more
	tally     tally
	processes int
	journal   bytes.Buffer
}

// Write adds to the journal.
func (d *day) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.journal.Write(b)
}

// draw returns true once in n times, unless it is calm.
func (d *day) draw(n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.IntN(n) == 0 && !d.calm
}

func (d *day) number(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.IntN(n)
}

func (d *day) live() {
	over := make(chan struct{})
	ends := time.Now().Add(24 * time.Hour)
	var seats sync.WaitGroup
	for range 4 {
		seats.Go(func() {
			for time.Now().Before(ends) {
				d.life(ends, over)
			}
		})
	}
	seats.Wait()
	d.mu.Lock()
	d.calm = true
	d.mu.Unlock()
	close(over)
	elapse(75 * time.Minute) // leases lapse, what is left of the dead gives up, and the tokens expire

	p := d.start(over)
	if _, err := d.ask(p, 5*time.Minute); errors.Is(err, tokensource.ErrNeedsReauth) {
		d.login(p)
	} else if err != nil {
		d.t.Errorf("in the end: %v", err)
	}
	d.checkEnd(d.t)
	elapse(10 * time.Minute) // until every flight has ended
	d.tally.Refreshes = d.server.accepted()
}

func (d *day) start(over chan struct{}) *victim {
	d.mu.Lock()
	d.processes++
	log := slog.New(slog.NewTextHandler(d, nil)).With("process", d.processes)
	d.mu.Unlock()
	p := d.process(func(o *tokensource.Options) { o.Provider.Unleased, o.Logger = d.unleased, log })
	v := &victim{process: p, over: over}
	dead := func() bool {
		if v.dead.Load() {
			<-over
		}
		return v.dead.Load()
	}
	happens := func(ms []mishap) *mishap {
		if !d.draw(15) {
			return nil
		}
		m := &ms[d.number(len(ms))]
		log.Info("mishap", "it", m.name)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.tally.Mishaps++
		return m
	}
	p.setFault(func(_ int, c memstore.Call) memstore.Fault {
		if dead() {
			return memstore.Fault{Before: errDead}
		}
		if v.late.CompareAndSwap(true, false) {
			elapse(long)
		}
		if m := happens(storeMishaps); m != nil {
			return m.store(v, c)
		}
		return memstore.Fault{}
	})
	p.onRequest = func(int) answer {
		if dead() {
			return answer{lostBefore: true}
		}
		if m := happens(requestMishaps); m != nil {
			return m.request(v)
		}
		return answer{}
	}
	return v
}

var errDead = fmt.Errorf("%w: the process is dead", token.ErrUnavailable)

// ask asks for a token until there is one, or the user has to log in again.
func (d *day) ask(v *victim, patience time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	for {
		tok, err := v.source.TokenContext(ctx)
		switch {
		case err == nil || errors.Is(err, tokensource.ErrNotPersisted):
			return tok.AccessToken, nil
		case errors.Is(err, tokensource.ErrNeedsReauth):
			return "", err
		case ctx.Err() != nil: // the last error is one of the many
			return "", fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		_ = pause(ctx, 5*time.Second)
	}
}

// life is that of one process: until it dies, or the day is over.
func (d *day) life(ends time.Time, over chan struct{}) {
	v := d.start(over)
	for time.Now().Before(ends) {
		done := make(chan error, 1)
		began := time.Now()
		revoked := d.server.revocations()
		go func() {
			got, err := d.ask(v, 2*time.Minute)
			if err == nil && d.server.revocations() == revoked && !d.server.good(got) {
				err = fmt.Errorf("%s is no good token, after %v", got, time.Since(began))
			}
			if errors.Is(err, tokensource.ErrNeedsReauth) {
				d.login(v)
			}
			done <- err
		}()
		var err error
		select {
		case err = <-done:
		case <-time.After(4 * time.Minute):
			if !v.dead.Load() {
				d.t.Errorf("a process that is alive has waited for %v", time.Since(began))
			}
			return
		}
		d.mu.Lock()
		d.tally.Tokens++
		if err != nil {
			d.tally.Errors++
		}
		d.mu.Unlock()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, tokensource.ErrNeedsReauth) {
			d.t.Error(err)
		}
		if v.dead.Load() || d.draw(100) {
			d.mu.Lock()
			d.tally.Deaths++
			d.mu.Unlock()
			return
		}
		elapse(time.Duration(d.number(600)) * time.Second)
	}
}

// login logs the user in again, if that is what the record asks for.
func (d *day) login(v *victim) {
	if d.server.rotation == provider.Reusable {
		d.t.Error("the user has to log in again")
	}
	if st := d.state(); st.Reauth == "" {
		return // somebody else did
	} else if st.Reauth != tokensource.Interrupted {
		d.t.Errorf("the record says %q", st.Reauth)
	}
	d.mu.Lock()
	d.tally.Logins++
	code := fmt.Sprint("code-", d.tally.Logins)
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	defer cancel()
	_, _ = v.source.Exchange(ctx, code) // it fails at times: then the next one tries
}

// good reports whether an access token is.
func (s *oauthServer) good(access string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.access[access])
}

// revocations is how often all tokens were revoked.
func (s *oauthServer) revocations() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.log {
		if line == "reuse" {
			n++
		}
	}
	return n
}
