package gcpsm_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeep/tokenkeep/codec"
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

func TestCrashes(t *testing.T) {
	for _, d := range deeds {
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
	for _, d := range deeds {
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
	for _, d := range deeds {
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

// audit makes sure that the secrets hold what they may hold, and that a process that
// has just started finds it and can go on.
func (r *crash) audit() {
	d := r.deed
	got := r.live()
	possible := append([][]string{d.was, d.is}, d.between...)
	sure := r.err != nil && !errors.Is(r.err, token.ErrOutcomeUnknown) && d.between == nil
	switch {
	case !slices.ContainsFunc(possible, func(p []string) bool { return slices.Equal(p, got) }):
		r.Errorf("the records are %q", got)
	case r.err == nil && !slices.Equal(got, d.is), r.beside && !r.fate.gap && !slices.Equal(got, d.is):
		r.Errorf("it was acknowledged, and the records are %q", got)
	case sure && !r.beside && !slices.Equal(got, d.was):
		r.Errorf("the error was %v, and the records are %q", r.err, got)
	case r.err != nil && !r.fate.dies && !r.fate.gap:
		r.Errorf("the operation of a process that goes on ended in %v", r.err)
	}
	for _, name := range r.Names() {
		if n := r.Active(name); n > 3 && !r.fate.gap {
			r.Errorf("%d versions of %s are charged for", n, name)
		}
	}
	fresh := r.open()
	r.finds(fresh, got)
	if err := d.do(r.Context(), fresh); err != nil {
		r.Fatalf("a process that does it again: %v", err)
	}
	if got := r.live(); !slices.Equal(got, d.is) {
		r.Errorf("after it was done again the records are %q", got)
	}
	r.finds(r.open(), d.is)
	r.sweeps(fresh)
}

// finds makes sure that a store finds the records, by each key the same one, and no
// others.
func (r *crash) finds(s *token.Store, want []string) {
	listed, err := s.GetTokens(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	got := []string{}
	for _, one := range listed {
		got = append(got, describe(one))
		for _, q := range []*token.OAuthToken{
			{ID: one.ID}, {UserSignature: one.UserSignature}, {RefreshToken: one.RefreshToken},
		} {
			if q.ID == "" && q.UserSignature.Name == "" && q.RefreshToken.IsZero() {
				continue
			}
			asked := describe(q)
			if found, err := s.FindToken(r.Context(), q); err != nil || found.ID != one.ID || describe(found) != describe(one) {
				r.Errorf("the record %q is not found by %q: %v", describe(one), asked, err)
			}
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		r.Errorf("listed are %q, want %q", got, want)
	}
}

// sweeps makes sure that later writes destroy what dead processes left.
func (r *crash) sweeps(s *token.Store) {
	left := func() (names []string) {
		for _, name := range r.Names() {
			if r.Active(name) > 1 {
				names = append(names, name)
			}
		}
		return names
	}
	if len(left()) == 0 {
		return
	}
	r.Settle() // what is left is found in a list
	for n := range 16 {
		for _, words := range r.deed.is {
			user, _, _ := strings.Cut(words, " ")
			if err := s.SaveToken(r.Context(), tok(fmt.Sprintf("%s R%s-%d", user, user, n))); err != nil {
				r.Fatal(err)
			}
		}
	}
	for _, name := range left() {
		if rec := r.record(name); rec != nil && rec.Live() {
			r.Errorf("%d versions of %s are charged for after 16 writes", r.Active(name), name)
		}
	}
}

func describe(t *token.OAuthToken) string {
	return strings.Join(strings.Fields(t.UserSignature.Name+" "+t.RefreshToken.Reveal()+" "+t.AccessToken.Reveal()), " ")
}

// live returns the records that hold a token, as the secrets say and not a store.
func (s *service) live() []string {
	found := []string{}
	for _, name := range s.Names() {
		if r := s.record(name); r != nil && r.Live() {
			found = append(found, strings.Join(strings.Fields(r.UserName+" "+r.RefreshToken+" "+r.AccessToken), " "))
		}
	}
	slices.Sort(found)
	return found
}

var logged = regexp.MustCompile(`(?s)^\{"seen":(\d+),(.*)$`)

// record returns what a secret holds, nil for the index and for secrets without a
// version. It panics if the newest valid version cannot be read.
func (s *service) record(name string) *codec.Record {
	if !strings.Contains(name, "__token-") {
		return nil
	}
	var head *codec.Record
	for _, v := range s.Versions(name) {
		parts := logged.FindSubmatch(v.Payload)
		if parts == nil { // it is destroyed
			head = nil
			continue
		}
		if seen, err := strconv.ParseInt(string(parts[1]), 10, 64); err != nil || seen != v.Number-1 {
			continue
		}
		r, err := codec.DecodeRecord(append([]byte("{"), parts[2]...))
		if err != nil {
			panic(fmt.Sprintf("a record that cannot be read: %v", err))
		}
		head = r
	}
	return head
}
