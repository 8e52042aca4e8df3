package awssm_test

import (
	"testing"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/internal/stories"
	"github.com/tokenkeep/tokenkeep/token"
)

func TestStories(t *testing.T) {
	stories.Run(t, func(t *testing.T) stories.Service {
		s := start(t, awssmtest.WithoutVersionQuota())
		open := func(prefix string) *token.Store {
			store, err := awssm.New(s.sdk(t), prefix, nil)
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
