package awssmtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// A Server is one account of Secrets Manager in one region, empty at first,
// in memory. It is safe for concurrent use: requests take effect one after
// the other.
type Server struct {
	// URL is where the server listens, "http://127.0.0.1:port". It is empty
	// after [NewHandler]; set it before [Server.Client] if you listen yourself.
	URL string

	region, account string
	now             func() time.Time
	policy          func(operation, secretName string) bool
	checkDate       bool
	versionQuota    bool
	deletionDelay   time.Duration
	rates           *rateLimits // nil: no limits per second

	mu       sync.Mutex // guards all that follows
	cells    map[string]*cell
	created  int // secrets created so far, to tell their order
	disabled map[string]bool
	stale    staleness
	calls    []*Call
	inFlight int
	idle     *sync.Cond // inFlight is 0

	faults faults

	done    chan struct{} // closed by Close
	close   sync.Once
	serving *http.Server
	served  chan struct{} // closed when serving has ended
	client  *http.Client
}

// NewServer starts a server on a free port of 127.0.0.1. Call Close when done.
// It panics if it cannot listen, as httptest.NewServer does.
func NewServer(opts ...Option) *Server {
	s := NewHandler(opts...)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("awssmtest: cannot listen: %v", err))
	}
	s.URL = "http://" + listener.Addr().String()
	s.serving = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	s.served = make(chan struct{})
	go func() {
		defer close(s.served)
		_ = s.serving.Serve(listener)
	}()
	return s
}

// NewHandler makes a server that listens nowhere: an http.Handler for those who
// bring their own listener or their own http.RoundTripper. Close releases the
// requests that faults hold.
func NewHandler(opts ...Option) *Server {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConns = 0 // no limit
	transport.MaxIdleConnsPerHost = 256
	s := &Server{
		region:       "us-east-1",
		account:      "123456789012",
		now:          time.Now,
		versionQuota: true,
		cells:        map[string]*cell{},
		disabled:     map[string]bool{},
		done:         make(chan struct{}),
		client:       &http.Client{Transport: transport},
	}
	s.idle = sync.NewCond(&s.mu)
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// Close stops the server: requests that a fault holds are let go without an
// answer, open connections are cut, and Close returns when no request is
// being served any more. Its state stays readable. Close may be called twice.
func (s *Server) Close() {
	s.close.Do(func() { close(s.done) })
	if s.serving != nil {
		_ = s.serving.Close()
		<-s.served
	}
	s.client.CloseIdleConnections()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.inFlight > 0 {
		s.idle.Wait()
	}
}

// Client returns an AWS SDK client for the server: static credentials, the
// server's region, and the SDK's standard retries (three attempts) with a
// backoff of at most five milliseconds. All clients of a server share one
// connection pool. It fails only if the server has no URL.
func (s *Server) Client(_ context.Context) (*secretsmanager.Client, error) {
	if s.URL == "" {
		return nil, errors.New("awssmtest: the server has no URL")
	}
	return secretsmanager.New(secretsmanager.Options{
		Region:       s.region,
		BaseEndpoint: aws.String(s.URL),
		HTTPClient:   calmClient{s.client},
		Credentials: aws.NewCredentialsCache(aws.CredentialsProviderFunc(
			func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "AKIDAWSSMTEST", SecretAccessKey: "awssmtest", Source: "awssmtest"}, nil
			})),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxBackoff = 5 * time.Millisecond
		}),
	}), nil
}

// ServeHTTP answers one request on the JSON 1.1 wire.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.enter()
	defer s.leave()

	req, bad := s.readRequest(r)
	if bad != nil {
		writeError(w, bad)
		return
	}
	call := s.record(req)
	x := &exchange{body: req.body, client: r.Context().Done(), closed: s.done, apply: func() answer { return s.apply(req) }}
	var a answer
	if injection := s.faults.pick(req); injection != nil {
		a = injection.fault.Do.run(x)
	} else {
		a = x.apply()
	}
	s.finish(call, a)

	switch {
	case a.lost:
		// net/http cuts the connection and logs nothing.
		panic(http.ErrAbortHandler)
	case a.err != nil:
		writeError(w, a.err)
	default:
		writeOutput(w, a.out)
	}
}

func (s *Server) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight++
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight--; s.inFlight == 0 {
		s.idle.Broadcast()
	}
}

// An answer is what the client will see: output, an error, or nothing.
type answer struct {
	out  any
	err  *Error
	lost bool
}

// apply performs the operation. It is one atomic step.
func (s *Server) apply(req *request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	handler, ok := operations[req.operation]
	if !ok {
		return answer{err: errNotServed(req.operation)}
	}
	if s.rates != nil && !s.rates.allow(req.operation, s.now()) {
		return answer{err: errThrottled()}
	}
	out, err := handler(s, req.in)
	return answer{out: out, err: err}
}

// operations is what the double serves.
var operations = map[string]func(*Server, *input) (any, *Error){
	"CreateSecret":             (*Server).createSecret,
	"GetSecretValue":           (*Server).getSecretValue,
	"BatchGetSecretValue":      (*Server).batchGetSecretValue,
	"PutSecretValue":           (*Server).putSecretValue,
	"UpdateSecret":             (*Server).updateSecret,
	"UpdateSecretVersionStage": (*Server).updateSecretVersionStage,
	"DescribeSecret":           (*Server).describeSecret,
	"ListSecrets":              (*Server).listSecrets,
	"ListSecretVersionIds":     (*Server).listSecretVersionIDs,
	"DeleteSecret":             (*Server).deleteSecret,
	"RestoreSecret":            (*Server).restoreSecret,
	"TagResource":              (*Server).tagResource,
	"UntagResource":            (*Server).untagResource,
}

// randomUUID is for version and request ids; nothing depends on its order.
func randomUUID() string {
	a, b := rand.Uint64(), rand.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", uint32(a>>32), uint16(a>>16), a&0xfff, 0x8000|b>>50, b&0xffffffffffff)
}
