package scale

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

const project = "projects/my-project"

// An onGoogle is Google Secret Manager with the quotas of a project, on a connection in
// memory that all processes share.
type onGoogle struct {
	*gcpsmtest.Server
	client *secretmanager.Client
	driver driver.Driver
	clock  operatorClock
	tally  *tally
	seen   atomic.Int64
}

func newGoogle(t testing.TB) service {
	t.Helper()
	s := &onGoogle{tally: newTally()}
	s.Server = gcpsmtest.NewServer(
		gcpsmtest.WithListener(bufconn.Listen(1<<20)),
		gcpsmtest.WithClock(s.clock.now),
		gcpsmtest.WithLatency(latency*time.Millisecond),
		gcpsmtest.WithQuotas(gcpsmtest.Quotas{}),
	)
	t.Cleanup(s.Close)
	var err error
	s.client, err = s.Client(t.Context(), option.WithGRPCDialOption(grpc.WithUnaryInterceptor(s.count)))
	if err == nil {
		// The retries that the library has by default, where the double's client has quicker ones.
		s.client.CallOptions.AccessSecretVersion = append(s.client.CallOptions.AccessSecretVersion, gax.WithRetry(func() gax.Retryer {
			return gax.OnCodes([]codes.Code{codes.Unavailable, codes.ResourceExhausted},
				gax.Backoff{Initial: 2 * time.Second, Max: time.Minute, Multiplier: 2})
		}))
		s.driver, err = gcpsm.NewDriver(s.client, project, prefix, &gcpsm.Options{Pace: gcpsm.Pace{SecretAdds: -1, ProjectWrites: -1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *onGoogle) name() string  { return "Google" }
func (s *onGoogle) calls() *tally { return s.tally }
func (s *onGoogle) forget()       { s.ResetCalls() }

func (s *onGoogle) open(t testing.TB) *token.Store {
	t.Helper()
	store, err := gcpsm.New(s.client, project, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// count is the client's interceptor.
func (s *onGoogle) count(ctx context.Context, method string, in, out any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, in, out, conn, opts...)
	c := call{Method: method[strings.LastIndexByte(method, '/')+1:]}
	c.Write = c.Method == "AddSecretVersion"
	switch m := in.(type) {
	case interface{ GetSecretId() string }:
		c.Index = strings.Contains(m.GetSecretId(), "__index")
	case interface{ GetName() string }:
		c.Index = strings.Contains(m.GetName(), "__index")
	case interface{ GetParent() string }:
		c.Index = strings.Contains(m.GetParent(), "__index")
	}
	if err != nil {
		c.Code = status.Code(err).String()
	}
	if !s.clock.past.Load() {
		note(ctx, s.tally, c)
	}
	if s.seen.Add(1)%10_000 == 0 {
		s.forget()
	}
	return err
}

func (s *onGoogle) operator(at bool) { s.clock.past.Store(at) }

func (s *onGoogle) put(ctx context.Context, name string, value []byte) error {
	_, err := s.driver.Put(ctx, name, value, driver.Absent)
	return err
}

func (s *onGoogle) index() (values [][]byte) {
	for _, name := range s.Names() {
		if strings.Contains(name, "__index") {
			value, _, _ := s.Value(name)
			values = append(values, []byte(value))
		}
	}
	return values
}

func (s *onGoogle) stored() (charged, pending int) { return len(s.Names()), 0 }

func (s *onGoogle) price() (month, calls float64) {
	active := 0
	for _, name := range s.Names() {
		active += s.Active(name)
	}
	accesses := s.tally.count(func(c call) bool { return c.Method == "AccessSecretVersion" })
	return 0.06 * float64(max(0, active-6)), 0.03 / 10_000 * float64(max(0, accesses-10_000))
}
