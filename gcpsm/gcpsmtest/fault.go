package gcpsmtest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
)

// A Fault says which requests go wrong, and how. The zero values mean: any
// method, any secret, from the first request on, every time.
//
//	srv.Inject(gcpsmtest.Fault{
//		Methods: []string{"AddSecretVersion"},
//		Times:   1,
//		Do:      gcpsmtest.LoseAnswer(),
//	})
type Fault struct {
	// Methods are those that it applies to, by the API's names for them.
	Methods []string
	// Secret chooses by the secret's id, the last part of its name. ListSecrets,
	// which names none, never matches. It must not call the server.
	Secret func(id string) bool
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

	seen, fired, reached int
	reaching             chan struct{} // closed and replaced each time reached grows
}

// Inject puts a fault to work. If several apply to a request, the one that was
// injected first and fires is the only one that does.
func (s *Server) Inject(f Fault) *Injection {
	if f.Do.run == nil {
		f.Do.run = (*exchange).pass
	}
	i := &Injection{fault: f, draw: rand.New(rand.NewPCG(f.Seed, 1)), in: &s.faults, reaching: make(chan struct{})}
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

// Await waits until the fault has hit n requests and has done all with them that
// it does at once: with [Hold] until they are held, with [HoldAnswer] and
// [HangAfter] until they are applied, with [HoldNumber] until they have their
// numbers, with others until they are about to be answered. It returns the
// context's error if that comes first.
func (i *Injection) Await(ctx context.Context, n int) error {
	for {
		i.in.mu.Lock()
		reached, reaching := i.reached, i.reaching
		i.in.mu.Unlock()
		if reached >= n {
			return nil
		}
		select {
		case <-reaching:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reach tells those who wait that a request is where the action wants it.
func (i *Injection) reach() {
	i.in.mu.Lock()
	defer i.in.mu.Unlock()
	i.reached++
	close(i.reaching)
	i.reaching = make(chan struct{})
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
func (f *faults) pick(req *request) *Injection {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.active {
		if i.hits(req) {
			return i
		}
	}
	return nil
}

func (i *Injection) hits(req *request) bool {
	if len(i.fault.Methods) > 0 && !slices.Contains(i.fault.Methods, req.method) {
		return false
	}
	if i.fault.Secret != nil && (req.secret == "" || !i.fault.Secret(req.secret)) {
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
