//go:build !race

package vaultstore_test

// underRace: the race detector is on, and all takes ten times as long.
const underRace = false
