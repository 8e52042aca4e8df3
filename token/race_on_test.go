//go:build race

package token_test

// underRace: the race detector slows the simulations by a factor of ten, and finds
// nothing in them, since one client runs at a time. So they are fewer and go less deep under it;
// internal/mutants runs them in full.
const underRace = true
