package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"
)

const (
	// InContainers is the mode of a stage of containers.
	InContainers = "containers"
	// Nobody is the number of the user and of the group that programs run as in containers.
	Nobody = 65532
	// Memory is what a confined program may use.
	Memory = 64 << 20
)

// nobody is how Docker is told.
var nobody = fmt.Sprintf("%d:%d", Nobody, Nobody)

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
	err = e.make(func() (err error) {
		s.network, err = tcnetwork.New(ctx, tcnetwork.WithInternal(), tcnetwork.WithLabels(maps.Clone(e.labels)))
		return err
	})
	return s, err
}

// Mode says how programs run.
func (*Containers) Mode() string { return InContainers }

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
		Image: cmp.Or(p.Image, s.images[p.Binary]), Cmd: p.Args, Env: p.Env, Labels: maps.Clone(s.engine.labels),
		Networks:       []string{s.network.Name},
		NetworkAliases: map[string][]string{s.network.Name: {p.Name}},
		ConfigModifier: func(c *container.Config) {
			if c.Hostname = p.Name; p.Image == "" {
				c.User = nobody
			}
		},
		HostConfigModifier: func(h *container.HostConfig) {
			// The log is whole, whatever the default of this Docker is.
			h.LogConfig = container.LogConfig{Type: "json-file", Config: map[string]string{"mode": "blocking", "max-size": "100g"}}
			if p.Image != "" {
				return // as its makers want it
			}
			h.CapDrop, h.SecurityOpt = []string{"ALL"}, []string{"no-new-privileges"}
			if p.Confined {
				h.ReadonlyRootfs = true
				h.Memory, h.MemorySwap = Memory, Memory // and nothing to swap to
			}
		},
	}}
	b := &box{stage: s, program: p}
	err := s.engine.make(func() error {
		c, err := testcontainers.GenericContainer(ctx, request)
		if c != nil {
			b.id = c.GetContainerID()
			s.mu.Lock()
			s.units[b] = true
			s.mu.Unlock()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if p.Confined {
		found, err := s.docker.ContainerInspect(ctx, b.id, client.ContainerInspectOptions{})
		if err != nil {
			return nil, err
		}
		if n := len(found.Container.Mounts); n > 0 {
			return nil, fmt.Errorf("%s has %d volumes", p.Name, n)
		}
	}
	err = b.Again(ctx)
	return b, err
}

// Close removes the containers and their network. It reports logs that could not be read to their
// end, too.
func (s *Containers) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s.mu.Lock()
	units := slices.Collect(maps.Keys(s.units))
	s.mu.Unlock()
	errs := make([]error, len(units)+1)
	var wg sync.WaitGroup
	for i, b := range units {
		wg.Go(func() { errs[i] = errors.Join(b.broken(), b.Remove(ctx)) })
	}
	wg.Wait()
	_, errs[len(units)] = s.docker.NetworkRemove(ctx, s.network.ID, client.NetworkRemoveOptions{})
	return errors.Join(errs...)
}
