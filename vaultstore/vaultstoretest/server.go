package vaultstoretest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
)

// A Server is a node of Vault in memory: one that stands alone, or one of a
// [Cluster]. At the beginning it is active and has KV version 2 at "secret/". It is
// safe for concurrent use: requests take effect one after the other.
type Server struct {
	// URL is where the server listens, "http://127.0.0.1:port". It is empty after
	// [NewHandler]; set it before [Server.Client] if you listen yourself.
	URL string

	core    *core
	handler http.Handler

	// The core's lock guards these.
	state            State
	resting          State // what it is while another node is active
	leaderless       bool
	redirect         string
	lag              lag
	headerForwarding bool
	jsonLimits       bool
	rate             *rateLimit // nil: none

	mu       sync.Mutex // guards calls and inFlight
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
	s.listen()
	return s
}

// NewHandler makes a server that listens nowhere: an http.Handler for those who
// bring their own listener or their own http.RoundTripper. Close releases the
// requests that faults hold.
func NewHandler(opts ...Option) *Server { return newServer(nil, opts) }

// newServer makes a node of a core, or of a new one. Options for the core count
// when it is made.
func newServer(c *core, opts []Option) *Server {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConns = 0 // no limit
	transport.MaxIdleConnsPerHost = 256
	s := &Server{
		core:       c,
		state:      Standby,
		resting:    Standby,
		jsonLimits: true,
		done:       make(chan struct{}),
		client: &http.Client{
			Transport: transport,
			// The api package follows redirects by itself.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if c == nil {
		s.core = newCore()
		s.core.spaces[""].mount("secret", 2)
		s.core.active, s.state = s, Active
	}
	s.core.nodes = append(s.core.nodes, s)
	s.idle = sync.NewCond(&s.mu)
	s.handler = s.routes()
	for _, opt := range opts {
		if c == nil && opt.core != nil {
			opt.core(s.core)
		}
		if opt.node != nil {
			opt.node(s)
		}
	}
	s.core.activeAt = s.core.now()
	if c == nil {
		s.core.tokens[RootToken].issued = s.core.activeAt
	}
	s.core.retain()
	return s
}

func (s *Server) listen() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("vaultstoretest: cannot listen: %v", err))
	}
	s.URL = "http://" + listener.Addr().String()
	s.serving = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	s.served = make(chan struct{})
	go func() {
		defer close(s.served)
		_ = s.serving.Serve(listener)
	}()
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
	_ = s.Idle(context.Background())
}

// Idle waits until no request is being served. It returns the context's error if
// that comes first.
func (s *Server) Idle(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.idle.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.inFlight > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.idle.Wait()
	}
	return nil
}

// Client returns a client of github.com/hashicorp/vault/api for the server, with the
// root token and the retries that the package has by default: two, after a second or
// so each, of any method. Address, token and namespace in the environment do not count.
// All clients of a server share one connection pool. It fails if the server has no
// URL, or where the api package cannot read the environment.
func (s *Server) Client() (*api.Client, error) {
	if s.URL == "" {
		return nil, errors.New("vaultstoretest: the server has no URL")
	}
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	own := *s.client
	config.Address, config.AgentAddress, config.HttpClient = s.URL, "", &own
	client, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.ClearNamespace()
	client.SetToken(RootToken)
	return client, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.enter()
	defer s.leave()

	in := receive(r)
	what := s.describe(in)
	call := s.record(what)
	x := &exchange{what: what, body: in.body, client: r.Context().Done(), closed: s.done, self: s.URL + r.URL.RequestURI(),
		apply: func() answer { return s.answer(in) }}
	var a answer
	if injection := s.faults.pick(what); injection != nil {
		a = injection.fault.Do.run(x)
	} else {
		a = x.apply()
	}
	s.finish(call, a)
	if a.lost {
		// net/http cuts the connection and logs nothing.
		panic(http.ErrAbortHandler)
	}
	a.write(w)
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

// randomUUID is for ids; nothing depends on its order.
func randomUUID() string {
	a, b := rand.Uint64(), rand.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", uint32(a>>32), uint16(a>>16), a&0xfff, 0x8000|b>>50, b&0xffffffffffff)
}
