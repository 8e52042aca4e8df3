package stage

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// sources are where the binaries' packages are, seen from integration/containers.
var sources = map[string]struct{ module, pkg string }{
	Worker:      {".", "./worker"},
	AWSServer:   {".", "./awsserver"},
	GCPServer:   {".", "./gcpserver"},
	VaultServer: {"..", "./vaultserver"},
}

// Build builds binaries that need nothing but the kernel, and returns their folder. root is
// integration/containers; goos is what they run on, GOOS. The go command compares what is there with the sources, and links only
// what changed.
func Build(ctx context.Context, root, goos string, binaries ...string) (dir string, err error) {
	dir, err = filepath.Abs(filepath.Join(root, "../../.bin/containers"))
	if err != nil {
		return "", err
	}
	for _, binary := range binaries {
		from := sources[binary]
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, binary), from.pkg) //nolint:gosec // its own words
		build.Dir = filepath.Join(root, from.module)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOFLAGS="+os.Getenv("GOFLAGS")+" -buildvcs=false")
		build.Cancel = func() error { return build.Process.Signal(os.Interrupt) }
		build.WaitDelay = 10 * time.Second
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build %s: %w\n%s", from.pkg, err, out)
		}
	}
	return dir, nil
}
