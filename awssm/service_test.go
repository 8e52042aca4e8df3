package awssm_test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenkeep/tokenkeep/awssm"
	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// canary is in the values of the tests, and in no error.
const canary = "canary-51c0a7de93b2"

// prefix is that of the drivers here.
const prefix = "app/oauth"

// A service is the double, and what the tests do with it again and again.
type service struct {
	*awssmtest.Server
	clock  *awssmtest.Clock
	denied atomic.Bool

	mu     sync.Mutex
	active int        // requests that are being served
	idle   *sync.Cond // active is 0
}

// start starts a service that ends with the test.
func start(t testing.TB, opts ...awssmtest.Option) *service {
	t.Helper()
	s := &service{clock: awssmtest.NewClock(time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC))}
	s.idle = sync.NewCond(&s.mu)
	s.Server = awssmtest.NewHandler(append([]awssmtest.Option{
		awssmtest.WithClock(s.clock.Now),
		awssmtest.WithPolicy(func(string, string) bool { return !s.denied.Load() }),
	}, opts...)...)
	front := httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = front.URL
	t.Cleanup(func() {
		s.Close() // lets go of requests that faults hold
		front.Close()
	})
	return s
}

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	s.count(1)
	defer s.count(-1)
	s.ServeHTTP(w, r)
}

func (s *service) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active += n; s.active == 0 {
		s.idle.Broadcast()
	}
}

// await waits until no request is being served.
func (s *service) await() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.active > 0 {
		s.idle.Wait()
	}
}

// sdk returns a client of the service, with changes.
func (s *service) sdk(t testing.TB, changes ...func(*secretsmanager.Options)) *secretsmanager.Client {
	t.Helper()
	client, err := s.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return secretsmanager.New(client.Options(), changes...)
}

// driver returns a driver under prefix. Its calls are the first that count.
func (s *service) driver(t testing.TB, opts *awssm.Options, changes ...func(*secretsmanager.Options)) *awssm.Driver {
	t.Helper()
	d, err := awssm.NewDriver(s.sdk(t, changes...), prefix, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// fault injects what happens to the next n requests of an operation, 0 being all.
func (s *service) fault(n int, do awssmtest.Action, operations ...string) *awssmtest.Injection {
	return s.Inject(awssmtest.Fault{Operations: operations, Times: n, Do: do})
}

// called returns the operations called since the last time, in order.
func (s *service) called() []string {
	operations := []string{}
	for _, c := range s.Calls() {
		operations = append(operations, c.Operation)
	}
	s.ResetCalls()
	return operations
}

// record is a value as the engine puts it.
func record(t testing.TB, last codec.Frame) []byte {
	t.Helper()
	id, err := codec.NewWriteID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	value, err := codec.EncodeRecord(&codec.Record{
		Frame: last.Next(codec.KindToken, id), ID: "id", UserName: "user", AccessToken: canary,
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// first is a value that creates a secret. No two are equal.
func first(t testing.TB) []byte {
	t.Helper()
	return record(t, codec.Frame{})
}

// after is a value that replaces another.
func after(t testing.TB, value []byte) []byte {
	t.Helper()
	r, err := codec.DecodeRecord(value)
	if err != nil {
		t.Fatal(err)
	}
	return record(t, r.Frame)
}

// put writes; it must succeed.
func put(t testing.TB, d driver.Driver, name string, value []byte, prev driver.Revision) driver.Revision {
	t.Helper()
	rev, err := d.Put(t.Context(), name, value, prev)
	if err != nil {
		t.Fatalf("Put(%s): %v", name, err)
	}
	return rev
}

// get reads one secret; it must succeed.
func get(t testing.TB, d driver.Driver, name string) driver.Item {
	t.Helper()
	items, err := d.Get(t.Context(), driver.Any, driver.Item{Name: name})
	if err != nil {
		t.Fatalf("Get(%s): %v", name, err)
	}
	return items[0]
}

// holds makes sure that a secret holds a value.
func (s *service) holds(t testing.TB, name string, value []byte) {
	t.Helper()
	if got, _, _ := s.Value(prefix + "/" + name); got != string(value) {
		t.Errorf("the secret %s holds another value than was put", name)
	}
}

// lacks makes sure that there is no such secret.
func (s *service) lacks(t testing.TB, name string) {
	t.Helper()
	if _, _, ok := s.Value(prefix + "/" + name); ok {
		t.Errorf("there is a secret %s", name)
	}
}
