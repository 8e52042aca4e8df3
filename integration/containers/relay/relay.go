// Package relay passes TCP connections on from one address to another, until it is told
// not to: it can be cut, as a network is, and closed, as a server is that restarts.
package relay

import (
	"context"
	"net"
	"sync"
	"time"
)

// A Relay stands before an address. It is safe for concurrent use.
type Relay struct {
	// Addr is where it listens.
	Addr   string
	target string

	mu       sync.Mutex
	listener net.Listener // nil: closed
	conns    map[net.Conn]bool
	cut      chan struct{} // not nil: nothing passes until it is closed
	wg       sync.WaitGroup
}

// Start starts a relay that listens at an address, for instance "127.0.0.1:0".
func Start(listen, target string) (*Relay, error) {
	r := &Relay{Addr: listen, target: target, conns: map[net.Conn]bool{}}
	err := r.Open()
	return r, err
}

// Open listens, at first and after Close.
func (r *Relay) Open() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, err := net.Listen("tcp", r.Addr) //nolint:noctx // at once
	if err != nil {
		return err
	}
	r.listener, r.Addr = l, l.Addr().String()
	r.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.serve(conn) })
		}
	})
	return nil
}

// Close refuses connections and cuts those that there are: a server has died.
func (r *Relay) Close() {
	r.mu.Lock()
	if r.listener != nil {
		_ = r.listener.Close()
		r.listener = nil
	}
	r.drop()
	r.mu.Unlock()
	r.wg.Wait()
}

// Cut lets nothing pass any more, and says so to nobody: a network is gone.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut == nil {
		r.cut = make(chan struct{})
	}
}

// Mend ends what Cut began. The connections from before are lost.
func (r *Relay) Mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut != nil {
		r.drop()
	}
}

// drop closes all connections.
func (r *Relay) drop() {
	for c := range r.conns {
		_ = c.Close()
	}
	clear(r.conns)
	if r.cut != nil {
		close(r.cut)
		r.cut = nil
	}
}

// hold remembers a connection, unless the relay is closed.
func (r *Relay) hold(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener == nil {
		_ = c.Close()
		return false
	}
	r.conns[c] = true
	return true
}

func (r *Relay) release(c net.Conn) {
	_ = c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

// wait waits while the network is cut.
func (r *Relay) wait() {
	r.mu.Lock()
	cut := r.cut
	r.mu.Unlock()
	if cut != nil {
		<-cut
	}
}

func (r *Relay) serve(from net.Conn) {
	if !r.hold(from) {
		return
	}
	defer r.release(from)
	r.wait()
	dialer := net.Dialer{Timeout: 2 * time.Second}
	to, err := dialer.DialContext(context.Background(), "tcp", r.target)
	if err != nil || !r.hold(to) {
		return
	}
	defer r.release(to)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.pass(to, from)
	}()
	r.pass(from, to)
	<-done
}

// pass copies what comes, as long as the network is whole.
func (r *Relay) pass(to, from net.Conn) {
	defer to.Close()   //nolint:errcheck // the other direction ends too
	defer from.Close() //nolint:errcheck // see above
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		r.wait()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
