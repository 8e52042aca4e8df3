package gcpsm_test

import (
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/internal/stories"
	"github.com/tokenkeep/tokenkeep/token"
)

func TestStories(t *testing.T) {
	t.Parallel()
	tell(t)
}

// An hour is longer than any story: `latest` and lists say nothing of what happens in
// it, and what counts is read by number.
func TestStoriesWhileAliasesAndListsAreLate(t *testing.T) {
	if underRace {
		t.Skip("TestStories meets the same races")
	}
	t.Parallel()
	tell(t, gcpsmtest.WithLag(time.Hour))
}

func tell(t *testing.T, opts ...gcpsmtest.Option) {
	stories.Run(t, func(t *testing.T) stories.Service {
		s := start(t, opts...)
		open := func(prefix string) *token.Store {
			store, err := gcpsm.New(s.sdk(t), parent, prefix, unpaced())
			if err != nil {
				t.Fatal(err)
			}
			return store
		}
		return stories.Service{
			Open:      func() *token.Store { return open(prefix) },
			Neighbour: func() *token.Store { return open(prefix + "-2") },
		}
	})
}
