package containers_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/stage"
)

var (
	flagSoak  = flag.Duration("soak", time.Minute, "for how long the workers work on each service")
	flagStage = flag.String("stage", "", "where programs run: docker or processes; empty: docker, where it answers")
	flagSeed  = flag.Int64("faults.seed", 0, "decides what the workers do and what goes wrong; 0: drawn")
)

// TestMain removes what tests started also when they are interrupted: Ctrl-C ends a test
// without its cleanups.
func TestMain(m *testing.M) {
	flag.Parse()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		fmt.Fprintln(os.Stderr, "interrupted: removing what was started")
		open.closeAll()
		os.Exit(1)
	}()
	code := m.Run()
	open.closeAll()
	os.Exit(code)
}

// open are the stages that are not closed yet.
var open stages

type stages struct {
	mu   sync.Mutex
	list map[stage.Stage]bool
}

func (s *stages) add(one stage.Stage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list == nil {
		s.list = map[stage.Stage]bool{}
	}
	s.list[one] = true
}

func (s *stages) close(one stage.Stage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.list[one] {
		return nil
	}
	delete(s.list, one)
	return one.Close()
}

func (s *stages) closeAll() {
	s.mu.Lock()
	var list []stage.Stage
	for one := range s.list {
		list = append(list, one)
	}
	s.mu.Unlock()
	for _, one := range list {
		if err := s.close(one); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// docker is what is found out once: whether containers can be used here, and if not, why.
var docker = sync.OnceValue(func() (why error) {
	if *flagStage == "processes" {
		return fmt.Errorf("-stage processes was asked for")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return stage.Docker(ctx)
})

// newStage opens a stage with some binaries for the length of a test: containers, or child
// processes where there is no Docker. The test says which, and why.
func newStage(t *testing.T, binaries ...string) stage.Stage {
	t.Helper()
	why := docker()
	if why != nil && *flagStage == "docker" {
		t.Fatal("Docker: ", why)
	}
	goos := os.Getenv("GOOS")
	if why == nil {
		goos = "linux"
	}
	bin, err := stage.Build(t.Context(), ".", goos, binaries...)
	if err != nil {
		t.Fatal(err)
	}
	var s stage.Stage
	if why == nil {
		if s, err = stage.NewContainers(t.Context(), bin, binaries...); err != nil {
			t.Fatal(err)
		}
		t.Attr("mode", "containers")
	} else {
		s = stage.NewProcesses(bin, filepath.Join(t.TempDir(), "files"))
		t.Attr("mode", fmt.Sprintf("child processes, not containers: %v", why))
	}
	open.add(s)
	t.Cleanup(func() {
		if err := open.close(s); err != nil {
			t.Error(err)
		}
	})
	return s
}
