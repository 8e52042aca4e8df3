package token_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// with opens a store with options.
func with(tb testing.TB, d *memstore.Driver, opts token.Options) *token.Store {
	tb.Helper()
	s, err := token.NewStore(d, &opts)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// minute lets finds be answered with what is a minute old.
var minute = token.Options{MaxAge: time.Minute}

// access finds the record with the id "chosen" and returns its access token.
func access(t *testing.T, s *token.Store) string {
	t.Helper()
	found, err := s.FindTokenByID(t.Context(), "chosen")
	if err != nil {
		t.Fatal(err)
	}
	return found.AccessToken.Reveal()
}

// update gives the record with the id "chosen" an access token.
func update(t *testing.T, s *token.Store, access string) {
	t.Helper()
	wantErr(t, s.UpdateToken(t.Context(), "chosen", func(r *token.OAuthToken) error {
		r.AccessToken = token.NewSecret(access)
		return nil
	}), nil)
}

func TestMaxAgeIsBetweenZeroAndAnHourAndMaxStaleIsNotNegative(t *testing.T) {
	for _, bad := range []token.Options{{MaxAge: -1}, {MaxAge: time.Hour + 1}, {MaxStale: -1}} {
		_, err := token.NewStore(memstore.NewDriver(), &bad)
		invalid(t, err)
	}
	for _, good := range []token.Options{{MaxAge: time.Hour}, {MaxAge: 1}, {MaxStale: 1}, {MaxStale: 1<<63 - 1}} {
		_, err := token.NewStore(memstore.NewDriver(), &good)
		wantErr(t, err, nil)
	}
}

// warmFinds are those that can be answered from memory, of one record each.
var warmFinds = []struct {
	what  string
	query *token.OAuthToken // by FindToken; nil: the id "chosen", by FindTokenByID
	calls string            // of the service, when what was read is too old
}{
	{"FindTokenByID", nil, "get token"},
	{"FindToken by id", tok("#chosen"), "get token"},
	{"FindToken by user", tok("U1"), "get token"},
	{"FindToken by user and client", tok("U1", "c1"), "get token"},
	{"FindToken by user and more", tok("U1", "G1", "R9"), "get token"},
	{"FindToken by refresh token", tok("R1"), "get token"},
	{"FindToken by grant token", tok("G1"), "get token"},
	{"FindToken by an access token that is the only key", tok("A5"), "get token"},
}

func doFind(ctx context.Context, s *token.Store, query *token.OAuthToken) (*token.OAuthToken, error) {
	if query == nil {
		return s.FindTokenByID(ctx, "chosen")
	}
	q := *query
	return s.FindToken(ctx, &q)
}

func TestAWarmFindMakesNoCallUntilWhatWasReadIsOlderThanMaxAge(t *testing.T) {
	for _, c := range warmFinds {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := stocked(t)
				s := with(t, d, minute)
				read, err := doFind(t.Context(), s, c.query)
				wantErr(t, err, nil)
				calls := count(d)
				for range 2 {
					advance(30 * time.Second)
					found, err := doFind(t.Context(), s, c.query)
					wantErr(t, err, nil)
					same(t, found, read)
				}
				calls.want(t, "a warm find", "")
				advance(1)
				found, err := doFind(t.Context(), s, c.query)
				wantErr(t, err, nil)
				same(t, found, read)
				calls.want(t, "a find after MaxAge", c.calls)
				advance(time.Minute)
				_, err = doFind(t.Context(), s, c.query)
				wantErr(t, err, nil)
				calls.want(t, "a find after that", "")
			})
		})
	}
}

func TestWithoutMaxAgeEveryFindAsksTheService(t *testing.T) {
	for _, c := range warmFinds {
		synctest.Test(t, func(t *testing.T) { // no time passes
			d := stocked(t)
			s := with(t, d, token.Options{MaxStale: time.Hour})
			wantErr(t, second(doFind(t.Context(), s, c.query)), nil)
			calls := count(d)
			wantErr(t, second(doFind(t.Context(), s, c.query)), nil)
			calls.want(t, c.what, c.calls)
		})
	}
}

func TestAWarmFindMakesNoCallWhereTheIndexHasLeaves(t *testing.T) {
	d := grown(t, 100)
	s := with(t, d, minute)
	for _, again := range []bool{false, true} {
		calls := count(d)
		for i := range 100 {
			for _, key := range []string{fmt.Sprint("U", i), fmt.Sprint("R", i)} {
				wantErr(t, second(s.FindToken(t.Context(), tok(key))), nil)
			}
		}
		if again {
			calls.want(t, "finds of what was found before", "")
		}
	}
}

func TestAnIndexThatWasReadMoreThanAnHourAgoIsReadAgainThoughTheRecordIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		s := with(t, d, minute)
		wantErr(t, second(s.FindToken(t.Context(), tok("U4"))), nil)
		advance(time.Hour + 1)
		access(t, s)
		calls := count(d)
		wantErr(t, second(s.FindToken(t.Context(), tok("U4"))), nil)
		calls.want(t, "a find by user", "get index, get token")
	})
}

func TestACachedFindMissesWhatOthersWroteForMaxAgeAndReadTokenDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		s, other := with(t, d, minute), open(t, d.Under(""))
		access(t, s)
		update(t, other, "theirs")
		advance(time.Minute)
		if got := access(t, s); got != "" {
			t.Errorf("after a minute: %q", got)
		}
		advance(1)
		if got := access(t, s); got != "theirs" {
			t.Errorf("after more than that: %q", got)
		}
		update(t, other, "theirs again")
		read, err := s.ReadToken(t.Context(), "chosen")
		if err != nil || read.AccessToken.Reveal() != "theirs again" {
			t.Errorf("ReadToken: %v", err)
		}
		calls := count(d)
		if got := access(t, s); got != "theirs again" {
			t.Errorf("after ReadToken: %q", got)
		}
		calls.want(t, "a find after ReadToken", "")
	})
}

func TestAStoreWithMaxAgeSeesItsOwnWritesAtOnceAndWithoutACall(t *testing.T) {
	d := stocked(t)
	s := with(t, d, minute)
	wantErr(t, second(s.FindToken(t.Context(), tok("U4"))), nil)
	query := func(words ...string) string {
		t.Helper()
		calls := count(d)
		found, err := s.FindToken(t.Context(), tok(words...))
		if err != nil {
			t.Fatal(err)
		}
		calls.want(t, fmt.Sprint(words), "")
		return found.AccessToken.Reveal()
	}
	for _, write := range []struct {
		what string
		do   func() error
		key  string
	}{
		{"SaveToken", func() error { return s.SaveToken(t.Context(), tok("U4", "A1")) }, "U4"},
		{"SaveToken, a new key", func() error { return s.SaveToken(t.Context(), tok("U4", "R8", "A2")) }, "R8"},
		{"SaveToken, a new record", func() error { return s.SaveToken(t.Context(), tok("U9", "R9", "A3")) }, "R9"},
		{"SaveTokens", func() error { return s.SaveTokens(t.Context(), []*token.OAuthToken{tok("U9", "A4")}) }, "U9"},
		{"TryUpdateToken", func() error {
			return s.TryUpdateToken(t.Context(), "chosen", func(r *token.OAuthToken) error { r.AccessToken = token.NewSecret("A5"); return nil })
		}, "U4"},
	} {
		before := query("U4")
		wantErr(t, write.do(), nil)
		if after := query(write.key); after == before {
			t.Errorf("after %s a find shows what was before it", write.what)
		}
	}
	wantErr(t, s.DeleteToken(t.Context(), "chosen"), nil)
	wantErr(t, second(s.FindTokenByID(t.Context(), "chosen")), token.ErrNotFound)
	wantErr(t, second(s.FindToken(t.Context(), tok("U4"))), token.ErrNotFound)
	wantErr(t, s.DeleteTokens(t.Context()), nil)
	wantErr(t, second(s.FindToken(t.Context(), tok("U9"))), token.ErrNotFound)
}

func TestAWriteThatLostARaceOrWhoseOutcomeIsNotKnownEndsTheCachedAnswer(t *testing.T) {
	mine := func(r *token.OAuthToken) error { r.AccessToken = token.NewSecret("mine"); return nil }
	t.Run("it lost a race", func(t *testing.T) {
		d := stocked(t)
		s := with(t, d, minute)
		access(t, s)
		update(t, open(t, d.Under("")), "theirs")
		wantErr(t, s.TryUpdateToken(t.Context(), "chosen", mine), token.ErrConflict)
		if got := access(t, s); got != "theirs" {
			t.Errorf("a find shows %q", got)
		}
	})
	t.Run("its outcome is not known", func(t *testing.T) {
		d := stocked(t)
		s := with(t, d, minute)
		access(t, s)
		d.OnCall(func(context.Context, memstore.Call) memstore.Fault {
			return memstore.Fault{After: driver.ErrOutcomeUnknown}
		})
		wantErr(t, s.UpdateToken(t.Context(), "chosen", mine), token.ErrOutcomeUnknown)
		d.OnCall(nil)
		if got := access(t, s); got != "mine" {
			t.Errorf("a find shows %q", got)
		}
	})
	t.Run("a read that began before it does not bring the answer back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := stocked(t)
			s := with(t, d, minute)
			access(t, s)
			view := make(chan struct{})
			stale := true // the read answers with what was when it began
			d.Stale(func(_ context.Context, r memstore.Read) int {
				if stale {
					<-view
					return 1
				}
				return 0
			})
			done := make(chan error)
			go func() { done <- second(s.ReadToken(context.WithoutCancel(t.Context()), "chosen")) }()
			synctest.Wait()
			advance(1)
			d.OnCall(func(context.Context, memstore.Call) memstore.Fault {
				return memstore.Fault{After: driver.ErrOutcomeUnknown}
			})
			wantErr(t, s.UpdateToken(t.Context(), "chosen", mine), token.ErrOutcomeUnknown)
			d.OnCall(nil)
			close(view)
			wantErr(t, <-done, nil)
			stale = false
			if got := access(t, s); got != "mine" {
				t.Errorf("a find shows %q", got)
			}
		})
	})
}

func TestOnlyARecordIsAnsweredFromMemory(t *testing.T) {
	d := stocked(t)
	writer := open(t, d)
	wantErr(t, writer.SaveToken(t.Context(), tok("U6", "c1", "R6")), nil)
	wantErr(t, writer.SaveToken(t.Context(), tok("U6", "c2", "R7")), nil)
	wantErr(t, writer.SaveToken(t.Context(), tok("#damaged", "U7", "R8")), nil)
	s := with(t, d, minute)
	wantErr(t, second(s.FindTokenByID(t.Context(), "damaged")), nil)
	wantErr(t, second(s.FindToken(t.Context(), tok("U7"))), nil)
	wantErr(t, second(s.FindToken(t.Context(), tok("U6", "c1"))), nil)
	wantErr(t, second(s.FindToken(t.Context(), tok("R3"))), nil)
	calls := count(d)
	wantErr(t, second(s.FindToken(t.Context(), tok("U6", "c1"))), nil)
	calls.want(t, "one of two records", "")
	for _, c := range []struct {
		what  string
		query *token.OAuthToken
		err   error
		calls string
	}{
		{"a miss by id", tok("#none"), token.ErrNotFound, "get token, get token"},
		{"a miss by user", tok("U99"), token.ErrNotFound, "get index"},
		{"another client", tok("U7", "c9"), nil, ""},
		{"another client than both", tok("U6", "c9"), token.ErrNotFound, "get 2, get index, get 2"},
		{"two records", tok("U6"), token.ErrAmbiguous, "get 2"},
		{"a lower key, after one that leads nowhere", tok("U99", "R3"), nil, "get token, get index, get token"},
		{"nothing that a record could be found by", tok("c1"), token.ErrInvalid, ""},
	} {
		for range 2 {
			wantErr(t, second(doFind(t.Context(), s, c.query)), c.err)
			calls.want(t, c.what, c.calls)
		}
	}
	d.Set(codec.NameOf(codec.RefOf("damaged")), []byte("{}"))
	wantErr(t, second(s.ReadToken(t.Context(), "damaged")), token.ErrCorrupt)
	for range 2 { // what was read before it was damaged does not come back
		wantErr(t, second(s.FindTokenByID(t.Context(), "damaged")), token.ErrCorrupt)
		wantErr(t, second(s.FindToken(t.Context(), tok("R8"))), token.ErrCorrupt)
	}
}

func TestAUserOfWhoseRecordsOneIsKnownIsAskedFor(t *testing.T) {
	d := stocked(t)
	writer := open(t, d)
	known := tok("U6", "c1", "R6")
	wantErr(t, writer.SaveToken(t.Context(), known), nil)
	wantErr(t, writer.SaveToken(t.Context(), tok("U6", "c2", "R7")), nil)
	s := with(t, d, minute)
	wantErr(t, second(s.FindToken(t.Context(), tok("U1"))), nil)
	wantErr(t, second(s.FindTokenByID(t.Context(), known.ID)), nil)
	calls := count(d)
	wantErr(t, second(s.FindToken(t.Context(), tok("U6"))), token.ErrAmbiguous)
	calls.want(t, "a find by user", "get 2")
}

func TestASecretThatHoldsTheRecordOfAnotherIDIsNeverAnswered(t *testing.T) {
	d := stocked(t)
	wantErr(t, open(t, d).SaveToken(t.Context(), tok("#other", "U6", "R6")), nil)
	d.Set(codec.NameOf(codec.RefOf("chosen")), d.Dump()[codec.NameOf(codec.RefOf("other"))])
	s := with(t, d, minute)
	for range 2 {
		wantErr(t, second(s.FindTokenByID(t.Context(), "chosen")), token.ErrCorrupt)
	}
}

func TestWhatTheServiceSaysOfASecretEndsTheCachedAnswer(t *testing.T) {
	fail := func(err error) func(*testing.T, *memstore.Driver) {
		return func(_ *testing.T, d *memstore.Driver) {
			d.OnCall(func(context.Context, memstore.Call) memstore.Fault { return memstore.Fault{Before: err} })
		}
	}
	for _, c := range []struct {
		what   string
		before func(*testing.T, *memstore.Driver)
		err    error
		lasts  bool
	}{
		{"it was deleted", func(t *testing.T, d *memstore.Driver) {
			wantErr(t, open(t, d.Under("")).DeleteToken(t.Context(), "chosen"), nil)
		}, token.ErrNotFound, false},
		{"its name rests", func(t *testing.T, d *memstore.Driver) {
			wantErr(t, d.Under("").Delete(t.Context(), codec.NameOf(codec.RefOf("chosen"))), nil)
		}, token.ErrNotFound, false},
		{"rights are missing", fail(driver.ErrPermission), token.ErrPermission, false},
		{"it cannot be reached", fail(driver.ErrUnavailable), token.ErrUnavailable, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			d := stocked(t)
			d.SetLimits(driver.Limits{DeletedNameRests: 24 * time.Hour})
			s := with(t, d, minute)
			access(t, s)
			c.before(t, d)
			wantErr(t, second(s.FindTokenByID(t.Context(), "chosen")), nil)
			wantErr(t, second(s.ReadToken(t.Context(), "chosen")), c.err)
			if c.lasts {
				c.err = nil
			}
			wantErr(t, second(s.FindTokenByID(t.Context(), "chosen")), c.err)
		})
	}
}

func TestWhatListsReadAnswersNoFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stocked(t)
		s, other := with(t, d, minute), open(t, d.Under(""))
		list := func() {
			t.Helper()
			if all, err := s.GetTokens(t.Context()); err != nil || len(all) != 5 {
				t.Fatalf("%d tokens: %v", len(all), err)
			}
		}
		calls := count(d)
		list()
		calls.want(t, "GetTokens", "get index, get 5")
		access(t, s)
		calls.want(t, "a find after a list", "get token")
		advance(40 * time.Second)
		list()
		calls.want(t, "GetTokens", "get index, get 5")
		access(t, s)
		calls.want(t, "a find after a list of what is known", "")
		advance(40 * time.Second)
		access(t, s)
		calls.want(t, "a find after MaxAge: the list makes nothing younger", "get token")
		update(t, other, "theirs")
		list()
		if got := access(t, s); got != "theirs" {
			t.Errorf("a find goes back behind what a list showed: %q", got)
		}
	})
}

func TestRememberBoundsWhatFindsAreAnsweredWith(t *testing.T) {
	d := stocked(t)
	s := with(t, d, token.Options{MaxAge: time.Minute, Remember: 1})
	access(t, s)
	calls := count(d)
	access(t, s)
	calls.want(t, "the same again", "")
	wantErr(t, second(s.FindToken(t.Context(), tok("U1"))), nil)
	calls.want(t, "another record", "get index, get token")
	access(t, s)
	calls.want(t, "the first one", "get token")
}

func TestWritesTakeTheSameCallsAndRefuseTheSameWithMaxAge(t *testing.T) {
	t.Run("a refusal rests on the service's word", func(t *testing.T) {
		d := stocked(t)
		s, other := with(t, d, minute), open(t, d.Under(""))
		wantErr(t, second(s.FindToken(t.Context(), tok("R4"))), nil)
		wantErr(t, other.DeleteToken(t.Context(), "chosen"), nil)
		wantErr(t, second(s.FindToken(t.Context(), tok("R4"))), nil) // as it was
		wantErr(t, s.SaveToken(t.Context(), tok("U5", "R4")), nil)   // no conflict with what is gone
	})
	t.Run("a save that changes nothing makes sure", func(t *testing.T) {
		d := stocked(t)
		s := with(t, d, minute)
		access(t, s)
		calls := count(d)
		wantErr(t, s.SaveToken(t.Context(), tok("#chosen", "R4")), nil)
		calls.want(t, "a save of nothing new", "get token")
	})
	t.Run("a save is applied to the newest state, and not to a cached one", func(t *testing.T) {
		d := stocked(t)
		s := with(t, d, minute)
		access(t, s)
		wantErr(t, open(t, d.Under("")).SaveToken(t.Context(), tok("#chosen", "A9")), nil)
		wantErr(t, s.UpdateToken(t.Context(), "chosen", change1), nil)
		found, err := open(t, d).FindTokenByID(t.Context(), "chosen")
		if err != nil || found.APIDomain != "changed" || found.AccessToken.Reveal() != "A9" {
			t.Errorf("an update was lost: %v", err)
		}
	})
}

func TestAWarmFindReturnsTheErrorOfItsContext(t *testing.T) {
	d := stocked(t)
	s := with(t, d, minute)
	access(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, second(s.FindTokenByID(ctx, "chosen")), context.Canceled)
}

func TestACachedAnswerIsTheCallersOwn(t *testing.T) {
	d := stocked(t)
	s := with(t, d, minute)
	first := tok("#own", "U8", "R8")
	first.Scopes, first.Extra = []string{"one"}, map[string]token.Secret{"a": token.NewSecret("b")}
	wantErr(t, s.SaveToken(t.Context(), first), nil)
	for range 2 {
		found, err := s.FindTokenByID(t.Context(), "own")
		if err != nil || found.Scopes[0] != "one" || found.Extra["a"].Reveal() != "b" {
			t.Fatalf("%v: %v", found, err)
		}
		found.Scopes[0], found.Extra["a"] = "changed", token.NewSecret("changed")
	}
}

// Each goroutine is the only writer of its record: it finds what it wrote last, whatever the
// others do to the memory that they share.
func TestManyGoroutinesOfAStoreWithMaxAgeSeeTheirOwnWrites(t *testing.T) {
	d := memstore.NewDriver()
	s := with(t, d, token.Options{MaxAge: time.Minute, Remember: 4})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			user := fmt.Sprint("U", w)
			for n := range 50 {
				access := fmt.Sprint("A", n)
				if err := s.SaveToken(t.Context(), tok(user, "c1", access)); err != nil {
					t.Error(err)
				}
				found, err := s.FindToken(t.Context(), tok(user))
				if err != nil || found.AccessToken.Reveal() != access {
					t.Errorf("%s after the save of %s: %v", user, access, err)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkWarmFindTokenByID finds a record that is remembered: no call is made.
func BenchmarkWarmFindTokenByID(b *testing.B) {
	d := stocked(b)
	s := with(b, d, token.Options{MaxAge: time.Hour})
	made, err := s.FindToken(b.Context(), tok("U1"))
	if err != nil {
		b.Fatal(err)
	}
	for _, id := range []string{made.ID, "chosen"} {
		name := "an id that a caller chose"
		if id == made.ID {
			name = "an id that the store made"
		}
		b.Run(name, func(b *testing.B) {
			if _, err := s.FindTokenByID(b.Context(), id); err != nil {
				b.Fatal(err)
			}
			d.OnCall(func(context.Context, memstore.Call) memstore.Fault {
				return memstore.Fault{Before: errors.New("a call was made")}
			})
			defer d.OnCall(nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.FindTokenByID(b.Context(), id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
