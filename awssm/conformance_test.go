package awssm_test

import (
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/drivertest"
)

func TestDriver(t *testing.T) {
	forced := &awssm.Options{ForceDelete: true}
	t.Run("deletions can be recovered", func(t *testing.T) {
		conformance(t, nil, nil)
	})
	t.Run("deletions are forced", func(t *testing.T) {
		conformance(t, forced, nil)
	})
	t.Run("reads are stale and lists late", func(t *testing.T) {
		conformance(t, nil, nil, awssmtest.WithStaleness(1, 3), awssmtest.WithListLag(5*time.Minute))
	})
	t.Run("reads are stale, lists late and deletions forced", func(t *testing.T) {
		conformance(t, forced, nil, awssmtest.WithStaleness(2, 3), awssmtest.WithListLag(5*time.Minute))
	})
	t.Run("the client makes no retries", func(t *testing.T) {
		conformance(t, forced, func(o *secretsmanager.Options) { o.Retryer = aws.NopRetryer{} })
	})
}

// A member is what the hooks know of a driver.
type member struct {
	service *service
	prefix  string
	// The faults that the hooks ordered are the service's.
	faults *faults
}

type faults struct {
	mu         sync.Mutex
	lose, fail *awssmtest.Injection
}

// order replaces a fault that was ordered before.
func (f *faults) order(s *service, old **awssmtest.Injection, n int, do awssmtest.Action, operations ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *old != nil {
		(*old).Remove()
		*old = nil
	}
	if n > 0 {
		*old = s.fault(n, do, operations...)
	}
}

// conformance runs the suite.
func conformance(t *testing.T, opts *awssm.Options, client func(*secretsmanager.Options), double ...awssmtest.Option) {
	if client == nil {
		client = func(*secretsmanager.Options) {}
	}
	var mu sync.Mutex
	members := map[driver.Driver]member{}
	of := func(d driver.Driver) member {
		mu.Lock()
		defer mu.Unlock()
		return members[d]
	}
	join := func(t *testing.T, m member) driver.Driver {
		d, err := awssm.NewDriver(m.service.sdk(t, client), m.prefix, opts)
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		members[d] = m
		return d
	}
	writes := []string{"CreateSecret", "PutSecretValue", "DeleteSecret"}
	drivertest.Suite{
		New: func(t *testing.T) driver.Driver {
			return join(t, member{start(t, double...), "p", &faults{}})
		},
		Other: func(t *testing.T, d driver.Driver, suffix string) driver.Driver {
			m := of(d)
			m.prefix += suffix
			return join(t, m)
		},
		Settle: func(_ *testing.T, d driver.Driver) {
			of(d).service.clock.Advance(time.Minute)
			of(d).service.Settle()
		},
		LoseAnswers: func(_ *testing.T, d driver.Driver, n int) {
			m := of(d)
			m.faults.order(m.service, &m.faults.lose, n, awssmtest.LoseAnswer(), writes...)
		},
		FailRequests: func(_ *testing.T, d driver.Driver, n int) {
			m := of(d)
			trouble := awssmtest.Error{Status: 503, Code: "ServiceUnavailable", Message: "you sent: "}
			m.faults.order(m.service, &m.faults.fail, n, awssmtest.EchoBody(trouble))
		},
		Deny: func(_ *testing.T, d driver.Driver, denied bool) { of(d).service.denied.Store(denied) },
		Damage: func(t *testing.T, d driver.Driver, name string) {
			of(d).service.damage(t, of(d).prefix+"/"+name)
		},
		HoldWrite: func(t *testing.T, d driver.Driver) (<-chan struct{}, func()) {
			s := of(d).service
			free, held := make(chan struct{}), make(chan struct{})
			hold := s.fault(1, awssmtest.Hold(free), writes...)
			go func() {
				if hold.Await(t.Context(), 1) == nil {
					close(held)
				}
			}()
			return held, func() {
				close(free)
				s.await()
			}
		},
	}.Run(t)
}

// damage makes a secret hold bytes, as an operator can.
func (s *service) damage(t testing.TB, full string) {
	t.Helper()
	client, bytes := s.sdk(t), []byte{0xff, 0xfe}
	_, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &full, SecretBinary: bytes})
	if err != nil {
		_, err = client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &full, SecretBinary: bytes})
	}
	if err != nil {
		t.Fatal(err)
	}
}
