package scale

import (
	"context"
	"testing"

	"github.com/tokenkeep/tokenkeep/token"
)

// One process saves all tokens that another store had.
func TestScaleImport(t *testing.T) {
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			people := pick(100_000, 2000, 500)
			measure(t, "import", "", s.name, func(r *run) *result { return r.imports(people) })
		})
	}
}

// A small import leaves an index of one secret.
func TestScaleImportOfFew(t *testing.T) {
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			measure(t, "import of few", "", s.name, func(r *run) *result {
				res := r.imports(299)
				if res.Index.Secrets != 1 {
					r.Errorf("%d index secrets, want 1", res.Index.Secrets)
				}
				return res
			})
		})
	}
}

// overhead is how many calls an import makes for each token at most, besides those that
// make its record, on AWS.
const overhead = 1.1

func (r *run) imports(people int) *result {
	list, rounds := make([]*token.OAuthToken, people), map[int]int{}
	for n := range list {
		list[n] = login(n)
	}
	err := r.do("import", func(ctx context.Context) error { return r.open(r).SaveTokens(ctx, list) })
	for n, p := range list {
		if p.ID != "" {
			rounds[n] = 0
		}
	}
	if err != nil {
		r.Errorf("%d of %d were saved", len(rounds), people)
	}
	res := r.result(more{Processes: 1, Tokens: len(rounds)})
	calls, saved := r.calls().all(), len(rounds)
	if people >= 10_000 {
		r.rest(res, people, rounds)
	}
	res.calm(r)
	if more := float64(calls-saved) / float64(max(1, saved)); r.name() == "AWS" && more > overhead {
		r.Errorf("%.2f calls for each token, besides that which makes its record: want at most %.2f", more, overhead)
	}
	r.found(rounds)
	res.HeapOfList = r.listing(len(rounds))
	return res
}
