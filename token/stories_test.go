package token_test

import (
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/stories"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

func TestStories(t *testing.T) {
	stories.Run(t, func(t *testing.T) stories.Service {
		d := memstore.NewDriver()
		return stories.Service{
			Open:      func() *token.Store { return open(t, d.Under("")) },
			Neighbour: func() *token.Store { return open(t, d.Under("neighbour")) },
		}
	})
}

// open returns a store on a driver, as a process has it that has just started.
func open(tb testing.TB, d *memstore.Driver) *token.Store {
	tb.Helper()
	s, err := token.NewStore(d, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
