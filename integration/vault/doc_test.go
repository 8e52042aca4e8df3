// Package vault_test holds package vaultstore, and its double, to real Vault servers:
// Vault's own code in the process, one core or three nodes with Raft storage.
//
//	core_test.go      the driver's suite, the stories, storms and histories on one core
//	calls_test.go     how many requests an operation takes
//	compare_test.go   the double and the core, answer by answer
//	policy_test.go    what each line of the least policy is for
//	failover_test.go  clients that save while the active node is taken away
//	trouble_test.go   how it is taken away
//	bench_test.go     what a store costs beside the client library alone
package vault_test
