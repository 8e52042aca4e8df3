// Package gcpsmtest is an in-process double of Google Secret Manager for tests.
//
// A [Server] is a real gRPC server of the SecretManagerService, version v1, on
// 127.0.0.1, and keeps its secrets in memory. Programs talk to it with the client
// library that they use in production, in any language; nothing of the library is
// mocked:
//
//	srv := gcpsmtest.NewServer()
//	defer srv.Close()
//	client, err := srv.Client(ctx) // or your own, with the endpoint srv.Addr
//
// It is strict. What Secret Manager refuses, it refuses, with the same code and,
// where they are known, words; what Secret Manager leaves open, such as how late a
// read may be or how full a page is, it can do in the way that hurts. A program
// that passes here has met the quotas, the retries and the lost answers that it
// would otherwise meet in production.
//
// # What it serves
//
// CreateSecret, GetSecret, ListSecrets, UpdateSecret, DeleteSecret,
// AddSecretVersion, AccessSecretVersion, GetSecretVersion, ListSecretVersions,
// EnableSecretVersion, DisableSecretVersion and DestroySecretVersion, in the global
// service or, with [WithLocation], in a regional one. Any other method answers
// UNIMPLEMENTED with a message that says so. Every project exists; names are
// answered with the project's number, whoever asked with its id.
//
// # What it enforces
//
//   - Secret ids of 1 to 255 characters A-Z a-z 0-9 _ -, payloads of 1 to 65,536
//     bytes, at most 64 labels, 50 aliases, 10 topics and less than 16 KiB of
//     annotations, with their rules for characters: INVALID_ARGUMENT.
//   - A global secret has a replication, automatic or in distinct places, that
//     never changes; a regional one has none. KMS keys are in the right places, for
//     all replicas or for none.
//   - Versions are numbered from 1, in a secret that was deleted and created again
//     from 1 again. Adding has no precondition: a repeated request makes another
//     version.
//   - The checksum that a client sends is verified; every payload is answered with
//     its own, CRC32C.
//   - Latest is the version with the highest number whatever its state: if that is
//     disabled or destroyed, FAILED_PRECONDITION, as for its number.
//   - A missing secret, a missing version and a secret without versions are
//     NOT_FOUND, with three texts.
//   - Destroyed versions stay listed, for ever. With version_destroy_ttl a version
//     is disabled first and destroyed later, unless it is enabled or disabled
//     before.
//   - Etags of secrets and versions change with each change; one that is not the
//     newest is FAILED_PRECONDITION.
//   - Creating what exists is ALREADY_EXISTS. Deletions, also by expiration, are
//     immediate and final.
//   - Lists are in pages, the newest entry first; page tokens serve the list and the
//     filter that they are from. With a filter total_size is 0 and a page may be
//     short or empty and still have a successor. A filter that the double does not
//     know is INVALID_ARGUMENT.
//
// By options: reads that are late ([WithLag]), quotas ([WithQuotas]), permissions
// ([WithPolicy], [WithGrantsOnSecrets]), short pages ([WithMaxPage]), slow answers
// ([WithLatency]), a clock of your own ([WithClock]). At run time every kind of
// network and service failure, down to numbers that are given out and never used
// ([Server.Inject]).
//
// # What it does not do
//
// There is no authentication. IAM is not evaluated; a function of yours decides.
// Nothing is encrypted, no notification is published, no secret is rotated, and
// typed secrets are not served. Lag hides everything for the same time, where the
// service lets some see a change and others not; a write acts on the newest state.
// Quotas are hard, Google's for single secrets are soft. Which text goes with an
// error is marked in the source as documented, seen from the service, taken from
// other services, or inferred; rely on codes.
//
// # In your own tests
//
// Give the program [Server.Client], or the endpoint [Server.Addr]. Let it run, then
// look at what it did with [Server.Value], [Server.Versions], [Server.Names] and
// [Server.Calls], or do to it what production does:
//
//	lost := srv.Inject(gcpsmtest.Fault{
//		Methods: []string{"AddSecretVersion"},
//		Times:   1,
//		Do:      gcpsmtest.LoseAnswer(),
//	})
//
// # In a bubble
//
// Over a bufconn.Listener ([WithListener]) server and client need no network, and
// a test in a bubble of testing/synctest may let hours of retries and latency pass
// in no time. Make server and client inside the bubble and close the server there.
package gcpsmtest
