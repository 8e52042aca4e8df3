// Command vaultserver is one Vault node with Raft storage, as a program: what package
// vaultnode runs, by itself. It starts itself up as an operator would: the first node
// initialises the cluster, the others join it, and each unseals itself whenever it is
// sealed. It has a mount "secret", KV version 2.
//
// It is for tests: the unseal key lies beside the data. It is told by its environment what it is:
//
//	VAULT_NODE      its name, "node-0"
//	VAULT_DIR       where its files are; what it finds there it goes on with
//	VAULT_LISTEN    where it serves, "0.0.0.0:8200"
//	VAULT_CLUSTER   where it listens for other nodes, "0.0.0.0:8201"
//	VAULT_API       what others call VAULT_LISTEN, "http://node-0:8200"
//	VAULT_PEER      what other nodes call VAULT_CLUSTER, "node-0:8201"
//	VAULT_JOIN      the VAULT_API of the first node; empty: this is the first
//	VAULT_KEY       the unseal key, of all but the first
//	VAULT_VIA       what to connect to in place of other nodes' VAULT_PEER: "a=b c=d"
//	VAULT_KEEP      the URL of a server that somebody else runs: it is initialised and unsealed,
//	                and of the others only VAULT_DIR counts
//	VAULT_STDIN     if set, it ends when its standard input does
//
// On its output it says in lines of JSON what it becomes.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tokenkeep/tokenkeep/integration/vaultnode"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("VAULT_STDIN") != "" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "vaultserver:", err)
		os.Exit(1) //nolint:gocritic // the context has no use any more
	}
}

func run(ctx context.Context) (err error) {
	k := &keeper{dir: os.Getenv("VAULT_DIR"), join: os.Getenv("VAULT_JOIN"), key: os.Getenv("VAULT_KEY")}
	url := os.Getenv("VAULT_KEEP")
	if url == "" {
		node, err := vaultnode.Start(vaultnode.Config{
			ID: os.Getenv("VAULT_NODE"), Dir: os.Getenv("VAULT_DIR"),
			Address: os.Getenv("VAULT_LISTEN"), Advertised: os.Getenv("VAULT_API"),
			ClusterAddress: os.Getenv("VAULT_PEER"), ClusterListen: os.Getenv("VAULT_CLUSTER"),
			Via: via(os.Getenv("VAULT_VIA")),
			Log: serverLog(),
		})
		if err != nil {
			return err
		}
		defer func() { _ = node.Stop() }()
		// It talks to itself by its own network, whatever others call it.
		url = "http://" + strings.Replace(os.Getenv("VAULT_LISTEN"), "0.0.0.0", "127.0.0.1", 1)
	}
	if k.client, err = vaultnode.NewClient(url); err != nil {
		return err
	}
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		k.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// via reads "a=b c=d".
func via(text string) map[string]string {
	m := map[string]string{}
	for pair := range strings.FieldsSeq(text) {
		from, to, _ := strings.Cut(pair, "=")
		m[from] = to
	}
	return m
}

// serverLog is on the standard error, if VAULT_LOG_LEVEL says of what weight.
func serverLog() hclog.Logger {
	level := hclog.LevelFromString(os.Getenv("VAULT_LOG_LEVEL"))
	if level == hclog.NoLevel {
		return hclog.NewNullLogger()
	}
	return hclog.New(&hclog.LoggerOptions{Name: os.Getenv("VAULT_NODE"), Level: level, Output: os.Stderr})
}

// say writes a line about what the node is.
func say(state State) {
	line, err := json.Marshal(state)
	if err == nil {
		_, _ = os.Stdout.Write(append(line, '\n'))
	}
}
