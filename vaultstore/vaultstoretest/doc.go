// Package vaultstoretest is an in-process double of HashiCorp Vault's KV secrets
// engine for tests.
//
// A [Server] speaks Vault's HTTP API on 127.0.0.1 and keeps its secrets in memory.
// Programs talk to it with the client that they use in production, in any language;
// nothing of the client is mocked:
//
//	srv := vaultstoretest.NewServer()
//	defer srv.Close()
//	client, err := srv.Client() // or your own, with the address srv.URL
//
// It is strict. What Vault refuses, it refuses, with Vault's status and words; it was
// written from the source of Vault 1.21.4 and of vault-plugin-secrets-kv 0.25.0, and is
// compared with that: the module integration of the repository sends the same random
// requests to both. What Vault can do to a program in production, such as to be sealed,
// to change the active node, to read from the past or to lose an answer, it can do too.
//
// # What it serves
//
// All paths of KV version 2: data, metadata, delete, undelete, destroy, subkeys and
// config, with GET, PUT, POST, PATCH, DELETE and LIST. KV version 1, by option: it
// takes every write that a client of version 2 sends there by mistake, and ignores
// its cas. Of the rest, what such programs need: auth/token/lookup-self, renew-self
// and revoke-self, auth/approle/login, auth/kubernetes/login, sys/health, sys/leader,
// sys/seal-status, sys/init, sys/mounts, sys/internal/ui/mounts/, sys/step-down and
// sys/capabilities-self.
//
// # What it enforces
//
//   - Check-and-set as in Vault: cas must be the number of the newest version, also
//     if that is deleted or destroyed, and 0 if there is none; a text that says a
//     number is one; it can be demanded by mount and key; HTTP 400 and two texts.
//   - Versions: how many are kept, by mount and key, and when the oldest go; soft
//     deletion, also by itself after some time; destruction; metadata without
//     versions; custom metadata and its limits; numbers that begin at 1 again when
//     the metadata is deleted.
//   - 404 without words for what is not there, 404 with metadata for what is deleted,
//     404 for empty lists, 405, 415, warnings about parameters that nobody knows.
//   - The limits on request bodies: 32 MiB in all, texts of 1 MiB, 10,000 members, no
//     member twice: HTTP 500, as Vault has it.
//   - Policies by path and capability, with create apart from update; tokens that
//     expire, are renewed up to a limit, or are good for a number of requests. HTTP
//     403 tells an invalid token from a missing permission only by its text.
//   - Lockout: five logins of an AppRole with a wrong secret id, and for a quarter of
//     an hour all are refused.
//
// By options: mounts ([WithMount]), namespaces ([WithNamespaces]), reads from the past
// ([WithStaleness]), rate limits ([WithRateLimit]), a clock of your own ([WithClock]).
// At run time: the state of a node ([Server.SetState]), of a mount
// ([Server.SetUpgrade]), of a [Cluster], and every kind of failure
// ([Server.Inject]).
//
// # What it does not do
//
// Nothing is encrypted, audited or leased, and nothing is initialized or unsealed by
// requests. There are no other secrets engines and no other logins, no identity besides
// the entity of a login, no second factors, no response wrapping, no snapshots, no help.
// Policies know paths and capabilities, nothing about parameters. An unseen active node
// never fails where a standby forwards to it. A login with parameters that are no texts,
// with which Vault crashes, is refused. What only Vault Enterprise does is written from
// its documentation, not from its source, and marked as inferred where that is silent.
//
// # In your own tests
//
// Point the program at [Server.URL] or give it [Server.Client]. Let it run, then look
// at what it did with [Server.Value], [Server.Names] and [Server.Calls], or do to it
// what production does:
//
//	lost := srv.Inject(vaultstoretest.Fault{
//		Operations: []string{"PUT data"},
//		Times:      1,
//		Do:         vaultstoretest.LoseAnswer(),
//	})
package vaultstoretest
