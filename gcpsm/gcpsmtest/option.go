package gcpsmtest

import (
	"net"
	"time"
)

// An Option changes what [NewServer] makes. Without options the server is
// Secret Manager's global endpoint, strongly consistent, enforces every size,
// name and count limit, limits no rates, allows everything, and runs on the
// real clock.
type Option func(*Server)

// WithClock makes now the server's clock. Create times, expirations, delayed
// destructions, lag and quotas follow it; see [Clock] for one to set. It is
// called from many goroutines and must not call the server.
func WithClock(now func() time.Time) Option {
	return func(s *Server) { s.now = now }
}

// WithListener makes the server listen on l instead of a free port of
// 127.0.0.1, and close it in the end. If l has a method DialContext(context.Context)
// (net.Conn, error), as bufconn.Listener of google.golang.org/grpc/test/bufconn
// has, [Server.Client] connects through it: a server and its clients then need no
// network and run in a bubble of testing/synctest.
func WithListener(l net.Listener) Option {
	return func(s *Server) { s.listener = l }
}

// WithLag makes everything that Secret Manager documents as eventually
// consistent d late, by the server's clock: GetSecret, the lists and the states
// in them, and which version latest and the aliases mean. Each change is hidden
// for exactly d and then seen by all. A secret younger than d does not exist for
// those reads. Versions read by number, and all writes, see the newest state.
//
// "In Secret Manager, adding a secret version and then immediately accessing that
// secret version by version number is a strongly consistent operation. [...]
// Other operations within Secret Manager are eventually consistent." They
// "typically converge within minutes, but may take a few hours".
//
// https://cloud.google.com/secret-manager/docs/reference/consistency
func WithLag(d time.Duration) Option {
	return func(s *Server) { s.lag = d }
}

// WithLatency makes each request take d longer, on the real clock or that of a
// synctest bubble, not on the one of [WithClock]. Half of it passes before the
// request is applied and half before the answer.
func WithLatency(d time.Duration) Option {
	return func(s *Server) { s.latency = d }
}

// WithLocation makes the server the regional endpoint of a location, as
// secretmanager.LOCATION.rep.googleapis.com is: it serves names in
// projects/P/locations/LOCATION and no others, and its secrets have no
// replication. Without the option it is the global endpoint, which serves names
// in projects/P.
func WithLocation(location string) Option {
	return func(s *Server) { s.location = location }
}

// WithMaxPage makes pages of lists hold at most n entries, whatever larger
// number a client asks for. The service promises no more than not to exceed what
// was asked for.
func WithMaxPage(n int) Option {
	return func(s *Server) { s.maxPage = max(n, 1) }
}

// WithQuotas refuses requests beyond q with RESOURCE_EXHAUSTED, unapplied. Time
// is the server's clock. The zero Quotas are those that Google documents.
func WithQuotas(q Quotas) Option {
	return func(s *Server) { s.quotas = &q }
}

// WithPolicy asks allow about every request that is well-formed, before looking
// for the secret; where it says no, the answer is PERMISSION_DENIED, whether or
// not the secret exists. Permission is IAM's name, "secretmanager.versions.access".
// SecretID is the last part of the secret's name, for secretmanager.secrets.create
// that of the secret to create, for secretmanager.secrets.list empty. Allow must
// not call the server.
func WithPolicy(allow func(permission, secretID string) bool) Option {
	return func(s *Server) { s.policy = allow }
}

// WithGrantsOnSecrets makes requests about a secret that does not exist answer
// PERMISSION_DENIED instead of NOT_FOUND, as they do for a caller whose
// permissions are granted on single secrets: what does not exist has no grants.
// Creating and listing secrets are not affected.
func WithGrantsOnSecrets() Option {
	return func(s *Server) { s.grantsOnSecrets = true }
}
