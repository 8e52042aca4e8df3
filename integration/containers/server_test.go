package containers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/stage"
)

// A server is a program that serves, and says what it is.
type server struct {
	stage.Unit
	name string

	mu      sync.Mutex
	said    status
	when    time.Time
	changed chan struct{} // closed when it says something new
}

// A status is a line of a server's output.
type status struct {
	State, Token, Key string
	Voters            int
}

func (s *server) says(line []byte) {
	var now status
	if json.Unmarshal(line, &now) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said, s.when = now, time.Now()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *server) status() (status, chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said, s.changed
}

// Kill ends the server, which then is nothing any more.
func (s *server) Kill(ctx context.Context) error {
	err := s.Unit.Kill(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = status{}
	return err
}

// again restarts a server by a signal, and waits until it serves again.
func (s *server) again(ctx context.Context) error {
	s.mu.Lock()
	s.said = status{}
	s.mu.Unlock()
	if err := s.Hang(ctx); err != nil {
		return err
	}
	_, err := s.is(ctx, "active", active)
	return err
}

// is waits until the server says what is wanted, for a minute at most.
func (s *server) is(ctx context.Context, what string, so func(status) bool) (status, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		now, changed := s.status()
		if so(now) {
			return now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return now, fmt.Errorf("%s is not %s within a minute, but %+v", s.name, what, now)
		}
	}
}

func active(s status) bool { return s.State == "active" }

// startServer starts a program that serves.
func startServer(t *testing.T, on stage.Stage, name, binary string, env map[string]string) *server {
	t.Helper()
	s := &server{name: name, changed: make(chan struct{})}
	unit, err := on.Start(t.Context(), stage.Program{Name: name, Binary: binary, Env: env, Says: s.says})
	if err != nil {
		t.Fatal(err)
	}
	s.Unit = unit
	t.Cleanup(func() {
		if text := s.Trace(); t.Failed() && text != "" {
			t.Logf("%s wrote:\n%s", name, text)
		}
	})
	return s
}

// A service is what workers keep tokens in.
type service struct {
	name    string // WORKER_SERVICE
	port    int
	servers []*server
	token   string
	// restart is how the server can be restarted; empty: not at all.
	restart restart
}

// A restart is a way to restart a server.
type restart string

const (
	byKill   restart = "server killed"    // and started again, with its files
	bySignal restart = "server restarted" // by a signal: it breaks its connections and keeps its state
)

// The ports.
const (
	doublePort  = 8000
	apiPort     = 8200
	clusterPort = 8201
)

// startDouble starts the double of a service as a server.
func startDouble(t *testing.T, on stage.Stage, name, binary string) *service {
	t.Helper()
	s := startServer(t, on, name, binary, map[string]string{"SERVER_LISTEN": on.Listen(name, doublePort)})
	if _, err := s.is(t.Context(), "active", active); err != nil {
		t.Fatal(err)
	}
	return &service{name: name, port: doublePort, servers: []*server{s}, restart: bySignal}
}

// startVault starts a cluster of Vault nodes, or one of one node.
func startVault(t *testing.T, on stage.Stage, n int) *service {
	t.Helper()
	v := &service{name: "vault", port: apiPort, restart: byKill}
	reach := func(from, to string, port int) string {
		address, err := on.Reach(from, to, port)
		if err != nil {
			t.Fatal(err)
		}
		return address
	}
	var first status
	for i := range n {
		name := fmt.Sprint("node-", i)
		env := map[string]string{
			"VAULT_LOG_LEVEL": os.Getenv("VAULT_LOG_LEVEL"),
			"VAULT_NODE":      name, "VAULT_DIR": on.Dir(name),
			"VAULT_LISTEN": on.Listen(name, apiPort), "VAULT_CLUSTER": on.Listen(name, clusterPort),
			// What a node calls itself is where it listens, or its name where the network has names.
			"VAULT_API": "http://" + on.Known(name, apiPort), "VAULT_PEER": on.Known(name, clusterPort),
		}
		var via []string
		for j := range n {
			other := fmt.Sprint("node-", j)
			if known, at := on.Known(other, clusterPort), reach(name, other, clusterPort); j != i && known != at {
				via = append(via, known+"="+at)
			}
		}
		env["VAULT_VIA"] = strings.Join(via, " ")
		if i > 0 {
			env["VAULT_JOIN"], env["VAULT_KEY"] = "http://"+reach(name, "node-0", apiPort), first.Key
		}
		s := startServer(t, on, name, stage.VaultServer, env)
		v.servers = append(v.servers, s)
		var err error
		if i == 0 {
			first, err = s.is(t.Context(), "active", active)
			v.token = first.Token
		} else {
			_, err = s.is(t.Context(), "a standby", func(s status) bool { return s.State == "standby" })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n > 1 {
		if _, err := v.servers[0].is(t.Context(), "whole", func(s status) bool { return s.Voters == n }); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// reach is where a worker finds the service: all its servers, separated by spaces.
func (s *service) reach(on stage.Stage, worker string) (string, error) {
	var all []string
	for _, one := range s.servers {
		address, err := on.Reach(worker, one.name, s.port)
		if err != nil {
			return "", err
		}
		all = append(all, address)
	}
	return strings.Join(all, " "), nil
}
