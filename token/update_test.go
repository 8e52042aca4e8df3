package token_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// domain returns a change of the API domain that notes which domains it met.
func domain(to string, met *[]string) func(*token.OAuthToken) error {
	return func(t *token.OAuthToken) error {
		*met = append(*met, t.APIDomain)
		t.APIDomain = to
		return nil
	}
}

// know reads a record, so that the store knows it.
func know(t *testing.T, s *token.Store, id string) {
	t.Helper()
	if _, err := s.FindTokenByID(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func TestTryUpdateTokenThatLosesARaceIsAConflictAfterOneCallAndWritesNothing(t *testing.T) {
	d := stocked(t)
	s, other := open(t, d), open(t, d.Under(""))
	know(t, s, "chosen")
	wantErr(t, other.UpdateToken(t.Context(), "chosen", func(r *token.OAuthToken) error { r.APIDomain = "theirs"; return nil }), nil)
	unchanged(t, d)
	calls := count(d)
	var met []string
	err := s.TryUpdateToken(t.Context(), "chosen", domain("mine", &met))
	wantErr(t, err, token.ErrConflict)
	if errors.Is(err, token.ErrOutcomeUnknown) || errors.Is(err, token.ErrUnavailable) {
		t.Errorf("the error says more than that: %v", err)
	}
	calls.want(t, "a lost race", "put token")
	same(t, met, []string{""})
}

func TestAfterALostRaceTryUpdateTokenBuildsOnWhatTheOtherWrote(t *testing.T) {
	d := stocked(t)
	s, other := open(t, d), open(t, d.Under(""))
	know(t, s, "chosen")
	wantErr(t, other.UpdateToken(t.Context(), "chosen", func(r *token.OAuthToken) error { r.APIDomain = "theirs"; return nil }), nil)
	var met []string
	wantErr(t, s.TryUpdateToken(t.Context(), "chosen", domain("mine", &met)), token.ErrConflict)
	calls := count(d)
	wantErr(t, s.TryUpdateToken(t.Context(), "chosen", domain("mine", &met)), nil)
	calls.want(t, "the next try", "get token, put token")
	same(t, met, []string{"", "theirs"})
}

func TestTryUpdateTokenOfARecordThatWasDeletedMeanwhileIsAConflictAndThenNotFound(t *testing.T) {
	d := stocked(t)
	s, other := open(t, d), open(t, d.Under(""))
	know(t, s, "chosen")
	wantErr(t, other.DeleteToken(t.Context(), "chosen"), nil)
	wantErr(t, s.TryUpdateToken(t.Context(), "chosen", change1), token.ErrConflict)
	wantErr(t, s.TryUpdateToken(t.Context(), "chosen", change1), token.ErrNotFound)
}

func TestTryUpdateTokenThatChangesNothingIsAConflictIfTheRecordChangedMeanwhile(t *testing.T) {
	d := stocked(t)
	s, other := open(t, d), open(t, d.Under(""))
	know(t, s, "chosen")
	idle := func(*token.OAuthToken) error { return nil }
	wantErr(t, s.TryUpdateToken(t.Context(), "chosen", idle), nil)
	wantErr(t, other.UpdateToken(t.Context(), "chosen", change1), nil)
	calls := count(d)
	wantErr(t, s.TryUpdateToken(t.Context(), "chosen", idle), token.ErrConflict)
	calls.want(t, "nothing to write", "get token")
}

func TestTryUpdateTokenThatGainsAKeyWritesTheLeafFirstAndLosesToAWriterOfTheSameKeys(t *testing.T) {
	d := stocked(t)
	s, other := open(t, d), open(t, d.Under(""))
	for _, s := range []*token.Store{s, other} {
		if _, err := s.FindToken(t.Context(), tok("U4")); err != nil {
			t.Fatal(err)
		}
	}
	rotate := func(refresh string) func(*token.OAuthToken) error {
		return func(r *token.OAuthToken) error { r.RefreshToken = token.NewSecret(refresh); return nil }
	}
	calls := count(d)
	wantErr(t, s.TryUpdateToken(t.Context(), "chosen", rotate("R8")), nil)
	calls.want(t, "a key gained", "put index, put token")
	wantErr(t, other.TryUpdateToken(t.Context(), "chosen", rotate("R8")), token.ErrConflict)
	found, err := open(t, d).FindToken(t.Context(), tok("R8"))
	if err != nil || found.ID != "chosen" {
		t.Errorf("by the key that was gained: %v", err)
	}
}

func TestTryUpdateTokenDoesNotMindThatOthersWroteOtherKeysToTheIndex(t *testing.T) {
	d := stocked(t)
	s, other := open(t, d), open(t, d.Under(""))
	if _, err := s.FindToken(t.Context(), tok("U4")); err != nil {
		t.Fatal(err)
	}
	wantErr(t, other.SaveToken(t.Context(), tok("U9", "R9")), nil)
	wantErr(t, s.TryUpdateToken(t.Context(), "chosen", func(r *token.OAuthToken) error { r.RefreshToken = token.NewSecret("R8"); return nil }), nil)
	for _, key := range []string{"R8", "R9"} {
		wantErr(t, second(open(t, d).FindToken(t.Context(), tok(key))), nil)
	}
}

func TestTryUpdateTokenDoesNotTakeAnIndexThatGrowsForAnotherWriter(t *testing.T) {
	d := grown(t, 30)
	s := open(t, d)
	before := len(indexSecrets(t, d))
	for i := range 30 {
		found, err := s.FindToken(t.Context(), tok(fmt.Sprint("U", i)))
		if err != nil {
			t.Fatal(err)
		}
		wantErr(t, s.TryUpdateToken(t.Context(), found.ID, func(r *token.OAuthToken) error {
			r.GrantToken, r.RefreshToken = token.NewSecret(fmt.Sprint("G", i)), token.NewSecret(fmt.Sprint("R", 100+i))
			return nil
		}), nil)
	}
	if after := len(indexSecrets(t, d)); after == before {
		t.Errorf("the index did not grow: %d secrets", after)
	}
}

func TestTryUpdateTokenThatGainsAKeyCanLoseTheRecordToo(t *testing.T) {
	d := stocked(t)
	s := open(t, d)
	if _, err := s.FindToken(t.Context(), tok("U4")); err != nil {
		t.Fatal(err)
	}
	calls := &counter{}
	d.OnCall(func(_ context.Context, call memstore.Call) memstore.Fault {
		calls.calls = append(calls.calls, describe(call))
		if call.Op == memstore.OpPut && call.Names[0] != codec.RootName {
			touch(t, d, call.Names[0])
		}
		return memstore.Fault{}
	})
	wantErr(t, s.TryUpdateToken(t.Context(), "chosen", func(r *token.OAuthToken) error { r.RefreshToken = token.NewSecret("R8"); return nil }), token.ErrConflict)
	calls.want(t, "a race that is lost after the claim", "put index, put token")
	d.OnCall(nil)
	wantErr(t, second(open(t, d).FindToken(t.Context(), tok("R8"))), token.ErrNotFound)
}

func TestTryUpdateTokenReturnsTheErrorOfItsFunctionAndWritesNothing(t *testing.T) {
	mine := errors.New("mine")
	for what, update := range map[string]func(*token.Store) func(context.Context, string, func(*token.OAuthToken) error) error{
		"UpdateToken": func(s *token.Store) func(context.Context, string, func(*token.OAuthToken) error) error {
			return s.UpdateToken
		},
		"TryUpdateToken": func(s *token.Store) func(context.Context, string, func(*token.OAuthToken) error) error {
			return s.TryUpdateToken
		},
	} {
		d := stocked(t)
		s, other := open(t, d), open(t, d.Under(""))
		know(t, s, "chosen")
		wantErr(t, other.UpdateToken(t.Context(), "chosen", func(r *token.OAuthToken) error { r.APIDomain = "theirs"; return nil }), nil)
		unchanged(t, d)
		calls := count(d)
		var met []string
		wantErr(t, update(s)(t.Context(), "chosen", func(r *token.OAuthToken) error { met = append(met, r.APIDomain); return mine }), mine)
		calls.want(t, what, "get token")
		same(t, met, []string{"", "theirs"}) // what was remembered, and what the service says
	}
}

func TestTryUpdateTokenThatRefusedWhatWasOldGoesOnWithWhatTheServiceSays(t *testing.T) {
	d := stocked(t)
	s, other := open(t, d), open(t, d.Under(""))
	know(t, s, "chosen")
	wantErr(t, other.UpdateToken(t.Context(), "chosen", func(r *token.OAuthToken) error { r.APIDomain = "theirs"; return nil }), nil)
	wantErr(t, s.TryUpdateToken(t.Context(), "chosen", func(r *token.OAuthToken) error {
		if r.APIDomain != "theirs" {
			return errors.New("too early")
		}
		r.APIDomain = "mine"
		return nil
	}), nil)
}

func TestOfManyWhoTryToUpdateOneStateOneWins(t *testing.T) {
	d := stocked(t)
	stores := make([]*token.Store, 8)
	for i := range stores {
		stores[i] = open(t, d.Under(""))
		know(t, stores[i], "chosen")
	}
	errs := make([]error, len(stores))
	var wg sync.WaitGroup
	for i, s := range stores {
		wg.Go(func() { errs[i] = s.TryUpdateToken(t.Context(), "chosen", change1) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			wantErr(t, err, token.ErrConflict)
		}
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

func TestTryUpdateTokenReportsAnOutcomeThatIsNotKnown(t *testing.T) {
	d := stocked(t)
	s := open(t, d)
	know(t, s, "chosen")
	d.OnCall(func(context.Context, memstore.Call) memstore.Fault {
		return memstore.Fault{After: driver.ErrOutcomeUnknown}
	})
	err := s.TryUpdateToken(t.Context(), "chosen", change1)
	wantErr(t, err, token.ErrOutcomeUnknown)
	if errors.Is(err, token.ErrConflict) {
		t.Errorf("it is not known that nothing was written: %v", err)
	}
}

func TestReadTokenSeesWhatAnotherProcessWrote(t *testing.T) {
	d := stocked(t)
	s, other := open(t, d), open(t, d.Under(""))
	know(t, s, "chosen")
	wantErr(t, other.UpdateToken(t.Context(), "chosen", change1), nil)
	found, err := s.ReadToken(t.Context(), "chosen")
	if err != nil || found.APIDomain != "changed" {
		t.Errorf("%+v: %v", found, err)
	}
}

func TestReadTokenAsksForTheOrdinaryRead(t *testing.T) {
	d := stocked(t)
	var how []driver.Freshness
	d.Stale(func(_ context.Context, r memstore.Read) int { how = append(how, r.How); return 0 })
	wantErr(t, second(open(t, d).ReadToken(t.Context(), "chosen")), nil)
	same(t, how, []driver.Freshness{driver.Any})
}

// Names in Extra that begin with tokenkeep. say something of the record as it is now: a save of one that was
// found a while ago leaves them as they are, and UpdateToken changes them.
func TestASaveLeavesTheLibrarysOwnExtraAsItIs(t *testing.T) {
	const name = "tokenkeep.test"
	s := open(t, memstore.NewDriver())
	tok := &token.OAuthToken{
		UserSignature: token.UserSignature{Name: "ana"}, RefreshToken: token.NewSecret("r"),
		Extra: map[string]token.Secret{name: token.NewSecret("1"), "other": token.NewSecret("1")},
	}
	if err := s.SaveToken(t.Context(), tok); err != nil {
		t.Fatal(err)
	}
	found, err := s.FindTokenByID(t.Context(), tok.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateToken(t.Context(), tok.ID, func(o *token.OAuthToken) error {
		o.Extra[name] = token.NewSecret("2")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	found.Extra["other"] = token.NewSecret("3")
	if err := s.SaveToken(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveTokens(t.Context(), []*token.OAuthToken{found}); err != nil {
		t.Fatal(err)
	}
	found, err = s.FindToken(t.Context(), found)
	if err != nil || found.Extra[name].Reveal() != "2" || found.Extra["other"].Reveal() != "3" {
		t.Errorf("got %q and %q, %v", found.Extra[name].Reveal(), found.Extra["other"].Reveal(), err)
	}
}
