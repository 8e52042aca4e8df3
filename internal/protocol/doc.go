// Package protocol is a model of the index protocol: docs/consistency.md's rules without
// codec, drivers and time, small enough to be read at one go. It has tests only.
//
// The clients of a world save, delete, remove and tell, one call of the service at a time.
// Between two calls anything may happen: another client goes on, a process dies, hours pass.
// A read may be old, an answer may be lost. After each write an audit looks at everything
// that is stored; a rule that is switched off has to be noticed by it.
//
// Clocks are numbers, and what happens depends on a seed only: a failure names it.
//
//	go test ./internal/protocol -protocol.runs 400000 -protocol.faults 1
//
//	service_test.go  secrets with compare-and-set, old reads, lost answers
//	index_test.go    leaves: the way to a key, seal, tell, removal
//	save_test.go     who may gain a key: judge, fence, claim; deletion and removal
//	audit_test.go    what has to hold, after each write and in the end
//	world_test.go    clients as coroutines, chance and exhaustive search
//	protocol_test.go the tests
//
// The model is not the engine: token/ has tests of its own that simulate the real code. Here
// a rule can be tried before it is built, and with parameters that the engine has as constants.
package protocol
