package protocol

// This file is the tests: every rule on, by chance and in every order of two clients, and one
// rule off after the other.

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
)

var (
	runs   = flag.Int("protocol.runs", usualRuns, "how many random runs with every rule on")
	faults = flag.Int("protocol.faults", 0, "how many faults in each order of two clients")
)

// randomWorld makes up clients that work on two users, three refresh tokens and two ids
// that callers chose.
func randomWorld(seed uint64, off rule) *world {
	r := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(random{r, r.IntN(2) == 0}, off)
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	for range 2 + r.IntN(3) {
		var script []op
		for range 1 + r.IntN(5) {
			user, refresh := pick("U1", "U2"), pick("R1", "R2", "R3")
			switch r.IntN(16) {
			case 0, 1, 2:
				script = append(script, del(user))
			case 3, 4:
				script = append(script, dig)
			case 5:
				script = append(script, tell)
			case 6, 7:
				script = append(script, wait(1+r.IntN(grace+hour)))
			case 8:
				script = append(script, save("", refresh, ""))
			case 9:
				script = append(script, save(user, "", ""))
			case 10, 11:
				script = append(script, save(user, refresh, "#"+user))
			case 12, 13:
				script = append(script, saveAgain(user, refresh))
			default:
				script = append(script, save(user, refresh, ""))
			}
		}
		w.add(r.IntN(apart+1), script...)
	}
	return w
}

// check runs a world, and then lets a new client save every user and token: nothing that
// others left may be in its way.
func check(w *world) *world {
	w.run()
	var script []op
	for _, o := range []op{save("U1", "", ""), save("U2", "R3", ""), save("", "R1", ""), save("", "R2", "")} {
		script = append(script, wait(grace+apart), o)
	}
	w.dice = &explorer{}
	c := w.add(0, script...)
	w.run()
	if c.saved != 4 {
		w.violated("stuck", "of what was saved in the end, only %d", c.saved)
	}
	w.last()
	return w
}

func TestNoRandomRunViolatesAnything(t *testing.T) {
	for seed := range uint64(*runs) {
		if w := check(randomWorld(seed, "")); len(w.bad) > 0 {
			w = randomWorld(seed, "")
			w.log = &[]string{}
			check(w)
			t.Fatalf("seed %d: %v\n%s", seed, w.bad, strings.Join(*w.log, "\n"))
		}
	}
}

// starts are what is stored before clients begin.
var starts = map[string][]op{
	"nothing":        nil,
	"a user":         {save("U1", "R1", "")},
	"a full leaf":    {save("U1", "R1", ""), save("U2", "R2", "")},
	"an old grave":   {save("U1", "", ""), bury("U1"), wait(grace)},
	"a chosen grave": {save("U1", "R1", "#U1"), bury("U1"), wait(grace)},
}

// bury is a deletion whose process dies before it comes to the index.
func bury(user string) op {
	return op{"bury " + user, func(c *client) {
		j := c.judge(user)[0]
		c.put(j.view, &record{kind: tombstone, seq: j.record().seq + 1, buried: c.now()})
	}}
}

// explore lets clients, each with one op, work in every order, with so many faults at most.
// It returns one run for each kind of violation, and how many runs there were.
func explore(off rule, start string, faults int, clients ...op) (map[string]string, int) {
	e := &explorer{faults: faults, left: faults, seen: map[uint64]bool{}}
	bad := map[string]string{}
	for more := true; more; more = e.more() {
		w := newWorld(&explorer{}, off)
		w.now = 1002 // the first minute of an hour
		w.log = &[]string{}
		before := w.add(0, starts[start]...)
		w.run()
		w.dice, w.tries = e, 2
		for _, o := range clients {
			w.add(0, o).id = before.id
		}
		w.run()
		w.last()
		for kind := range w.bad {
			if bad[kind] == "" {
				bad[kind] = strings.Join(*w.log, "\n")
			}
		}
	}
	return bad, e.runs
}

func TestNoOrderOfTwoClientsViolatesAnything(t *testing.T) {
	ops := []op{save("U1", "R1", ""), save("", "R1", ""), save("U2", "R3", ""), save("U1", "R3", "#U1"), del("U1"), dig}
	total := 0
	for start := range starts {
		for i, a := range ops {
			for _, b := range ops[i:] {
				bad, n := explore("", start, *faults, a, b)
				for kind, how := range bad {
					t.Errorf("%s, %s and %s: %s\n%s", start, a.name, b.name, kind, how)
				}
				total += n
			}
		}
	}
	t.Logf("%d runs", total)
}

// TestARuleThatIsOffIsNoticed switches off one rule after the other. Chance finds most of
// them soon; the others show in an order of a few clients.
func TestARuleThatIsOffIsNoticed(t *testing.T) {
	for off, m := range map[rule]struct {
		kind    string
		clients []op // over an old grave; none: by chance
	}{
		claim:    {"unreachable", nil},
		base:     {"duplicate", nil},
		fence:    {"duplicate", nil},
		judged:   {"duplicate", nil},
		age:      {"duplicate", []op{save("U1", "", ""), dig, save("U1", "", "")}},
		tomb:     {"reuse", nil},
		once:     {"duplicate", []op{save("U1", "", ""), dig, saveAgain("U1", "")}},
		rest:     {"reuse", nil},
		overtake: {"unreachable", nil},
		seal:     {"seal", nil},
		handOn:   {"unreachable", nil},
		exist:    {"unreachable", nil},
	} {
		t.Run(string(off), func(t *testing.T) {
			if m.clients != nil {
				bad, n := explore(off, "an old grave", 0, m.clients...)
				if bad[m.kind] == "" {
					t.Fatalf("not in %d runs: %s", n, m.kind)
				}
				t.Logf("%d runs: %s\n%s", n, m.kind, bad[m.kind])
				return
			}
			for seed := range uint64(20_000) {
				if bad := check(randomWorld(seed, off)).bad[m.kind]; bad != "" {
					t.Logf("seed %d: %s: %s", seed, m.kind, bad)
					return
				}
			}
			t.Fatalf("not noticed: %s", m.kind)
		})
	}
}

// TestARemovalThatArrivesLateTakesWhatWasCreatedAnew is the other reason why an id is used
// once: a service removes a secret whatever it is by then.
func TestARemovalThatArrivesLateTakesWhatWasCreatedAnew(t *testing.T) {
	if bad, n := explore(once, "an old grave", 0, dig, dig, saveAgain("U1", "")); bad["lost"] == "" {
		t.Errorf("not in %d runs: a save that is lost", n)
	} else {
		t.Logf("%d runs:\n%s", n, bad["lost"])
	}
}
