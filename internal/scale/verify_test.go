package scale

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
)

// found makes sure that processes that know nothing find some people by user and by refresh
// token: each with the tokens of the round that was saved last.
func (r *run) found(rounds map[int]int) {
	r.Helper()
	samples := pick(100, 20, 5)
	for n, round := range rounds {
		if samples--; samples < 0 {
			return
		}
		want := rotated(person(n), n, round)
		for _, query := range []*token.OAuthToken{
			person(n),
			{RefreshToken: want.RefreshToken},
		} {
			r.must("find at the end", func(ctx context.Context) error {
				got, err := r.open(r).FindToken(ctx, query)
				if err == nil && (got.UserSignature != want.UserSignature || !got.RefreshToken.Equal(want.RefreshToken)) {
					err = fmt.Errorf("it is not what was saved last")
				}
				return err
			})
		}
	}
}

// listing makes sure that so many records are listed, and returns what the store had in
// memory at most meanwhile.
func (r *run) listing(want int) (most int) {
	r.Helper()
	store := r.open(r)
	n, first := 0, true
	r.forget()
	base := heap()
	r.must("list all", func(ctx context.Context) error {
		for _, err := range store.All(ctx) {
			if err != nil {
				return err
			}
			if n++; first || n%max(1, want/8) == 0 {
				r.forget()
				most, first = max(most, heap()-base), false
			}
		}
		return nil
	})
	if n != want {
		r.Errorf("%d records are listed, want %d", n, want)
	}
	return most
}

// calm makes sure of what holds in all scenarios: nobody was told of a secret that was
// written too often, and the index has few secrets.
func (res *result) calm(r *run) {
	r.Helper()
	if res.Limits > 0 {
		r.Errorf("%d callers were told LimitExceededException", res.Limits)
	}
	for kind, n := range res.Errors {
		r.Errorf("%d callers were told %s", n, kind)
	}
	secrets := res.Index.Secrets
	if res.Rested > 0 { // in a storm, sealed leaves wait until the root is told of others
		secrets = res.Rested
	}
	if res.Tokens >= 10_000 && secrets > res.Tokens/500 {
		r.Errorf("%d index secrets for %d tokens, of which %d are leaves in use: want at most one for 500", secrets, res.Tokens, res.Index.Leaves)
	}
}

// rest lets the storm be over: the sealed leaves rest, if they have to, and then some people
// come. It adds them to the rounds.
func (r *run) rest(res *result, people int, rounds map[int]int) {
	if r.name() != "AWS" {
		pass(25 * time.Hour)
	}
	for i := people; i < people+10; i++ {
		pass(12 * time.Minute)
		if r.do("later", func(ctx context.Context) error { return r.open(r).SaveToken(ctx, login(i)) }) == nil {
			rounds[i] = 0
		}
	}
	res.Rested = shapeOf(r, r.service).Secrets
}
