// Command worker is a program that uses tokenkeep as users' programs do, many at a time:
// it saves, rotates, finds and deletes the tokens of a few users, and writes down to its output
// what it asked for and what it was told (package oplog). It has no disk.
//
// Its environment says what it does:
//
//	WORKER_DO        "work", "finish", "fill" or "list"
//	WORKER_SERVICE   "aws", "gcp" or "vault"
//	WORKER_SERVERS   where the service is: host:port, several with spaces between
//	WORKER_TOKEN     the token for Vault
//	WORKER_NUMBER    no other worker has had it; from 1
//	WORKER_SEED      decides what it does
//	WORKER_START     when the workers begin, in nanoseconds of package oplog's clock
//	WORKER_FOR       for how long they work from then on
//	WORKER_CLIENTS   how many goroutines it has
//	WORKER_PAUSE     about how long each of them waits between operations
//	WORKER_TIMEOUT   how long an operation may take
//	WORKER_TOKENS    how many tokens it fills in or lists
//	WORKER_REMEMBER  how many secrets its store remembers; empty: as many as by default
//	WORKER_STDIN     if set, it ends when its standard input does
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/oplog"
	"github.com/tokenkeep/tokenkeep/token"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

// A worker is what main makes of the environment.
type worker struct {
	config
	store *token.Store
	log   *oplog.Writer
	marks counter // of all writes
	fresh counter // of all new tokens
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("WORKER_STDIN") != "" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	c, err := readConfig(os.Getenv)
	if err != nil {
		return err
	}
	w := &worker{config: c, log: oplog.NewWriter(os.Stdout)}
	sees := confined()
	w.write(oplog.Line{Confined: &sees})
	if w.store, err = open(ctx, c); err != nil {
		return err
	}
	do, ok := map[string]func(context.Context) error{
		"work": w.work, "finish": w.finish, "fill": w.fill, "list": w.list,
	}[os.Getenv("WORKER_DO")]
	if !ok {
		return errors.New("WORKER_DO is none of the things that a worker does")
	}
	if err := do(ctx); err != nil {
		return err
	}
	w.write(oplog.Line{Ended: true})
	return nil
}

// A config is what the environment says.
type config struct {
	service, servers, token string
	number, clients, tokens int
	remember                int
	seed, start             int64
	length, pause, timeout  time.Duration
}

func readConfig(env func(string) string) (config, error) {
	c := config{service: env("WORKER_SERVICE"), servers: env("WORKER_SERVERS"), token: env("WORKER_TOKEN")}
	var errs []error
	number := func(name string) int64 {
		if env(name) == "" {
			return 0
		}
		n, err := strconv.ParseInt(env(name), 10, 64)
		errs = append(errs, err)
		return n
	}
	duration := func(name string) time.Duration {
		if env(name) == "" {
			return 0
		}
		d, err := time.ParseDuration(env(name))
		errs = append(errs, err)
		return d
	}
	c.number, c.clients, c.tokens = int(number("WORKER_NUMBER")), int(number("WORKER_CLIENTS")), int(number("WORKER_TOKENS"))
	c.remember = int(number("WORKER_REMEMBER"))
	c.seed, c.start = number("WORKER_SEED"), number("WORKER_START")
	c.length, c.pause, c.timeout = duration("WORKER_FOR"), duration("WORKER_PAUSE"), duration("WORKER_TIMEOUT")
	return c, errors.Join(errs...)
}
