//go:build !race

package protocol

// usualRuns take four seconds.
const usualRuns = 40_000
