package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"
)

// nobody is the user that programs run as in containers.
const nobody = "65532:65532"

// memory is what a confined program may use.
const memory = 64 << 20

// Containers is a stage of containers on a network of their own, without a way out.
type Containers struct {
	engine  *Engine
	docker  client.APIClient
	network *testcontainers.DockerNetwork
	images  map[string]string // by binary

	mu    sync.Mutex
	units map[*box]bool
}

// NewContainers returns a stage, with images of the binaries in bin.
func (e *Engine) NewContainers(ctx context.Context, bin string, binaries ...string) (_ *Containers, err error) {
	s := &Containers{engine: e, docker: e.docker, images: map[string]string{}, units: map[*box]bool{}}
	for _, binary := range binaries {
		if s.images[binary], err = e.image(ctx, bin, binary); err != nil {
			return nil, err
		}
	}
	s.network, err = tcnetwork.New(ctx, tcnetwork.WithInternal(), tcnetwork.WithLabels(e.labels()))
	return s, err
}

// Mode says how programs run.
func (*Containers) Mode() string { return "containers" }

// Listen is all addresses of the container.
func (*Containers) Listen(_ string, port int) string { return fmt.Sprint("0.0.0.0:", port) }

// Known is its name on the network.
func (*Containers) Known(name string, port int) string { return fmt.Sprint(name, ":", port) }

// Reach is that name too.
func (s *Containers) Reach(_, to string, port int) (string, error) { return s.Known(to, port), nil }

// Dir is a folder of the container itself, which goes when it is removed.
func (*Containers) Dir(string) string { return dataDir }

// Start starts a program.
func (s *Containers) Start(ctx context.Context, p Program) (Unit, error) {
	request := testcontainers.GenericContainerRequest{ContainerRequest: testcontainers.ContainerRequest{
		Image: cmp.Or(p.Image, s.images[p.Binary]), Cmd: p.Args, Env: p.Env, Labels: s.engine.labels(),
		Networks:       []string{s.network.Name},
		NetworkAliases: map[string][]string{s.network.Name: {p.Name}},
		ConfigModifier: func(c *container.Config) {
			if c.Hostname = p.Name; p.Image == "" {
				c.User = nobody
			}
		},
		HostConfigModifier: func(h *container.HostConfig) {
			if p.Image != "" {
				return // as its makers want it
			}
			h.CapDrop, h.SecurityOpt = []string{"ALL"}, []string{"no-new-privileges"}
			if p.Confined {
				h.ReadonlyRootfs = true
				h.Memory, h.MemorySwap = memory, memory // and nothing to swap to
			}
		},
	}}
	c, err := testcontainers.GenericContainer(ctx, request)
	b := &box{stage: s, program: p}
	if c != nil {
		b.id = c.GetContainerID()
		s.mu.Lock()
		s.units[b] = true
		s.mu.Unlock()
	}
	if err != nil {
		return nil, err
	}
	err = b.Again(ctx)
	return b, err
}

// Close removes the containers and their network.
func (s *Containers) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s.mu.Lock()
	units := slices.Collect(maps.Keys(s.units))
	s.mu.Unlock()
	errs := make([]error, len(units)+1)
	var wg sync.WaitGroup
	for i, b := range units {
		wg.Go(func() { errs[i] = b.Remove(ctx) })
	}
	wg.Wait()
	_, errs[len(units)] = s.docker.NetworkRemove(ctx, s.network.ID, client.NetworkRemoveOptions{})
	return errors.Join(errs...)
}

// A box is a program in a container.
type box struct {
	stage   *Containers
	program Program
	id      string

	mu   sync.Mutex
	read int // lines of its output, in all its lives
	errs tail
	done chan struct{} // closed when it has ended and its output has been read
}

// Again starts the container, and reads what it writes.
func (b *box) Again(ctx context.Context) error {
	if _, err := b.stage.docker.ContainerStart(ctx, b.id, client.ContainerStartOptions{}); err != nil {
		return err
	}
	// The log begins with what earlier lives wrote.
	reading := context.WithoutCancel(ctx)
	logs, err := b.stage.docker.ContainerLogs(reading, b.id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		return err
	}
	done := make(chan struct{})
	b.mu.Lock()
	skip := b.read
	b.done = done
	b.mu.Unlock()
	r, w := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(w, &b.errs, logs)
		w.CloseWithError(errors.Join(err, logs.Close(), io.EOF))
	}()
	go func() {
		defer close(done)
		n := lines(r, skip, b.program.Says)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.read = n
	}()
	return nil
}

// ended waits until the output has been read to its end.
func (b *box) ended(ctx context.Context) error {
	b.mu.Lock()
	done := b.done
	b.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill sends SIGKILL.
func (b *box) Kill(ctx context.Context) error {
	if _, err := b.stage.docker.ContainerKill(ctx, b.id, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		return err
	}
	return b.ended(ctx)
}

// Hang sends SIGHUP.
func (b *box) Hang(ctx context.Context) error {
	_, err := b.stage.docker.ContainerKill(ctx, b.id, client.ContainerKillOptions{Signal: "SIGHUP"})
	return err
}

// Pause freezes the container.
func (b *box) Pause(ctx context.Context) error {
	_, err := b.stage.docker.ContainerPause(ctx, b.id, client.ContainerPauseOptions{})
	return err
}

// Resume thaws it.
func (b *box) Resume(ctx context.Context) error {
	_, err := b.stage.docker.ContainerUnpause(ctx, b.id, client.ContainerUnpauseOptions{})
	return err
}

// Cut takes its network away.
func (b *box) Cut(ctx context.Context) error {
	_, err := b.stage.docker.NetworkDisconnect(ctx, b.stage.network.ID, client.NetworkDisconnectOptions{Container: b.id})
	return err
}

// Mend gives it the network back, maybe with another address.
func (b *box) Mend(ctx context.Context) error {
	_, err := b.stage.docker.NetworkConnect(ctx, b.stage.network.ID, client.NetworkConnectOptions{
		Container: b.id, EndpointConfig: &network.EndpointSettings{Aliases: []string{b.program.Name}},
	})
	return err
}

// Wait waits for its end, and returns how it ended.
func (b *box) Wait(ctx context.Context) error {
	if err := b.ended(ctx); err != nil {
		return err
	}
	found, err := b.stage.docker.ContainerInspect(ctx, b.id, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	if state := found.Container.State; state.Running || state.ExitCode != 0 {
		return fmt.Errorf("%s: running %v, exit code %d, out of memory %v: %s", b.program.Name, state.Running, state.ExitCode, state.OOMKilled, b.errs.String())
	}
	return nil
}

// Trace is the end of its standard error.
func (b *box) Trace() string { return b.errs.String() }

// Remove removes the container, whatever it does.
func (b *box) Remove(ctx context.Context) error {
	_, _ = b.stage.docker.ContainerUnpause(ctx, b.id, client.ContainerUnpauseOptions{}) // one that is paused cannot be killed
	_, err := b.stage.docker.ContainerRemove(ctx, b.id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	b.stage.mu.Lock()
	defer b.stage.mu.Unlock()
	delete(b.stage.units, b)
	return err
}
