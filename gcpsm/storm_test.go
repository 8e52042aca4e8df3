package gcpsm_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/internal/stories"
	"github.com/tokenkeep/tokenkeep/token"
)

var storms = flag.Int("storms", 50, "rounds of TestStormsOfOneNewUserLeaveOneRecordEach")

func TestStormsOfOneNewUserLeaveOneRecordEach(t *testing.T) {
	s := start(t)
	stories.Storms(t, *storms, func(round int) func() (*token.Store, error) {
		client := s.sdk(t)
		return func() (*token.Store, error) { return gcpsm.New(client, parent, fmt.Sprint("storm/", round), unpaced()) }
	})
}
