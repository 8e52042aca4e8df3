//go:build !race

package tokensource_test

// underRace: see race_on_test.go.
const underRace = false
