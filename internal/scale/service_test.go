package scale

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token"
)

// prefix is that of the stores here.
const prefix = "prod/oauth"

// A service is a double that stores are opened on.
type service interface {
	// name is AWS, Google or Vault.
	name() string
	// open returns the store of a process that knows nothing.
	open(t testing.TB) *token.Store
	// calls are those that were made since the beginning.
	calls() *tally
	// operator says whether an operator is at work: then calls do not count, and meet no
	// quotas.
	operator(at bool)
	// put makes a secret, as the operator.
	put(ctx context.Context, name string, value []byte) error
	// index returns the values of the index secrets that are charged for.
	index() [][]byte
	// stored returns how many secrets are charged for, and how many wait to be removed.
	stored() (charged, pending int)
	// price returns what that costs a month, and what the calls cost.
	price() (month, calls float64)
	// forget frees what the double remembers of calls.
	forget()
}

// services make one service each, in a bubble.
var services = []struct {
	name string
	make func(t testing.TB) service
}{
	{"AWS", newAWS},
	{"Google", newGoogle},
	{"Vault", newVault},
}

// An operatorClock is the bubble's, except while secrets are put past the quotas: then
// each look at it is a second later, years ago.
type operatorClock struct {
	looks atomic.Int64
	past  atomic.Bool
}

func (c *operatorClock) now() time.Time {
	now := time.Now()
	if !c.past.Load() {
		return now
	}
	return now.AddDate(-10, 0, 0).Add(time.Duration(c.looks.Add(1)) * time.Second)
}

// shape counts the index secrets that are charged for: all, and those of them that are
// leaves in use. Their bytes are those of the leaves in use.
type shape struct{ Secrets, Leaves, Bytes int }

func shapeOf(t testing.TB, s service) shape {
	t.Helper()
	var n shape
	for _, value := range s.index() {
		x, err := codec.DecodeIndex(value)
		if err != nil {
			t.Fatal(err)
		}
		n.Secrets++
		if x.Live() {
			n.Leaves++
			n.Bytes += len(value)
		}
	}
	return n
}
