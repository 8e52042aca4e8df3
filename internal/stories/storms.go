package stories

import (
	"sync"
	"testing"

	"github.com/tokenkeep/tokenkeep/token"
)

// Storms lets 64 goroutines in four stores sign one new user up, so many times, each
// on a service of its own: there has to be one record each time, and each save has to
// be told its id.
func Storms(t *testing.T, rounds int, serve func(round int) (open func() (*token.Store, error))) {
	queue := make(chan int, rounds)
	for i := range rounds {
		queue <- i
	}
	close(queue)
	var workers sync.WaitGroup
	for range 8 { // rounds at a time: a round mostly waits
		workers.Go(func() {
			for round := range queue {
				storm(t, serve(round))
			}
		})
	}
	workers.Wait()
}

func storm(t *testing.T, open func() (*token.Store, error)) {
	stores := make([]*token.Store, 4)
	for i := range stores {
		s, err := open()
		if err != nil {
			t.Error(err)
			return
		}
		stores[i] = s
	}
	ids := make([]string, 64)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			<-start
			mine := &token.OAuthToken{
				UserSignature: token.UserSignature{Name: "storm"},
				ClientID:      "client",
				RefreshToken:  token.NewSecret("refresh"),
			}
			if err := stores[i%len(stores)].SaveToken(t.Context(), mine); err != nil {
				t.Error(err)
			}
			ids[i] = mine.ID
		})
	}
	close(start)
	wg.Wait()
	all, err := stores[0].GetTokens(t.Context())
	if err != nil || len(all) != 1 {
		t.Errorf("%d records, %v", len(all), err)
		return
	}
	for _, id := range ids {
		if id != all[0].ID {
			t.Errorf("a save was told the id %q of the record %q", id, all[0].ID)
		}
	}
}
