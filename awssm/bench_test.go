package awssm_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/token"
)

// What a store costs beside the request that it makes: the same is done with the SDK
// alone, in turns, so that both meet the same machine. x/raw is the time with the
// store divided by the time without, and should stay below 1.15.

// BenchmarkFindTokenByID reads a record; the raw side reads a secret of that size.
func BenchmarkFindTokenByID(b *testing.B) {
	s := start(b)
	store, client := s.store(b), s.sdk(b)
	id := save(b, store, 1)[0]
	name := prefix + "/token-" + id
	compare(b, s,
		func() error {
			_, err := store.FindTokenByID(b.Context(), id)
			return err
		},
		func() error {
			out, err := client.GetSecretValue(b.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
			if err != nil {
				return err
			}
			var record map[string]any
			return json.Unmarshal([]byte(*out.SecretString), &record)
		})
}

// BenchmarkSaveToken replaces an access token; the raw side puts a secret of that size.
func BenchmarkSaveToken(b *testing.B) {
	s := start(b, awssmtest.WithoutVersionQuota())
	store, client := s.store(b), s.sdk(b)
	id := save(b, store, 1)[0]
	name := prefix + "/raw"
	kept, _, _ := s.Value(prefix + "/token-" + id)
	if _, err := s.SetValue(name, kept); err != nil {
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
			_, err = client.PutSecretValue(b.Context(), &secretsmanager.PutSecretValueInput{
				SecretId: &name, SecretString: aws.String(string(value)),
			})
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
