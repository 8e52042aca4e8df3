package gcpsm_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token"
)

// The crash tests let each request of each operation of a store go wrong in each way,
// one at a time, also while another process does the same. They run in bubbles, where
// waits take no time.

// virtual starts a service in a bubble.
func virtual(t testing.TB, opts ...gcpsmtest.Option) *service {
	t.Helper()
	return start(t, append([]gcpsmtest.Option{
		gcpsmtest.WithListener(bufconn.Listen(64 << 10)), gcpsmtest.WithClock(time.Now),
	}, opts...)...)
}

// tok makes a token from words such as "U1 R1 A1": user, refresh and access token, id
// (#one).
func tok(words string) *token.OAuthToken {
	t := &token.OAuthToken{}
	for w := range strings.FieldsSeq(words) {
		switch w[0] {
		case 'U':
			t.UserSignature.Name = w
		case 'R':
			t.RefreshToken = token.NewSecret(w)
		case 'A':
			t.AccessToken = token.NewSecret(w)
		case '#':
			t.ID = w[1:]
		}
	}
	return t
}

// An act is what a process does with its store. It can be repeated.
type act func(context.Context, *token.Store) error

func saves(all ...string) act {
	return func(ctx context.Context, s *token.Store) error {
		for _, words := range all {
			if err := s.SaveToken(ctx, tok(words)); err != nil {
				return err
			}
		}
		return nil
	}
}

func deletes(words string) act {
	return func(ctx context.Context, s *token.Store) error {
		found, err := s.FindToken(ctx, tok(words))
		if err == nil {
			err = s.DeleteToken(ctx, found.ID)
		}
		if errors.Is(err, token.ErrNotFound) {
			return nil
		}
		return err
	}
}

func changesUser(words, user string) act {
	return func(ctx context.Context, s *token.Store) error {
		found, err := s.FindToken(ctx, tok(words))
		if err != nil {
			return err
		}
		return s.UpdateToken(ctx, found.ID, func(t *token.OAuthToken) error {
			t.UserSignature.Name = user
			return nil
		})
	}
}

func then(acts ...act) act {
	return func(ctx context.Context, s *token.Store) error {
		for _, do := range acts {
			if err := do(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

// A deed is an operation, and the records before and after it, or in between: nothing
// else may be found, whatever happened.
type deed struct {
	name    string
	before  act
	do      act
	was, is []string
	between [][]string
}

var deeds = []deed{
	{"the first insert of all", saves(), saves("U1 R1 A1"), nil, []string{"U1 R1 A1"}, nil},
	{"an insert beside another record", saves("U2 R2 A2"), saves("U1 R1 A1"), []string{"U2 R2 A2"}, []string{"U1 R1 A1", "U2 R2 A2"}, nil},
	{"a new access token", saves("U1 R1 A1"), saves("U1 A2"), []string{"U1 R1 A1"}, []string{"U1 R1 A2"}, nil},
	{"a token gains its user", saves("R1 A1"), saves("U1 R1 A2"), []string{"R1 A1"}, []string{"U1 R1 A2"}, nil},
	{"a rotation", saves("U1 R1 A1"), saves("U1 R2 A2"), []string{"U1 R1 A1"}, []string{"U1 R2 A2"}, nil},
	{"a change of the user", saves("U1 R1 A1"), changesUser("R1", "U2"), []string{"U1 R1 A1"}, []string{"U2 R1 A1"}, nil},
	{"a deletion", saves("U1 R1 A1", "U2 R2 A2"), deletes("U1"), []string{"U1 R1 A1", "U2 R2 A2"}, []string{"U2 R2 A2"}, nil},
	{"an insert of what was deleted", then(saves("U1 R1 A1"), deletes("U1")), saves("U1 R1 A1"), nil, []string{"U1 R1 A1"}, nil},
	{"a chosen id that comes back", then(saves("#one U1 R1 A1"), deletes("#one")), saves("#one U1 R1 A1"), nil, []string{"U1 R1 A1"}, nil},
	{
		"the deletion of all", saves("U1 R1 A1", "U2 R2 A2"), func(ctx context.Context, s *token.Store) error { return s.DeleteTokens(ctx) },
		[]string{"U1 R1 A1", "U2 R2 A2"}, nil, [][]string{{"U1 R1 A1"}, {"U2 R2 A2"}},
	},
}

// A fate is what happens to one request.
type fate struct {
	name string
	do   func(release <-chan struct{}) gcpsmtest.Action
	// dies: so does the process, once the other one is done, if there is one; soon: before.
	dies, soon bool
	// reads: it is something for requests that read, too.
	reads bool
	// gap: as long as the request is held, the other process cannot know what becomes of
	// it.
	gap bool
}

func simply(do gcpsmtest.Action) func(<-chan struct{}) gcpsmtest.Action {
	return func(<-chan struct{}) gcpsmtest.Action { return do }
}

// fates are those that need no other process.
var fates = []fate{
	{name: "the process dies before it", do: simply(gcpsmtest.Hang()), dies: true, reads: true},
	{name: "the process dies after it", do: simply(gcpsmtest.HangAfter()), dies: true},
	{name: "its answer is lost", do: simply(gcpsmtest.LoseAnswer()), reads: true},
	{name: "it is lost", do: simply(gcpsmtest.LoseRequest())},
	{name: "it is applied and said to have failed", do: simply(gcpsmtest.FailAfter(codes.Internal, "broken"))},
	{name: "it fails", do: simply(gcpsmtest.FailBefore(codes.Unavailable, "try again"))},
	{name: "it is throttled", do: simply(gcpsmtest.Throttle()), reads: true},
	{name: "it is applied twice", do: simply(gcpsmtest.Duplicate())},
	{name: "nobody answers it", do: simply(gcpsmtest.Hang())},
	{name: "it is applied and nobody answers it", do: simply(gcpsmtest.HangAfter())},
}

// meetings are those that let another process do the same meanwhile.
var meetings = []fate{
	{name: "the process dies before it", do: simply(gcpsmtest.Hang()), dies: true},
	{name: "the process dies after it", do: simply(gcpsmtest.HangAfter()), dies: true},
	{name: "it comes late", do: gcpsmtest.Hold, reads: true},
	{name: "the process dies and it comes late", do: gcpsmtest.Hold, dies: true, soon: true},
	{name: "its answer comes late", do: gcpsmtest.HoldAnswer, reads: true},
	{name: "its number is taken and it comes late", do: gcpsmtest.HoldNumber, gap: true},
	{name: "the process dies, its number is taken and it comes late", do: gcpsmtest.HoldNumber, dies: true, soon: true, gap: true},
}

// writing are the methods that an operation of a store writes with.
var writing = []string{"CreateSecret", "AddSecretVersion", "DestroySecretVersion"}

// underRace: the race detector is at work.
const underRace = raceDetector > 0

// tried are the deeds of a test; the race detector, which takes ten times as long, sees
// nothing new in most of them.
func tried() []deed {
	if underRace {
		return slices.DeleteFunc(slices.Clone(deeds), func(d deed) bool { return d.name != "a rotation" && d.name != "the deletion of all" })
	}
	return deeds
}

func TestCrashes(t *testing.T) {
	for _, d := range tried() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			runs := 0
			for _, f := range fates {
				runs += everywhere(t, d, f, false)
			}
			t.Logf("%d runs", runs)
		})
	}
}

func TestCrashesBesideAnotherProcess(t *testing.T) {
	for _, d := range tried() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			runs := 0
			for _, f := range meetings {
				runs += everywhere(t, d, f, true)
			}
			t.Logf("%d runs", runs)
		})
	}
}

func TestCrashesWhileAliasesAndListsAreLate(t *testing.T) {
	for _, d := range tried() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			for _, f := range fates[:2] {
				everywhere(t, d, f, false, gcpsmtest.WithLag(time.Hour))
			}
		})
	}
}

// everywhere runs a deed with a fate at its first request, at its second, and so on, until
// it is done before the fate is met.
func everywhere(t *testing.T, d deed, f fate, beside bool, opts ...gcpsmtest.Option) (runs int) {
	for met := true; met; runs++ {
		synctest.Test(t, func(t *testing.T) {
			r := &crash{T: t, service: virtual(t, opts...), deed: d, fate: f, point: runs}
			r.run(beside)
			met = r.met
			if !r.Failed() && met {
				r.audit()
			}
			if r.Failed() {
				r.Logf("%s, at request %d %s (another process: %v)", d.name, runs+1, f.name, beside)
				for _, c := range r.Calls() {
					r.Logf("%s %s %s: %v, lost %v", c.Method, c.Secret, c.Version, c.Code, c.Lost)
				}
				met = false
			}
		})
	}
	return runs - 1
}

// A crash is one run.
type crash struct {
	*testing.T
	*service
	deed  deed
	fate  fate
	point int

	met    bool // the request that should go wrong was sent
	beside bool
	err    error // of the process that met the fault
	client *secretmanager.Client
}

// open opens a store for a process that has just started.
func (r *crash) open() *token.Store {
	r.Helper()
	store, err := gcpsm.New(r.client, parent, prefix, unpaced())
	if err != nil {
		r.Fatal(err)
	}
	return store
}

// run does the deed in one process, and in another one while the request is held.
func (r *crash) run(beside bool) {
	r.beside, r.client = beside, r.sdk(r)
	if err := r.deed.before(r.Context(), r.open()); err != nil {
		r.Fatal(err)
	}
	r.ResetCalls()
	release := make(chan struct{})
	fault := gcpsmtest.Fault{Methods: writing, Skip: r.point, Times: 1, Do: r.fate.do(release)}
	if r.fate.reads {
		fault.Methods = nil
	}
	in := r.Inject(fault)
	ctx, die := context.WithCancel(r.Context())
	defer die()
	ended, reached := make(chan error, 1), make(chan struct{})
	store := r.store(r) // with a connection of its own, which may be cut
	go func() { ended <- r.deed.do(ctx, store) }()
	go func() {
		if in.Await(ctx, 1) == nil {
			close(reached)
		}
	}()
	select {
	case <-reached:
	case r.err = <-ended:
		if in.Fired() == 0 {
			return
		}
		ended <- r.err
	}
	r.met = true
	if r.fate.soon {
		die()
	}
	if beside {
		if err := r.deed.do(r.Context(), r.open()); err != nil && !r.fate.gap {
			r.Errorf("the other process: %v", err)
		}
	}
	if r.fate.dies {
		die()
	}
	close(release)
	r.err = <-ended
	synctest.Wait() // what comes late has come
}
