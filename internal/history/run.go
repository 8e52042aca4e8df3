package history

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/tokenkeep/tokenkeep/token"
)

var flagSeed = flag.Uint64("history.seed", 0, "the one seed of the histories, in place of the fixed ones and a fresh one")

// Seeds returns those that a test runs: the fixed ones and a fresh one, or the one of
// the flag -history.seed. A seed decides what the clients do and what goes wrong,
// but not who comes first: it takes several runs to meet the same again.
func Seeds(fixed ...uint64) []uint64 {
	if *flagSeed != 0 {
		return []uint64{*flagSeed}
	}
	return append(slices.Clone(fixed), 1+rand.Uint64()>>32) //nolint:gosec // it is printed
}

// A Plan is a history to be made.
type Plan struct {
	Seed uint64
	// Clients are the goroutines, Stores the stores that they share, Users those
	// whose records they work on, Ops the operations of all clients together.
	Clients, Stores, Users, Ops int
	// Timeout is how long a client waits for an operation; zero: as long as it takes.
	Timeout time.Duration
	// StaleReads: the service's reads may be old. Then only what is written is put in
	// order, and each store may not fall behind itself.
	StaleReads bool
	// Open makes a store for a process.
	Open func(*Process) (*token.Store, error)
	// Meanwhile, if set, is called after each operation with the number of those that
	// have ended.
	Meanwhile func(ended int)
	// Settle ends all faults and lets what is on its way arrive. Stores that are
	// opened later see the service as it is.
	Settle func()
}

// Run lets the clients work, and fails the test if what they saw cannot be explained.
func Run(t *testing.T, p Plan) {
	t.Helper()
	r := &run{plan: p, known: make([]known, p.Users), seats: make([]seat, p.Stores)}
	began := time.Now()
	r.work(t.Context())
	took := time.Since(began)

	outcomes := map[Outcome]int{}
	for _, o := range r.ops {
		outcomes[o.Output.Outcome]++
	}
	t.Logf("seed %d: %d operations in %v: %v", p.Seed, len(r.ops), took.Round(time.Millisecond), outcomes)
	for _, problem := range r.problems {
		t.Errorf("seed %d: %s", p.Seed, problem)
	}
	for _, v := range Check(r.ops, !p.StaleReads) {
		if v.Result == porcupine.Ok {
			continue
		}
		page, err := v.Draw(t.ArtifactDir())
		t.Errorf("seed %d: %s: %v: see %s (kept with -artifacts), error %v; "+
			"again with -history.seed=%d", p.Seed, v.User, v, page, err, p.Seed)
	}
	for _, bad := range CheckSessions(r.ops) {
		t.Errorf("seed %d: %s", p.Seed, bad)
	}
}

type run struct {
	plan      Plan
	clock     atomic.Int64
	processes atomic.Int64
	seats     []seat

	mu       sync.Mutex
	known    []known // by user
	ops      []Operation
	problems []string
}

// known is what the clients have been told of a user's records.
type known struct {
	marks          int
	ids, refreshes []string
}

func (r *run) work(ctx context.Context) {
	var wg sync.WaitGroup
	for i := range r.plan.Clients {
		draw := rand.New(rand.NewPCG(r.plan.Seed, uint64(i))) //nolint:gosec // a history is drawn from its seed
		wg.Go(func() {
			for range r.plan.Ops / r.plan.Clients {
				p, err := r.seats[i%len(r.seats)].process(r.open)
				if err != nil {
					r.problem("%v", err)
					return
				}
				r.do(ctx, i, p, r.choose(draw), false)
			}
		})
	}
	wg.Wait()
	r.plan.Settle()
	p, err := r.open()
	if err != nil {
		r.problem("%v", err)
		return
	}
	r.finish(ctx, p)
}

func (r *run) open() (p *Process, err error) {
	p = &Process{Number: int(r.processes.Add(1))}
	p.store, err = r.plan.Open(p)
	return p, err
}

// finish looks at the records when all is over, and writes each of them once more.
func (r *run) finish(ctx context.Context, p *Process) {
	client := r.plan.Clients
	for u := range r.plan.Users {
		user := userName(u)
		out := r.do(ctx, client, p, Input{Kind: FindByUser, User: user}, true)
		if id := out.Seen.ID; id != "" {
			r.do(ctx, client, p, Input{Kind: FindByID, User: user, ID: id}, true)
			r.do(ctx, client, p, Input{Kind: Update, User: user, ID: id, Mark: r.mark(u)}, true)
		}
		if out.Seen.Refresh != "" {
			r.do(ctx, client, p, Input{Kind: FindByRefresh, User: user, Refresh: out.Seen.Refresh}, true)
		}
		r.do(ctx, client, p, Input{Kind: SaveAccess, User: user, Access: "last", Mark: r.mark(u)}, true)
		r.do(ctx, client, p, Input{Kind: FindByUser, User: user}, true)
	}
	listed, err := p.store.GetTokens(ctx)
	if err != nil || len(listed) != r.plan.Users {
		r.problem("%d records are listed of %d users: %v", len(listed), r.plan.Users, err)
	}
}

func userName(u int) string { return fmt.Sprintf("user-%d", u) }

// mark returns a new mark of a user.
func (r *run) mark(u int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[u].marks++
	return r.known[u].marks
}

// pool is how many refresh tokens of a user come back again and again.
const pool = 3

// choose draws what a client does next.
func (r *run) choose(draw *rand.Rand) Input {
	u := draw.IntN(r.plan.Users)
	in := Input{User: userName(u)}
	r.mu.Lock()
	k := r.known[u]
	r.mu.Unlock()
	recent := func(list []string) string {
		if draw.IntN(4) > 0 { // the newest, mostly
			return list[len(list)-1]
		}
		return list[max(0, len(list)-1-draw.IntN(4))]
	}
	refresh := func() string { return fmt.Sprintf("refresh-%d-%d", u, draw.IntN(pool)) }
	switch n := draw.IntN(100); {
	case n < 30 && len(k.ids) > 0:
		in.Kind, in.ID, in.Mark = Update, recent(k.ids), r.mark(u)
	case n < 40 && len(k.ids) > 0:
		in.Kind, in.ID = FindByID, recent(k.ids)
	case n < 46 && len(k.ids) > 0:
		in.Kind, in.ID = Delete, k.ids[len(k.ids)-1]
	case n < 56 && len(k.refreshes) > 0:
		in.Kind, in.Refresh = FindByRefresh, recent(k.refreshes)
	case n < 70:
		in.Kind = FindByUser
	case n < 74 && !r.plan.StaleReads:
		in.Kind, in.Refresh = Keep, refresh()
	case n < 88:
		in.Kind, in.Mark = SaveRefresh, r.mark(u)
		if in.Refresh = refresh(); draw.IntN(2) == 0 {
			in.Refresh = fmt.Sprintf("refresh-%d-of-%d", u, in.Mark)
		}
	default:
		in.Kind, in.Mark = SaveAccess, r.mark(u)
		in.Access = fmt.Sprintf("access-%d-of-%d", u, in.Mark)
	}
	return in
}

// do does one operation and records it.
func (r *run) do(ctx context.Context, client int, p *Process, in Input, final bool) Output {
	ctx, cancel := withGiveUp(ctx)
	defer cancel()
	if r.plan.Timeout > 0 && !final {
		ctx, cancel = context.WithTimeout(ctx, r.plan.Timeout)
		defer cancel()
	}
	o := Operation{Client: client, Store: p.Number, Input: in, Final: final, Call: r.clock.Add(1)}
	out, err := perform(ctx, p.store, in)
	o.Return = r.clock.Add(1)

	outcome, problem := classify(in.Kind, err, p.Dead(), r.plan.StaleReads)
	out.Outcome = outcome
	if outcome == NotFound || outcome == Refused {
		out.Seen = Record{} // what an update was tried on says nothing
	}
	o.Output = out

	r.mu.Lock()
	r.ops = append(r.ops, o)
	ended := len(r.ops)
	if problem != "" {
		r.problems = append(r.problems, problem+": "+o.String())
	}
	if out.Outcome == Done {
		r.learn(in, out)
	}
	r.mu.Unlock()
	if r.plan.Meanwhile != nil && !final {
		r.plan.Meanwhile(ended)
	}
	return out
}

// learn remembers ids and refresh tokens for operations to come.
func (r *run) learn(in Input, out Output) {
	add := func(list []string, text string) []string {
		if text == "" || len(list) > 0 && list[len(list)-1] == text {
			return list
		}
		return append(slices.Clip(list), text)
	}
	for u := range r.known {
		if userName(u) == in.User {
			k := &r.known[u]
			k.ids = add(add(k.ids, out.ID), out.Seen.ID)
			k.refreshes = add(add(k.refreshes, in.Refresh), out.Seen.Refresh)
		}
	}
}

func (r *run) problem(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// classify says how an operation ended, and what is wrong if it may not end so.
func classify(kind Kind, err error, dead, staleReads bool) (o Outcome, problem string) {
	text := fmt.Sprint(err)
	switch {
	case dead && kind.writes():
		return Unknown, ""
	case dead:
		return Refused, ""
	case err == nil:
		return Done, ""
	case strings.Contains(text, "refresh-") || strings.Contains(text, "access-") || strings.Contains(text, "user-"):
		return Refused, "the error holds a value: " + text
	case errors.Is(err, token.ErrOutcomeUnknown) && kind.writes():
		return Unknown, ""
	case errors.Is(err, token.ErrNotFound) && !kind.saves():
		return NotFound, ""
	case errors.Is(err, token.ErrUnavailable), errors.Is(err, context.Canceled):
		return Refused, "" // that the time was up says the store in one of these words
	case errors.Is(err, token.ErrConflict) && kind == SaveRefresh && staleReads:
		return Refused, "" // by a record that held the refresh token and is deleted
	}
	return Refused, "an error that nothing explains: " + text
}

// perform calls the store.
func perform(ctx context.Context, s *token.Store, in Input) (out Output, err error) {
	t := &token.OAuthToken{
		UserSignature: token.UserSignature{Name: in.User},
		AccessToken:   token.NewSecret(in.Access),
		RefreshToken:  token.NewSecret(in.Refresh),
	}
	if in.Mark > 0 {
		t.Extra = map[string]token.Secret{markName(in.Mark): token.NewSecret("1")}
	}
	switch in.Kind {
	case SaveAccess, SaveRefresh, Keep:
		err = s.SaveToken(ctx, t)
		out.ID = t.ID
		return out, err
	case Update:
		err = s.UpdateToken(ctx, in.ID, func(t *token.OAuthToken) (err error) {
			if out.Seen, err = recordOf(t); err != nil {
				return err
			}
			if t.Extra == nil {
				t.Extra = map[string]token.Secret{}
			}
			t.Extra[counter] = token.NewSecret(fmt.Sprint(out.Seen.Count + 1))
			t.Extra[markName(in.Mark)] = token.NewSecret("1")
			return nil
		})
		return out, err
	case Delete:
		return out, s.DeleteToken(ctx, in.ID)
	case FindByUser:
		t.RefreshToken = token.Secret{}
		t, err = s.FindToken(ctx, t)
	case FindByID:
		t, err = s.FindTokenByID(ctx, in.ID)
	case FindByRefresh:
		t.UserSignature = token.UserSignature{}
		t, err = s.FindToken(ctx, t)
	}
	if err != nil {
		return out, err
	}
	out.Seen, err = recordOf(t)
	return out, err
}
