package relay_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/integration/containers/relay"
)

// echo starts a server that says what it hears, and a relay before it.
func echo(t *testing.T) *relay.Relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	r, err := relay.Start("127.0.0.1:0", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func dial(t *testing.T, r *relay.Relay) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// says sends a byte and returns what comes of it within a time.
func says(conn net.Conn, within time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte{1}); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func TestARelayThatIsCutLetsNothingPass(t *testing.T) {
	r := echo(t)
	before := dial(t, r)
	if err := says(before, 5*time.Second); err != nil {
		t.Fatal("a whole network: ", err)
	}
	r.Cut()
	if err := says(before, 100*time.Millisecond); !timedOut(err) {
		t.Errorf("a connection from before the cut says %v", err)
	}
	during := dial(t, r)
	if err := says(during, 100*time.Millisecond); !timedOut(err) {
		t.Errorf("a connection during the cut says %v", err)
	}
	r.Mend()
	if err := says(before, 5*time.Second); err == nil || timedOut(err) {
		t.Errorf("after the cut a connection from before says %v, and is not lost", err)
	}
	if err := says(dial(t, r), 5*time.Second); err != nil {
		t.Error("a new connection after the cut: ", err)
	}
}

func TestARelayThatIsClosedRefusesUntilItIsOpened(t *testing.T) {
	r := echo(t)
	before := dial(t, r)
	r.Close()
	if err := says(before, 5*time.Second); err == nil || timedOut(err) {
		t.Errorf("a connection of a closed relay says %v", err)
	}
	if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.Addr); err == nil {
		_ = conn.Close()
		t.Error("a closed relay listens")
	}
	if err := r.Open(); err != nil {
		t.Fatal(err)
	}
	if err := says(dial(t, r), 5*time.Second); err != nil {
		t.Error("after it was opened again: ", err)
	}
}
