package tokensource_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource/provider"
)

// A thousand processes that find an expired token at the same moment spend the refresh token once, and
// none of those that wait makes more than three calls to the service; one more if it finds the record by
// its user, since that takes a look at the index.
func TestAThousandProcessesOnAnExpiredRecordRefreshItOnce(t *testing.T) {
	for name, c := range map[string]struct {
		who  func(w *world) *token.OAuthToken
		most int
	}{
		"by id":   {func(w *world) *token.OAuthToken { return &token.OAuthToken{ID: w.id} }, 3},
		"by user": {func(*world) *token.OAuthToken { return who() }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const processes = 1000
				w := newWorld(t, newServer(provider.SingleUse), -time.Minute)
				all := make([]*process, processes)
				for i := range all {
					all[i] = w.processFor(c.who(w))
				}
				began := time.Now()
				var wait sync.WaitGroup
				for _, p := range all {
					wait.Go(func() {
						if got := p.token(); got != "access-canary-1" {
							t.Errorf("got %s", got)
						}
					})
				}
				wait.Wait()
				took := time.Since(began)
				sum, lost, won := 0, 0, 0
				for _, p := range all {
					calls, writes := p.counted()
					sum += calls
					switch {
					case writes > 1:
						won++
						continue
					case writes == 1:
						lost++
					}
					if calls > c.most {
						t.Errorf("a process that waited made %d calls", calls)
					}
				}
				t.Logf("%.2f calls for each process; %d lost the race for the lease, %d won it; %v", float64(sum)/processes, lost, won, took)
				if n := w.server.accepted(); n != 1 || won != 1 {
					t.Errorf("the refresh token was spent %d times, by %d processes", n, won)
				}
			})
		})
	}
}
