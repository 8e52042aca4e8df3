package vault_test

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// Tokens that are renewed in the background, until they cannot be any more.

// renewing logs in, and renews the token in the background.
func (p *program) renewing(client *api.Client) *api.LifetimeWatcher {
	p.Helper()
	secret, err := client.Logical().WriteWithContext(p.Context(), "auth/approle-"+p.hand.mount+"/login", p.credentials)
	if err != nil {
		p.Fatal(err)
	}
	client.SetToken(secret.Auth.ClientToken)
	watcher, err := client.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: secret})
	if err != nil {
		p.Fatal(err)
	}
	go watcher.Start()
	p.Cleanup(watcher.Stop)
	return watcher
}

func TestALifetimeWatcherRenewsTheTokenOfAStore(t *testing.T) {
	t.Parallel()
	p := startCore(t).program(t, map[string]any{"token_ttl": "1h"})
	store, client := p.start()
	watcher := p.renewing(client)
	select {
	case <-watcher.RenewCh():
	case err := <-watcher.DoneCh():
		t.Fatalf("it ended before it renewed: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("it did not renew within a minute")
	}
	s, err := p.hand.client.Auth().Token().LookupWithContext(t.Context(), client.Token())
	if err != nil || s.Data["last_renewal_time"] == nil {
		t.Errorf("the token was not renewed: %v", err)
	}
	p.succeeds(called(p.ids, "FindTokenByID"), store)
	p.loggedIn(0)
}

// At the token's maximal lifetime the watcher ends, and a login gets the next one.
func TestALoginFollowsALifetimeWatcherThatEnds(t *testing.T) {
	t.Parallel()
	p := startCore(t).program(t, map[string]any{"token_ttl": "1s", "token_max_ttl": "1s"})
	store, client := p.start()
	watcher := p.renewing(client)
	for ended := false; !ended; {
		select {
		case <-watcher.RenewCh():
		case <-watcher.DoneCh(): //nolint:errcheck // that it ended is what matters
			ended = true
		case <-time.After(time.Minute):
			t.Fatal("it did not end within a minute")
		}
	}
	p.lasting()
	p.logsIn(store)
}
