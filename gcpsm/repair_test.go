package gcpsm_test

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/internal/stories"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

func TestRepair(t *testing.T) {
	stories.Repair(t, func(t *testing.T) stories.Clinic {
		s := start(t)
		return stories.Clinic{
			Open:  func() *token.Store { return s.store(t) },
			Purge: func(name string) { s.Purge(secretOf(prefix, name)) },
			Calls: func() map[string]int {
				defer s.ResetCalls()
				return s.CountCalls()
			},
			Look: map[string]int{"ListSecrets": 1, "AccessSecretVersion": 49},
			Rebuild: map[string]int{
				"ListSecrets": 2, "AccessSecretVersion": 161, "CreateSecret": 1, "AddSecretVersion": 2, "DestroySecretVersion": 1,
			},
		}
	})
}

func TestCleanDestroysWhatWasReplaced(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		dead := s.driver(t, unpaced())
		gone := s.fault(0, gcpsmtest.FailBefore(codes.Unavailable, "down"), "DestroySecretVersion")
		pile(t, dead, "a", 5)
		gone.Remove()
		d := s.driver(t, unpaced())
		for _, dry := range []bool{true, false} {
			if old, err := d.Clean(t.Context(), "a", dry); old != 4 || err != nil {
				t.Errorf("dry %v: %d old versions, %v", dry, old, err)
			}
			if dry {
				s.remain(t, 1, 2, 3, 4, 5)
			}
		}
		s.remain(t, 5)
		for _, name := range []string{"a", "nothing"} {
			if old, err := d.Clean(t.Context(), name, false); old != 0 || err != nil {
				t.Errorf("%s: %d old versions, %v", name, old, err)
			}
		}
		if _, err := d.Clean(t.Context(), "No Name", false); !errors.Is(err, driver.ErrInvalid) {
			t.Error(err)
		}
		s.denied.Store(true)
		if _, err := d.Clean(t.Context(), "a", true); !errors.Is(err, driver.ErrPermission) {
			t.Error(err)
		}
	})
}

// A version that came too late and is the newest is not known to be replaced.
func TestCleanLeavesTheNewestVersion(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		pile(t, s.driver(t, unpaced()), "a", 3)
		if err := s.add(t, `{"seen":0,"tokenkeep":{}}`); err != nil {
			t.Fatal(err)
		}
		if old, err := s.driver(t, unpaced()).Clean(t.Context(), "a", false); old != 0 || err != nil {
			t.Errorf("%d old versions, %v", old, err)
		}
		s.remain(t, 3, 4)
	})
}
