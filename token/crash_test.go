package token_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// The crash tests run every order of the calls of two and three clients, and let a
// process die, or an answer be lost, at each of them.

// tok makes a token from words such as "U1 c1 R1": user, client, refresh, grant (G1)
// and access token (A1), id (#one).
func tok(words ...string) *token.OAuthToken {
	t := &token.OAuthToken{}
	for _, w := range words {
		switch w[0] {
		case 'U':
			t.UserSignature.Name = w
		case 'c':
			t.ClientID = w
		case 'R':
			t.RefreshToken = token.NewSecret(w)
		case 'G':
			t.GrantToken = token.NewSecret(w)
		case 'A':
			t.AccessToken = token.NewSecret(w)
		case '#':
			t.ID = w[1:]
		}
	}
	return t
}

func save(words ...string) op {
	return op{
		name: fmt.Sprint("save ", words),
		save: true,
		do: func(ctx context.Context, s *token.Store, mark string) error {
			t := tok(words...)
			t.Extra = map[string]token.Secret{mark: token.NewSecret("1")}
			return s.SaveToken(ctx, t)
		},
	}
}

// saveAll saves several tokens at once. It is about the last of them.
func saveAll(list ...[]string) op {
	return op{
		name: fmt.Sprint("save all ", list),
		save: true,
		do: func(ctx context.Context, s *token.Store, mark string) error {
			var tokens []*token.OAuthToken
			for _, words := range list {
				tokens = append(tokens, tok(words...))
			}
			last := len(tokens) - 1
			tokens[last].Extra = map[string]token.Secret{mark: token.NewSecret("1")}
			err := s.SaveTokens(ctx, tokens)
			report := (*token.BatchError)(nil)
			switch {
			case !errors.As(err, &report):
				return err
			case slices.Contains(report.Left, last):
				return errors.New("it was not tried")
			}
			return report.Failed[last]
		},
	}
}

func words(words ...string) []string { return words }

// remove deletes the record that words find.
func remove(words ...string) op {
	return op{
		name: fmt.Sprint("delete ", words),
		do: func(ctx context.Context, s *token.Store, _ string) error {
			t, err := s.FindToken(ctx, tok(words...))
			if err != nil {
				return err
			}
			return s.DeleteToken(ctx, t.ID)
		},
	}
}

// change makes the record that find finds into what words say, and no more.
func change(find string, words ...string) op {
	return op{
		name: fmt.Sprint("change ", find, " to ", words),
		save: true,
		do: func(ctx context.Context, s *token.Store, mark string) error {
			found, err := s.FindToken(ctx, tok(find))
			if err != nil {
				return err
			}
			return s.UpdateToken(ctx, found.ID, func(t *token.OAuthToken) error {
				next := tok(words...)
				next.ID, next.Extra = t.ID, t.Extra
				if next.Extra == nil {
					next.Extra = map[string]token.Secret{}
				}
				next.Extra[mark] = token.NewSecret("1")
				*t = *next
				return nil
			})
		},
	}
}

func rotate(find, refresh string) op {
	return op{
		name: fmt.Sprint("rotate ", find, " to ", refresh),
		save: true,
		do: func(ctx context.Context, s *token.Store, mark string) error {
			t, err := s.FindToken(ctx, tok(find))
			if err != nil {
				return err
			}
			t.RefreshToken = token.NewSecret(refresh)
			t.Extra = map[string]token.Secret{mark: token.NewSecret("1")}
			return s.SaveToken(ctx, t)
		},
	}
}

// A scenario is what several clients do at once, on what was there before.
type scenario struct {
	name    string
	before  []op
	clients [][]op
	leaves  int // of the index; 0: the root is the only one
	// value is how large a secret may be; 0: as large as one likes.
	value int
}

func one(ops ...op) []op { return ops }

var pairs = []scenario{
	{"two sign-ups of one user", nil, [][]op{one(save("U1", "c1", "R1")), one(save("U1", "c1", "R1"))}, 0, 0},
	{"a batch and a sign-up of one of its users", nil, [][]op{one(saveAll(words("U2", "R2"), words("U1", "R1"))), one(save("U1", "R1"))}, 0, 0},
	{"two batches of the same users", nil, [][]op{one(saveAll(words("U1", "R1"), words("U2", "R2"))), one(saveAll(words("U2", "R4"), words("U1", "R3")))}, 0, 0},
	{"a batch that saves a user twice, and a deletion", one(save("U1", "R1")), [][]op{one(saveAll(words("U1", "R2"), words("U1", "R3"))), one(remove("U1"))}, 0, 0},
	{"two sign-ups of one user with different tokens", nil, [][]op{one(save("U1", "R1")), one(save("U1", "R2"))}, 0, 0},
	{"two first saves of a token without a user", nil, [][]op{one(save("R1", "c1")), one(save("R1", "c1"))}, 0, 0},
	{"a token with and without its user", nil, [][]op{one(save("R1")), one(save("U1", "R1"))}, 0, 0},
	{"a user becomes known twice", one(save("R1")), [][]op{one(save("U1", "R1")), one(save("U1", "R1"))}, 0, 0},
	{"two users claim one token without a user", one(save("R1")), [][]op{one(save("U1", "R1")), one(save("U2", "R1"))}, 0, 0},
	{"a user becomes known while another token of hers arrives", one(save("R1")), [][]op{one(save("U1", "R1")), one(save("U1", "R2"))}, 0, 0},
	{"two clients of one user", nil, [][]op{one(save("U1", "c1", "R1")), one(save("U1", "c2", "R2"))}, 0, 0},
	{"a client and none of one user", nil, [][]op{one(save("U1", "c1", "R1")), one(save("U1", "R2"))}, 0, 0},
	{"a client becomes known while another arrives", one(save("U1", "R1")), [][]op{one(save("U1", "c1", "R2")), one(save("U1", "c2", "R3"))}, 0, 0},
	{"grant and refresh token", nil, [][]op{one(save("G1", "c1")), one(save("G1", "R1", "c1"))}, 0, 0},
	{"a grant token gains a refresh token that is saved alone", one(save("G1")), [][]op{one(save("G1", "R1")), one(save("R1"))}, 0, 0},
	{"access tokens only", nil, [][]op{one(save("A1")), one(save("A1"))}, 0, 0},
	{"an access token gains its user", one(save("A1")), [][]op{one(save("U1", "A1")), one(save("A1"))}, 0, 0},
	{"one id, chosen by both", nil, [][]op{one(save("#one", "U1", "R1")), one(save("#one", "U1", "R1"))}, 0, 0},
	{"two ids, chosen for one user", nil, [][]op{one(save("#one", "U1", "R1")), one(save("#two", "U1", "R2"))}, 0, 0},
	{"an id that is chosen and one that is made", nil, [][]op{one(save("#one", "U1", "R1")), one(save("U1", "R1"))}, 0, 0},
	{"updates of one record", one(save("U1", "R1")), [][]op{one(save("U1", "A1")), one(save("U1", "A2"))}, 0, 0},
	{"two rotations of one token", one(save("U1", "R1")), [][]op{one(rotate("U1", "R2")), one(rotate("U1", "R3"))}, 0, 0},
	{"a rotation to a token that is saved alone", one(save("U1", "R1")), [][]op{one(rotate("U1", "R2")), one(save("R2"))}, 0, 0},
	{"a deletion and an update", one(save("U1", "R1")), [][]op{one(remove("U1")), one(save("U1", "A1"))}, 0, 0},
	{"a deletion and a rotation", one(save("U1", "R1")), [][]op{one(remove("U1")), one(rotate("U1", "R2"))}, 0, 0},
	{"two deletions", one(save("U1", "R1")), [][]op{one(remove("U1")), one(remove("U1"))}, 0, 0},
	{"a deletion and a save of the same chosen id", one(save("#one", "U1", "R1")), [][]op{one(remove("#one")), one(save("#one", "U1", "R1"))}, 0, 0},
	{"two saves bring a chosen id back to life", one(save("#one", "U1", "R1"), remove("#one")), [][]op{one(save("#one", "U1", "R1")), one(save("#one", "U1", "R2"))}, 0, 0},
	{"a chosen id comes back while its user signs up", one(save("#one", "U1", "R1"), remove("#one")), [][]op{one(save("#one", "U1", "R1")), one(save("U1", "R2"))}, 0, 0},
	{"a record changes its user to one that signs up", one(save("U2", "R1")), [][]op{one(change("U2", "U1", "R1")), one(save("U1", "R2"))}, 0, 0},
	{"a record changes its user to one that has its token", one(save("U2", "c2", "R1"), save("U1", "c1", "R9")), [][]op{one(change("U2", "U1", "c2", "R1")), one(save("U1", "c1", "R1"))}, 0, 0},
	{"a record changes its client to one that signs up", one(save("U1", "c1", "R1")), [][]op{one(change("U1", "U1", "c2", "R1")), one(save("U1", "c2", "R2"))}, 0, 0},
	{"a record loses its user while its token is saved", one(save("U1", "R1")), [][]op{one(change("U1", "R1")), one(save("R1"))}, 0, 0},
	{"two records lose their users", one(save("U1", "R1"), save("U2", "R1")), [][]op{one(change("U1", "R1")), one(change("U2", "R1"))}, 0, 0},
}

var leafPairs = []scenario{
	{"sign-ups over four leaves", nil, [][]op{one(save("U1", "G1", "R1")), one(save("U1", "G1", "R2"))}, 4, 0},
	{"a batch over four leaves", nil, [][]op{one(saveAll(words("U2", "R2"), words("U1", "R1"))), one(save("U1", "R3"))}, 4, 0},
	{"a user becomes known over four leaves", one(save("R1")), [][]op{one(save("U1", "R1")), one(save("U1", "R2"))}, 4, 0},
	{"a record changes its user over four leaves", one(save("U2", "R1")), [][]op{one(change("U2", "U1", "R1")), one(save("U1", "R2"))}, 4, 0},
	{"a token moves to a user who signs up, over four leaves", nil, [][]op{one(save("R1"), save("U1", "R1")), one(save("U1", "R1"))}, 4, 0},
}

var triples = []scenario{
	{"three sign-ups of one user", nil, [][]op{one(save("U1", "R1")), one(save("U1", "R1")), one(save("U1", "R1"))}, 0, 0},
	{"a token, its user, and the user with another token", nil, [][]op{one(save("R1")), one(save("U1", "R1")), one(save("U1", "R2"))}, 0, 0},
	{"a deletion between two updates", one(save("U1", "R1")), [][]op{one(remove("U1")), one(save("U1", "A1")), one(save("U1", "R2"))}, 0, 0},
	{"two users and nobody claim one token", one(save("R1")), [][]op{one(save("U1", "R1")), one(save("U2", "R1")), one(save("R1"))}, 0, 0},
	{"a chosen id, a made one and a deletion", one(save("#one", "U1", "R1")), [][]op{one(remove("#one")), one(save("#one", "U1", "R1")), one(save("U1", "R2"))}, 0, 0},
	{"three clients of one user", nil, [][]op{one(save("U1", "c1", "R1")), one(save("U1", "c2", "R2")), one(save("U1", "R3"))}, 0, 0},
}

// service makes the service of a scenario, as it is before.
func (sc scenario) service(tb testing.TB) *memstore.Driver {
	d := memstore.NewDriver()
	d.SetLimits(driver.Limits{Value: sc.value})
	if sc.leaves > 0 {
		splitIndex(tb, d)
	}
	s := simulatedStore(d, 7, 20)
	for i, o := range sc.before {
		if err := o.do(tb.Context(), s, fmt.Sprint("before-", i)); err != nil {
			tb.Fatalf("before: %s: %v", o.name, err)
		}
	}
	return d
}

// splitIndex makes an index of a root and four leaves.
func splitIndex(tb testing.TB, d *memstore.Driver) {
	root := &codec.Index{Key: []byte("a key of the hashes of this test"), Leaves: map[string]string{}}
	put := func(name string, x *codec.Index) {
		x.Frame = codec.Frame{}.Next(codec.KindIndex, "write-of-"+name)
		value, err := codec.EncodeIndex(x)
		if err == nil {
			_, err = d.Put(tb.Context(), name, value, driver.Absent)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	for _, prefix := range []string{"00", "01", "10", "11"} {
		name := leafOf(prefix)
		root.Leaves[prefix] = name
		put(name, &codec.Index{Prefix: prefix})
	}
	put(codec.RootName, root)
}

// A depth says how far the exploration of a scenario goes.
type depth struct {
	fates    []fate
	faults   int // calls of a run that have another fate than being served
	switches int // see explorer
	patience int // tries of an operation
}

var (
	allFates = []fate{crashBefore, crashAfter, lostAnswer, unknown, refused}
	crashes  = []fate{crashBefore, crashAfter}
)

func TestEveryOrderAndFateOfTheCallsOfTwoClients(t *testing.T) {
	for _, sc := range some(pairs) {
		explore(t, sc, depth{allFates, 1, 0, 1})
	}
}

func TestEveryOrderAndCrashPointOfTwoClientsOverFourLeaves(t *testing.T) {
	for _, sc := range some(leafPairs) {
		explore(t, sc, depth{crashes, 1, 0, 1})
	}
}

func TestEveryCrashPointOfThreeClients(t *testing.T) {
	for _, sc := range some(triples) {
		explore(t, sc, depth{crashes, 1, 1, 1})
	}
}

func TestOrdersOfThreeClientsWithTwoSwitches(t *testing.T) {
	for _, sc := range some(triples) {
		explore(t, sc, depth{nil, 0, 2, 2})
	}
}

// some are all scenarios, and under the race detector every third.
func some(all []scenario) (list []scenario) {
	for i, sc := range all {
		if !underRace || i%3 == 0 {
			list = append(list, sc)
		}
	}
	return list
}

// explore runs a scenario in every way there is.
func explore(t *testing.T, sc scenario, d depth) {
	t.Run(sc.name, func(t *testing.T) {
		t.Parallel()
		if underRace {
			d = depth{crashes, 1, 1, 1}
		}
		e := newExplorer(d.fates, d.faults, d.switches)
		cut, grew := 0, 0
		for more := true; more; more = e.next() {
			w := newWorld(1, d.patience, sc.service(t), sc.clients...)
			w.audit.unrepaired = e.runs%10 > 0 // it takes its time
			before, whole := handedOn(w.service), true
			w.run(func(steps []step) (int, fate) {
				at, f := e.choose(steps)
				whole = whole && at >= 0
				return at, f
			})
			if handedOn(w.service) > before {
				grew++
			}
			if !whole {
				cut++
			} else if bad := w.audit.problems(w.results); len(bad) > 0 {
				w.fail(t, bad)
			}
		}
		t.Logf("%d runs, %d of them cut short since another one comes to the same end", e.runs, cut)
		if sc.value > 0 {
			t.Logf("in %d of them the index grew", grew)
			if grew*2 < e.runs {
				t.Error("that is not what this scenario is about")
			}
		}
	})
}
