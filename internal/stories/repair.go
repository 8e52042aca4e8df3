package stories

import (
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/tokenkeep/tokenkeep/token"
)

// A Clinic is a service whose store is mended.
type Clinic struct {
	// Open returns a new store on the service.
	Open func() *token.Store
	// Purge removes a secret, by its name without the prefix, as a hand does it.
	Purge func(name string)
	// Calls counts the calls to the service since the last time, by name.
	Calls func() map[string]int
	// Look is how many calls a dry run takes in a store of 45 users. Rebuild is how many a
	// repair takes there whose index is lost.
	Look, Rebuild map[string]int
}

// patients is how many users a store has that is mended.
const patients = 45

// Repair tells what a repair does on a service.
func Repair(t *testing.T, serve func(t *testing.T) Clinic) {
	filled := func(t *testing.T) Clinic {
		t.Helper()
		c := serve(t)
		signUp(t, c.Open(), 0, patients)
		c.Calls()
		return c
	}
	t.Run("a store that is well is looked at in few calls", func(t *testing.T) {
		c := filled(t)
		report, err := c.Open().Repair(t.Context(), token.RepairOptions{DryRun: true})
		if err != nil || !report.Clean() || len(report.Problems) > 0 || report.Records != patients {
			t.Errorf("%v: %v", report, err)
		}
		if got := c.Calls(); !maps.Equal(got, c.Look) {
			t.Errorf("the calls %v, want %v", got, c.Look)
		}
	})
	t.Run("a lost index is made anew of the records", func(t *testing.T) {
		c := filled(t)
		c.Purge("index")
		report, err := c.Open().Repair(t.Context(), token.RepairOptions{})
		if err != nil || report.Count(token.LostIndex).Fixed != 1 || report.Again == 0 {
			t.Errorf("%v: %v", report, err)
		}
		if got := c.Calls(); !maps.Equal(got, c.Rebuild) {
			t.Errorf("the calls %v, want %v", got, c.Rebuild)
		}
		c.found(t, patients)
		c.well(t)
	})
	t.Run("an index is rebuilt while users sign up", func(t *testing.T) {
		c := filled(t)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := range 5 {
					u := patients + 5*i + n
					for range 20 { // while the index is shut, a save says so
						err := c.Open().SaveToken(t.Context(), tok(fmt.Sprint("user ", u), fmt.Sprint("refresh R", u), fmt.Sprint("access A", u)))
						if err == nil {
							return
						}
					}
					t.Errorf("user %d was never saved", u)
				}
			})
		}
		report, err := c.Open().Repair(t.Context(), token.RepairOptions{Rebuild: true})
		wg.Wait()
		if err != nil || report.Again == 0 {
			t.Errorf("%v: %v", report, err)
		}
		if _, err := c.Open().Repair(t.Context(), token.RepairOptions{}); err != nil {
			t.Error(err)
		}
		c.found(t, patients)
		c.well(t)
	})
}

// found tells that all users are found by their keys, and can be saved.
func (c Clinic) found(t *testing.T, users int) {
	t.Helper()
	store := c.Open()
	for i := range users {
		u, err := store.FindToken(t.Context(), tok(fmt.Sprint("refresh R", i)))
		if err != nil || u.UserSignature.Name != fmt.Sprint(i) {
			t.Errorf("user %d: %v", i, err)
		}
	}
	if err := store.SaveToken(t.Context(), tok("user 0", "access later")); err != nil {
		t.Error(err)
	}
	all, err := store.GetTokens(t.Context())
	names := make(map[string]bool)
	for _, u := range all {
		names[u.UserSignature.Name] = true
	}
	if err != nil || len(names) != len(all) {
		t.Errorf("%d records of %d users: %v", len(all), len(names), err)
	}
}

// well tells that there is nothing to mend.
func (c Clinic) well(t *testing.T) {
	t.Helper()
	report, err := c.Open().Repair(t.Context(), token.RepairOptions{DryRun: true, OldVersions: true})
	if err != nil || !report.Clean() {
		t.Errorf("%v: %v", report, err)
	}
}
