package gcpsm_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// bubble runs a test with a service in a bubble of synctest, by whose clock it goes:
// waits take no time.
func bubble(t *testing.T, f func(t *testing.T, s *service), opts ...gcpsmtest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, start(t, append([]gcpsmtest.Option{
			gcpsmtest.WithClock(time.Now), gcpsmtest.WithListener(bufconn.Listen(1 << 20)),
		}, opts...)...))
	})
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // the bubble's time

// quiet makes sure that an error does not tell the value, however it is printed.
func quiet(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s"} {
		if strings.Contains(fmt.Sprintf(verb, err), canary) {
			t.Errorf("printed with %s, the error carries the value", verb)
		}
	}
}

// stands makes sure that a driver that knows nothing reads a value.
func (s *service) stands(t testing.TB, name string, value []byte, rev driver.Revision) {
	t.Helper()
	got := get(t, s.driver(t, unpaced()), name)
	if got.Err != nil || string(got.Value) != string(value) || got.Revision != rev {
		t.Errorf("the secret %s is %d bytes at %q (%v), want %d bytes at %q", name, len(got.Value), got.Revision, got.Err, len(value), rev)
	}
}

// pile lets a driver write on top of a secret, n times.
func pile(t testing.TB, d driver.Driver, name string, n int) {
	t.Helper()
	for range n {
		item := get(t, d, name)
		value := first(t)
		if item.Revision != driver.Absent {
			value = after(t, item.Value)
		}
		put(t, d, name, value, item.Revision)
	}
}

// behind calls f behind the back of the test.
func behind[T any](f func() (T, error)) (wait func() (T, error)) {
	var (
		out  T
		err  error
		done = make(chan struct{})
	)
	go func() {
		defer close(done)
		out, err = f()
	}()
	return func() (T, error) {
		<-done
		return out, err
	}
}

// aside writes the secret a behind the back of the test, in at most ten minutes.
func aside(t testing.TB, d driver.Driver, value []byte, prev driver.Revision) (wait func() (driver.Revision, error)) {
	return behind(func() (driver.Revision, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		return d.Put(ctx, "a", value, prev)
	})
}

// reaches waits until a fault has hit a request.
func reaches(t testing.TB, i *gcpsmtest.Injection) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := i.Await(ctx, 1); err != nil {
		t.Fatal(err)
	}
}

// brief writes C for a creation, A for an add, G for a read by number, D for a
// destruction.
func brief(methods []string) string {
	return strings.NewReplacer("CreateSecret", "C", "AddSecretVersion", "A", "DestroySecretVersion", "D", "AccessSecretVersion", "G").
		Replace(strings.Join(methods, ""))
}

// both runs a test for a write that creates a secret and for one that replaces its
// value. Calls forgets what was called before.
func both(t *testing.T, what string, f func(t *testing.T, s *service, d *gcpsm.Driver, value []byte, prev driver.Revision)) {
	for _, creates := range []bool{true, false} {
		t.Run(map[bool]string{true: "a creation, ", false: "a replacement, "}[creates]+what, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				d := s.driver(t, unpaced())
				value, prev := first(t), driver.Absent
				if !creates {
					prev = put(t, d, "a", value, prev)
					value = after(t, value)
				}
				s.ResetCalls()
				f(t, s, d, value, prev)
			})
		})
	}
}

// ambiguous are the codes that leave open whether a request was applied.
var ambiguous = []codes.Code{
	codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.Unknown, codes.Aborted, codes.Canceled, codes.DataLoss,
}

// A settlement is what happens to the requests of one write.
type settlement struct {
	what  string
	adds  []gcpsmtest.Action // to the adds, in order
	reads []gcpsmtest.Action // and to the reads
	calls string             // of a replacement; a creation creates before, and destroys nothing after
	again string             // calls of a creation, where those are others
	want  error              // besides nil: the write is applied if and only if there is no error
}

func settlements() []settlement {
	type actions = []gcpsmtest.Action
	denied, trouble := gcpsmtest.EchoBody(codes.PermissionDenied), gcpsmtest.EchoBody(codes.Unavailable)
	list := []settlement{
		{what: "nothing goes wrong", calls: "AD"},
		{what: "the answer is lost", adds: actions{gcpsmtest.LoseAnswer()}, calls: "AGD"},
		{what: "the request is lost", adds: actions{gcpsmtest.LoseRequest()}, calls: "AGGAD"},
		{what: "the request arrives twice", adds: actions{gcpsmtest.Duplicate()}, calls: "AGD"},
		{what: "the service hangs before", adds: actions{gcpsmtest.Hang()}, calls: "AGGAD"},
		{what: "the service hangs after", adds: actions{gcpsmtest.HangAfter()}, calls: "AGD"},
		{
			what: "many requests are lost", adds: actions{gcpsmtest.LoseRequest(), trouble, gcpsmtest.Hang(), trouble, gcpsmtest.LoseRequest()},
			calls: "AGGAGGAGGAGGAGGAD",
		},

		// While reads fail, the write is not sent again: it would stand in the log many times.
		{what: "the answer is lost and then a read", adds: actions{gcpsmtest.LoseAnswer()}, reads: actions{trouble}, calls: "AGGD"},
		{
			what: "the answer is lost, and then reads fail for a while", adds: actions{gcpsmtest.LoseAnswer()},
			reads: actions{trouble, gcpsmtest.LoseAnswer(), gcpsmtest.Hang(), trouble, trouble, trouble, trouble, trouble}, calls: "AGGGGGGGGGD",
		},
		{what: "the answer is lost, and then reads are refused", adds: actions{gcpsmtest.LoseAnswer()}, reads: actions{denied, denied}, calls: "AGGGD"},
		{what: "the answer is lost, and then reads run into a quota", adds: actions{gcpsmtest.LoseAnswer()}, reads: actions{gcpsmtest.Throttle()}, calls: "AGGD"},
		{what: "the answer is lost, and what is read is damaged", adds: actions{gcpsmtest.LoseAnswer()}, reads: actions{gcpsmtest.Corrupt()}, calls: "AGGD"},

		// A refusal of a later request says nothing about the first.
		{what: "refused after a lost request", adds: actions{gcpsmtest.LoseRequest(), denied}, calls: "AGGAGGAD"},
		{
			what: "refused as invalid after a lost request", adds: actions{gcpsmtest.LoseRequest(), gcpsmtest.EchoBody(codes.InvalidArgument)},
			calls: "AGGAGGAD",
		},
		{
			what: "not found after a lost request", adds: actions{gcpsmtest.LoseRequest(), gcpsmtest.EchoBody(codes.NotFound)},
			calls: "AGGAGGAD", again: "CAGGAGCGA",
		},
		{what: "out of quota after a lost request", adds: actions{gcpsmtest.LoseRequest(), gcpsmtest.Throttle()}, calls: "AGGAGAD"},

		// A quota is waited out: the request was not applied.
		{what: "out of quota", adds: actions{gcpsmtest.Throttle(), gcpsmtest.EchoBody(codes.ResourceExhausted), gcpsmtest.Throttle()}, calls: "AGAGAGAD"},

		// Refusals that are the outcome.
		{what: "refused", adds: actions{denied}, calls: "A", want: driver.ErrPermission},
		{what: "without credentials", adds: actions{gcpsmtest.EchoBody(codes.Unauthenticated)}, calls: "A", want: driver.ErrPermission},
		{what: "without a key", adds: actions{gcpsmtest.EchoBody(codes.FailedPrecondition)}, calls: "A", want: driver.ErrPermission},
		{what: "invalid", adds: actions{gcpsmtest.EchoBody(codes.InvalidArgument)}, calls: "A", want: driver.ErrInvalid},
		{what: "refused after a quota", adds: actions{gcpsmtest.Throttle(), denied}, calls: "AGA", want: driver.ErrPermission},
	}
	for _, code := range ambiguous {
		list = append(list,
			settlement{what: code.String() + " before", adds: actions{gcpsmtest.EchoBody(code)}, calls: "AGGAD"},
			settlement{what: code.String() + " after", adds: actions{gcpsmtest.FailAfter(code, canary)}, calls: "AGD"})
	}
	return list
}

func TestPutSettles(t *testing.T) {
	for _, c := range settlements() {
		both(t, c.what, func(t *testing.T, s *service, d *gcpsm.Driver, value []byte, prev driver.Revision) {
			before := get(t, s.driver(t, unpaced()), "a")
			s.ResetCalls()
			for _, do := range c.adds {
				s.fault(1, do, "AddSecretVersion")
			}
			for _, do := range c.reads {
				s.fault(1, do, "AccessSecretVersion")
			}
			rev, err := d.Put(t.Context(), "a", value, prev)
			if !errors.Is(err, c.want) || errors.Is(err, driver.ErrOutcomeUnknown) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			quiet(t, err)
			want := c.calls
			if prev == driver.Absent {
				want = cmp.Or(c.again, "C"+strings.TrimSuffix(want, "D"))
			}
			if got := brief(s.called()); got != want {
				t.Errorf("requests %s, want %s", got, want)
			}
			if err != nil {
				s.stands(t, "a", before.Value, before.Revision)
				return
			}
			s.stands(t, "a", value, rev)
			value = after(t, value)
			s.stands(t, "a", value, put(t, d, "a", value, rev))
			if n := s.Active(secretOf(prefix, "a")); n != 1 {
				t.Errorf("%d versions are active, want 1", n)
			}
		})
	}
}

// The same, where others write before the write finds out what became of it.
func TestPutSettlesWhenOthersWrite(t *testing.T) {
	lost := driver.ErrConflict
	for _, c := range []struct {
		what   string
		do     gcpsmtest.Action
		others int
		want   error
	}{
		{"another one takes the place", gcpsmtest.Hang(), 1, lost},
		{"another one takes the place and others destroy it", gcpsmtest.Hang(), 2, lost},
		{"the history just goes back to the place", gcpsmtest.Hang(), 17, lost},
		{"the history does not go back to the place", gcpsmtest.Hang(), 18, driver.ErrOutcomeUnknown},

		{"another one writes on top and destroys it", gcpsmtest.HangAfter(), 1, nil},
		{"some write on top and destroy it", gcpsmtest.HangAfter(), 5, nil},
		{"the history just names it", gcpsmtest.HangAfter(), 16, nil},
		{"the history does not name it any more", gcpsmtest.HangAfter(), 17, driver.ErrOutcomeUnknown},
	} {
		both(t, c.what, func(t *testing.T, s *service, d *gcpsm.Driver, value []byte, prev driver.Revision) {
			number := len(s.Versions(secretOf(prefix, "a"))) + 1
			hung := s.fault(1, c.do, "AddSecretVersion")
			mine := aside(t, d, value, prev)
			reaches(t, hung)
			other := s.driver(t, unpaced())
			pile(t, other, "a", c.others)
			top := get(t, other, "a")
			rev, err := mine()
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			quiet(t, err)
			if got, _, _ := strings.Cut(string(rev), "."); err == nil && got != fmt.Sprint(number) {
				t.Errorf("the revision is %q, want number %d", rev, number)
			}
			s.stands(t, "a", top.Value, top.Revision)
			value = after(t, top.Value)
			s.stands(t, "a", value, put(t, d, "a", value, top.Revision)) // the driver goes on from there
			if n := s.Active(secretOf(prefix, "a")); n != 1 {
				t.Errorf("%d versions are active, want 1", n)
			}
		})
	}
}

// A request that was applied twice, and answered with the number of the second, was in
// time with the first: also if others wrote on top of it since.
func TestPutSettlesARequestThatArrivedTwice(t *testing.T) {
	for others := range 4 {
		both(t, fmt.Sprint(others, " others write on top"), func(t *testing.T, s *service, d *gcpsm.Driver, value []byte, prev driver.Revision) {
			release := make(chan struct{})
			s.fault(1, gcpsmtest.Duplicate(), "AddSecretVersion")
			look := s.fault(1, gcpsmtest.Hold(release), "AccessSecretVersion")
			mine := aside(t, d, value, prev)
			reaches(t, look)
			other := s.driver(t, unpaced())
			pile(t, other, "a", others)
			top := get(t, other, "a")
			close(release)
			if rev, err := mine(); err != nil || others == 0 && rev != top.Revision {
				t.Errorf("the write is at %q (%v), want %q", rev, err, top.Revision)
			}
			s.stands(t, "a", top.Value, top.Revision)
		})
	}
}

// A process that has not looked for long, and is far behind, has lost a race and no
// more: also if the history does not go back to what it remembers.
func TestPutOfAProcessThatIsFarBehindIsAConflict(t *testing.T) {
	for _, others := range []int{1, 2, 17, 18, 40} {
		both(t, fmt.Sprint(others, " writes behind"), func(t *testing.T, s *service, d *gcpsm.Driver, value []byte, prev driver.Revision) {
			other := s.driver(t, unpaced())
			pile(t, other, "a", others)
			top := get(t, other, "a")
			s.ResetCalls()
			rev, err := aside(t, d, value, prev)()
			if !errors.Is(err, driver.ErrConflict) || errors.Is(err, driver.ErrOutcomeUnknown) {
				t.Errorf("the write is at %q (%v), want %v", rev, err, driver.ErrConflict)
			}
			want := 1
			if prev == driver.Absent {
				want = 0 // who cannot create the secret looks before it adds
			}
			if n := s.CountCalls()["AddSecretVersion"]; n != want {
				t.Errorf("%d adds, want %d", n, want)
			}
			s.stands(t, "a", top.Value, top.Revision)
		})
	}
}
