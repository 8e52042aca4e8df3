package scale

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
)

// What an operation takes, by a process that knows nothing, in stores of ten to half a
// million tokens that nobody else writes.
func TestScaleGrowth(t *testing.T) {
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			sizes := pick([]int{10, 100, 1000, 10_000, 100_000}, []int{10, 3000}, []int{10, 299})
			if *full && s.name == "AWS" {
				sizes = append(sizes, most)
			}
			for _, size := range sizes {
				t.Run(fmt.Sprintf("%d tokens", size), func(t *testing.T) {
					measure(t, "growth", "", s.name, func(r *run) *result {
						r.fill(size)
						r.cold(size, pick(20, 5, 2))
						res := r.result(more{Tokens: size})
						res.calm(r)
						res.small(r)
						return res
					})
				})
			}
		})
	}
}

// most is how many tokens a Region of AWS has room for, which takes 500,000 secrets:
// some are those of the index.
const most = 498_000

// cold lets processes that know nothing find, save and delete, an operation an hour, so
// that the index is written seldom. There are as many tokens at the end as at the
// beginning.
func (r *run) cold(size, samples int) {
	random := seeded("cold")
	quietly := func(kind string, f func(ctx context.Context, s *token.Store) error) {
		pass(time.Hour)
		store := r.open(r)
		r.must(kind, func(ctx context.Context) error { return f(ctx, store) })
	}
	for i := range samples {
		n, round := random.IntN(size), i+1
		quietly("find by user", func(ctx context.Context, s *token.Store) error {
			_, err := s.FindToken(ctx, person(n))
			return err
		})
		quietly("save an access token", func(ctx context.Context, s *token.Store) error {
			return s.SaveToken(ctx, refreshed(person(n), n, round))
		})
		quietly("rotate", func(ctx context.Context, s *token.Store) error {
			return s.SaveToken(ctx, rotated(person(n), n, round))
		})
		p := login(size + i)
		quietly("sign up", func(ctx context.Context, s *token.Store) error { return s.SaveToken(ctx, p) })
		quietly("delete", func(ctx context.Context, s *token.Store) error { return s.DeleteToken(ctx, p.ID) })
	}
}

// small makes sure that a store that is written seldom has the fewest index secrets that
// its size allows.
func (res *result) small(r *run) {
	r.Helper()
	if res.Tokens < 300 && res.Index.Secrets != 1 {
		r.Errorf("%d index secrets for %d tokens, want 1", res.Index.Secrets, res.Tokens)
	}
}
