package awssm_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/internal/stories"
	"github.com/tokenkeep/tokenkeep/token"
)

var storms = flag.Int("storms", 200, "rounds of TestStormsOfOneNewUserLeaveOneRecordEach")

func TestStormsOfOneNewUserLeaveOneRecordEach(t *testing.T) {
	s := start(t)
	stories.Storms(t, *storms, func(round int) func() (*token.Store, error) {
		client := s.sdk(t)
		return func() (*token.Store, error) { return awssm.New(client, fmt.Sprint("storm/", round), nil) }
	})
}
