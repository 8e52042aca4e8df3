package memstore

import (
	"context"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// A Read is one name that a Get or Names is about to answer for.
type Read struct {
	Op   Op
	Name string
	// How is what the Get asks for. A hook that is as strict as AWS promises to
	// be, which is not at all, pays no attention to it.
	How driver.Freshness
	// Writes is how many states of the secret can be read: its writes and
	// deletions so far, of which the last 64 are remembered.
	Writes int
}

// Stale makes hook the one that is asked, for each name of each Get and Names of
// d, how many writes before the newest the state is that d answers with: 0 is the
// newest, Writes and more is absence. No lock is held meanwhile. Nil removes the
// hook: reads are current again.
//
// Old states are kept from the first call of Stale or OnCall on any driver of the
// memory; a secret is absent before the first state that was kept.
func (d *Driver) Stale(hook func(context.Context, Read) (behind int)) {
	d.mem.mu.Lock()
	defer d.mem.mu.Unlock()
	d.mem.hooked = true
	d.stale = hook
}

// answer is the state that a read sees.
func (d *Driver) answer(ctx context.Context, r Read) state {
	k := key{d.prefix, r.Name}
	d.mem.mu.Lock()
	hook := d.stale
	r.Writes = len(d.mem.states[k])
	d.mem.mu.Unlock()

	behind := 0
	if hook != nil {
		behind = hook(ctx, r)
	}
	d.mem.mu.Lock()
	defer d.mem.mu.Unlock()
	return d.mem.behind(k, behind)
}
