package gcpsm_test

import (
	"crypto/rand"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// canary is in the values of the tests, and in no error.
const canary = "canary-51c0a7de93b2"

// parent and prefix are those of the drivers here.
const (
	parent = "projects/my-project"
	prefix = "app/oauth"
)

// secretOf is the resource name of a secret under a prefix.
func secretOf(prefix, name string) string {
	return parent + "/secrets/" + strings.ReplaceAll(prefix, "/", "__") + "__" + name
}

// unpaced is for tests that are not about quotas, on a double that has none.
func unpaced() *gcpsm.Options {
	return &gcpsm.Options{Pace: gcpsm.Pace{SecretAdds: -1, ProjectWrites: -1}}
}

// A service is the double, and what the tests do with it again and again.
type service struct {
	*gcpsmtest.Server
	clock  *gcpsmtest.Clock
	denied atomic.Bool
}

// start starts a service that ends with the test.
func start(t testing.TB, opts ...gcpsmtest.Option) *service {
	t.Helper()
	s := &service{clock: gcpsmtest.NewClock(time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC))}
	s.Server = gcpsmtest.NewServer(append([]gcpsmtest.Option{
		gcpsmtest.WithClock(s.clock.Now),
		gcpsmtest.WithPolicy(func(string, string) bool { return !s.denied.Load() }),
	}, opts...)...)
	t.Cleanup(s.Close)
	return s
}

// sdk returns a client of the service.
func (s *service) sdk(t testing.TB) *secretmanager.Client {
	t.Helper()
	client, err := s.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// driver returns a driver under prefix. Its calls are the first that count.
func (s *service) driver(t testing.TB, opts *gcpsm.Options) *gcpsm.Driver {
	t.Helper()
	d, err := gcpsm.NewDriver(s.sdk(t), parent, prefix, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// fault injects what happens to the next n requests of a method, 0 being all.
func (s *service) fault(n int, do gcpsmtest.Action, methods ...string) *gcpsmtest.Injection {
	return s.Inject(gcpsmtest.Fault{Methods: methods, Times: n, Do: do})
}

// called returns the methods called since the last time, in order.
func (s *service) called() []string {
	methods := []string{}
	for _, c := range s.Calls() {
		methods = append(methods, c.Method)
	}
	s.ResetCalls()
	return methods
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
