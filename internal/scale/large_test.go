package scale

import (
	"context"
	"testing"

	"github.com/tokenkeep/tokenkeep/token"
)

// A store that is as large as a Region of AWS allows: processes that know nothing, one
// that knows much, and a listing of all.
func TestScaleLarge(t *testing.T) {
	for _, s := range services {
		size, samples := pick(100_000, 3000, 1300), pick(100, 5, 2)
		if *full && s.name == "AWS" {
			size = most
		}
		t.Run(s.name, func(t *testing.T) {
			measure(t, "large store", "", s.name, func(r *run) *result {
				r.fill(size)
				r.cold(size, samples)
				r.progress("cold processes are done")
				heap := r.warm(size, 20*samples)
				r.progress("the warm process is done")
				res := r.result(more{Tokens: size, Heap: heap})
				res.calm(r)
				res.HeapOfList = r.listing(size)
				res.Ops["list all"] = r.ops["list all"].result()
				return res
			})
		})
	}
}

// warm lets one process find, save and delete, all the same people, and returns what it
// has in memory in the end.
func (r *run) warm(size, samples int) int {
	random := seeded("warm")
	store := r.open(r)
	people := make([]int, samples)
	for i := range people {
		people[i] = random.IntN(size)
		r.must("warm: first find by user", func(ctx context.Context) error {
			_, err := store.FindToken(ctx, person(people[i]))
			return err
		})
	}
	var deleted []string
	for i, n := range people {
		r.must("warm: find by user", func(ctx context.Context) error {
			_, err := store.FindToken(ctx, person(n))
			return err
		})
		r.must("warm: save an access token", func(ctx context.Context) error {
			return store.SaveToken(ctx, refreshed(person(n), n, 1000+i))
		})
		if i%10 == 0 {
			r.must("warm: rotate", func(ctx context.Context) error { return store.SaveToken(ctx, rotated(person(n), n, 1000+i)) })
			p := login(2*size + i)
			r.must("warm: sign up", func(ctx context.Context) error { return store.SaveToken(ctx, p) })
			deleted = append(deleted, p.ID)
		}
	}
	for _, id := range deleted {
		r.must("warm: delete", func(ctx context.Context) error { return store.DeleteToken(ctx, id) })
	}
	return r.heapOf(&store)
}

// heapOf returns the bytes that a store has in memory: which are not in use without it.
func (r *run) heapOf(store **token.Store) int {
	r.forget()
	with := heap()
	*store = nil
	return max(0, with-heap())
}
