package refresh_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/refresh/said"
)

// A crew is processes that work with the tokens of a scene. Each is a child that ends when its
// standard input does, so that none outlives the test.
type crew struct {
	*scene
	bin   string
	pause time.Duration
	hears func(*member, said.Line) // nil: nobody

	mu      sync.Mutex
	members map[string]*member // all that there ever were, by name
	alive   []*member
	resting bool          // nobody is killed any more
	lag     time.Duration // how long at most it took until a line was read: how far the machine is behind
}

// A member is one process.
type member struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	errs  strings.Builder
	done  chan struct{} // closed when it has ended and its output was read
	ended error         // how, once it has

	killed time.Time // zero: it was not; guarded by the crew's mu, as are the lines until it is done
	lines  []said.Line
}

// newCrew has nobody in it.
func (s *scene) newCrew(pause time.Duration) *crew {
	s.Helper()
	bin, err := worker()
	if err != nil {
		s.Fatal(err)
	}
	c := &crew{scene: s, bin: bin, pause: pause, members: map[string]*member{}}
	s.Cleanup(func() {
		c.mu.Lock()
		alive := c.alive
		c.mu.Unlock()
		for _, m := range alive {
			_ = m.cmd.Process.Kill() // it may have ended
			<-m.done
		}
	})
	return c
}

// startAll logs the users in and starts some. Not all tokens are due at the same moment, and not all processes look for
// their first at the same moment: that is more than a busy machine has the time for.
func (c *crew) startAll(size int) {
	c.loginAll(lifetime / 2 / time.Duration(len(users)))
	for range size {
		c.start()
		wait(c.T, 50*time.Millisecond)
	}
}

// start starts one more.
func (c *crew) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &member{name: fmt.Sprint("worker/", len(c.members)+1), done: make(chan struct{})}
	m.cmd = exec.Command(c.bin) //nolint:noctx // the cleanup ends it
	m.cmd.Stderr = &m.errs
	m.cmd.Env = []string{
		"WORKER_NAME=" + m.name, "WORKER_SERVICE=" + c.service, "WORKER_STORE=" + c.url, "WORKER_KEY=" + c.key,
		"WORKER_OAUTH=" + c.server.URL, "WORKER_SECRET=" + c.server.Secret(), "WORKER_USERS=" + strings.Join(users, " "),
		"WORKER_TIMEOUT=" + c.timeout.String(), "WORKER_PAUSE=" + c.pause.String(),
	}
	var out io.ReadCloser
	var err error
	if m.stdin, err = m.cmd.StdinPipe(); err == nil {
		if out, err = m.cmd.StdoutPipe(); err == nil {
			err = m.cmd.Start()
		}
	}
	if err != nil {
		c.Errorf("%s: %v", m.name, err)
		return
	}
	c.members[m.name] = m
	c.alive = append(c.alive, m)
	go func() {
		defer close(m.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var l said.Line
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
				c.Errorf("%s wrote %q: %v", m.name, lines.Bytes(), err)
				continue
			}
			c.mu.Lock()
			m.lines = append(m.lines, l)
			c.lag = max(c.lag, time.Since(l.At))
			c.mu.Unlock()
			if c.hears != nil {
				c.hears(m, l)
			}
		}
		m.ended = m.cmd.Wait()
	}()
}

// kill kills one, by SIGKILL, and starts another one in its place. It reports whether it did.
func (c *crew) kill(name string) bool {
	c.mu.Lock()
	m := c.members[name]
	if c.resting || m == nil || !m.killed.IsZero() {
		c.mu.Unlock()
		return false
	}
	m.killed = time.Now()
	for i := range c.alive {
		if c.alive[i] == m {
			c.alive = append(c.alive[:i], c.alive[i+1:]...)
			break
		}
	}
	c.mu.Unlock()
	if err := m.cmd.Process.Kill(); err != nil {
		c.Errorf("%s: %v", name, err)
	}
	<-m.done
	c.start()
	return true
}

// any is the name of one that is alive.
func (c *crew) any(draw *rand.Rand) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alive[draw.IntN(len(c.alive))].name
}

// rest ends all killing.
func (c *crew) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resting = true
}

// stop lets all end, and says which of them did not end well.
func (c *crew) stop() {
	c.rest()
	c.mu.Lock()
	alive := c.alive
	c.mu.Unlock()
	for _, m := range alive {
		_ = m.stdin.Close() // it may have ended
	}
	deadline := time.After(30 * time.Second)
	for _, m := range alive {
		select {
		case <-m.done:
		case <-deadline:
			c.Errorf("%s does not end", m.name)
			return
		}
		end := ""
		if len(m.lines) > 0 {
			end = m.lines[len(m.lines)-1].Ended
		}
		if late := tooLate(end) && c.behind(); end != "well" && !late {
			c.Errorf("%s did not end well: %v %s %s", m.name, m.ended, end, m.errs.String())
		}
	}
}
