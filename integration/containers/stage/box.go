package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// A box is a program in a container.
type box struct {
	stage   *Containers
	program Program
	id      string
	errs    tail
	read    int // lines of its output, in all its lives; of follow alone

	mu   sync.Mutex
	stop context.CancelFunc // of the reading
	done chan struct{}      // closed when it has ended and its output has been read
	err  error              // why that could not be read to its end
}

// Again starts the container, and reads what it writes.
func (b *box) Again(ctx context.Context) error {
	if _, err := b.stage.docker.ContainerStart(ctx, b.id, client.ContainerStartOptions{}); err != nil {
		return err
	}
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stop, b.done, b.err = stop, done, nil
	go func() {
		defer close(done)
		defer stop()
		err := b.follow(reading)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.err = err
	}()
	return nil
}

// fruitless is how often in a row a log may end with nothing new while the program lives. It may
// for a moment, when the program has just ended.
const fruitless = 100

var errLogEnded = errors.New("its log ended while it lives")

// follow reads the log until the program has ended. A stream that ends before that is opened
// again; and since one may end early without a word, the whole log is read once more in
// the end, for what is missing.
func (b *box) follow(ctx context.Context) error {
	for tries := 0; ; {
		before := b.read
		_, broke := b.copy(ctx, true)
		found, err := b.stage.docker.ContainerInspect(ctx, b.id, client.ContainerInspectOptions{})
		if err != nil {
			return fmt.Errorf("%s: the log ended, and why is not told: %w", b.program.Name, errors.Join(broke, err))
		}
		if !found.Container.State.Running {
			break
		}
		if tries++; b.read > before {
			tries = 0
		}
		if tries == fruitless || !rest(ctx) {
			return fmt.Errorf("%s: %w", b.program.Name, errors.Join(errLogEnded, broke, ctx.Err()))
		}
	}
	last, err := b.copy(ctx, false)
	if err != nil {
		return fmt.Errorf("%s: the log of a program that has ended: %w", b.program.Name, err)
	}
	if len(last) > 0 && b.program.Says != nil {
		b.program.Says(last)
	}
	return nil
}

// copy passes the lines of the log on that were not read yet, and returns what follows the
// last whole one. The log begins with what earlier lives wrote.
func (b *box) copy(ctx context.Context, follow bool) (last []byte, err error) {
	logs, err := b.stage.docker.ContainerLogs(ctx, b.id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: follow})
	if err != nil {
		return nil, err
	}
	defer logs.Close()
	b.errs.empty()
	r, w := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(w, &b.errs, logs)
		w.CloseWithError(err) // nil: it is the end of the file
	}()
	n, last, err := lines(r, b.read, b.program.Says)
	if n < b.read && err == nil && !follow {
		err = fmt.Errorf("it has %d lines, and there were %d", n, b.read)
	}
	b.read = max(b.read, n)
	return last, err
}

// ended waits until the output has been read to its end, and says if it could not be.
func (b *box) ended(ctx context.Context) error {
	b.mu.Lock()
	done := b.done
	b.mu.Unlock()
	select {
	case <-done:
		return b.broken()
	case <-ctx.Done():
		return fmt.Errorf("%s: its output has not ended: %w", b.program.Name, ctx.Err())
	}
}

// broken says why its output could not be read to its end.
func (b *box) broken() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// Kill sends SIGKILL.
func (b *box) Kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dying)
	defer cancel()
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

// Pause freezes the container. A kernel that is busy does not always freeze all of its threads in the
// time that runc gives it ("unable to freeze"): then runc thaws it, and it is tried again.
func (b *box) Pause(ctx context.Context) error {
	const tries = 20
	for try := 1; ; try++ {
		_, err := b.stage.docker.ContainerPause(ctx, b.id, client.ContainerPauseOptions{})
		if err == nil || try == tries || !strings.Contains(err.Error(), "unable to freeze") || !rest(ctx) {
			return err
		}
	}
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
	b.mu.Lock()
	if b.stop != nil {
		b.stop()
	}
	b.mu.Unlock()
	_, _ = b.stage.docker.ContainerUnpause(ctx, b.id, client.ContainerUnpauseOptions{}) // one that is paused cannot be killed
	_, err := b.stage.docker.ContainerRemove(ctx, b.id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	b.stage.mu.Lock()
	defer b.stage.mu.Unlock()
	delete(b.stage.units, b)
	return err
}
