package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// silence is how long the run may say nothing.
const silence = 25 * time.Second

// A printer writes lines, whole and one at a time, and says what is running
// when nothing was written for a while. It is safe for concurrent use.
type printer struct {
	mu      sync.Mutex
	w       io.Writer
	started time.Time
	timer   *time.Timer
	status  func() string // what is running; may be nil
}

func newPrinter(w io.Writer) *printer {
	p := &printer{w: w, started: time.Now()}
	p.timer = time.AfterFunc(silence, p.signOfLife)
	return p
}

// printf writes one line.
func (p *printer) printf(format string, args ...any) {
	_, _ = p.Write(fmt.Appendf(nil, format+"\n", args...))
}

// Write passes on what another program says.
func (p *printer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer.Reset(silence)
	return p.w.Write(b)
}

// setStatus names the function that says what is running now.
func (p *printer) setStatus(status func() string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

func (p *printer) signOfLife() {
	p.mu.Lock()
	status := p.status
	p.mu.Unlock()
	what := "still running"
	if status != nil {
		what = status()
	}
	p.printf("   …  %6.0fs  %s", time.Since(p.started).Seconds(), what)
}
