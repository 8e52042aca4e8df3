package token

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// A TokenStore is what an SDK calls to keep its tokens. [Store] is one; programs
// that only need the six calls can ask for this interface.
type TokenStore interface {
	// FindToken finds the record that the given fields identify.
	FindToken(ctx context.Context, query *OAuthToken) (*OAuthToken, error)
	// FindTokenByID finds the record with an id.
	FindTokenByID(ctx context.Context, id string) (*OAuthToken, error)
	// SaveToken updates the record that the fields identify, or inserts one.
	SaveToken(ctx context.Context, token *OAuthToken) error
	// DeleteToken deletes one record.
	DeleteToken(ctx context.Context, id string) error
	// GetTokens returns all records.
	GetTokens(ctx context.Context) ([]*OAuthToken, error)
	// DeleteTokens deletes all records.
	DeleteTokens(ctx context.Context) error
}

// Options configure a [Store]. The zero value, and nil, are good defaults.
type Options struct {
	// Timeout bounds each operation, whatever the deadline of its context: after it, an
	// operation gives up what it had begun. What works on many records may take so
	// long for each, or for each page of them. Zero: one minute. At most
	// MaxTimeout, so that what a deleted record leaves behind can be removed at
	// some time.
	Timeout time.Duration

	// Remember is how many secrets the store keeps in memory, so as to save calls
	// and never to go back behind what it saw. Zero: 10,000. They hold tokens in
	// clear, as the program that asks for them does. Of the index it keeps one secret
	// for each forty of these, and at least 16: they take up to 300 KiB each on AWS and
	// Google, and four times that on Vault.
	Remember int

	// MaxAge lets FindToken and FindTokenByID answer without a call, with what this store
	// read or wrote at most so long ago. Zero: every find asks the service. At most one hour.
	//
	// Such an answer may miss what others wrote since, and the store's own writes never:
	// one that lost a race, or whose outcome is not known, ends the answer too. Only a
	// record is answered so, and by the first key of the query, with an index read within
	// the hour. That nothing is found, that the query is ambiguous, and every other error
	// is the service's word. What GetTokens and All read does not count. Writes rest on
	// what they always rest on. Options.Remember bounds how many answers there are.
	//
	// An answer that is too old is asked for anew. On Google one call tells that it still
	// holds, and does not bring it; elsewhere that is a read as any other, of one call.
	MaxAge time.Duration

	// MaxStale lets finds answer with what was read or written at most so long ago if the
	// service cannot be reached: instead of ErrUnavailable, a used up quota included. Zero:
	// never. An index counts that was read so long ago, or within the hour.
	//
	// All other errors are returned: no answer hides that there is no such token, that
	// rights are missing, or that a secret is damaged. Nor does it hide that the find's own
	// context ended, by its deadline as well: how long a caller waits says nothing about the
	// service. If the service hangs, the answer comes after Timeout: keep that below the
	// deadlines of the callers.
	MaxStale time.Duration
}

// MaxTimeout is the longest that an operation may take.
const MaxTimeout = 15 * time.Minute

// A Store keeps tokens in one service, under one prefix. It is made by an
// adapter's New (awssm.New, memstore.New), or by [NewStore] over any driver.
//
// It is safe for concurrent use, and any number of stores in any number of
// processes may use the same prefix at once. It starts no goroutine that outlives
// a call and needs no closing.
//
// A store of a process sees its own writes at once. How soon it sees those of
// others is the service's affair, and that of Options.MaxAge.
type Store struct {
	driver  driver.Driver
	limits  driver.Limits
	timeout time.Duration
	memory  *memory
	// Of the finds that what is remembered may answer: see Options.
	maxAge, maxStale time.Duration

	// saving has a turn for each record that is saved; gathering is where changes of the
	// index come together.
	saving    *turns
	gathering *gathering

	// Replaced in tests.
	random     io.Reader
	pause      func(ctx context.Context, try int) error
	refsAtOnce int
	width      int // of a batch
}

var _ TokenStore = (*Store)(nil)

// NewStore returns a store over a driver. It does no I/O. opts may be nil; it is
// read and not kept.
func NewStore(d driver.Driver, opts *Options) (*Store, error) {
	if d == nil {
		return nil, fmt.Errorf("tokenkeep: new store: %w: the driver is nil", ErrInvalid)
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Timeout < 0 || o.Timeout > MaxTimeout {
		return nil, fmt.Errorf("tokenkeep: new store: %w: Timeout is not between 0 and %v", ErrInvalid, MaxTimeout)
	}
	if o.Remember < 0 {
		return nil, fmt.Errorf("tokenkeep: new store: %w: Remember is negative", ErrInvalid)
	}
	if o.MaxAge < 0 || o.MaxAge > baseAge {
		return nil, fmt.Errorf("tokenkeep: new store: %w: MaxAge is not between 0 and %v", ErrInvalid, baseAge)
	}
	if o.MaxStale < 0 {
		return nil, fmt.Errorf("tokenkeep: new store: %w: MaxStale is negative", ErrInvalid)
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	if o.Remember == 0 {
		o.Remember = 10_000
	}
	memory, err := newMemory(o.Remember)
	if err != nil {
		return nil, fmt.Errorf("tokenkeep: new store: %w: %w", ErrInvalid, err)
	}
	return &Store{
		driver:    d,
		limits:    d.Limits(),
		timeout:   o.Timeout,
		memory:    memory,
		maxAge:    o.MaxAge,
		maxStale:  o.MaxStale,
		saving:    newTurns(),
		gathering: newGathering(),

		random:     rand.Reader,
		pause:      pause,
		refsAtOnce: refsAtOnce,
		width:      batchWidth,
	}, nil
}

// run does one operation and names it in the error.
func (s *Store) run(ctx context.Context, op string, f func(ctx context.Context) error) error {
	if err := s.retry(ctx, f); err != nil {
		return fmt.Errorf("tokenkeep: %s: %w", op, err)
	}
	return nil
}

// retry bounds the time of an operation and repeats it as long as it asks for that.
func (s *Store) retry(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for try := 0; ; try++ {
		err := ctx.Err()
		if err == nil {
			err = f(ctx)
		}
		again := (*againError)(nil)
		if !errors.As(err, &again) {
			return outOfTime(err)
		}
		if err := s.pause(ctx, try); err != nil {
			return fmt.Errorf("%w: gave up after %d tries: %s: %w", ErrUnavailable, try+1, again.why, err)
		}
	}
}

// outOfTime says what it means that the time was up, if the error does not say it: that
// nothing was written.
func outOfTime(err error) error {
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrOutcomeUnknown) && !errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// An againError asks retry to begin the operation anew. Nothing of it took effect.
type againError struct {
	why string
	// outrun: another writer was faster.
	outrun bool
}

func (e *againError) Error() string { return "again: " + e.why }

func again(why string) error { return &againError{why: why} }

func outrun(why string) error { return &againError{why: why, outrun: true} }

// The waits between tries: random, so that writers that met do not meet again,
// and growing, so that a crowd thins out.
const (
	firstPause = 10 * time.Millisecond
	maxPause   = time.Second
)

func pause(ctx context.Context, try int) error {
	top := min(firstPause<<min(try, 10), maxPause)
	timer := time.NewTimer(mathrand.N(top) + time.Millisecond) //nolint:gosec // a wait needs no secrecy
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
