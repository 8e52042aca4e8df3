package gcpsm

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/googleapis/gax-go/v2"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// This file makes calls: bounds each in time, repeats what may be repeated, and keeps
// under the quota of the project.

// The bounds of one call, within those of the context.
const (
	callTimeout = 10 * time.Second
	// A call that is not answered is repeated so often at least, and for so long: long
	// enough for a connection to be made anew.
	callTries = 3
	patience  = 5 * time.Second
)

// once switches off the client's own retries, which wait two seconds and more before
// the first of them, and hide what became of a request.
var once = gax.WithRetry(func() gax.Retryer { return nil })

// call makes one call that may be repeated, and repeats it.
func call[Req, Resp any](
	ctx context.Context, d *Driver, op, name string, req Req, f func(context.Context, Req, ...gax.CallOption) (Resp, error),
) (Resp, *driver.Error) {
	began := time.Now()
	var last *driver.Error
	for try := 0; ; try++ {
		if e := d.paceWrite(ctx, op, name, 1); e != nil {
			var nothing Resp
			return nothing, e
		}
		bounded, cancel := context.WithTimeout(ctx, callTimeout)
		resp, err := f(bounded, req, once)
		cancel()
		if err == nil {
			return resp, nil
		}
		e := failed(ctx, op, name, err)
		if end := ctx.Err(); end != nil && last != nil && errors.Is(e.Kind, end) {
			// What it failed with before says more than that there was no time to see it again.
			last.Cause = errors.Join(end, last.Cause)
			return resp, last
		}
		last = e
		quota := errors.Is(e.Kind, driver.ErrQuota)
		if !quota && (!errors.Is(e.Kind, driver.ErrUnavailable) || enough(try, began)) {
			return resp, e
		}
		if err := pause(ctx, try, quota); err != nil {
			e.Cause = errors.Join(err, e.Cause)
			return resp, e
		}
	}
}

// enough reports whether a call that is not answered has been tried enough.
func enough(try int, began time.Time) bool {
	return try+1 >= callTries && time.Since(began) > patience
}

// paceWrite waits until the project's quota of writes allows so many more, if the call is
// one. What destroys a version that was replaced was waited for before it was replaced.
func (d *Driver) paceWrite(ctx context.Context, op, name string, n int) *driver.Error {
	if op != opCreate && op != opAdd && op != opDelete {
		return nil
	}
	err := d.writes.WaitN(ctx, n)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &driver.Error{Op: op, Name: name, Kind: ctx.Err()}
	}
	// The limiter knows that the deadline is too near, and does not wait for it.
	return &driver.Error{Op: op, Name: name, Kind: driver.ErrQuota, Cause: errNoTime, Hint: paceHint}
}

// each calls f with 0 to n-1, some of them at the same time.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	free := make(chan struct{}, atOnce)
	for i := range n {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			f(i)
		})
	}
	wg.Wait()
}

// inTime returns what f returns, or the context's error as soon as it ends: the generated
// REST client sends its lists without the context.
func inTime[T any](ctx context.Context, f func() (T, error)) (out T, err error) {
	if ctx.Err() != nil {
		return out, ctx.Err()
	}
	type result struct {
		out T
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := f()
		done <- result{out, err}
	}()
	select {
	case r := <-done:
		return r.out, r.err
	case <-ctx.Done():
		return out, ctx.Err()
	}
}
