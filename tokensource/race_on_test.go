//go:build race

package tokensource_test

// underRace: with the race detector there are fewer random runs; the mutants run all.
const underRace = true
