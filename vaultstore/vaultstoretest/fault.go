package vaultstoretest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
)

// A Fault says which requests go wrong, and how. The zero values mean: any
// operation, any path, from the first request on, every time.
//
//	srv.Inject(vaultstoretest.Fault{
//		Operations: []string{"PUT data"},
//		Times:      1,
//		Do:         vaultstoretest.LoseAnswer(),
//	})
type Fault struct {
	// Operations are those that it applies to, as in [Call]: "PUT data",
	// "GET metadata", "LIST metadata", "DELETE data", "PUT auth/approle/login".
	Operations []string
	// Path chooses by the API path without /v1/, as in "secret/data/app/key". It
	// must not call the server.
	Path func(path string) bool
	// Skip lets so many matching requests pass first.
	Skip int
	// Times ends the fault after it has fired so often; 0 means never.
	Times int
	// Chance is the probability, drawn from Seed, with which a matching request
	// after the skipped ones goes wrong; 0 means always.
	Chance float64
	Seed   uint64
	// Do is what happens. Without it nothing does, but the requests are counted.
	Do Action
}

// An Injection is a fault at work.
type Injection struct {
	fault Fault
	draw  *rand.Rand
	in    *faults

	seen, fired int
	firing      chan struct{} // closed and replaced each time it fires
}

// Inject puts a fault to work. If several apply to a request, the one that was
// injected first and fires is the only one that does.
func (s *Server) Inject(f Fault) *Injection {
	if f.Do.run == nil {
		f.Do.run = (*exchange).pass
	}
	i := &Injection{fault: f, draw: rand.New(rand.NewPCG(f.Seed, 1)), in: &s.faults, firing: make(chan struct{})}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.active = append(s.faults.active, i)
	return i
}

// Fired returns how many requests the fault has hit so far.
func (i *Injection) Fired() int {
	i.in.mu.Lock()
	defer i.in.mu.Unlock()
	return i.fired
}

// Await waits until the fault has hit n requests: with [Hold], until they are
// held. It returns the context's error if that comes first.
func (i *Injection) Await(ctx context.Context, n int) error {
	for {
		i.in.mu.Lock()
		fired, firing := i.fired, i.firing
		i.in.mu.Unlock()
		if fired >= n {
			return nil
		}
		select {
		case <-firing:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Remove ends the fault. Requests that it holds stay held. Removing twice is
// harmless.
func (i *Injection) Remove() {
	i.in.mu.Lock()
	defer i.in.mu.Unlock()
	i.in.active = slices.DeleteFunc(i.in.active, func(a *Injection) bool { return a == i })
}

// faults has a lock of its own: a fault may be injected or watched while the
// state is in use.
type faults struct {
	mu     sync.Mutex
	active []*Injection
}

// pick returns the fault that hits the request, or nil.
func (f *faults) pick(req description) *Injection {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.active {
		if i.hits(req) {
			close(i.firing)
			i.firing = make(chan struct{})
			return i
		}
	}
	return nil
}

func (i *Injection) hits(req description) bool {
	if len(i.fault.Operations) > 0 && !slices.Contains(i.fault.Operations, req.operation) {
		return false
	}
	if i.fault.Path != nil && !i.fault.Path(req.path) {
		return false
	}
	if i.seen++; i.seen <= i.fault.Skip {
		return false
	}
	if i.fault.Times > 0 && i.fired >= i.fault.Times {
		return false
	}
	if i.fault.Chance > 0 && i.draw.Float64() >= i.fault.Chance {
		return false
	}
	i.fired++
	return true
}
