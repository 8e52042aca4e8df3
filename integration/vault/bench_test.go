package vault_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/integration/vaultnode"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
)

// What a store costs beside the client library alone, on one node with Raft storage, which
// syncs each write to the disk. Both do the same in turns, so that both meet the same
// machine. x/raw is the time with the store divided by the time without; it should stay
// below 1.25 where the mount keeps one version. Otherwise a save is a write and a
// destruction.

// BenchmarkSaveToken replaces access tokens of records that the store knows; the raw side
// writes the same bytes with KVv2.Put and cas. Eight goroutines at once have a record each.
func BenchmarkSaveToken(b *testing.B) {
	one, err := vaultnode.StartCluster(b.Context(), 1, b.TempDir(), serverLog(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stop(b, one) })
	client, err := one.Client(0)
	if err != nil {
		b.Fatal(err)
	}
	for _, versions := range []int{1, 10} {
		mount := fmt.Sprint("kv-", versions)
		mountKV(b, client, mount, map[string]any{"max_versions": versions})
		for _, goroutines := range []int{1, 8} {
			b.Run(fmt.Sprintf("%d versions kept/%d goroutines", versions, goroutines), func(b *testing.B) {
				prefix := fmt.Sprint("bench-", goroutines, "-", time.Now().UnixNano())
				compareSaves(b, client, mount, prefix, goroutines)
			})
		}
	}
}

// A saver replaces the token of one record, in both ways.
type saver struct {
	store   *token.Store
	kv      *api.KVv2
	id      string
	raw     string         // its secret of the raw side
	record  map[string]any // what the store wrote
	version int
	n       int
}

func (s *saver) access() string { return fmt.Sprint("access-", s.n) }

func (s *saver) kept(b *testing.B) error {
	s.n++
	return s.store.SaveToken(b.Context(), &token.OAuthToken{ID: s.id, AccessToken: token.NewSecret(s.access())})
}

func (s *saver) bare(b *testing.B) error {
	s.n++
	s.record["access_token"] = s.access()
	value, err := json.Marshal(s.record)
	if err != nil {
		return err
	}
	out, err := s.kv.Put(b.Context(), s.raw, map[string]any{"value": string(value)}, api.WithCheckAndSet(s.version))
	if err != nil {
		return err
	}
	s.version = out.VersionMetadata.Version
	return nil
}

// compareSaves lets goroutines save with the store and without it, in turns of sixteen
// saves each, and reports the median times of a turn.
func compareSaves(b *testing.B, client *api.Client, mount, prefix string, goroutines int) {
	b.Helper()
	const turn = 16
	savers := make([]*saver, goroutines)
	for i := range savers {
		savers[i] = newSaver(b, client, mount, prefix, i)
	}
	timed := func(save func(*saver, *testing.B) error, times *[]float64) {
		began := time.Now()
		var wg sync.WaitGroup
		for _, s := range savers {
			wg.Go(func() {
				for range turn {
					if err := save(s, b); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		*times = append(*times, time.Since(began).Seconds())
	}
	var with, without []float64
	for i := 0; b.Loop(); i++ {
		if i%2 == 0 { // neither is always the first
			timed((*saver).kept, &with)
			timed((*saver).bare, &without)
		} else {
			timed((*saver).bare, &without)
			timed((*saver).kept, &with)
		}
	}
	median := func(times []float64) float64 {
		slices.Sort(times)
		return times[len(times)/2]
	}
	saves := float64(turn * goroutines)
	b.ReportMetric(saves/median(with), "saves/s")
	b.ReportMetric(saves/median(without), "raw/s")
	b.ReportMetric(median(with)/median(without), "x/raw")
}

func newSaver(b *testing.B, client *api.Client, mount, prefix string, i int) *saver {
	b.Helper()
	store, err := vaultstore.New(client, mount, prefix, nil)
	if err != nil {
		b.Fatal(err)
	}
	s := &saver{store: store, kv: client.KVv2(mount), raw: fmt.Sprint(prefix, "/raw-", i)}
	u := user(i)
	if err := store.SaveToken(b.Context(), u); err != nil {
		b.Fatal(err)
	}
	s.id = u.ID
	kept, err := s.kv.Get(b.Context(), prefix+"/token-"+s.id)
	if err != nil {
		b.Fatal(err)
	}
	text, _ := kept.Data["value"].(string)
	if err := json.Unmarshal([]byte(text), &s.record); err != nil {
		b.Fatal(err)
	}
	return s
}
