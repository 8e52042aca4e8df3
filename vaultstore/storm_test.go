package vaultstore_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/stories"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

var storms = flag.Int("storms", 50, "rounds of TestStormsOfOneNewUserLeaveOneRecordEach")

func TestStormsOfOneNewUserLeaveOneRecordEach(t *testing.T) {
	s := start(t)
	stories.Storms(t, *storms, func(round int) func() (*token.Store, error) {
		client := s.sdk(t)
		return func() (*token.Store, error) {
			return vaultstore.New(client, mount, fmt.Sprint("storm/", round), nil)
		}
	})
}
