//go:build !race

package tokensource_test

// underRace: without the race detector there are as many random runs as there should be.
const underRace = false
