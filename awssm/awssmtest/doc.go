// Package awssmtest is an in-process double of AWS Secrets Manager for tests.
//
// A [Server] speaks the JSON 1.1 protocol on 127.0.0.1 and keeps its secrets in
// memory. Programs talk to it with the AWS SDK that they use in production, in
// any language; nothing of the SDK is mocked:
//
//	srv := awssmtest.NewServer()
//	defer srv.Close()
//	client, err := srv.Client(ctx) // or your own, with BaseEndpoint srv.URL
//
// It is strict. What AWS refuses, it refuses, with AWS's error code, HTTP status
// and, where they are known, words; what AWS leaves open, such as how stale a
// read may be or how full a page is, it can do in the way that hurts. A program
// that passes here has met the quotas, the retries and the lost answers that it
// would otherwise meet in production.
//
// # What it serves
//
// CreateSecret, GetSecretValue, BatchGetSecretValue, PutSecretValue,
// UpdateSecret, UpdateSecretVersionStage, DescribeSecret, ListSecrets,
// ListSecretVersionIds, DeleteSecret, RestoreSecret, TagResource and
// UntagResource. Any other operation answers UnknownOperationException with a
// message that says so.
//
// # What it enforces
//
//   - Names of 1 to 512 characters A-Z a-z 0-9 / _ + = . @ -, values of at most
//     65,536 bytes, one of string and binary, and the other sizes of the API's
//     model: ValidationException.
//   - Lookup by name, ARN and partial ARN, with AWS's trap: a partial ARN that
//     ends with a hyphen and six characters is taken for a whole one.
//   - ClientRequestToken is 32 to 64 characters and becomes the version id. The
//     same token with the same value does nothing and succeeds; with another
//     value it is ResourceExistsException. A version never changes.
//   - AWSCURRENT and AWSPREVIOUS move as documented; a secret's first version is
//     always AWSCURRENT. Moving a label needs RemoveFromVersionId; AWSCURRENT
//     cannot be removed.
//   - At most 20 labels and 50 tags per secret, 20 secrets per batch, and 100
//     versions: versions without labels that are older than 24 hours make room,
//     and then their ids are free again; where none may go, LimitExceededException.
//   - A missing secret, a missing version and a missing label are
//     ResourceNotFoundException, HTTP 400, with three texts.
//   - Deletions are scheduled for 7 to 30 days. Until then the secret can be
//     described and restored, nothing else, and its name cannot be created:
//     InvalidRequestException. Forced deletions do not mind missing secrets.
//   - Requests need a signature of the right shape that is scoped to
//     secretsmanager and the server's region; bodies that are not JSON objects are
//     SerializationException, members that nobody knows are ignored.
//   - Lists page with MaxResults and NextToken. With filters a page may be short
//     or empty and still have a successor, as AWS allows itself.
//
// By options: reads that are a number of writes old ([WithStaleness]), lists that
// are minutes late ([WithListLag]), quotas per second ([WithRateLimits]), slow
// deletions ([WithDeletionDelay]), permissions ([WithPolicy]), the age of signed
// requests ([WithDateCheck]), a clock of your own ([WithClock]). At run time: KMS
// keys that stop working ([Server.DisableKey]) and every kind of network and
// service failure ([Server.Inject]).
//
// # What it does not do
//
// Signatures are not verified, credentials neither. IAM and resource policies are
// not evaluated; a function of yours decides. Nothing is encrypted. There is no
// rotation, no replication, no other account. A filter of ListSecrets breaks
// values into words only for "all". Where AWS tells nobody when something
// happens, it happens at once, or when an option says so: deprecated versions are
// removed when room is needed, never earlier, and a write acts on the newest
// state however stale reads are. Which text goes with an error is marked in the
// source as documented, seen from AWS, taken from another emulator, or inferred;
// rely on codes.
//
// # In your own tests
//
// Point the program at [Server.URL] or give it [Server.Client]. Let it run, then
// look at what it did with [Server.Value], [Server.Names] and [Server.Calls], or
// do to it what production does:
//
//	lost := srv.Inject(awssmtest.Fault{
//		Operations: []string{"PutSecretValue"},
//		Times:      1,
//		Do:         awssmtest.LoseAnswer(),
//	})
package awssmtest
