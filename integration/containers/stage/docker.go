package stage

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// dataDir is a folder in the images that the programs may write to, unless they are
// confined.
const dataDir = "/data"

// An Engine is a Docker that answers, and the images that were made there.
type Engine struct {
	docker client.APIClient
	labels map[string]string // of all that is made

	mu     sync.Mutex
	images map[string]string // by binary

	gate   sync.Mutex
	closed bool           // nothing is made any more
	making sync.WaitGroup // what is being made
}

var errClosed = errors.New("all is being removed")

// make makes something in Docker, unless all is being removed: what is made then nobody would
// remove.
func (e *Engine) make(do func() error) error {
	e.gate.Lock()
	if e.closed {
		e.gate.Unlock()
		return errClosed
	}
	e.making.Add(1)
	e.gate.Unlock()
	defer e.making.Done()
	return do()
}

// ErrNone is that containers cannot be used here.
var ErrNone = errors.New("containers cannot be used here")

// Docker returns the engine, or an error that matches ErrNone and says why there is none; any
// other error is one of a Docker that is there. It removes what runs left that were killed. longest is how
// long this run may take, after which others may remove what it left.
func Docker(ctx context.Context, longest time.Duration) (*Engine, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("%w: they need Docker on Linux, where all processes share a clock", ErrNone)
	}
	// The settings of testcontainers-go: no reaper, whose image would have to be
	// downloaded. What is made here has labels, and is removed here.
	for name, value := range map[string]string{"TESTCONTAINERS_RYUK_DISABLED": "true", "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1"} {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	log.SetDefault(log.NewNoopLogger())
	docker, err := client.New(client.FromEnv)
	if err != nil {
		return nil, fmt.Errorf("%w: there is no Docker: %w", ErrNone, err)
	}
	answer, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := docker.Ping(answer, client.PingOptions{}); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: there is no Docker: %w", ErrNone, err), docker.Close())
	}
	me := self(time.Now().Add(longest))
	if err := sweep(ctx, docker, me); err != nil {
		return nil, errors.Join(fmt.Errorf("what earlier runs left cannot be removed: %w", err), docker.Close())
	}
	return &Engine{docker: docker, labels: me.labels(strings.ToLower(rand.Text()[:12])), images: map[string]string{}}, nil
}

// Close removes all that was made, also what is being made now.
func (e *Engine) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e.gate.Lock()
	e.closed = true
	e.gate.Unlock()
	made := make(chan struct{})
	go func() {
		defer close(made)
		e.making.Wait()
	}()
	select {
	case <-made:
	case <-time.After(20 * time.Second): // something does not answer; what there is can be removed
	}
	return errors.Join(removeSession(ctx, e.docker, e.labels[sessionLabel]), e.docker.Close())
}

// Fetchable reports why a public image cannot be had; nil if it is here, or a registry answers.
func (e *Engine) Fetchable(ctx context.Context, image string) error {
	if _, err := e.docker.ImageInspect(ctx, image); err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := e.docker.DistributionInspect(ctx, image, client.DistributionInspectOptions{})
	return err
}

// image returns the name of the image of a binary, which it makes the first time.
func (e *Engine) image(ctx context.Context, bin, binary string) (name string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.images[binary] == "" {
		err = e.make(func() (err error) {
			e.images[binary], err = buildImage(ctx, bin, binary, e.labels)
			return err
		})
	}
	return e.images[binary], err
}

// buildImage makes an image of nothing but a binary and an empty folder, and returns its
// name. The labels come first, so that what a build leaves that does not come to its end has them,
// too.
func buildImage(ctx context.Context, bin, binary string, labels map[string]string) (string, error) {
	program, err := os.ReadFile(filepath.Join(bin, binary))
	if err != nil {
		return "", err
	}
	var label strings.Builder
	for name, value := range labels {
		fmt.Fprintf(&label, " %s=%q", name, value)
	}
	file := "FROM scratch\nLABEL" + label.String() + "\nCOPY " + binary + " /program\nCOPY --chown=" + nobody + " data " + dataDir + "\nENTRYPOINT [\"/program\"]\n"
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range []struct {
		tar.Header
		body []byte
	}{
		{tar.Header{Name: "Dockerfile", Mode: 0o644}, []byte(file)},
		{tar.Header{Name: binary, Mode: 0o755}, program},
		{tar.Header{Name: "data/", Mode: 0o700, Typeflag: tar.TypeDir}, nil},
	} {
		f.Size = int64(len(f.body))
		if err := w.WriteHeader(&f.Header); err != nil {
			return "", err
		}
		if _, err := w.Write(f.body); err != nil {
			return "", err
		}
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return "", err
	}
	defer provider.Close() //nolint:errcheck // what it made stands
	return provider.BuildImage(ctx, &testcontainers.ContainerRequest{FromDockerfile: testcontainers.FromDockerfile{
		ContextArchive: bytes.NewReader(archive.Bytes()), Repo: "tokenkeep-" + binary, Tag: labels[sessionLabel], KeepImage: true, BuildLogWriter: io.Discard,
	}})
}
