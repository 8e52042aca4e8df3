//go:build race

package protocol

// usualRuns are fewer here: the race detector makes them ten times as slow, and finds nothing
// in coroutines, which run one at a time.
const usualRuns = 4_000
