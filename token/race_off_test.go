//go:build !race

package token_test

// underRace: see race_on_test.go.
const underRace = false
