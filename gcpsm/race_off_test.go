//go:build !race

package gcpsm_test

// raceDetector is by how many requests an exploration goes less deep.
const raceDetector = 0
