// Package stage runs programs of this repository as users run them: each in a container of
// its own, made of nothing but its binary, or, where there is no Docker, as a child
// process. It kills, pauses and restarts them, and cuts the network between them.
//
// Both kinds of stage do the same to a program. They differ in two things: only a
// container has no disk, no rights and little memory; and a network that is cut is Docker's
// there, and a relay before each server here.
package stage

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// The binaries that there are.
const (
	Worker      = "worker"
	AWSServer   = "awsserver"
	GCPServer   = "gcpserver"
	VaultServer = "vaultserver"
)

// A Program is what is to be run.
type Program struct {
	// Name is what the others call it; no other program of the stage has it.
	Name   string
	Binary string
	// Env is its whole environment.
	Env map[string]string
	// Image is a public image in place of Binary, and Args what its entry point is told. Only in
	// containers.
	Image string
	Args  []string
	// Confined: it gets no disk, no rights and 64 MiB of memory.
	Confined bool
	// Says gets each line of its output, in order.
	Says func(line []byte)
}

// A Stage runs programs that reach each other. Its methods may be called by several
// goroutines.
type Stage interface {
	// Mode says in a few words how programs run.
	Mode() string
	// Listen is where a program has to listen so that others reach it at a port.
	Listen(name string, port int) string
	// Known is what a program calls itself before others, at a port: its name, or where it
	// listens.
	Known(name string, port int) string
	// Reach is where a program reaches a port of another one.
	Reach(from, to string, port int) (string, error)
	// Dir is where a program may write, if it is not confined.
	Dir(name string) string
	// Start starts a program.
	Start(ctx context.Context, p Program) (Unit, error)
	// Close ends all programs, and removes all that they left.
	Close() error
}

// A Unit is a program that was started. What is done to one by several goroutines must not
// overlap.
type Unit interface {
	// Kill ends it as a machine does that dies. Its output has been read when Kill returns, or
	// there is an error, after a minute at most.
	Kill(ctx context.Context) error
	// Again starts it anew after Kill, with the files that it had.
	Again(ctx context.Context) error
	// Hang sends SIGHUP.
	Hang(ctx context.Context) error
	// Pause stops it where it is, and Resume lets it go on.
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	// Cut takes the network away from it, and Mend gives it back.
	Cut(ctx context.Context) error
	Mend(ctx context.Context) error
	// Wait waits until it has ended by itself and its output has been read; that either went
	// wrong is an error.
	Wait(ctx context.Context) error
	// Trace is the end of what it wrote to its standard error.
	Trace() string
	// Remove removes what is left of it when it has ended.
	Remove(ctx context.Context) error
}

// dying is how long a program that gets SIGKILL may take until it has ended and its output has
// been read.
const dying = time.Minute

// lines passes the whole lines on that a program writes, but for the first skip, and returns how many
// there were, what follows the last one, and what it ended with other than the end of the file.
func lines(r io.Reader, skip int, says func([]byte)) (n int, last []byte, err error) {
	reader := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := reader.ReadBytes('\n')
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return n, line, err
		}
		if n++; n > skip && says != nil {
			says(line)
		}
	}
}

// A tail keeps the end of what a program writes to its standard error.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 32 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if len(t.text) > tailSize {
		t.text = t.text[len(t.text)-tailSize:]
	}
	return len(b), nil
}

// empty forgets all: it is written anew.
func (t *tail) empty() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

var errEnded = errors.New("the program has ended")
