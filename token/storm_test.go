package token_test

import (
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/stories"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

func TestStormsOfOneNewUserLeaveOneRecordEach(t *testing.T) {
	rounds := 1000
	if underRace {
		rounds = 100
	}
	stories.Storms(t, rounds, func(int) func() (*token.Store, error) {
		d := memstore.NewDriver()
		return func() (*token.Store, error) { return token.NewStore(d, nil) }
	})
}
