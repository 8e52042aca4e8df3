// Package vaultstore keeps tokens in HashiCorp Vault, in a mount of the KV secrets
// engine, version 2: one secret for each token, and a few for the index.
//
//	client, err := api.NewClient(api.DefaultConfig())
//	...
//	store, err := vaultstore.New(client, "secret", "prod/oauth", nil)
//
// All secrets of a store have paths that begin with its prefix and a slash. Any number
// of processes may use one prefix at once, and any number of prefixes one mount.
// Prefixes may extend each other: stores under "app", "app-2" and "app/sub" do not see
// each other.
//
// docs/vault.md of the repository has the least policy, how to set up the mount, and
// what an operator may do by hand.
//
// # The client
//
// The client is the caller's, and so are its token and its namespace: they are read for
// each request, so that a [api.LifetimeWatcher] or whoever else may change them at any
// time. When a token has expired all the same, Options.Login gets a new one.
//
// The client's own retries (SetMaxRetries) are of little use here: the store repeats its
// requests itself, for half a minute if a cluster is sealed or has no leader, and settles
// each write whose outcome an answer leaves open. With SetMaxRetries(0) it goes on sooner
// after a failure, and can tell more often that a write was not applied: what was answered
// to a request that the client repeated, only the client knows.
//
// With performance standbys (Vault Enterprise) a read may be older than a write that was
// acknowledged. Nothing is lost by that, since every write is a check-and-set on the
// active node. Writes, and reads that have to be current, ask for a node that has seen the
// last write of this store; SetReadYourWrites(true) asks so for all requests of a client.
//
// OpenBao has the same API. The store should work with it; that is not tested.
package vaultstore

import (
	"context"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/token"
)

// Options configure a store in Vault. The zero value, and nil, are good defaults.
type Options struct {
	// Store configures what is the same for all services.
	Store token.Options

	// Login logs in anew and gives the client its token, with client.SetToken. It is
	// called when Vault refuses the token that the client has: by one goroutine at a time,
	// while the others wait for it, and once for each token. It gets the context of the
	// operation that ran into it, or an earlier end of it.
	//
	// Without it, a token that expires makes all operations fail with
	// token.ErrPermission until somebody gives the client another one.
	Login func(ctx context.Context, client *api.Client) error
}

// New returns a store in a KV version 2 mount, under a prefix.
//
// The mount is the path at which the engine is mounted, such as "secret" or
// "teams/a/kv". The prefix is 1 to 400 characters A-Z, a-z, 0-9 and /_.- that neither
// begins nor ends with a slash, nor has two in a row, nor a part that begins with a dot.
//
// New does no I/O and reads no environment. opts may be nil; it is read and not kept.
// What is wrong with an argument is [token.ErrInvalid], and the text says what. What is
// wrong with the mount, such as that it is one of version 1, is found out when it is
// first used, and is ErrInvalid too.
//
// The client stays the caller's; the store uses it from any number of goroutines.
func New(client *api.Client, mount, prefix string, opts *Options) (*token.Store, error) {
	d, err := NewDriver(client, mount, prefix, opts)
	if err != nil {
		return nil, err
	}
	if opts == nil {
		return token.NewStore(d, nil)
	}
	return token.NewStore(d, &opts.Store)
}
