// Package driver is the contract between the engine ([token.Store]) and one
// secret service.
//
// A driver knows one service and no policy: five calls that get, put, delete
// and list secrets, and say what the service's limits are. Everything that is
// hard (which record is meant, uniqueness, retries, repair, caching) is the
// engine's. Each sentence of the comments here is tested by package drivertest;
// a driver that passes its suite can be used by [token.NewStore].
//
// Application code does not use this package. It is for those who write a
// driver for another service.
//
// [token.Store]: https://pkg.go.dev/github.com/tokenkeep/tokenkeep/token#Store
// [token.NewStore]: https://pkg.go.dev/github.com/tokenkeep/tokenkeep/token#NewStore
package driver

import (
	"context"
	"iter"
	"time"
)

// A Revision names one state of one secret. Only the driver that made it knows
// what it says. Two revisions of one name are equal if and only if they name
// the same write, also when a secret was deleted and created again between
// them, as far as the service makes that possible.
type Revision string

// Absent is the revision of a secret that does not exist.
const Absent Revision = ""

// An Item is a secret as it was read.
type Item struct {
	// Name is the secret's name without the driver's prefix.
	Name string
	// Revision is what a later Put must name as prev to replace this value.
	// It is Absent if there is no such secret.
	Revision Revision
	// Value is the secret's value, as it was put. The receiver may keep it and
	// does not change it.
	Value []byte
	// Err says why this one secret could not be read though the call as a whole
	// went well: ErrCorrupt for a value that no Put can have written (binary,
	// or none), ErrDeleted for a name that the service keeps from being used
	// after a deletion, ErrPermission. Revision and Value are then empty.
	Err error
}

// Freshness says how new an answer of Get has to be.
type Freshness int

const (
	// Any asks for the service's ordinary read. Where a read that is current costs no
	// more than one call more than one that may be old, that is the current one.
	Any Freshness = iota
	// Fresh asks for the strongest read that the service has. The engine uses
	// it after an answer that cannot be right or a Put that met a conflict. A
	// service that has one kind of read only answers as for Any.
	Fresh
	// Lax is for lists: an answer may be as old as the service's plain reads may be if
	// that saves calls.
	Lax
)

// A Driver keeps named values in one service, under one prefix.
//
// It touches nothing outside its prefix. All its methods may be called by any
// number of goroutines at once. A constructor does no I/O; Driver has no Close,
// since it owns nothing that would have to be closed.
//
// Names are 1 to 80 bytes long, consist of the characters a-z, 0-9 and '-', and
// begin and end with a letter or a digit ([ValidName]). A value is a JSON object in
// UTF-8 that begins with '{' and holds a random write id: two values that are equal
// byte for byte are one and the same write, and a driver may rely on that.
//
// Every method returns an error that matches the context's (context.Canceled,
// context.DeadlineExceeded) with errors.Is if the context ended before the
// answer was known. Errors carry no value and no part of one.
type Driver interface {
	// Get reads secrets. It returns one Item for each name, in the order of the
	// names; a name may be given once only. A secret that does not exist is an
	// Item with the revision Absent, never an error, and an error is never
	// turned into absence. Reads may be stale, as stale as the service says;
	// what they return was current at some time.
	//
	// An item in have that carries a revision is what the caller read before.
	// A driver that can ask the service cheaply whether it is still current may
	// answer with that same item. Most drivers use the names only.
	//
	// An error means that nothing could be read: ErrPermission, ErrUnavailable.
	Get(ctx context.Context, how Freshness, have ...Item) ([]Item, error)

	// Put writes value under name if and only if prev is the secret's current
	// revision, Absent meaning that there must be no such secret. The service
	// decides that, in one step; a driver never decides it by a read. It
	// returns the revision of the new value.
	//
	// Put is settled: it returns nil if the value was written, ErrConflict if it
	// provably was not because prev is not current, and after an answer that
	// tells neither (a timeout, a broken connection, a 5xx) it sends the same
	// write again or reads the one place where the write would have to be, until
	// it knows, or nothing can tell any more, or the context ends. Only then it
	// returns ErrOutcomeUnknown, which says that the value was written or may
	// still be written, once, at this place. Any other error says that it was not written: ErrTooLarge,
	// ErrQuota, ErrPermission, ErrUnavailable, ErrDeleted, and ErrInvalid for a
	// name or a value that is none of this contract.
	//
	// A Put that is repeated with the same name, value and prev after it was
	// applied does nothing and returns nil with the same revision, also if the
	// service lost the first answer, for as long as the value is the current one.
	// If others wrote on top of it, the repeat returns either that revision or
	// ErrConflict, and changes nothing.
	//
	// A Put that was given up (its context ended) and is applied by the service
	// later is only ever applied in the place that prev gave it.
	Put(ctx context.Context, name string, value []byte, prev Revision) (Revision, error)

	// Delete removes a secret, whatever its revision. Deleting what does not
	// exist, or is being deleted, is no error. The engine deletes only what no
	// operation can bring back to life any more: a tombstone.
	Delete(ctx context.Context, name string) error

	// Names yields the names under the prefix that can be names of this
	// contract, each once, in no order. It leaves out deleted secrets. It may
	// lag behind Put and Delete as far as the service's listing does. It stops
	// after the first error, which it yields with an empty name.
	Names(ctx context.Context) iter.Seq2[string, error]

	// Limits says what the service allows. It does no I/O and always returns
	// the same.
	Limits() Limits
}

// Limits are the limits of a service.
type Limits struct {
	// Value is the largest size of a value, in bytes. A Put of more than that is
	// ErrTooLarge, whether or not the service would take it.
	Value int

	// DeletedNameRests is how long at least the service keeps a deleted name
	// from being read, created and written (Get and Put then say ErrDeleted).
	// Zero: a deleted name is free at once.
	DeletedNameRests time.Duration

	// WritesPerDay is how many writes one secret takes in 24 hours before the
	// service answers ErrQuota; zero: as many as one likes.
	WritesPerDay int

	// WritesPerSecond is how many writes one secret takes in a second, those that meet a
	// conflict included; zero: as many as one likes.
	WritesPerSecond int
}
