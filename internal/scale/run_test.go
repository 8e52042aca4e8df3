package scale

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

var full = flag.Bool("full", false, "measure in full, and write the numbers to testdata: half an hour")

// pick returns how many there are: in a measurement in full, in one of all tests, and
// under the race detector.
func pick[T any](inFull, small, race T) T {
	switch {
	case *full:
		return inFull
	case underRace:
		return race
	}
	return small
}

// A run is one scenario on one service.
type run struct {
	*testing.T
	service
	began time.Time     // by the bubble's clock
	clock *atomic.Int64 // seconds outside of the bubble

	mu   sync.Mutex
	ops  map[string]*op
	errs map[string]int
	// limits are callers who were told of LimitExceededException.
	limits int
}

// An op is what is known of the operations of a kind.
type op struct {
	took    []time.Duration
	calls   []int
	methods map[string]int
}

// measure runs a scenario in a bubble with a service of its own, and keeps what it
// measured if everything was run.
func measure(t *testing.T, scenario, variant, on string, f func(*run) *result) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, 1)
	clock := outside(t)
	synctest.Test(t, func(t *testing.T) {
		for _, s := range services {
			if s.name != on {
				continue
			}
			r := &run{T: t, service: s.make(t), began: time.Now(), clock: clock, ops: map[string]*op{}, errs: map[string]int{}}
			r.keep(scenario, variant, f(r))
		}
	})
}

// do does one operation of a kind and notes what it took. Its error is noted and returned.
func (r *run) do(kind string, f func(ctx context.Context) error) error {
	calls, began := newTally(), time.Now()
	err := f(counted(r.Context(), calls))
	took := time.Since(began)
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.ops[kind]
	if o == nil {
		o = &op{methods: map[string]int{}}
		r.ops[kind] = o
	}
	o.took, o.calls = append(o.took, took), append(o.calls, calls.all())
	for c, n := range calls.calls {
		o.methods[c.Method] += n
	}
	if err != nil {
		r.errs[kindOf(err)]++
		if r.errs[kindOf(err)] == 1 {
			r.Logf("the first error of its kind, after %v: %v", took, err)
		}
		if e := smithy.APIError(nil); errors.As(err, &e) && e.ErrorCode() == "LimitExceededException" {
			r.limits++
		}
	}
	return err
}

// must is do where no error is expected.
func (r *run) must(kind string, f func(ctx context.Context) error) {
	r.Helper()
	if err := r.do(kind, f); err != nil {
		r.Errorf("%s: %v", kind, err)
	}
}

// kindOf says in a few words what a caller was told.
func kindOf(err error) string {
	kind := "error"
	for _, k := range []struct {
		is   error
		name string
	}{
		{token.ErrOutcomeUnknown, "ErrOutcomeUnknown"}, {token.ErrQuota, "ErrQuota"}, {token.ErrUnavailable, "ErrUnavailable"},
		{token.ErrConflict, "ErrConflict"}, {token.ErrNotFound, "ErrNotFound"}, {token.ErrTooLarge, "ErrTooLarge"},
		{token.ErrCorrupt, "ErrCorrupt"},
	} {
		if errors.Is(err, k.is) {
			kind = k.name
			break
		}
	}
	if e := (*driver.Error)(nil); errors.As(err, &e) && e.Code != "" {
		kind += " (" + e.Code + ")"
	}
	return kind
}

// progress says how far a scenario is.
func (r *run) progress(format string, args ...any) {
	r.Helper()
	r.Logf("%4d s, in the bubble %s: %s", r.clock.Load(), time.Since(r.began).Round(time.Second), fmt.Sprintf(format, args...))
}

// outside counts the seconds that pass outside of the bubble.
func outside(t *testing.T) *atomic.Int64 {
	seconds, began := &atomic.Int64{}, time.Now()
	ticker := time.NewTicker(time.Second)
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		defer ticker.Stop()
		for {
			select {
			case now := <-ticker.C:
				seconds.Store(int64(now.Sub(began).Seconds()))
			case <-done:
				return
			}
		}
	}()
	return seconds
}

// heap returns the bytes in use.
func heap() int {
	runtime.GC()
	runtime.GC() // what finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// pass lets time pass in the bubble.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // the clock is synctest's

// percentile returns what so many of a hundred do not exceed.
func percentile[T any](sorted []T, percent int) (none T) {
	if len(sorted) == 0 {
		return none
	}
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)]
}

func (o *op) result() opResult {
	took, calls := slices.Clone(o.took), slices.Clone(o.calls)
	slices.Sort(took)
	slices.Sort(calls)
	sum := 0
	for _, n := range calls {
		sum += n
	}
	return opResult{
		Times: len(took), Calls: float64(sum) / float64(len(calls)), MaxCalls: calls[len(calls)-1],
		Methods: o.methods,
		P50:     millis(percentile(took, 50)), P99: millis(percentile(took, 99)), Max: millis(took[len(took)-1]),
	}
}

func millis(d time.Duration) int { return int(d.Milliseconds()) }
