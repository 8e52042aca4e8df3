package awssm

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go/middleware"

	"github.com/tokenkeep/tokenkeep/codec"
	"github.com/tokenkeep/tokenkeep/internal/rule"
	"github.com/tokenkeep/tokenkeep/token/driver"
)

// A write is one Put.
type write struct {
	op, name string
	value    string
	version  string // the id of the version that it makes: where it is if it was applied
	// send makes one call of the SDK, which may be several requests.
	send func(context.Context, *attempts) (version *string, err error)
}

// settle sends a write until it is known what became of it.
//
// To send it again is always right: "If you call this operation with a
// ClientRequestToken that matches an existing version's VersionId, and you specify
// the same secret data, the operation succeeds but does nothing"; with other data it
// is ResourceExistsException, and the same is true of a creation.
//
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
//
// A refusal is the outcome if no request of this write can have been applied.
// Otherwise it only says what became of the last request, and the version tells what
// became of the write.
func (d *Driver) settle(ctx context.Context, w *write) (driver.Revision, error) {
	var seen attempts
	for try := 0; ; try++ {
		version, err := w.send(ctx, &seen)
		if err == nil {
			if aws.ToString(version) == w.version {
				return driver.Revision(w.version), nil
			}
			seen.unsure, err = true, errOtherVersion
		}
		e := failed(ctx, w.op, w.name, err)
		taken := errors.Is(e.Kind, driver.ErrConflict)
		if errors.Is(e.Kind, errNoSecret) || errors.Is(e.Kind, errNoVersion) {
			e.Kind = driver.ErrConflict // what was to be replaced is not there
		}
		if !taken && !seen.unsure {
			return "", e
		}
		if rule.Off(rule.WriteID) && taken {
			return "", e
		}
		switch d.look(ctx, w, taken, seen.unsure) {
		case won:
			return driver.Revision(w.version), nil
		case lost:
			return "", &driver.Error{Op: w.op, Name: w.name, Code: e.Code, Kind: driver.ErrConflict, Cause: e.Cause}
		}
		if pause(ctx, try) != nil {
			return "", unknown(ctx, e)
		}
	}
}

var errOtherVersion = errors.New("the answer names another version than was asked for")

// A verdict is what became of a write.
type verdict int

const (
	open verdict = iota // not known yet
	won
	lost
)

// look reads the version of a write: whether it is there, and what it holds. Taken
// says that the service refused the write because of what is there; unsure, that a
// request of it may have been applied all the same.
func (d *Driver) look(ctx context.Context, w *write, taken, unsure bool) verdict {
	stored, kind := d.readVersion(ctx, w.name, &w.version)
	switch {
	case kind == nil && stored == w.value:
		return won
	case kind == nil:
		return lost
	case errors.Is(kind, driver.ErrUnavailable) || ctx.Err() != nil || !taken:
		return open
	case !unsure:
		// The service takes the same write twice, so this one is not there, and
		// never was. The version of the one that is there may not be seen yet.
		return lost
	}
	// An emulator may refuse a write because that very write is there; it shows the
	// version then. The service does not, and may not show it for a minute. What was
	// written since tells the two apart: each value names those before it.
	stored, kind = d.readVersion(ctx, w.name, nil)
	switch {
	case kind != nil:
		return open
	case codec.Includes([]byte(stored), []byte(w.value)):
		return won
	case codec.Excludes([]byte(stored), []byte(w.value)):
		return lost
	}
	return open
}

// readVersion reads one version of a secret, nil being the current one, and returns
// the kind of its error.
func (d *Driver) readVersion(ctx context.Context, name string, version *string) (value string, kind error) {
	out, err := d.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: d.full(name), VersionId: version})
	if err != nil {
		return "", failed(ctx, opGet, name, err).Kind
	}
	return aws.ToString(out.SecretString), nil
}

// unknown is the error of a write that was given up when it may have been applied.
func unknown(ctx context.Context, last *driver.Error) error {
	return &driver.Error{
		Op:    last.Op,
		Name:  last.Name,
		Code:  last.Code,
		Kind:  driver.ErrOutcomeUnknown,
		Cause: errors.Join(ctx.Err(), last.Cause),
		Hint:  "it was given up: " + ctx.Err().Error(),
	}
}

// Attempts watch the requests of the SDK's calls: its retries hide what became of
// all but the last.
type attempts struct {
	// unsure: one of the requests may have been applied though it was not answered so.
	unsure bool
}

// watch is an option of a call. The last step before the request is sent is the
// place: it comes once for each request, and after all that can fail without one,
// such as getting credentials.
func (a *attempts) watch(o *secretsmanager.Options) {
	o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
		return s.Finalize.Add(middleware.FinalizeMiddlewareFunc("tokenkeep.attempts", a.send), middleware.After)
	})
}

func (a *attempts) send(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	out middleware.FinalizeOutput, meta middleware.Metadata, err error,
) {
	if err := ctx.Err(); err != nil {
		return out, meta, &aws.RequestCanceledError{Err: err}
	}
	// A request that never got a connection was not sent. An HTTP client that does
	// not say whether it asks for one is taken to have sent it.
	var asked, got atomic.Bool
	out, meta, err = next.HandleFinalize(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { got.Store(true) },
	}), in)
	sent := got.Load() || !asked.Load()
	if err != nil && sent && tellsNothing(err) {
		a.unsure = true
	}
	return out, meta, err
}

// The waits between two sendings: random and growing. Before that the SDK has made
// its own retries.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second
)

func pause(ctx context.Context, try int) error {
	top := min(firstPause<<min(try, 10), maxPause)
	timer := time.NewTimer(rand.N(top) + time.Millisecond) //nolint:gosec // nobody gains from guessing a wait
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
