package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
	"github.com/tokenkeep/tokenkeep/token"
)

// together is how many tokens are saved by one call.
const together = 50

// fill saves many tokens, each about as large as those of Zoho's services.
func (w *worker) fill(ctx context.Context) error {
	next := make(chan []*token.OAuthToken)
	errs := make(chan error, w.clients)
	var wg sync.WaitGroup
	for range w.clients {
		wg.Go(func() {
			for tokens := range next {
				if err := w.store.SaveTokens(ctx, tokens); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	var err error
	for first := 0; first < w.tokens && err == nil; first += together {
		var tokens []*token.OAuthToken
		for n := first; n < min(first+together, w.tokens); n++ {
			tokens = append(tokens, example(n))
		}
		select {
		case next <- tokens:
		case err = <-errs:
		}
	}
	close(next)
	wg.Wait()
	close(errs)
	return errors.Join(err, <-errs)
}

func example(n int) *token.OAuthToken {
	number := strconv.Itoa(n)
	return &token.OAuthToken{
		UserSignature: token.UserSignature{Name: userName + number},
		ClientID:      "1000." + strings.Repeat("C", 30),
		ClientSecret:  token.NewSecret(strings.Repeat("s", 42)),
		RefreshToken:  token.NewSecret(refreshName + number + strings.Repeat("r", 60)),
		AccessToken:   token.NewSecret(accessName + number + strings.Repeat("a", 60)),
		Expiry:        time.Now().Add(time.Hour),
		APIDomain:     "https://www.zohoapis.com",
	}
}

// list lists all tokens, one after the other, and says how much memory that took.
func (w *worker) list(ctx context.Context) error {
	began := time.Now()
	n := 0
	for _, err := range w.store.All(ctx) {
		if err != nil {
			return err
		}
		n++
	}
	listed := oplog.Listed{Tokens: n, Seconds: time.Since(began).Seconds()}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for name, into := range map[string]*int64{"VmHWM": &listed.Peak, "RssAnon": &listed.Anonymous} {
		n, ok := bytesOf(string(status), name)
		if !ok {
			listed.Missing = append(listed.Missing, name)
		}
		*into = n
	}
	slices.Sort(listed.Missing)
	w.write(oplog.Line{Listed: &listed})
	return nil
}

// bytesOf returns an amount of memory of /proc/self/status, if it is there. Some kernels do not
// say all that Linux says.
func bytesOf(status, name string) (n int64, ok bool) {
	number, isKB := strings.CutSuffix(statusField(status, name), " kB")
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if !isKB || err != nil {
		return 0, false
	}
	return n << 10, true
}
