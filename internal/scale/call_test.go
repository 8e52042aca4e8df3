package scale

import (
	"context"
	"fmt"
	"sync"
)

// latency is what each call takes, by the bubble's clock: half of it passes before the
// service acts and half before the answer is there.
const latency = 20 // ms

// A call is one request to a service, of which several may be the same.
type call struct {
	Method string
	// Index: it is about index secrets, and not about records.
	Index bool
	// Code is the service's error code, and empty if there was none.
	Code string
	// Write: it puts a value, if the service takes it.
	Write bool
}

func (c call) String() string {
	what := "record"
	if c.Index {
		what = "index"
	}
	if c.Method == "" || c.Method[0] == 'L' { // a list is about neither
		what = "all"
	}
	return c.Method + " " + what
}

// A tally counts calls.
type tally struct {
	mu    sync.Mutex
	calls map[call]int
}

func newTally() *tally { return &tally{calls: map[call]int{}} }

func (t *tally) add(c call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls[c]++
}

// count returns how many of the calls are such.
func (t *tally) count(such func(call) bool) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c, times := range t.calls {
		if such(c) {
			n += times
		}
	}
	return n
}

func (t *tally) all() int { return t.count(func(call) bool { return true }) }

// kinds returns the calls by method and what they are about, and the refused ones by code.
func (t *tally) kinds() (calls, refused map[string]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	calls, refused = map[string]int{}, map[string]int{}
	for c, times := range t.calls {
		calls[c.String()] += times
		if c.Code != "" {
			refused[fmt.Sprintf("%s of %s", c.Code, c)] += times
		}
	}
	return calls, refused
}

type tallyKey struct{}

// counted returns a context that counts the calls that are made with it.
func counted(ctx context.Context, t *tally) context.Context {
	return context.WithValue(ctx, tallyKey{}, t)
}

// note counts a call of a service and of the operation that made it.
func note(ctx context.Context, all *tally, c call) {
	all.add(c)
	if own, ok := ctx.Value(tallyKey{}).(*tally); ok {
		own.add(c)
	}
}
