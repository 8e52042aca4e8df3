package stage

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/client"
)

// A shelf is a Docker with one container: the streams of its log end where they are told to.
type shelf struct {
	log     string
	streams []int // how much of the log each stream brings; the last one for all that follow

	mu      sync.Mutex
	running bool
	ends    int // after so many streams the program ends
	opened  int
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Api-Version", "1.41")
	switch {
	case strings.HasSuffix(r.URL.Path, "/start"):
		s.running = true
		w.WriteHeader(http.StatusNoContent)
	case strings.HasSuffix(r.URL.Path, "/kill"):
		w.WriteHeader(http.StatusNoContent)
	case strings.HasSuffix(r.URL.Path, "/json"):
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"Id":"box","State":{"Running":%v}}`, s.running)
	case strings.HasSuffix(r.URL.Path, "/logs"):
		text := s.log[:s.streams[min(s.opened, len(s.streams)-1)]]
		s.opened++
		s.running = s.opened < s.ends
		frame := binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0}, uint32(len(text))) // 1: standard output
		_, _ = w.Write(append(frame, text...))
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// open returns a box of a shelf that was started, and what it says.
func (s *shelf) open(t *testing.T) (b *box, said func() string) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	docker, err := client.New(client.WithHost("tcp://" + server.Listener.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = docker.Close() })
	var text strings.Builder
	b = &box{stage: &Containers{docker: docker}, id: "box", program: Program{Name: "box", Says: func(line []byte) { text.Write(line) }}}
	if err := b.Again(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b, text.String
}

func TestALogThatBreaksWhileTheProgramLivesIsReadToItsEnd(t *testing.T) {
	const log = "one\ntwo\nthree\nfou"
	for name, s := range map[string]*shelf{
		"whole":                            {streams: []int{len(log)}, ends: 1},
		"broken between lines":             {streams: []int{4, 8, len(log)}, ends: 3},
		"broken in a line":                 {streams: []int{6, 9, len(log)}, ends: 3},
		"the end kept back without a word": {streams: []int{6, len(log)}, ends: 1},
		"a stream that brings less":        {streams: []int{10, 0, 4, len(log)}, ends: 3},
	} {
		t.Run(name, func(t *testing.T) {
			s.log = log
			b, said := s.open(t)
			if err := b.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if said() != log {
				t.Errorf("it said %q", said())
			}
		})
	}
}

func TestALogThatCannotBeReadToItsEndIsAnError(t *testing.T) {
	t.Parallel() // it waits
	const log = "one\ntwo\n"
	for name, s := range map[string]*shelf{
		"it breaks for ever":                   {streams: []int{4}, ends: 1 << 30},
		"in the end there is less than before": {streams: []int{8, 4}, ends: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.log = log
			b, said := s.open(t)
			errs := []error{b.Wait(t.Context()), b.Kill(t.Context()), b.broken()}
			if slices.Contains(errs, nil) {
				t.Errorf("errors are %q, and it said %q", errs, said())
			}
		})
	}
}
