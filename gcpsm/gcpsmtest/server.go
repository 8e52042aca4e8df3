package gcpsmtest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// A Server is one endpoint of Secret Manager with the secrets of all projects,
// none at first, in memory. It is safe for concurrent use: requests take effect
// one after the other.
type Server struct {
	// Addr is where the server listens, "127.0.0.1:port".
	Addr string

	listener        net.Listener
	location        string // empty: the global endpoint
	now             func() time.Time
	lag             time.Duration
	latency         time.Duration
	maxPage         int
	grantsOnSecrets bool

	mu      sync.Mutex // guards all that follows
	policy  func(permission, secretID string) bool
	quotas  *Quotas // nil: none
	cells   map[string]*cell
	created int // secrets created so far, to tell their order
	changes int // etags given out so far
	windows map[string]*window
	calls   []*Call
	clients []*secretmanager.Client

	faults faults

	done    chan struct{} // closed by Close
	close   sync.Once
	serving *grpc.Server
	served  chan struct{} // closed when serving has ended
}

// NewServer starts a server on a free port of 127.0.0.1. Call Close when done.
// It panics if it cannot listen, as httptest.NewServer does.
func NewServer(opts ...Option) *Server {
	s := &Server{
		now:     time.Now,
		maxPage: maxPage,
		cells:   map[string]*cell{},
		windows: map[string]*window{},
		done:    make(chan struct{}),
		served:  make(chan struct{}),
	}
	for _, opt := range opts {
		opt(s)
	}
	if s.quotas != nil {
		s.quotas = s.quotas.complete(s.location != "")
	}
	if s.listener == nil {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(fmt.Sprintf("gcpsmtest: cannot listen: %v", err))
		}
		s.listener = listener
	}
	s.Addr = s.listener.Addr().String()
	s.serving = grpc.NewServer(
		grpc.Creds(plaintext()),
		grpc.UnaryInterceptor(s.serve),
		grpc.WaitForHandlers(true),
	)
	pb.RegisterSecretManagerServiceServer(s.serving, service{s: s})
	go func() {
		defer close(s.served)
		_ = s.serving.Serve(s.listener)
	}()
	return s
}

// Close stops the server: requests that a fault holds are let go without an
// answer, open connections are cut, the clients that the server made are closed,
// and Close returns when no request is being served any more. Its state stays
// readable. Close may be called twice.
func (s *Server) Close() {
	s.close.Do(func() { close(s.done) })
	s.mu.Lock()
	clients := s.clients
	s.clients = nil
	s.mu.Unlock()
	s.serving.Stop()
	<-s.served
	for _, client := range clients {
		_ = client.Close() // it may have been closed by its user
	}
}

// An answer is what the client will see: output, an error, or nothing.
type answer struct {
	out  proto.Message
	err  error
	lost bool
}

// serve answers one request. What handler does is one atomic step.
func (s *Server) serve(ctx context.Context, in any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	req := newRequest(info.FullMethod, in.(proto.Message))
	call := s.record(req)
	x := &exchange{
		server: s,
		req:    req,
		client: ctx.Done(),
		apply: func() answer {
			out, err := handler(ctx, in)
			if err != nil {
				return answer{err: err}
			}
			return answer{out: out.(proto.Message)}
		},
	}
	s.pass(s.latency / 2)
	var a answer
	if injection := s.faults.pick(req); injection != nil {
		x.reach = sync.OnceFunc(injection.reach)
		a = injection.fault.Do.run(x)
		x.reach()
	} else {
		a = x.apply()
	}
	s.pass(s.latency - s.latency/2)
	s.finish(call, a)

	switch {
	case !a.lost:
		return a.out, a.err
	case ctx.Err() != nil: // the client has left, others may be on the connection
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	cut(ctx)
	return nil, status.Error(codes.Unavailable, "gcpsmtest: the answer is lost") // nobody reads it
}

// pass lets time pass, unless the server closes.
func (s *Server) pass(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.done:
	}
}
