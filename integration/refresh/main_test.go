package refresh_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

var (
	flagFor  = flag.Duration("for", 40*time.Second, "for how long 32 processes work")
	flagSeed = flag.Int64("seed", 0, "decides who is killed when; 0: drawn")
)

// worker builds the worker, once, and returns its path. It is a static binary without the race
// detector, of which 32 would be too many; the servers have it.
var worker = sync.OnceValues(func() (string, error) {
	path, err := filepath.Abs("../../.bin/refresh/worker")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./worker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+os.Getenv("GOFLAGS")+" -buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./worker: %w\n%s", err, out)
	}
	return path, nil
})
