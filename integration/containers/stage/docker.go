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
	"syscall"

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

// Docker reports why containers cannot be used here; nil if they can. It removes what runs
// left that were killed.
func Docker(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		return errors.New("containers need Docker on Linux, where all processes share a clock")
	}
	// The settings of testcontainers-go: no reaper, whose image would have to be
	// downloaded. What is made here has labels, and is removed here.
	for name, value := range map[string]string{"TESTCONTAINERS_RYUK_DISABLED": "true", "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1"} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	log.SetDefault(log.NewNoopLogger())
	docker, err := connect()
	if err != nil {
		return err
	}
	defer docker.Close() //nolint:errcheck // it was only asked
	if _, err := docker.Ping(ctx, client.PingOptions{}); err != nil {
		return fmt.Errorf("there is no Docker: %w", err)
	}
	return sweep(ctx, docker)
}

func connect() (client.APIClient, error) {
	c, err := client.New(client.FromEnv)
	if err != nil {
		return nil, fmt.Errorf("there is no Docker: %w", err)
	}
	return c, nil
}

func newSession() string { return strings.ToLower(rand.Text()[:12]) }

// buildImage makes an image of nothing but a binary and an empty folder, and returns its
// name.
func buildImage(ctx context.Context, bin, binary, session string, labels map[string]string) (string, error) {
	program, err := os.ReadFile(filepath.Join(bin, binary)) //nolint:gosec // built by us
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
