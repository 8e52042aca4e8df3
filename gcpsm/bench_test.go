package gcpsm_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	secretmanagerpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/token"
)

// What a store costs beside the requests that it makes: the same is done with the client
// library alone, in turns, so that both meet the same machine. x/raw is the time with the
// store divided by the time without. It should stay below 1.15.

// BenchmarkFindTokenByID reads a record that is known; the raw side reads the version
// with its number and decodes it. The store asks for the number above instead, which does
// not exist, and needs no value again.
func BenchmarkFindTokenByID(b *testing.B) {
	s := start(b)
	store, client := s.store(b), s.sdk(b)
	id := save(b, store, 1)[0]
	name := secretOf(prefix, "token-"+id) + "/versions/1"
	compare(b, s,
		func() error {
			_, err := store.FindTokenByID(b.Context(), id)
			return err
		},
		func() error {
			out, err := client.AccessSecretVersion(b.Context(), &secretmanagerpb.AccessSecretVersionRequest{Name: name})
			if err != nil {
				return err
			}
			var record map[string]any
			return json.Unmarshal(out.GetPayload().GetData(), &record)
		})
}

// BenchmarkFindTokenByIDCold reads a record that the process has not seen; the raw side
// reads the latest version and the number above it, and decodes what it finds.
func BenchmarkFindTokenByIDCold(b *testing.B) {
	s := start(b)
	client := s.sdk(b)
	id := save(b, s.store(b), 1)[0]
	name := secretOf(prefix, "token-"+id) + "/versions/"
	opts := unpaced()
	compare(b, s,
		func() error {
			store, err := gcpsm.New(client, parent, prefix, opts)
			if err != nil {
				return err
			}
			_, err = store.FindTokenByID(b.Context(), id)
			return err
		},
		func() error {
			out, err := client.AccessSecretVersion(b.Context(), &secretmanagerpb.AccessSecretVersionRequest{Name: name + "latest"})
			if err != nil {
				return err
			}
			if _, err := client.AccessSecretVersion(b.Context(), &secretmanagerpb.AccessSecretVersionRequest{Name: name + "2"}); err == nil {
				return fmt.Errorf("there is a version 2")
			}
			var record map[string]any
			return json.Unmarshal(out.GetPayload().GetData(), &record)
		})
}

// BenchmarkSaveToken replaces an access token; the raw side adds a version of that size
// and destroys the one before it.
func BenchmarkSaveToken(b *testing.B) {
	s := start(b)
	store, client := s.store(b), s.sdk(b)
	id := save(b, store, 1)[0]
	name := secretOf(prefix, "raw")
	kept, _, _ := s.Value(secretOf(prefix, "token-"+id))
	last, err := s.SetValue(name, kept)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
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
			_, err = client.AddSecretVersion(b.Context(), &secretmanagerpb.AddSecretVersionRequest{
				Parent: name, Payload: &secretmanagerpb.SecretPayload{Data: value},
			})
			if err != nil {
				return err
			}
			_, err = client.DestroySecretVersion(b.Context(), &secretmanagerpb.DestroySecretVersionRequest{
				Name: fmt.Sprint(name, "/versions/", last),
			})
			last++
			return err
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
