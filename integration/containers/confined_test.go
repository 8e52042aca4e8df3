package containers_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/integration/containers/judge"
	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
	"github.com/tokenkeep/tokenkeep/integration/containers/stage"
)

// confined fails the test where workers in containers say that they may do more than was
// meant. Child processes may.
func confined(t *testing.T, on stage.Stage, logs ...*judge.Log) {
	t.Helper()
	if on.Mode() != stage.InContainers {
		return
	}
	said := 0
	for _, l := range logs {
		c := l.Confined
		if c == nil {
			if !l.Killed {
				t.Errorf("worker %d does not say how it is confined", l.Worker)
			}
			continue
		}
		said++
		nothing := strings.Trim(c.Capabilities, "0") == "" && c.Capabilities != ""
		// Not every kernel shows a container its control group.
		little := c.Memory == strconv.Itoa(stage.Memory) || c.Memory == oplog.Unknown
		if c.UID != stage.Nobody || c.GID != stage.Nobody || c.RootWritable || c.DirWritable || !nothing || c.NoNewPrivs != "1" || !little {
			t.Errorf("worker %d is confined no better than %+v", l.Worker, *c)
		}
	}
	if said == 0 {
		t.Error("no worker says how it is confined")
	}
}
