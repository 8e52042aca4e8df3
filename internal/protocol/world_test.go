package protocol

import (
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// This file runs clients: each is a coroutine that stops before every call.

// A rule is one that can be switched off.
type rule string

const (
	claim    rule = "1: claim before the record is written"
	base     rule = "1: a gain starts from the base"
	fence    rule = "2: fence"
	judged   rule = "3: write the leaf that was judged"
	age      rule = "5: adopt what is young"
	tomb     rule = "6: a deletion leaves a tombstone"
	once     rule = "6: an id that the store made is used once"
	rest     rule = "7: a removal waits for the time of grace"
	overtake rule = "8: what is behind is overtaken"
	seal     rule = "9: a sealed leaf is not written"
	handOn   rule = "9: a successor begins with what was handed on"
	exist    rule = "9: the root names what exists"
)

// A world is a service and its clients.
type world struct {
	off              rule
	grace, adoptable int
	tries            int // of an operation

	dice    dice
	now     int
	secrets map[string][]state
	clients []*client
	ran     int // how many of them
	history
	bad map[string]string // by kind
	log *[]string
}

func newWorld(d dice, off rule) *world {
	w := &world{
		off: off, grace: grace, adoptable: adoptable, tries: 8, dice: d, now: 1000, secrets: map[string][]state{},
		history: history{map[string]bool{}, map[int]bool{}, map[int]bool{}}, bad: map[string]string{},
	}
	switch off {
	case rest:
		w.grace = 0
	case age:
		w.adoptable = grace
	}
	return w
}

// A client is one process after another: when one dies, the next knows nothing.
type client struct {
	w                            *world
	number, names, writes, steps int
	clock                        int // how much it is fast
	next                         func() (struct{}, bool)
	stop                         func()
	yield                        func(struct{}) bool
	crash                        bool
	deadline                     int
	floor                        map[string]int // the last state that was seen
	id                           string         // that its first save was told
	saved                        int
	trail                        uint64

	// Of one attempt:
	leaves, records map[string]*view
	judgements      map[string][]*judgement
	met             bool // a sealed leaf
}

// An op is what a client does.
type op struct {
	name string
	do   func(c *client)
}

// An end is how an attempt ends early. It is thrown: so the rules stand without the
// handling of errors between them.
type end string

const (
	again   end = "again"
	refused end = "refused"
	died    end = "died"
	stopped end = "stopped"
)

func (w *world) add(clock int, script ...op) *client {
	c := &client{w: w, number: len(w.clients) + 1, clock: clock, floor: map[string]int{}}
	c.writes = c.number * 10_000
	c.next, c.stop = iter.Pull(func(yield func(struct{}) bool) {
		c.yield = yield
		for _, o := range script {
			c.deadline = w.now + lifetime
			how := again
			for try := 0; how == again && try < c.w.tries; try++ {
				how = c.attempt(o)
			}
			if how == stopped {
				return
			}
			if how == died {
				c.floor, c.crash = map[string]int{}, false
			}
		}
	})
	w.clients = append(w.clients, c)
	return c
}

func (c *client) attempt(o op) (how end) {
	c.leaves, c.records, c.judgements, c.met = map[string]*view{}, map[string]*view{}, map[string][]*judgement{}, false
	defer func() {
		switch e := recover().(type) {
		case nil:
		case end:
			how = e
		default:
			panic(e)
		}
		c.w.trace("%d %s: %s", c.number, o.name, how)
	}()
	c.w.trace("%d %s", c.number, o.name)
	o.do(c)
	return ""
}

// call waits until the client may make its next call.
func (c *client) call() {
	switch {
	case !c.yield(struct{}{}):
		panic(stopped)
	case c.crash, c.w.now > c.deadline:
		panic(died)
	}
}

func (c *client) now() int { return c.w.now + c.clock }

func save(user, refresh, id string) op {
	return op{fmt.Sprint("save ", user, refresh, id), func(c *client) {
		c.names++
		mark := c.number*1000 + c.names
		ref := c.save(mark, user, refresh, id)
		c.w.acked[mark] = true
		c.saved++
		if c.id == "" {
			c.id = ref
		}
		if c.met {
			c.leaves = map[string]*view{}
			c.tell()
		}
	}}
}

// saveAgain saves under an id that the client was told before.
func saveAgain(user, refresh string) op {
	return op{fmt.Sprint("save again ", user, refresh), func(c *client) {
		save(user, refresh, c.id).do(c)
	}}
}

func del(user string) op { return op{"delete " + user, func(c *client) { c.delete(user) }} }

var dig = op{"dig", func(c *client) {
	for _, ref := range slices.Sorted(maps.Keys(c.w.secrets)) {
		r, _ := c.w.value(ref).(*record)
		if r != nil && !r.live() && !strings.HasPrefix(ref, "#") && c.now()-r.buried >= c.w.grace {
			c.dig(ref)
		}
	}
}}

var tell = op{"tell", func(c *client) { c.tell() }}

func wait(minutes int) op {
	return op{fmt.Sprint("wait ", minutes), func(c *client) { c.w.now += minutes }}
}

// A fault is what may go wrong.
type fault int

const (
	stale fault = iota // a read is old
	lost               // an answer is lost
	crash              // a process dies
)

// dice decide what happens.
type dice interface {
	order(n int) int          // one of n
	fault(f fault, n int) int // 0: all goes well; or one of the others
	minutes() int             // that pass before a step
}

// run lets the clients work until all have finished.
func (w *world) run() {
	live := w.clients[w.ran:]
	w.ran = len(w.clients)
	live = slices.Clone(live)
	for len(live) > 0 {
		i := w.dice.order(len(live))
		c := live[i]
		w.now += w.dice.minutes()
		c.crash = w.dice.fault(crash, 2) > 0
		c.steps++
		if _, ok := c.next(); !ok {
			live = slices.Delete(live, i, i+1)
		}
		if e, ok := w.dice.(*explorer); ok && e.known(w) {
			break
		}
	}
	for _, c := range live {
		c.stop()
	}
}

func (w *world) trace(format string, args ...any) {
	if w.log != nil {
		*w.log = append(*w.log, fmt.Sprintf("%d %s", w.now, fmt.Sprintf(format, args...)))
	}
}

// random dice.
type random struct {
	*rand.Rand
	faulty bool
}

func (r random) order(n int) int { return r.IntN(n) }

func (r random) fault(f fault, n int) int {
	if n < 2 || !r.faulty || r.IntN([]int{stale: 4, lost: 20, crash: 80}[f]) > 0 {
		return 0
	}
	return 1 + r.IntN(n-1)
}

func (r random) minutes() int {
	if r.IntN(8) > 0 {
		return 0
	}
	return 1
}

// An explorer makes every decision, one run after the other. It cuts a run short when all
// that is stored, and all that the clients have seen, was so in another run.
type explorer struct {
	path   []choice
	depth  int
	faults int // in a run
	left   int
	seen   map[uint64]bool
	runs   int
}

type choice struct{ at, n int }

func (e *explorer) order(n int) int {
	if n < 2 {
		return 0
	}
	if e.depth == len(e.path) {
		e.path = append(e.path, choice{0, n})
	}
	e.depth++
	return e.path[e.depth-1].at
}

func (e *explorer) fault(_ fault, n int) int {
	if e.left == 0 {
		return 0
	}
	x := e.order(n)
	if x > 0 {
		e.left--
	}
	return x
}

func (e *explorer) minutes() int { return 0 }

// more prepares the next run, if there is one.
func (e *explorer) more() bool {
	e.runs++
	for len(e.path) > 0 {
		last := &e.path[len(e.path)-1]
		if last.at++; last.at < last.n {
			break
		}
		e.path = e.path[:len(e.path)-1]
	}
	e.depth, e.left = 0, e.faults
	return len(e.path) > 0
}

var hashSeed = maphash.MakeSeed()

func mix(sum uint64, name string, n, m int) uint64 {
	return maphash.Comparable(hashSeed, struct {
		sum  uint64
		name string
		n, m int
	}{sum, name, n, m})
}

// saw notes what a client has learnt.
func (c *client) saw(name string, n int) {
	var sum uint64
	if n > 0 {
		sum = c.w.secrets[name][n-1].trail
	}
	c.trail = mix(c.trail^sum, name, n, 0)
}

// flip is a decision of a client's own.
func (c *client) flip() bool {
	x := c.w.dice.order(2)
	c.trail = mix(c.trail, "flip", x, 0)
	return x == 1
}

// known reports whether the world was like this before, on another way.
func (e *explorer) known(w *world) bool {
	if e.depth < len(e.path) || e.seen == nil {
		return false
	}
	sum := mix(0, "now", w.now, e.left)
	for name, log := range w.secrets {
		if len(log) > 0 {
			sum ^= mix(log[len(log)-1].trail, name, len(log), 0)
		}
	}
	for _, c := range w.clients {
		sum ^= mix(c.trail, fmt.Sprint(c.crash), c.number, c.steps)
	}
	if e.seen[sum] {
		return true
	}
	e.seen[sum] = true
	return false
}
