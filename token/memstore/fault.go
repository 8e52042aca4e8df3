package memstore

import (
	"context"
	"fmt"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// An Op is a call of driver.Driver that a service has to serve.
type Op string

// The calls.
const (
	OpGet    Op = "get"
	OpPut    Op = "put"
	OpDelete Op = "delete"
	OpNames  Op = "names"
)

// A Call is one request to the service.
type Call struct {
	Op Op
	// Names are those of a Get, the one of a Put or Delete, or none.
	Names []string
	// Again: the same request was sent before, and its answer was lost.
	Again bool
}

// A Fault is what goes wrong with one request. The zero value is: nothing does.
// At most one of its fields is set.
type Fault struct {
	// Before is the error of a request that is not applied, as a rule
	// driver.ErrUnavailable. If an answer to the same write was lost before, it
	// is not returned but driver.ErrOutcomeUnknown is.
	Before error
	// After is the error of a request that is applied: of a Put or Delete,
	// driver.ErrOutcomeUnknown. Names yields the names first.
	After error
	// Lost loses the answer of a request that is applied. The driver finds out by
	// itself: it sends the same request again, which is a new call with its own
	// fault. If every answer is lost, the call ends when its context does.
	Lost bool
	// Late keeps a Put or Delete on its way until Deliver; the caller gets
	// driver.ErrOutcomeUnknown. A read fails with driver.ErrUnavailable.
	Late bool
}

// OnCall makes hook the one that is asked, before each request of d is served,
// what goes wrong with it. No lock is held meanwhile, so hook may block, and may
// call d: a scheduler lets its clients take turns here. A context that ends in
// the hook ends the call before anything is applied. Nil removes the hook.
func (d *Driver) OnCall(hook func(context.Context, Call) Fault) {
	d.mem.mu.Lock()
	defer d.mem.mu.Unlock()
	d.mem.hooked = true
	d.onCall = hook
}

// Deliver lets the writes that are late (see [Fault]) reach the memory, in the
// order of their calls. A Put that comes late still replaces its prev or nothing.
func (d *Driver) Deliver() {
	d.mem.mu.Lock()
	late := d.mem.late
	d.mem.late = nil
	d.mem.mu.Unlock()
	for _, send := range late {
		send()
	}
}

// A request is what one sending of a call does to the memory. Again says that it
// was sent before.
type request func(again bool) (driver.Revision, error)

// serve sends a request until it has an answer.
func (d *Driver) serve(ctx context.Context, call Call, send request) (driver.Revision, error) {
	for {
		if err := ended(ctx, call); err != nil {
			return "", failed(call, err)
		}
		fault := d.fault(ctx, call)
		if err := ended(ctx, call); err != nil {
			return "", failed(call, err)
		}
		switch {
		case fault.Before != nil:
			return "", failed(call, unsettled(call.Again && call.writes(), fault.Before))
		case fault.Late && call.writes():
			d.postpone(func() { _, _ = send(call.Again) })
			return "", failed(call, driver.ErrOutcomeUnknown)
		case fault.Late:
			return "", failed(call, driver.ErrUnavailable)
		}
		rev, err := send(call.Again)
		switch {
		case fault.Lost:
			call.Again = true
		case fault.After != nil:
			return "", failed(call, fault.After)
		case err != nil:
			return "", failed(call, err)
		default:
			return rev, nil
		}
	}
}

func (c Call) writes() bool { return c.Op == OpPut || c.Op == OpDelete }

// ended is the error of a call whose context has ended.
func ended(ctx context.Context, call Call) error {
	err := ctx.Err()
	if err != nil && call.writes() && call.Again {
		return fmt.Errorf("%w: %w", driver.ErrOutcomeUnknown, err)
	}
	return err
}

func (d *Driver) fault(ctx context.Context, call Call) Fault {
	d.mem.mu.Lock()
	hook := d.onCall
	d.mem.mu.Unlock()
	if hook == nil {
		return Fault{}
	}
	return hook(ctx, call)
}

func (d *Driver) postpone(send func()) {
	d.mem.mu.Lock()
	defer d.mem.mu.Unlock()
	d.mem.late = append(d.mem.late, send)
}

func failed(call Call, err error) error {
	if len(call.Names) == 1 {
		return fmt.Errorf("memstore: %s %s: %w", call.Op, call.Names[0], err)
	}
	return fmt.Errorf("memstore: %s: %w", call.Op, err)
}
