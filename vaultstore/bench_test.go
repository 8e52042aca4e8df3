package vaultstore_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/token"
)

// What a store costs beside the requests that it makes: the same is done with the client
// library alone, in turns, so that both meet the same machine. x/raw is the time with the
// store divided by the time without. It should stay below 1.15.

// BenchmarkFindTokenByID reads a record; the raw side reads it with KVv2.Get and decodes
// it.
func BenchmarkFindTokenByID(b *testing.B) {
	s := start(b)
	store, kv := s.store(b), s.sdk(b).KVv2(mount)
	id := save(b, store, 1)[0]
	name := prefix + "/token-" + id
	compare(b, s,
		func() error {
			_, err := store.FindTokenByID(b.Context(), id)
			return err
		},
		func() error {
			out, err := kv.Get(b.Context(), name)
			if err != nil {
				return err
			}
			text, _ := out.Data["value"].(string)
			var record map[string]any
			return json.Unmarshal([]byte(text), &record)
		})
}

// BenchmarkSaveToken replaces an access token; the raw side writes a version of that size
// with KVv2.Put and cas. The mount keeps one version.
func BenchmarkSaveToken(b *testing.B) {
	s := start(b)
	s.SetMountConfig(mount, 1, false, 0)
	store, kv := s.store(b), s.sdk(b).KVv2(mount)
	id := save(b, store, 1)[0]
	kept, _ := s.holds("token-" + id)
	n, version := 0, 0
	compare(b, s,
		func() error {
			n++
			return store.SaveToken(b.Context(), &token.OAuthToken{ID: id, AccessToken: token.NewSecret(fmt.Sprint("access-", n))})
		},
		func() error {
			var record map[string]any
			if err := json.Unmarshal([]byte(kept), &record); err != nil {
				return err
			}
			record["access_token"] = fmt.Sprint("access-", n)
			value, err := json.Marshal(record)
			if err != nil {
				return err
			}
			out, err := kv.Put(b.Context(), prefix+"/raw", map[string]any{"value": string(value)}, api.WithCheckAndSet(version))
			if err != nil {
				return err
			}
			version = out.VersionMetadata.Version
			return nil
		})
}

// compare runs both sides in turns and reports their median times: means would say
// what else the machine was doing.
func compare(b *testing.B, s *service, kept, raw func() error) {
	b.Helper()
	var with, without []time.Duration
	timed := func(f func() error, times *[]time.Duration) {
		began := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		*times = append(*times, time.Since(began))
	}
	for i := 0; b.Loop(); i++ {
		if i%2 == 0 { // neither is always the first
			timed(kept, &with)
			timed(raw, &without)
		} else {
			timed(raw, &without)
			timed(kept, &with)
		}
		if i%1000 == 0 {
			s.ResetCalls() // they fill the memory
		}
	}
	median := func(times []time.Duration) float64 {
		slices.Sort(times)
		return float64(times[len(times)/2])
	}
	b.ReportMetric(median(with), "ns/store")
	b.ReportMetric(median(without), "ns/raw")
	b.ReportMetric(median(with)/median(without), "x/raw")
}
