package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"github.com/tokenkeep/tokenkeep/integration/containers/relay"
)

// Processes is a stage of child processes on loopback addresses. Each program reaches
// each other one through a relay of their own, which is cut where a network would be. A child ends
// when its standard input does, so that none outlives this process.
type Processes struct {
	bin, dir string
	lock     *os.File

	mu     sync.Mutex
	places map[string]string // host:port by name and port
	relays map[[3]string]*relay.Relay
	units  []*child
	closed bool // nothing starts any more
}

// NewProcesses returns a stage of the binaries in bin. The programs' files are in a folder that
// Close removes, or the next run, if this one is killed.
func NewProcesses(bin string) (*Processes, error) {
	if err := sweepFolders(os.TempDir()); err != nil {
		return nil, fmt.Errorf("what earlier runs left cannot be removed: %w", err)
	}
	dir, lock, err := folder()
	if err != nil {
		return nil, err
	}
	return &Processes{bin: bin, dir: dir, lock: lock, places: map[string]string{}, relays: map[[3]string]*relay.Relay{}}, nil
}

// Mode says how programs run.
func (*Processes) Mode() string { return "child processes" }

// Listen is an address of this machine that nothing else is likely to use: a program that
// is started again finds it free.
func (s *Processes) Listen(name string, port int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := name + ":" + strconv.Itoa(port)
	if s.places[key] == "" {
		s.places[key] = place(port)
	}
	return s.places[key]
}

// Known is where it listens.
func (s *Processes) Known(name string, port int) string { return s.Listen(name, port) }

func place(port int) string {
	if runtime.GOOS == "linux" {
		part := func() int { return 1 + rand.IntN(254) } //nolint:gosec // no secret
		return fmt.Sprintf("127.%d.%d.%d:%d", part(), part(), part(), port)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // on loopback, at once
	if err != nil {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	defer l.Close() //nolint:errcheck // it was never used
	return l.Addr().String()
}

// Reach starts the relay between two programs, if it is not there yet.
func (s *Processes) Reach(from, to string, port int) (string, error) {
	target := s.Listen(to, port)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := [3]string{from, to, strconv.Itoa(port)}
	if r := s.relays[key]; r != nil {
		return r.Addr, nil
	}
	r, err := relay.Start("127.0.0.1:0", target)
	if err != nil {
		return "", err
	}
	s.relays[key] = r
	return r.Addr, nil
}

// Dir is a folder of the program's own.
func (s *Processes) Dir(name string) string { return filepath.Join(s.dir, name) }

// Start starts a program.
func (s *Processes) Start(_ context.Context, p Program) (Unit, error) {
	if p.Image != "" {
		return nil, fmt.Errorf("%s: an image is no program here", p.Name)
	}
	c := &child{stage: s, program: p}
	if err := c.start(); err != nil {
		return nil, err
	}
	return c, nil
}

// Close kills what runs, closes the relays and removes the files.
func (s *Processes) Close() error {
	s.mu.Lock()
	units, relays := s.units, s.relays
	s.units, s.relays, s.closed = nil, map[[3]string]*relay.Relay{}, true
	s.mu.Unlock()
	var errs []error
	for _, c := range units {
		if err := c.Kill(context.Background()); !errors.Is(err, errEnded) {
			errs = append(errs, err)
		}
	}
	for _, r := range relays {
		r.Close()
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir), s.lock.Close())...)
}

// A child is a program that runs as a child process.
type child struct {
	stage   *Processes
	program Program

	mu     sync.Mutex
	cmd    *exec.Cmd
	stdin  io.Closer
	errs   tail
	done   chan struct{} // closed when it has ended and its output has been read
	ended  error
	unread error // why the output could not be read to its end
}

// start starts it, unless the stage is closed: then nobody would end it.
func (c *child) start() error {
	c.stage.mu.Lock()
	defer c.stage.mu.Unlock()
	if c.stage.closed {
		return errClosed
	}
	cmd := exec.Command(filepath.Join(c.stage.bin, c.program.Binary)) //nolint:noctx,gosec // Kill ends it; it is our own
	cmd.Env = []string{"WORKER_STDIN=1", "SERVER_STDIN=1", "VAULT_STDIN=1"}
	for name, value := range c.program.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stderr = &c.errs
	// A Ctrl-C of the terminal is for this process, which ends the others.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	c.mu.Lock()
	if c.cmd == nil {
		c.stage.units = append(c.stage.units, c)
	}
	c.cmd, c.stdin, c.done = cmd, stdin, done
	c.mu.Unlock()
	go func() {
		defer close(done)
		_, last, unread := lines(stdout, 0, c.program.Says)
		if len(last) > 0 && c.program.Says != nil {
			c.program.Says(last)
		}
		err := cmd.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ended, c.unread = nil, nil; err != nil {
			c.ended = fmt.Errorf("%s: %w: %s", c.program.Name, err, c.errs.String())
		}
		if unread != nil {
			c.unread = fmt.Errorf("%s: its output: %w", c.program.Name, unread)
		}
	}()
	return nil
}

func (c *child) life() (cmd *exec.Cmd, done chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cmd, c.done
}

func (c *child) signal(s os.Signal) error {
	cmd, done := c.life()
	select {
	case <-done:
		return fmt.Errorf("%s: %w", c.program.Name, errEnded)
	default:
		return cmd.Process.Signal(s)
	}
}

// Kill sends SIGKILL.
func (c *child) Kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dying)
	defer cancel()
	if err := c.signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_, done := c.life()
	select {
	case <-done:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.unread
	case <-ctx.Done():
		return fmt.Errorf("%s: its output has not ended: %w", c.program.Name, ctx.Err())
	}
}

// Again starts it anew.
func (c *child) Again(context.Context) error { return c.start() }

// Hang sends SIGHUP.
func (c *child) Hang(context.Context) error { return c.signal(syscall.SIGHUP) }

// Pause sends SIGSTOP.
func (c *child) Pause(context.Context) error { return c.signal(syscall.SIGSTOP) }

// Resume sends SIGCONT.
func (c *child) Resume(context.Context) error { return c.signal(syscall.SIGCONT) }

// Cut cuts the relays that lead to it and from it.
func (c *child) Cut(context.Context) error {
	c.each((*relay.Relay).Cut)
	return nil
}

// Mend mends them.
func (c *child) Mend(context.Context) error {
	c.each((*relay.Relay).Mend)
	return nil
}

func (c *child) each(do func(*relay.Relay)) {
	c.stage.mu.Lock()
	defer c.stage.mu.Unlock()
	for key, r := range c.stage.relays {
		if key[0] == c.program.Name || key[1] == c.program.Name {
			do(r)
		}
	}
}

// Wait waits for its end.
func (c *child) Wait(ctx context.Context) error {
	_, done := c.life()
	select {
	case <-done:
		c.mu.Lock()
		defer c.mu.Unlock()
		return errors.Join(c.ended, c.unread)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Trace is the end of its standard error.
func (c *child) Trace() string { return c.errs.String() }

// Remove has nothing to remove: a process leaves nothing.
func (*child) Remove(context.Context) error { return nil }
