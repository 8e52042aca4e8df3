package awssm_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/internal/stories"
	"github.com/tokenkeep/tokenkeep/token"
)

func TestRepair(t *testing.T) {
	stories.Repair(t, func(t *testing.T) stories.Clinic {
		s := start(t, awssmtest.WithoutVersionQuota())
		return stories.Clinic{
			Open:  func() *token.Store { return s.store(t) },
			Purge: func(name string) { s.Purge(prefix + "/" + name) },
			Calls: func() map[string]int {
				defer s.ResetCalls()
				return s.CountCalls()
			},
			Look:    map[string]int{"ListSecrets": 1, "GetSecretValue": 2, "BatchGetSecretValue": 3},
			Rebuild: map[string]int{"ListSecrets": 2, "GetSecretValue": 13, "BatchGetSecretValue": 6, "CreateSecret": 1, "PutSecretValue": 1},
		}
	})
}

// ListSecrets may be five minutes late. A repair knows from the index what is not listed yet.
func TestALateListDoesNotMisleadARepair(t *testing.T) {
	s := start(t, awssmtest.WithListLag(5*time.Minute))
	imports(t, 2, 0, 30, func() *token.Store { return s.store(t) })
	mended := func(opts token.RepairOptions, records int, want token.RepairCount) {
		t.Helper()
		report, err := s.store(t).Repair(t.Context(), opts)
		if err != nil || report.Records != records || want.Problem != "" && report.Count(want.Problem) != want {
			t.Errorf("%v: %v", report, err)
		}
		if want.Problem == "" && len(report.Problems) > 0 {
			t.Errorf("%v", report)
		}
	}
	mended(token.RepairOptions{}, 30, token.RepairCount{})
	mended(token.RepairOptions{Rebuild: true}, 30, token.RepairCount{})
	s.found(t, 30)

	// If the index is lost, nothing tells of what is not listed. A later run finds that.
	s.clock.Advance(10 * time.Minute)
	imports(t, 2, 30, 40, func() *token.Store { return s.store(t) })
	s.Purge(prefix + "/index")
	mended(token.RepairOptions{}, 30, token.RepairCount{Problem: token.LostIndex, Found: 1, Fixed: 1})
	s.clock.Advance(10 * time.Minute)
	mended(token.RepairOptions{}, 40, token.RepairCount{Problem: token.MissingEntry, Found: 10, Fixed: 10})
	s.found(t, 40)
	mended(token.RepairOptions{DryRun: true}, 40, token.RepairCount{})
}

// What is marked for deletion can be restored by hand, and that is what the error says.
func TestAnIndexThatIsMarkedForDeletionIsToBeRestored(t *testing.T) {
	s := start(t)
	imports(t, 1, 0, 2, func() *token.Store { return s.store(t) })
	d := s.driver(t, nil)
	if err := d.Delete(t.Context(), "index"); err != nil {
		t.Fatal(err)
	}
	for _, rebuild := range []bool{false, true} {
		report, err := s.store(t).Repair(t.Context(), token.RepairOptions{Rebuild: rebuild})
		if !errors.Is(err, token.ErrCorrupt) || report.Done {
			t.Errorf("%v: %v", report, err)
		}
		t.Log(fmt.Sprint(err))
	}
}
