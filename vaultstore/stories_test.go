package vaultstore_test

import (
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/stories"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

func TestStories(t *testing.T) {
	t.Parallel()
	tell(t, start(t))
}

func TestStoriesBehindAStandbyThatRedirects(t *testing.T) {
	if underRace {
		t.Skip("TestStories meets the same races")
	}
	t.Parallel()
	tell(t, startCluster(t))
}

func tell(t *testing.T, s *service) {
	round := 0
	stories.Run(t, func(t *testing.T) stories.Service {
		round++
		at := prefix + "/" + string(rune('a'+round%26)) + string(rune('a'+round/26))
		open := func(prefix string) *token.Store {
			store, err := vaultstore.New(s.sdk(t), mount, prefix, nil)
			if err != nil {
				t.Fatal(err)
			}
			return store
		}
		return stories.Service{
			Open:      func() *token.Store { return open(at) },
			Neighbour: func() *token.Store { return open(at + "-2") },
		}
	})
}
