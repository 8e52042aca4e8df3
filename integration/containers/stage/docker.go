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
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// The labels of all that is made: which run made it, and the process that is to remove it.
const (
	sessionLabel = "tokenkeep.session"
	processLabel = "tokenkeep.process"
)

// dataDir is a folder in the images that the programs may write to, unless they are
// confined.
const dataDir = "/data"

// An Engine is a Docker that answers, and the images that were made there.
type Engine struct {
	docker  client.APIClient
	session string

	mu     sync.Mutex
	images map[string]string // by binary
}

// Docker returns the engine, or why containers cannot be used here. It removes what runs left
// that were killed.
func Docker(ctx context.Context) (*Engine, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New("containers need Docker on Linux, where all processes share a clock")
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
		return nil, fmt.Errorf("there is no Docker: %w", err)
	}
	if _, err := docker.Ping(ctx, client.PingOptions{}); err != nil {
		return nil, errors.Join(fmt.Errorf("there is no Docker: %w", err), docker.Close())
	}
	if err := sweep(ctx, docker); err != nil {
		return nil, errors.Join(err, docker.Close())
	}
	return &Engine{docker: docker, session: strings.ToLower(rand.Text()[:12]), images: map[string]string{}}, nil
}

// Close removes all that was made.
func (e *Engine) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(removeSession(ctx, e.docker, e.session), e.docker.Close())
}

func (e *Engine) labels() map[string]string {
	return map[string]string{sessionLabel: e.session, processLabel: strconv.Itoa(os.Getpid())}
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
		e.images[binary], err = buildImage(ctx, bin, binary, e.session, e.labels())
	}
	return e.images[binary], err
}

// buildImage makes an image of nothing but a binary and an empty folder, and returns its
// name.
func buildImage(ctx context.Context, bin, binary, session string, labels map[string]string) (string, error) {
	program, err := os.ReadFile(filepath.Join(bin, binary))
	if err != nil {
		return "", err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range []struct {
		tar.Header
		body []byte
	}{
		{tar.Header{Name: "Dockerfile", Mode: 0o644}, []byte("FROM scratch\nCOPY " + binary + " /program\nCOPY --chown=" + nobody + " data " + dataDir + "\nENTRYPOINT [\"/program\"]\n")},
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
		ContextArchive: bytes.NewReader(archive.Bytes()), Repo: "tokenkeep-" + binary, Tag: session, KeepImage: true, BuildLogWriter: io.Discard,
		BuildOptionsModifier: func(o *client.ImageBuildOptions) { o.Labels = labels },
	}})
}

// sweep removes what processes left that are no more.
func sweep(ctx context.Context, docker client.APIClient) error {
	sessions := map[string]bool{}
	note := func(labels map[string]string) {
		if pid, err := strconv.Atoi(labels[processLabel]); err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			sessions[labels[sessionLabel]] = true
		}
	}
	ours := client.Filters{}.Add("label", sessionLabel)
	containers, err := docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		return err
	}
	for _, c := range containers.Items {
		note(c.Labels)
	}
	networks, err := docker.NetworkList(ctx, client.NetworkListOptions{Filters: ours})
	if err != nil {
		return err
	}
	for _, n := range networks.Items {
		note(n.Labels)
	}
	images, err := docker.ImageList(ctx, client.ImageListOptions{Filters: ours})
	if err != nil {
		return err
	}
	for _, i := range images.Items {
		note(i.Labels)
	}
	var errs []error
	for session := range sessions {
		errs = append(errs, removeSession(ctx, docker, session))
	}
	return errors.Join(errs...)
}

// removeSession removes all that a run made.
func removeSession(ctx context.Context, docker client.APIClient, session string) error {
	its := client.Filters{}.Add("label", sessionLabel+"="+session)
	var errs []error
	containers, err := docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: its})
	errs = append(errs, err)
	for _, c := range containers.Items {
		_, _ = docker.ContainerUnpause(ctx, c.ID, client.ContainerUnpauseOptions{}) // one that is paused cannot be killed
		_, err := docker.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		errs = append(errs, err)
	}
	networks, err := docker.NetworkList(ctx, client.NetworkListOptions{Filters: its})
	errs = append(errs, err)
	for _, n := range networks.Items {
		_, err := docker.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		errs = append(errs, err)
	}
	images, err := docker.ImageList(ctx, client.ImageListOptions{Filters: its})
	errs = append(errs, err)
	for _, i := range images.Items {
		_, err := docker.ImageRemove(ctx, i.ID, client.ImageRemoveOptions{Force: true, PruneChildren: true})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
