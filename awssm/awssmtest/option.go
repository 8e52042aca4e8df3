package awssmtest

import (
	"math/rand/v2"
	"time"
)

// An Option changes what [NewServer] makes. Without options the server is
// strongly consistent, enforces every size, name and count limit, limits no
// rates, allows everything, and runs on the real clock.
type Option func(*Server)

// WithClock makes now the server's clock. Dates, recovery windows, the age of
// versions, list lag and rate limits follow it; see [Clock] for one to set. It
// is called from many goroutines and must not call the server.
func WithClock(now func() time.Time) Option {
	return func(s *Server) { s.now = now }
}

// WithRegion changes the region from us-east-1. Requests that are signed for
// another region are refused.
func WithRegion(region string) Option {
	return func(s *Server) { s.region = region }
}

// WithAccount changes the account from 123456789012. It appears in ARNs.
func WithAccount(account string) Option {
	return func(s *Server) { s.account = account }
}

// WithStaleness makes reads as stale as an eventually consistent service may:
// each secret that GetSecretValue, BatchGetSecretValue, DescribeSecret,
// ListSecretVersionIds or ListSecrets reads is seen in a state between 0 and
// maxWrites writes old, drawn anew each time. A secret younger than that may be
// reported missing, also by the client that created it. Writes always act on
// the newest state. The draws are those of the seed, so that requests sent one
// after the other see the same states in every run. [Server.Settle] ends the
// staleness of everything written so far.
func WithStaleness(seed uint64, maxWrites int) Option {
	return func(s *Server) {
		s.stale.max = max(maxWrites, 0)
		s.stale.draw = rand.New(rand.NewPCG(seed, 0))
	}
}

// WithListLag makes ListSecrets, and BatchGetSecretValue with filters, show the
// secrets that existed d ago. AWS says that d may be five minutes.
func WithListLag(d time.Duration) Option {
	return func(s *Server) { s.stale.lag = d }
}

// WithRateLimits refuses requests beyond AWS's quotas per second with
// ThrottlingException. Seconds are those of the server's clock.
func WithRateLimits() Option {
	return func(s *Server) { s.rates = &rateLimits{} }
}

// WithoutVersionQuota lets a secret have any number of versions and removes
// none, for tests that write one secret more often than AWS allows.
func WithoutVersionQuota() Option {
	return func(s *Server) { s.versionQuota = false }
}

// WithDeletionDelay makes deletions take d longer than they are due, as AWS's
// background deletion does: a secret that was force-deleted stays scheduled for
// deletion that long.
func WithDeletionDelay(d time.Duration) Option {
	return func(s *Server) { s.deletionDelay = d }
}

// WithPolicy asks allow about every request that is well-formed, before looking
// for the secret; where it says no, the answer is AccessDeniedException, whether
// or not the secret exists.
// Operation is the IAM action without its service, "GetSecretValue".
// BatchGetSecretValue asks for itself with an empty name, for GetSecretValue of
// each secret, and with filters for ListSecrets with an empty name; CreateSecret
// with tags asks for TagResource too. Allow must not call the server.
func WithPolicy(allow func(operation, secretName string) bool) Option {
	return func(s *Server) { s.policy = allow }
}

// WithDateCheck refuses requests whose X-Amz-Date is more than five minutes off
// the real time, as AWS does.
func WithDateCheck() Option {
	return func(s *Server) { s.checkDate = true }
}
