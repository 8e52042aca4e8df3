// Package vault_test holds package vaultstore, and its double, to real Vault servers:
// Vault's own code in the process, one core or three nodes with Raft storage.
//
//	core_test.go      the driver's suite, the stories, storms and histories on one core
//	calls_test.go     how many requests an operation takes
//	compare_test.go   the double and the core, answer by answer
//	policy_test.go    the least policy of docs/vault.md, as it stands there
//	losses_test.go    what each right of it is for
//	rights_test.go    what it does not give, and tokens with less
//	mount_test.go     what a mount may be
//	operator_test.go  what operators may do by hand, and must not
//	login_test.go     tokens that expire, and AppRole
//	lifetime_test.go  tokens that are renewed
//	canary_test.go    what errors, names, metadata and the server's log hold no part of
//	failover_test.go  clients that save while the active node is taken away
//	trouble_test.go   how it is taken away
//	bench_test.go     what a store costs beside the client library alone
package vault_test
