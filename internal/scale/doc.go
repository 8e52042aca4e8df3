// Package scale measures what a store does when it is large, or has many users: how many
// calls it makes, which quotas it meets, how long its callers wait, what it costs and how
// much memory it takes. It has tests only.
//
// The services are the doubles, with their quotas on. Nothing goes over the network: a
// request is handed to the double in memory, in a bubble of testing/synctest, where each
// call takes 20 ms and a day passes in the time that it takes to reckon it. Only the
// latencies are those of the bubble's clock; calls and errors are the double's own.
//
// Each test runs small in `make test`, and asserts there what it asserts in full.
// `make bench-scale` runs all in full, writes what it measured to testdata/measured.json,
// and what docs/scale.md and docs/scale.svg show is made of that.
package scale
