package vaultstore_test

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

// canary is in the values of the tests, and in no error.
const canary = "canary-51c0a7de93b2"

// mount and prefix are those of the drivers here.
const (
	mount  = "secret"
	prefix = "app/oauth"
)

// A service is the double, and what the tests do with it again and again.
type service struct {
	*vaultstoretest.Server
	clock *vaultstoretest.Clock
	// front is where clients are sent, and sends them on; nil: there is nothing in between.
	front *vaultstoretest.Server
	// transport is that of clients of a service in a bubble.
	transport *http.Transport
}

// A pipe is a listener whose connections stay in memory.
type pipe struct {
	conns chan net.Conn
	done  chan struct{}
	close func()
}

func newPipe() *pipe {
	p := &pipe{conns: make(chan net.Conn), done: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.done) })
	return p
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error   { p.close(); return nil }
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipe) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// virtual starts a service in a bubble of synctest, by whose clock it goes: waits take no
// time.
func virtual(t testing.TB, opts ...vaultstoretest.Option) *service {
	t.Helper()
	p := newPipe()
	s := &service{
		Server:    vaultstoretest.NewHandler(append([]vaultstoretest.Option{vaultstoretest.WithClock(time.Now)}, opts...)...),
		transport: &http.Transport{DialContext: p.dial, MaxIdleConnsPerHost: 64},
	}
	s.URL = "http://vault.test:8200"
	serving := &http.Server{Handler: s.Server, ReadHeaderTimeout: time.Minute}
	go func() { _ = serving.Serve(p) }()
	t.Cleanup(func() {
		s.Close()
		_ = serving.Close()
		s.transport.CloseIdleConnections()
	})
	return s
}

// bubble runs a test with a service in a bubble of synctest.
func bubble(t *testing.T, f func(t *testing.T, s *service), opts ...vaultstoretest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, virtual(t, opts...)) })
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // it takes none

// start starts a service that ends with the test.
func start(t testing.TB, opts ...vaultstoretest.Option) *service {
	t.Helper()
	s := &service{clock: vaultstoretest.NewClock(time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC))}
	s.Server = vaultstoretest.NewServer(append([]vaultstoretest.Option{vaultstoretest.WithClock(s.clock.Now)}, opts...)...)
	t.Cleanup(s.Close)
	return s
}

// startCluster starts three nodes behind the address of a standby that redirects. The
// service is the active node.
func startCluster(t testing.TB) *service {
	t.Helper()
	s := &service{clock: vaultstoretest.NewClock(time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC))}
	cluster := vaultstoretest.NewCluster(3, vaultstoretest.WithClock(s.clock.Now))
	t.Cleanup(cluster.Close)
	s.Server, s.front = cluster.Nodes[0], cluster.Nodes[1]
	s.front.SetRedirect("active")
	return s
}

// sdk returns a client of the service that makes no retries of its own.
func (s *service) sdk(t testing.TB) *api.Client {
	t.Helper()
	address := s.Server
	if s.front != nil {
		address = s.front
	}
	client, err := address.Client()
	if s.transport != nil {
		config := api.DefaultConfig()
		config.Address, config.HttpClient.Transport = s.URL, s.transport
		client, err = api.NewClient(config)
	}
	if err != nil {
		t.Fatal(err)
	}
	client.ClearNamespace()
	client.SetToken(vaultstoretest.RootToken)
	client.SetMaxRetries(0)
	return client
}

// A roundTrip is an http.RoundTripper, for what is between a client and Vault.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// behind returns a driver of a service in a bubble whose requests go through something.
func (s *service) behind(t testing.TB, between http.RoundTripper) *vaultstore.Driver {
	t.Helper()
	config := s.sdk(t).CloneConfig()
	config.HttpClient.Transport = between
	client, err := api.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	client.SetToken(vaultstoretest.RootToken)
	d, err := vaultstore.NewDriver(client, mount, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// driver returns a driver under prefix. Its calls are the first that count.
func (s *service) driver(t testing.TB, opts *vaultstore.Options) *vaultstore.Driver {
	t.Helper()
	d, err := vaultstore.NewDriver(s.sdk(t), mount, prefix, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// fault injects what happens to the next n requests of an operation, 0 being all.
func (s *service) fault(n int, do vaultstoretest.Action, operations ...string) *vaultstoretest.Injection {
	return s.Inject(vaultstoretest.Fault{Operations: operations, Times: n, Do: do})
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

// at is the path of a secret of the drivers here.
func at(name string) string { return mount + "/" + prefix + "/" + name }

// holds returns the value that a secret holds, and the number of its version.
func (s *service) holds(name string) (string, int) {
	data, n, _ := s.Value(at(name))
	value, _ := data["value"].(string)
	return value, n
}
