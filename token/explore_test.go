package token_test

import (
	"slices"

	"github.com/tokenkeep/tokenkeep/token/memstore"
)

// An explorer runs a world again and again, each time with other decisions, until
// every order of the calls and every fate of each call was tried. Orders that differ
// only in calls that do not touch each other lead to the same end: of those it
// tries one (sleep sets: P. Godefroid, Partial-Order Methods for the Verification of
// Concurrent Systems, 1996).
type explorer struct {
	// fates are those that a call may have beside being served.
	fates []fate
	// faults is how many calls of a run may have one of them.
	faults int
	// switches bounds how often a run may leave a client that could go on for another
	// one, 0: as often as it likes. With three clients not every order can be tried;
	// few switches find most of what can go wrong (M. Musuvathi and S. Qadeer,
	// Iterative Context Bounding, 2007).
	switches int

	path  []*node
	depth int
	used  int
	last  int    // the client that ran last, -1: none
	left  int    // switches so far
	sleep []move // what need not be tried at the next node
	runs  int
}

// A move is one decision: what a client's call is, and its fate.
type move struct {
	client int
	fate   fate
	write  bool
	names  []string
}

// A node is a place on the path where decisions were made.
type node struct {
	moves []move // to be tried
	at    int    // the one that is being tried
	sleep []move
}

func newExplorer(fates []fate, faults, switches int) *explorer {
	return &explorer{fates: fates, faults: faults, switches: switches, last: -1}
}

// choose is the chooser of a run.
func (e *explorer) choose(steps []step) (int, fate) {
	if e.depth == len(e.path) {
		n := &node{sleep: e.sleep}
		for _, m := range e.moves(steps) {
			if !slices.ContainsFunc(n.sleep, m.same) {
				n.moves = append(n.moves, m)
			}
		}
		if len(n.moves) == 0 {
			return -1, served
		}
		e.path = append(e.path, n)
	}
	n := e.path[e.depth]
	m := n.moves[n.at]
	e.depth++
	e.sleep = nil
	for _, other := range slices.Concat(n.sleep, n.moves[:n.at]) {
		// Two orders with the same end may differ in their switches.
		if e.switches == 0 && independent(other, m) {
			e.sleep = append(e.sleep, other)
		}
	}
	if m.client != e.last && e.ready(steps) {
		e.left++
	}
	e.last = m.client
	if m.fate != served {
		e.used++
	}
	return slices.IndexFunc(steps, func(s step) bool { return s.client == m.client }), m.fate
}

func (e *explorer) moves(steps []step) []move {
	var moves []move
	for _, s := range steps {
		if e.switches > 0 && e.left == e.switches && e.ready(steps) && s.client != e.last {
			continue
		}
		write := s.call.Op == memstore.OpPut || s.call.Op == memstore.OpDelete
		moves = append(moves, move{s.client, served, write, s.call.Names})
		if e.used == e.faults {
			continue
		}
		for _, f := range e.fates {
			if write || f == crashBefore || f == refused {
				moves = append(moves, move{s.client, f, write, s.call.Names})
			}
		}
	}
	return moves
}

// ready reports whether the client that ran last could go on.
func (e *explorer) ready(steps []step) bool {
	return slices.ContainsFunc(steps, func(s step) bool { return s.client == e.last })
}

func (m move) same(o move) bool { return m.client == o.client && m.fate == o.fate }

// independent reports whether two moves lead to the same end in either order.
func independent(a, b move) bool {
	switch {
	case a.client == b.client:
		return false
	case a.fate == crashBefore, b.fate == crashBefore, a.fate == refused, b.fate == refused:
		return true
	case !a.write && !b.write:
		return true
	case len(a.names) == 0, len(b.names) == 0: // a listing sees every write
		return false
	}
	return !slices.ContainsFunc(a.names, func(name string) bool { return slices.Contains(b.names, name) })
}

// next prepares the next run and reports whether there is one.
func (e *explorer) next() bool {
	e.runs++
	e.depth, e.used, e.left, e.last, e.sleep = 0, 0, 0, -1, nil
	for len(e.path) > 0 {
		n := e.path[len(e.path)-1]
		if n.at++; n.at < len(n.moves) {
			return true
		}
		e.path = e.path[:len(e.path)-1]
	}
	return false
}
