//go:build race

package scale

// underRace: the race detector slows the doubles and the SDKs by a factor of ten, so there
// are fewer people under it.
const underRace = true
