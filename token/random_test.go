package token_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

var (
	simRuns = flag.Int("sim.runs", 0, "runs of the random simulation; 0: as many as are usual")
	simSeed = flag.Uint64("sim.seed", 0, "the one seed of the random simulation to run; 0: all")
)

// TestFiveClientsAtRandom lets five clients do what comes to their minds, with reads
// that are up to three writes old, in any order, while processes die, answers are
// lost and writes arrive late. A failure names its seed; -sim.seed runs it again.
func TestFiveClientsAtRandom(t *testing.T) {
	runs := *simRuns
	switch {
	case runs > 0:
	case underRace:
		runs = 300
	default:
		runs = 6000
	}
	if *simSeed != 0 {
		randomRun(t, *simSeed)
		return
	}
	for seed := range uint64(runs) {
		randomRun(t, seed+1)
	}
	fresh := rand.Uint64()
	t.Logf("a seed of its own: %d", fresh)
	randomRun(t, fresh)
}

// wearsSoon is how many writes a day a service takes of a secret, so few that the index is
// moved out of the root after twenty of them.
const wearsSoon = 80

func randomRun(t *testing.T, seed uint64, others ...op) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	sc := scenario{leaves: 4 * r.IntN(2), value: tight * r.IntN(2)}
	for range r.IntN(3) {
		sc.before = append(sc.before, randomOp(r))
	}
	for range 5 {
		script := make([]op, 1+r.IntN(3))
		for i := range script {
			script[i] = randomOp(r)
		}
		sc.clients = append(sc.clients, script)
	}
	for _, o := range others {
		sc.clients = append(sc.clients, one(o))
	}
	service := memstore.NewDriver()
	limits := driver.Limits{Value: sc.value}
	if r.IntN(3) == 0 { // as on AWS, or nearly
		limits.WritesPerDay, limits.DeletedNameRests = wearsSoon, time.Duration(r.IntN(2))*7*24*time.Hour
	}
	service.SetLimits(limits)
	if sc.leaves > 0 {
		splitIndex(t, service)
	}
	before := simulatedStore(service, seed+7, 20)
	for i := range r.IntN(wearsSoon/4) * limits.WritesPerDay / wearsSoon {
		if err := before.SaveToken(t.Context(), tok("U9", fmt.Sprint("R9-", i))); err != nil {
			t.Fatal(err)
		}
	}
	for i, o := range sc.before {
		_ = o.do(t.Context(), before, fmt.Sprint("before-", i)) // some find nothing to do
	}
	w := newWorld(seed, 40, service, sc.clients...)
	if stale := r.IntN(4); stale > 0 {
		for _, c := range w.clients {
			c.view.Stale(func(context.Context, memstore.Read) int { return r.IntN(stale + 1) })
		}
	}
	faulty := r.IntN(2) == 0
	w.run(func(steps []step) (int, fate) {
		if r.IntN(50) == 0 {
			service.Deliver()
			w.audit.after()
		}
		at := r.IntN(len(steps))
		if !faulty || r.IntN(12) > 0 {
			return at, served
		}
		return at, fate(1 + r.IntN(int(fates)-1))
	})
	service.Deliver()
	w.audit.after()
	var bad []string
	w.audit.unrepaired = seed%3 > 0 && len(others) == 0
	if len(others) > 0 { // one that died may have shut the index
		w.audit.checkRepair(func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) })
	}
	if bad = append(bad, w.audit.problems(w.results)...); len(bad) > 0 {
		t.Logf("seed %d", seed)
		w.fail(t, bad)
	}
}

// randomOp makes up an operation on two users, four refresh tokens, two grant tokens,
// two access tokens, two clients and two chosen ids.
func randomOp(r *rand.Rand) op {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	user, refresh := pick("U1", "U2"), pick("R1", "R2", "R3", "R4")
	switch r.IntN(16) {
	case 0, 1:
		return remove(pick(user, refresh))
	case 2:
		return rotate(user, refresh)
	case 3:
		return change(pick(user, refresh), user, pick("c1", "c2"), refresh)
	case 4:
		return change(user, refresh)
	case 5:
		return save(refresh)
	case 6:
		return save(pick("G1", "G2"), pick("c1", "A1"))
	case 7:
		return save(pick("G1", "G2"), refresh, user)
	case 8:
		return save(pick("A1", "A2"))
	case 9:
		return save("#one"+user[1:], user, refresh)
	case 10:
		return save(user, pick("c1", "c2"), refresh)
	case 11:
		return saveAndSee(user, refresh)
	case 12, 13:
		return saveAll(words(pick("U1", "U2"), pick("R1", "R2")), words(pick("R3", "R4")), words(user, refresh))
	default:
		return save(user, refresh, pick("A1", "A2"))
	}
}

// saveAndSee saves and then looks: a store sees its own writes, however old the
// answers of the service are.
func saveAndSee(words ...string) op {
	o := save(words...)
	o.name = fmt.Sprint("save and see ", words)
	o.do = func(ctx context.Context, s *token.Store, mark string) error {
		t := tok(words...)
		t.Extra = map[string]token.Secret{mark: token.NewSecret("1")}
		if err := s.SaveToken(ctx, t); err != nil {
			return err
		}
		seen, err := s.FindTokenByID(ctx, t.ID)
		if err == nil && seen.Extra[mark].IsZero() {
			return errWentBack
		}
		return nil
	}
	return o
}
