package containers_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/stage"
)

// What a worker may take while it lists so many tokens.
const (
	many      = 10_000
	mostBytes = 40 << 20
)

// A worker that lists many tokens needs little memory.
func TestAWorkerListsManyTokensInLittleMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, service, server string }{
		{"AWS", "aws", stage.AWSServer},
		{"GCP", "gcp", stage.GCPServer},
		{"Vault", "vault", stage.VaultServer},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			on := newStage(t, stage.Worker, c.server)
			if on.Mode() != stage.InContainers && runtime.GOOS != "linux" {
				t.Skip("how much memory a process has is read from /proc, which is not here")
			}
			var s *service
			if c.service == "vault" {
				s = startVault(t, on, 1)
			} else {
				s = startDouble(t, on, c.service, c.server)
			}
			crew := &crew{stage: on, service: s}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			began := time.Now()
			run := func(do string, clients int) *worker {
				w, err := crew.start(ctx, do, map[string]string{"WORKER_TOKENS": strconv.Itoa(many), "WORKER_CLIENTS": strconv.Itoa(clients)})
				if err != nil {
					t.Fatal(err)
				}
				if err := w.Wait(ctx); err != nil {
					t.Fatal(err)
				}
				return w
			}
			run("fill", 32)
			filled := time.Since(began)
			w := run("list", 1)
			if len(w.log.Lines) != 1 || w.log.Lines[0].Listed == nil {
				t.Fatalf("the worker wrote %+v", w.log.Lines)
			}
			l := w.log.Lines[0].Listed
			t.Attr("memory", fmt.Sprintf("%s: %d tokens listed in %.1f s with %.1f MiB at most, in the end %.1f MiB of its own (filled in %.0f s)",
				c.name, l.Tokens, l.Seconds, mib(l.Peak), mib(l.Anonymous), filled.Seconds()))
			confined(t, on, w.log)
			if len(l.Missing) > 0 || l.Peak <= 0 || l.Anonymous <= 0 {
				t.Errorf("the memory was not measured: the kernel does not say %v", l.Missing)
			}
			if l.Tokens != many {
				t.Errorf("%d tokens are listed of %d", l.Tokens, many)
			}
			if l.Peak > mostBytes {
				t.Errorf("the worker had %.1f MiB of memory, more than %.1f", mib(l.Peak), mib(mostBytes))
			}
		})
	}
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
