// Package vaultnode runs real Vault servers: Vault's own core, storage and HTTP handler,
// in the process, on loopback addresses and without TLS. A [Node] is one server, and a
// [Cluster] several that share Raft's log.
//
// It is for tests. A node keeps its unseal key for whoever started it, and has no audit
// device and no other engines and logins than those that the tests need: KV and AppRole.
package vaultnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/command/server"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/physical/raft"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// A Config says what node it is.
type Config struct {
	// ID is the node's name in its cluster.
	ID string
	// Dir is where Raft keeps its files; it is made. Without it the node keeps everything in memory,
	// and is no member of a cluster.
	Dir string
	// Address is where the API is served, "127.0.0.1:8200"; port 0 is any that is free.
	Address string
	// Advertised is the URL that others are told for Address, where that is not one they can
	// use, as behind a container's network; empty: Address.
	Advertised string
	// ClusterAddress is where the other nodes reach this one. Only with Dir.
	ClusterAddress string
	// ClusterListen is where this node listens for them; empty: ClusterAddress.
	ClusterListen string
	// Via are addresses to connect to in place of the ClusterAddress of other nodes, if something
	// stands between.
	Via map[string]string
	// MaxEntry is how many bytes the memory takes in an entry; 0: any number. Only without
	// Dir.
	MaxEntry int
	// Log is where the node logs; nil: nowhere.
	Log hclog.Logger
}

// A Node is a Vault server that runs.
type Node struct {
	// URL is that of the API.
	URL string

	core    *vault.Core
	storage physical.Backend
	serving *http.Server
	served  chan struct{} // closed when serving has ended
}

// Start starts a node. It is sealed, and not initialised unless Dir has a former life.
func Start(c Config) (*Node, error) {
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	listener, err := net.Listen("tcp", c.Address) //nolint:noctx // on loopback, at once
	if err != nil {
		return nil, err
	}
	n := &Node{URL: "http://" + listener.Addr().String(), served: make(chan struct{})}
	if c.Advertised != "" {
		n.URL = c.Advertised
	}
	if n.storage, err = openStorage(c); err == nil {
		n.core, err = newCore(c, n.storage, n.URL)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("node %s: %w", c.ID, err), listener.Close(), closeStorage(n.storage))
	}
	handler := vaulthttp.Handler.Handler(&vault.HandlerProperties{
		Core: n.core,
		ListenerConfig: &configutil.Listener{
			MaxRequestSize:     vaulthttp.DefaultMaxRequestSize,
			MaxRequestDuration: vault.DefaultMaxRequestDuration,
		},
	})
	n.core.SetClusterHandler(handler)
	if c.ClusterAddress != "" {
		address, err := net.ResolveTCPAddr("tcp", cmp.Or(c.ClusterListen, c.ClusterAddress))
		if err != nil {
			return nil, errors.Join(err, listener.Close(), n.core.Shutdown(), closeStorage(n.storage))
		}
		n.core.SetClusterListenerAddrs([]*net.TCPAddr{address})
	}
	n.serving = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: c.Log.StandardLogger(nil)}
	go func() {
		defer close(n.served)
		_ = n.serving.Serve(listener) // until Stop
	}()
	return n, nil
}

// openStorage opens Raft's files with the shortest of its timeouts, which are those that
// Vault recommends for production, or keeps all in memory.
func openStorage(c Config) (physical.Backend, error) {
	if c.Dir == "" {
		limits := map[string]string{}
		if c.MaxEntry > 0 {
			limits["max_value_size"] = strconv.Itoa(c.MaxEntry)
		}
		return inmem.NewInmem(limits, c.Log)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	return raft.NewRaftBackend(map[string]string{
		"path": c.Dir, "node_id": c.ID, "performance_multiplier": "1",
		"autopilot_reconcile_interval": "300ms", "autopilot_update_interval": "100ms",
	}, c.Log.Named("raft"))
}

func closeStorage(storage physical.Backend) error {
	if files, ok := storage.(*raft.RaftBackend); ok {
		return files.Close()
	}
	return nil
}

func newCore(c Config, storage physical.Backend, url string) (*vault.Core, error) {
	config := &vault.CoreConfig{
		Physical:           storage,
		RedirectAddr:       url,
		ClusterName:        "tokenkeep",
		LogicalBackends:    map[string]logical.Factory{"kv": kv.Factory},
		CredentialBackends: map[string]logical.Factory{"approle": approle.Factory},
		BuiltinRegistry:    builtins{},
		DisableMlock:       true,
		Logger:             c.Log,
		// The handler reads it: how the log is written, and nothing else that is needed here.
		RawConfig: &server.Config{SharedConfig: &configutil.SharedConfig{LogFormat: "standard"}},
	}
	if c.ClusterAddress != "" {
		members, ok := storage.(physical.HABackend)
		if !ok {
			return nil, errors.New("a node without Dir is no member of a cluster")
		}
		config.HAPhysical, config.ClusterAddr = members, "https://"+c.ClusterAddress
		config.StorageType, config.ClusterHeartbeatInterval = "raft", time.Second
		if len(c.Via) > 0 {
			layer, err := detour(cmp.Or(c.ClusterListen, c.ClusterAddress), c.Via, c.Log)
			if err != nil {
				return nil, err
			}
			config.ClusterNetworkLayer = layer
		}
	}
	return vault.NewCore(config)
}

// Client returns a client of the node, without a token. It makes no retries.
func (n *Node) Client() (*api.Client, error) { return NewClient(n.URL) }

// NewClient returns a client of an address, whatever the environment says. It has no
// token and makes no retries.
func NewClient(url string) (*api.Client, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address, config.AgentAddress, config.MaxRetries = url, "", 0
	client, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.ClearToken()
	client.ClearNamespace()
	return client, nil
}

// Stop ends the node as an operator does: it hands its office over, answers what it has
// begun, and leaves its files to the next life.
func (n *Node) Stop() error {
	_ = n.core.Shutdown() // says so if it was sealed already
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if n.serving.Shutdown(ctx) != nil {
		_ = n.serving.Close() // connections that somebody keeps open
	}
	<-n.served
	return closeStorage(n.storage)
}
