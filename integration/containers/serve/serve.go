// Package serve makes a program of a double: it stands before it as the address that others
// know, and restarts when it is told to. The double keeps its state; what others see is that
// all connections break, and that nothing listens for a while.
package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/relay"
)

// downtime is how long a restart takes.
const downtime = time.Second

// Until serves what listens at target, at the address that SERVER_LISTEN names, until the
// program is to end. SIGHUP is a restart.
func Until(target string) {
	if err := until(target); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1) //nolint:revive // it is the rest of main
	}
}

func until(target string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("SERVER_STDIN") != "" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	restart := make(chan os.Signal, 1)
	signal.Notify(restart, syscall.SIGHUP)
	front, err := relay.Start(os.Getenv("SERVER_LISTEN"), target)
	if err != nil {
		return err
	}
	defer front.Close()
	for {
		if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"state": "active"}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-restart:
		}
		front.Close()
		timer := time.NewTimer(downtime)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		if err := front.Open(); err != nil {
			return err
		}
	}
}
