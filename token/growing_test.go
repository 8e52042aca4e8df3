package token_test

import (
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// Scenarios in which the index grows: a leaf is sealed in the course of them.

// tight is how large secrets may be where an index has to grow: a record fits with its
// history, and the root with five entries.
const tight = 1280

var growingPairs = []scenario{
	{"sign-ups that fill the index", one(save("U3", "R3"), save("U4", "R4")), [][]op{one(save("U1", "R1")), one(save("U1", "R2"))}, 0, tight},
	{"a batch that fills the index", one(save("U3", "R3"), save("U4", "R4")), [][]op{one(saveAll(words("U2", "R2"), words("U1", "R1"))), one(save("U1", "R3"))}, 0, tight},
	{"a user becomes known while the index fills", one(save("U3", "R3"), save("R1"), save("R4"), save("R5")), [][]op{one(save("U1", "R1")), one(save("U1", "R2"))}, 0, tight},
	{"two users who fill the index", one(save("U3", "R3"), save("U4", "R4")), [][]op{one(save("U1", "R1")), one(save("U2", "R2"))}, 0, tight},
	{"a leaf fills under the root", one(save("U3", "R3"), save("U4", "R4"), save("U5", "R5"), save("U6", "R6"), save("U7", "R7"), save("U8", "R8")), [][]op{one(save("U1", "R1")), one(save("U1", "R2"))}, 0, tight},
	{"a deletion while the index grows", one(save("U1", "R1"), save("U3", "R3"), save("R4")), [][]op{one(remove("U1")), one(save("U2", "R2"))}, 0, tight},
	{"a deletion while the user comes back and the index grows", one(save("U1", "R1"), save("U3", "R3"), save("R4")), [][]op{one(remove("U1")), one(save("U1", "R2", "G1"))}, 0, tight},
	{"a rotation while the leaf is sealed", one(save("U1", "R1"), save("U3", "R3"), save("R4")), [][]op{one(rotate("U1", "R2")), one(save("U1", "R3"))}, 0, tight},
	{"a rotation to a token that is saved alone while the leaf is sealed", one(save("U1", "R1"), save("U3", "R3"), save("R4")), [][]op{one(rotate("U1", "R2")), one(save("R2"))}, 0, tight},
	{"a record changes its user while the index grows", one(save("U2", "R1"), save("U3", "R3"), save("R4")), [][]op{one(change("U2", "U1", "R1")), one(save("U1", "R2"))}, 0, tight},
}

var growingTriples = []scenario{
	{"three sign-ups that fill the index", one(save("U3", "R3"), save("U4", "R4")), [][]op{one(save("U1", "R1")), one(save("U1", "R1")), one(save("U1", "R2"))}, 0, tight},
	{"a token, its user, and the user with another token while the index grows", one(save("U3", "R3"), save("U4", "R4")), [][]op{one(save("R1")), one(save("U1", "R1")), one(save("U1", "R2"))}, 0, tight},
	{"a deletion between two updates while the index grows", one(save("U1", "R1"), save("U3", "R3"), save("R4")), [][]op{one(remove("U1")), one(save("U1", "A1")), one(save("U1", "R2"))}, 0, tight},
}

// handedOn counts the entries that index secrets handed on.
func handedOn(d *memstore.Driver) (n int) {
	for name, value := range d.Dump() {
		if !strings.HasPrefix(name, codec.RootName) {
			continue
		}
		if x, err := codec.DecodeIndex(value); err == nil && (x.Kind == codec.KindSealed || x.Root() && !x.Live()) {
			n++
		}
	}
	return n
}

// notUnderRace skips what runs the same calls as the crash points do, in other orders: the
// race detector makes it slow, and one client of a simulation runs at a time.
func notUnderRace(t *testing.T) {
	t.Helper()
	if underRace {
		t.Skip("it has no goroutines that the crash points do not have")
	}
}

func TestEveryCrashPointOfTwoClientsWhoseIndexGrows(t *testing.T) {
	for _, sc := range some(growingPairs) {
		explore(t, sc, depth{crashes, 1, 1, 3})
	}
}

func TestEveryFateOfTwoClientsWhoseIndexGrows(t *testing.T) {
	notUnderRace(t)
	for _, sc := range some(growingPairs) {
		explore(t, sc, depth{allFates, 1, 1, 3})
	}
}

func TestOrdersOfTwoClientsWhoseIndexGrows(t *testing.T) {
	notUnderRace(t)
	for _, sc := range some(growingPairs) {
		explore(t, sc, depth{nil, 0, 3, 4})
	}
}

func TestEveryCrashPointOfThreeClientsWhoseIndexGrows(t *testing.T) {
	notUnderRace(t)
	for _, sc := range growingTriples {
		explore(t, sc, depth{crashes, 1, 1, 4})
	}
}

func TestOrdersOfThreeClientsWhoseIndexGrows(t *testing.T) {
	notUnderRace(t)
	for _, sc := range growingTriples {
		explore(t, sc, depth{nil, 0, 2, 4})
	}
}
