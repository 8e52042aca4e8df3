//go:build race

package tokensource_test

// underRace: the race detector slows random runs down and finds little in them that it does not
// find in a few. internal/mutants runs all of them.
const underRace = true
