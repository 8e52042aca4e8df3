package vaultstore_test

import (
	"errors"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/stories"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

func TestRepair(t *testing.T) {
	stories.Repair(t, func(t *testing.T) stories.Clinic {
		s := start(t)
		return stories.Clinic{
			Open:  func() *token.Store { return s.store(t) },
			Purge: func(name string) { s.Purge(at(name)) },
			Calls: func() map[string]int {
				defer s.ResetCalls()
				return s.CountCalls()
			},
			Look: map[string]int{"LIST metadata": 1, "GET data": 47},
			Rebuild: map[string]int{
				"LIST metadata": 2, "GET data": 103, "PUT data": 2, "PUT destroy": 1, "GET config": 1, "GET sys/internal/ui/mounts": 1,
			},
		}
	})
}

func TestCleanDestroysWhatWasReplaced(t *testing.T) {
	s := start(t)
	s.SetMountConfig(mount, 100, false, 0)
	gone := s.fault(0, vaultstoretest.FailBefore(403, saysDenied), "PUT destroy")
	for range 5 {
		pile(t, s.driver(t, nil), "a", 1)
	}
	gone.Remove()
	d := s.driver(t, nil)
	s.ResetCalls()
	for _, dry := range []bool{true, false} {
		if old, err := d.Clean(t.Context(), "a", dry); old != 4 || err != nil {
			t.Errorf("dry %v: %d old versions, %v", dry, old, err)
		}
	}
	if got := s.CountCalls(); got["GET metadata"] != 2 || got["PUT destroy"] != 1 {
		t.Errorf("the calls %v", got)
	}
	s.keepsOne(t, "a")
	for _, name := range []string{"a", "nothing"} {
		if old, err := d.Clean(t.Context(), name, false); old != 0 || err != nil {
			t.Errorf("%s: %d old versions, %v", name, old, err)
		}
	}
	if _, err := d.Clean(t.Context(), "No Name", false); !errors.Is(err, driver.ErrInvalid) {
		t.Error(err)
	}
	s.fault(0, vaultstoretest.FailBefore(403, saysDenied), "GET metadata")
	if _, err := d.Clean(t.Context(), "a", true); !errors.Is(err, driver.ErrPermission) {
		t.Error(err)
	}
}
