package containers_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/stage"
)

var (
	flagSoak  = flag.Duration("soak", time.Minute, "for how long the workers work on each service")
	flagStage = flag.String("stage", "", "where programs run: docker or processes; empty: docker, where it answers")
	flagImage = flag.String("images", "", "public: run the workers on public images too, if a registry answers")
	flagSeed  = flag.Int64("faults.seed", 0, "decides what the workers do and what goes wrong; 0: drawn")
)

// TestMain removes what tests started also when they are interrupted, or have no time left: both
// end a test without its cleanups.
func TestMain(m *testing.M) {
	flag.Parse()
	interrupted := make(chan os.Signal, 1)
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup does
		signals = append(signals, syscall.SIGHUP)
	}
	signal.Notify(interrupted, signals...)
	go func() {
		<-interrupted
		signal.Stop(interrupted)       // a second one ends it at once
		signal.Ignore(syscall.SIGPIPE) // nobody may be there to read any more
		fmt.Fprintln(os.Stderr, "interrupted: removing what was started")
		if err := open.closeAll(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}()
	const removing = time.Minute
	if timeout, ok := flag.Lookup("test.timeout").Value.(flag.Getter).Get().(time.Duration); ok && timeout > 2*removing {
		time.AfterFunc(timeout-removing, func() {
			fmt.Fprintf(os.Stderr, "within %v not all tests have ended: removing what was started\n", timeout-removing)
			if err := open.closeAll(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}
	code := m.Run()
	if err := open.closeAll(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// open are the stages that are not closed yet, and the engine below them.
var open opened

type opened struct {
	mu     sync.Mutex
	closed bool // nothing is opened any more
	list   []io.Closer
	last   io.Closer
}

// stage opens a stage. Who closes all waits for it.
func (o *opened) stage(open func() (stage.Stage, error)) (stage.Stage, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, errors.New("all is being removed")
	}
	s, err := open()
	if err == nil {
		o.list = append(o.list, s)
	}
	return s, err
}

// addLast adds what is closed when all others are.
func (o *opened) addLast(one io.Closer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = one
}

// close closes one, unless it is closed already.
func (o *opened) close(one io.Closer) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.Index(o.list, one)
	if i < 0 {
		return nil
	}
	o.list = slices.Delete(o.list, i, i+1)
	return one.Close()
}

func (o *opened) closeAll() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	var errs []error
	for _, one := range o.list {
		errs = append(errs, one.Close())
	}
	if o.last != nil {
		errs = append(errs, o.last.Close())
	}
	o.list, o.last = nil, nil
	return errors.Join(errs...)
}

// docker is the engine, or why containers cannot be used here; it is found out once.
var docker = sync.OnceValues(func() (*stage.Engine, error) {
	if *flagStage == "processes" {
		return nil, fmt.Errorf("%w: -stage processes was asked for", stage.ErrNone)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	engine, err := stage.Docker(ctx, 3**flagSoak+2*time.Hour) // with all that comes before and after the soak
	if err == nil {
		open.addLast(engine)
	}
	return engine, err
})

// newStage opens a stage with some binaries for the length of a test: containers, or child
// processes where there is no Docker. The test says which, and why. A Docker that is there and does not
// do what it should fails it.
func newStage(t *testing.T, binaries ...string) stage.Stage {
	t.Helper()
	engine, why := docker()
	if why != nil && (*flagStage == "docker" || !errors.Is(why, stage.ErrNone)) {
		t.Fatal(why)
	}
	goos := os.Getenv("GOOS")
	if why == nil {
		goos = "linux"
	}
	bin, err := build(t.Context(), goos, binaries)
	if err != nil {
		t.Fatal(err)
	}
	s, err := open.stage(func() (stage.Stage, error) {
		if why == nil {
			return engine.NewContainers(t.Context(), bin, binaries...)
		}
		return stage.NewProcesses(bin)
	})
	if err != nil {
		t.Fatal(err)
	}
	if why != nil {
		t.Attr(notRun, "containers: the programs ran as child processes, since "+oneLine(why))
	}
	t.Attr("mode", s.Mode())
	t.Cleanup(func() {
		if err := open.close(s); err != nil {
			t.Error(err)
		}
	})
	return s
}

// notRun is the attribute of what a test could not run. internal/testrun lists it in the end.
const notRun = "notrun"

// oneLine is what an error says, in one line, as an attribute has to be.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

var building sync.Mutex

// build builds binaries, one test after the other: what one has built the next one finds.
func build(ctx context.Context, goos string, binaries []string) (string, error) {
	building.Lock()
	defer building.Unlock()
	return stage.Build(ctx, ".", goos, binaries...)
}
