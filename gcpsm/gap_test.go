package gcpsm_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	secretmanagerpb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// outcome reports whether an error says that the outcome is unknown, and makes sure
// that it does not claim the opposite as well.
func outcome(t *testing.T, err error) (unknown bool) {
	t.Helper()
	quiet(t, err)
	unknown = errors.Is(err, driver.ErrOutcomeUnknown)
	if unknown && (errors.Is(err, driver.ErrUnavailable) || errors.Is(err, driver.ErrPermission)) {
		t.Errorf("an unknown outcome that claims that nothing was written: %v", err)
	}
	return unknown
}

// However late a request arrives: what it writes is void.
func TestPutIsNotUndoneByALateRequest(t *testing.T) {
	both(t, "", func(t *testing.T, s *service, d *gcpsm.Driver, value []byte, prev driver.Revision) {
		release := make(chan struct{})
		s.fault(1, gcpsmtest.Hold(release), "AddSecretVersion")
		rev := put(t, d, "a", value, prev)
		next := after(t, value)
		last := put(t, d, "a", next, rev)
		n := len(s.Versions(secretOf(prefix, "a")))
		close(release)
		synctest.Wait()
		if len(s.Versions(secretOf(prefix, "a"))) != n+1 {
			t.Error("the late request was not applied")
		}
		s.stands(t, "a", next, last)
		value = after(t, next)
		s.stands(t, "a", value, put(t, d, "a", value, last))
	})
}

// A late write of another one that takes the place is void, and the write goes on
// above it.
func TestPutGoesOnAboveWhatIsVoid(t *testing.T) {
	both(t, "", func(t *testing.T, s *service, d *gcpsm.Driver, value []byte, prev driver.Revision) {
		hung := s.fault(1, gcpsmtest.Hang(), "AddSecretVersion")
		mine := aside(t, d, value, prev)
		reaches(t, hung)
		for range 3 {
			if _, err := s.SetValue(secretOf(prefix, "a"), `{"seen":12,"tokenkeep":{}}`); err != nil {
				t.Fatal(err)
			}
		}
		rev, err := mine()
		if err != nil {
			t.Fatal(err)
		}
		s.stands(t, "a", value, rev)
		if n := s.Active(secretOf(prefix, "a")); n != 1 {
			t.Errorf("%d versions are active, want 1", n)
		}
	})
}

// A write of which no request left was not applied.
func TestPutThatWasNeverSentIsUnavailable(t *testing.T) {
	for what, dial := range map[string]func(context.Context, string) (net.Conn, error){
		"nothing listens": func(context.Context, string) (net.Conn, error) { return nil, errors.New("refused") },
		"nothing answers": func(ctx context.Context, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
	} {
		both(t, what, func(t *testing.T, s *service, _ *gcpsm.Driver, value []byte, prev driver.Revision) {
			client, err := s.Client(t.Context(), option.WithGRPCDialOption(grpc.WithContextDialer(dial)))
			if err != nil {
				t.Fatal(err)
			}
			d, err := gcpsm.NewDriver(client, parent, prefix, unpaced())
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.Put(t.Context(), "a", value, prev)
			if !errors.Is(err, driver.ErrUnavailable) || outcome(t, err) {
				t.Errorf("error %v, want %v", err, driver.ErrUnavailable)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err = d.Put(ctx, "a", value, prev)
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, driver.ErrUnavailable) || outcome(t, err) {
				t.Errorf("error %v, want %v or %v", err, driver.ErrUnavailable, context.DeadlineExceeded)
			}
			if n := len(s.Calls()); n != 0 {
				t.Errorf("%d requests arrived", n)
			}
		})
	}
	both(t, "the service went away", func(t *testing.T, s *service, d *gcpsm.Driver, value []byte, prev driver.Revision) {
		s.Close()
		if _, err := d.Put(t.Context(), "a", value, prev); !errors.Is(err, driver.ErrUnavailable) || outcome(t, err) {
			t.Errorf("error %v, want %v", err, driver.ErrUnavailable)
		}
	})
}

// A write that runs out of time: what was sent decides whether the outcome is known.
func TestPutThatRunsOutOfTime(t *testing.T) {
	denied := gcpsmtest.EchoBody(codes.PermissionDenied)
	for _, c := range []struct {
		what    string
		once    gcpsmtest.Action // what happens to the first add
		adds    gcpsmtest.Action // and to the others
		reads   gcpsmtest.Action
		unknown bool
	}{
		{what: "the service hangs before", once: gcpsmtest.Hang(), adds: gcpsmtest.Hang(), unknown: true},
		{what: "the service hangs after", once: gcpsmtest.HangAfter(), adds: gcpsmtest.HangAfter(), reads: gcpsmtest.Hang(), unknown: true},
		{what: "it is out of quota", once: gcpsmtest.Throttle(), adds: gcpsmtest.EchoBody(codes.ResourceExhausted)},
		{what: "it is out of quota after a lost request", once: gcpsmtest.LoseRequest(), adds: gcpsmtest.Throttle(), unknown: true},
		{what: "it is refused after a lost request", once: gcpsmtest.LoseRequest(), adds: denied, reads: denied, unknown: true},
		{what: "it is busy", once: gcpsmtest.EchoBody(codes.Unavailable), adds: gcpsmtest.EchoBody(codes.Unavailable), unknown: true},
	} {
		both(t, c.what, func(t *testing.T, s *service, d *gcpsm.Driver, value []byte, prev driver.Revision) {
			faults := []*gcpsmtest.Injection{
				s.fault(1, c.once, "AddSecretVersion"), s.fault(0, c.adds, "AddSecretVersion"), s.fault(0, c.reads, "AccessSecretVersion"),
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := d.Put(ctx, "a", value, prev)
			if !errors.Is(err, context.DeadlineExceeded) || outcome(t, err) != c.unknown {
				t.Errorf("error %v, want %v, outcome unknown: %v", err, context.DeadlineExceeded, c.unknown)
			}
			if !c.unknown && !errors.Is(err, driver.ErrQuota) {
				t.Errorf("error %v, want %v", err, driver.ErrQuota)
			}
			for _, f := range faults {
				f.Remove()
			}
			s.stands(t, "a", value, put(t, d, "a", value, prev)) // the repeat finds out
		})
	}
}

// A number that is missing below one that exists was given to a request that may be
// on its way: a write that builds on what came before waits for it.

func TestGapThatIsFilledDecides(t *testing.T) {
	both(t, "", func(t *testing.T, s *service, d *gcpsm.Driver, theirs []byte, prev driver.Revision) {
		before := get(t, s.driver(t, unpaced()), "a")
		mine := first(t)
		if prev != driver.Absent {
			mine = after(t, before.Value)
		}
		release := make(chan struct{})
		held := s.fault(1, gcpsmtest.HoldNumber(release), "AddSecretVersion")
		rival := aside(t, d, theirs, prev)
		reaches(t, held)
		other := s.driver(t, unpaced())
		wrote := s.fault(1, gcpsmtest.Action{}, "AddSecretVersion")
		waiting := aside(t, other, mine, prev)
		reaches(t, wrote)
		pass(30 * time.Second)

		// Reads do not wait.
		begun := time.Now()
		for _, reader := range []*gcpsm.Driver{d, other, s.driver(t, unpaced())} {
			for _, how := range []driver.Freshness{driver.Any, driver.Fresh, driver.Lax} {
				items, err := reader.Get(t.Context(), how, driver.Item{Name: "a"})
				if err != nil || items[0].Err != nil || items[0].Revision != before.Revision || string(items[0].Value) != string(before.Value) {
					t.Errorf("in the meantime it reads as %d bytes at %q (%v, %v)", len(items[0].Value), items[0].Revision, items[0].Err, err)
				}
			}
		}
		if waited := time.Since(begun); waited > 0 {
			t.Errorf("reads took %v", waited)
		}

		close(release)
		rev, err := rival()
		if err != nil {
			t.Errorf("the write that had the number first: %v", err)
		}
		if _, err := waiting(); !errors.Is(err, driver.ErrConflict) {
			t.Errorf("the write that came after: error %v, want %v", err, driver.ErrConflict)
		}
		s.stands(t, "a", theirs, rev)
		next := after(t, theirs)
		s.stands(t, "a", next, put(t, other, "a", next, rev))
	})
}

// create creates the secret a by hand, if there is none.
func (s *service) create(t testing.TB) {
	t.Helper()
	_, err := s.sdk(t).CreateSecret(t.Context(), &secretmanagerpb.CreateSecretRequest{
		Parent: parent, SecretId: strings.TrimPrefix(secretOf(prefix, "a"), parent+"/secrets/"),
		Secret: &secretmanagerpb.Secret{Replication: &secretmanagerpb.Replication{
			Replication: &secretmanagerpb.Replication_Automatic_{Automatic: &secretmanagerpb.Replication_Automatic{}},
		}},
	})
	if err != nil && status.Code(err) != codes.AlreadyExists {
		t.Fatal(err)
	}
}

// add adds a version to the secret a by hand, as a request that faults apply to.
func (s *service) add(t testing.TB, payload string) error {
	t.Helper()
	s.create(t)
	_, err := s.sdk(t).AddSecretVersion(t.Context(), &secretmanagerpb.AddSecretVersionRequest{
		Parent: secretOf(prefix, "a"), Payload: &secretmanagerpb.SecretPayload{Data: []byte(payload)},
	})
	return err
}

// What fills a gap may be void: the write that waited goes on.
func TestGapThatIsFilledWithAVoidVersion(t *testing.T) {
	both(t, "", func(t *testing.T, s *service, d *gcpsm.Driver, value []byte, prev driver.Revision) {
		release := make(chan struct{})
		held := s.fault(1, gcpsmtest.HoldNumber(release), "AddSecretVersion")
		late := behind(func() (any, error) { return nil, s.add(t, `{"seen":12,"tokenkeep":{}}`) })
		reaches(t, held)
		wrote := s.fault(1, gcpsmtest.Action{}, "AddSecretVersion")
		mine := aside(t, d, value, prev)
		reaches(t, wrote)
		pass(30 * time.Second)
		close(release)
		if _, err := late(); err != nil {
			t.Fatal(err)
		}
		rev, err := mine()
		if err != nil {
			t.Fatal(err)
		}
		s.stands(t, "a", value, rev)
	})
}

// A number that was given out and never used is burnt after a minute.
func TestGapThatStaysIsBurnt(t *testing.T) {
	both(t, "", func(t *testing.T, s *service, d *gcpsm.Driver, value []byte, prev driver.Revision) {
		before := get(t, s.driver(t, unpaced()), "a")
		burnt := s.fault(1, gcpsmtest.BurnNumber(), "AddSecretVersion")
		begun := time.Now()
		mine := aside(t, d, value, prev)
		reaches(t, burnt)
		pass(time.Second) // the write stands above the gap, and is void
		s.stands(t, "a", before.Value, before.Revision)
		rev, err := mine()
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(begun); waited < time.Minute || waited > time.Minute+10*time.Second {
			t.Errorf("it took %v, want about a minute", waited)
		}
		s.stands(t, "a", value, rev)

		// Nobody waits for it again.
		begun = time.Now()
		value = after(t, value)
		rev = put(t, d, "a", value, rev)
		value = after(t, value)
		s.stands(t, "a", value, put(t, s.driver(t, unpaced()), "a", value, rev))
		if waited := time.Since(begun); waited > 0 {
			t.Errorf("the next writes took %v", waited)
		}
		if n := s.Active(secretOf(prefix, "a")); n != 1 {
			t.Errorf("%d versions are active, want 1", n)
		}
	})
}

// A process whose operations have less than a minute gets over a gap all the same: it
// remembers since when the number is missing.
func TestGapIsOutlastedByManyShortWrites(t *testing.T) {
	both(t, "", func(t *testing.T, s *service, d *gcpsm.Driver, value []byte, prev driver.Revision) {
		s.fault(1, gcpsmtest.BurnNumber(), "AddSecretVersion")
		for try := 0; ; try++ {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			rev, err := d.Put(ctx, "a", value, prev)
			cancel()
			if err == nil {
				s.stands(t, "a", value, rev)
				return
			}
			if !errors.Is(err, context.DeadlineExceeded) || try == 7 {
				t.Fatalf("error %v after %d tries", err, try)
			}
			outcome(t, err)
		}
	})
}
