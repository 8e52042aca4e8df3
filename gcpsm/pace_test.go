package gcpsm_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token"
)

// The quotas are the service's, the latency is that of a region nearby, and time is that
// of a bubble.

const latency = 40 * time.Millisecond

// limited starts a service with quotas in a bubble.
func limited(t testing.TB, opts ...gcpsmtest.Option) *service {
	t.Helper()
	return virtual(t, append([]gcpsmtest.Option{gcpsmtest.WithQuotas(gcpsmtest.Quotas{}), gcpsmtest.WithLatency(latency)}, opts...)...)
}

// paced opens a store for a process of its own.
func (s *service) paced(t testing.TB, parent string, opts *gcpsm.Options) *token.Store {
	t.Helper()
	store, err := gcpsm.New(s.sdk(t), parent, prefix, opts)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// refusals counts the requests that met a quota.
func (s *service) refusals() (n int) {
	for _, c := range s.Calls() {
		if c.Code == codes.ResourceExhausted {
			n++
		}
	}
	return n
}

// A crowd is what several processes did to one record at the same time.
type crowd struct {
	saves, adds, refused, reads int
	took                        time.Duration
}

func (c crowd) String() string {
	per := func(n int) float64 { return float64(n) / float64(c.saves) }
	return fmt.Sprintf("%d saves in %v: %.2f adds, %.2f of them refused, and %.2f reads for each save",
		c.saves, c.took.Round(time.Millisecond), per(c.adds), per(c.refused), per(c.reads))
}

// gather lets processes write one record, each several times.
func gather(t *testing.T, s *service, processes, each int, opts *gcpsm.Options) crowd {
	t.Helper()
	ids := save(t, s.paced(t, parent, opts), 1)
	stores := make([]*token.Store, processes)
	for i := range stores {
		stores[i] = s.paced(t, parent, opts)
		if _, err := stores[i].FindTokenByID(t.Context(), ids[0]); err != nil {
			t.Fatal(err)
		}
	}
	s.ResetCalls()
	began := time.Now()
	var wg sync.WaitGroup
	for i, store := range stores {
		wg.Go(func() {
			for n := range each {
				mark := fmt.Sprint("mark-", i, "-", n)
				var err error
				if n%2 == 0 {
					err = store.UpdateToken(t.Context(), ids[0], func(u *token.OAuthToken) error {
						if u.Extra == nil {
							u.Extra = map[string]token.Secret{}
						}
						u.Extra[mark] = token.NewSecret("1")
						return nil
					})
				} else {
					u := find("user-0", "")
					u.AccessToken, u.Extra = token.NewSecret(mark), map[string]token.Secret{mark: token.NewSecret("1")}
					err = store.SaveToken(t.Context(), u)
				}
				if err != nil {
					t.Errorf("a save: %v", err)
				}
			}
		})
	}
	wg.Wait()
	c := crowd{saves: processes * each, took: time.Since(began)}
	for _, call := range s.Calls() {
		switch call.Method {
		case "AddSecretVersion":
			c.adds++
			if call.Code == codes.ResourceExhausted {
				c.refused++
			}
		case "AccessSecretVersion":
			c.reads++
		}
	}
	found, err := s.paced(t, parent, opts).FindTokenByID(t.Context(), ids[0])
	if err != nil || len(found.Extra) != c.saves {
		t.Errorf("the record has %d marks, want %d: %v", len(found.Extra), c.saves, err)
	}
	return c
}

// A secret takes two adds in a second. Processes that all add at once would use them up
// in vain.
func TestProcessesThatWriteOneRecordAtOnceNeedFewAdds(t *testing.T) {
	for _, meeting := range []struct{ processes, each int }{{2, 6}, {8, 6}, {20, 2}} {
		synctest.Test(t, func(t *testing.T) {
			c := gather(t, limited(t), meeting.processes, meeting.each, nil)
			t.Logf("%d processes: %v", meeting.processes, c)
			if per := float64(c.adds) / float64(c.saves); per > 2.5 {
				t.Errorf("%d processes: %.2f adds for each save, and at most 2.5 are wanted", meeting.processes, per)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		t.Logf("8 processes that keep no pace: %v", gather(t, limited(t), 8, 6, unpaced()))
	})
	synctest.Test(t, func(t *testing.T) {
		t.Logf("8 processes that keep no pace, without quotas: %v", gather(t, virtual(t, gcpsmtest.WithLatency(latency)), 8, 6, unpaced()))
	})
}

func TestAStoreThatWritesOneSecretAsFastAsItCanMeetsNoQuota(t *testing.T) {
	for _, c := range []struct {
		parent string
		each   int
		double []gcpsmtest.Option
		// rate is how many adds the quota allows in a second.
		rate float64
	}{
		{parent, 60, nil, 2},
		{parent + "/locations/europe-west3", 400, []gcpsmtest.Option{gcpsmtest.WithLocation("europe-west3")}, 80},
	} {
		synctest.Test(t, func(t *testing.T) {
			// The project's quota is the subject of another test.
			s := limited(t, append(c.double, gcpsmtest.WithLatency(time.Millisecond), gcpsmtest.WithQuotas(gcpsmtest.Quotas{WritePerMinute: -1}))...)
			store := s.paced(t, c.parent, &gcpsm.Options{Pace: gcpsm.Pace{ProjectWrites: -1}})
			id := save(t, store, 1)[0]
			began := time.Now()
			for n := range c.each {
				u := &token.OAuthToken{ID: id, AccessToken: token.NewSecret(fmt.Sprint("access-", n))}
				if err := store.SaveToken(t.Context(), u); err != nil {
					t.Fatal(err)
				}
			}
			took := time.Since(began).Seconds()
			rate := float64(c.each) / took
			t.Logf("%s: %.2f saves in a second", c.parent, rate)
			if n := s.refusals(); n > 0 {
				t.Errorf("%s: %d requests met a quota", c.parent, n)
			}
			if rate > c.rate+0.1 || rate < c.rate*0.75 {
				t.Errorf("%s: %.2f saves in a second, and the quota allows %v", c.parent, rate, c.rate)
			}
		})
	}
}

func TestAnImportMeetsNoQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := limited(t)
		store := s.paced(t, parent, nil)
		const n = 300
		began := time.Now()
		save(t, store, n)
		took := time.Since(began)
		counts, writes := s.CountCalls(), 0
		for _, method := range writing {
			writes += counts[method]
		}
		t.Logf("%d tokens in %v, %d requests that write", n, took.Round(time.Second), writes)
		if r := s.refusals(); r > 0 {
			t.Errorf("%d requests met a quota", r)
		}
		// Each new token is an add to the index, which takes two of them in a second.
		least := n * time.Second / 2
		if took < least*9/10 || took > least*5/4 {
			t.Errorf("it took %v, and the quota asks for %v", took, least)
		}
	})
}

func TestANegativePaceIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := virtual(t)
		began := time.Now()
		store := s.paced(t, parent, unpaced())
		id := save(t, store, 100)[0]
		for n := range 100 {
			if err := store.SaveToken(t.Context(), &token.OAuthToken{ID: id, AccessToken: token.NewSecret(fmt.Sprint("new-", n))}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAQuotaThatOthersUseUpIsWaitedForAsLongAsTheOperationMayTake(t *testing.T) {
	for _, c := range []struct {
		until, timeout time.Duration
		want           error
	}{
		{20 * time.Second, time.Minute, nil},
		{2 * time.Minute, time.Minute, token.ErrUnavailable},
		{5 * time.Minute, 10 * time.Minute, nil},
	} {
		for method, what := range map[string]func(context.Context, *token.Store, string) error{
			"AddSecretVersion": func(ctx context.Context, st *token.Store, id string) error {
				return st.SaveToken(ctx, &token.OAuthToken{ID: id, AccessToken: token.NewSecret("new")})
			},
			"CreateSecret": func(ctx context.Context, st *token.Store, _ string) error { return st.SaveToken(ctx, user(9)) },
			"AccessSecretVersion": func(ctx context.Context, st *token.Store, id string) error {
				_, err := st.FindTokenByID(ctx, id)
				return err
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				// Without latency no request is on its way when the time is up: its outcome would be
				// unknown.
				s := virtual(t)
				opts := &gcpsm.Options{Store: token.Options{Timeout: c.timeout}}
				store := s.paced(t, parent, opts)
				id := save(t, store, 1)[0]
				used := s.fault(0, gcpsmtest.Throttle(), method)
				free := time.AfterFunc(c.until, used.Remove)
				defer free.Stop()
				began := time.Now()
				err := what(t.Context(), store, id)
				took := time.Since(began)
				switch {
				case c.want == nil && (err != nil || took < c.until || took > c.until+20*time.Second):
					t.Errorf("%s, %v of %v: %v after %v", method, c.until, c.timeout, err, took)
				case c.want != nil && (!errors.Is(err, c.want) || !errors.Is(err, token.ErrQuota) || took > c.timeout+time.Second):
					t.Errorf("%s, %v of %v: %v after %v, want %v", method, c.until, c.timeout, err, took, c.want)
				}
				used.Remove()
				if err := what(t.Context(), store, id); err != nil {
					t.Errorf("%s, later: %v", method, err)
				}
			})
		}
	}
}
