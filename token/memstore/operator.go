package memstore

import (
	"bytes"
	"time"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// SetLimits makes the memory keep other limits, for all drivers on it: a driver's
// limits never change, so call it before the first use. All limits are enforced. A
// Value of zero stays the default, 64 KiB; WritesPerDay is a budget that is full
// at first and fills up at an even rate.
func (d *Driver) SetLimits(l driver.Limits) {
	d.mem.mu.Lock()
	defer d.mem.mu.Unlock()
	if l.Value == 0 {
		l.Value = d.mem.limits.Value
	}
	d.mem.limits = l
}

// SetClock makes the memory read the time, for the limits that have to do with
// it, from now instead of [time.Now]. Now must not call the driver.
func (d *Driver) SetClock(now func() time.Time) {
	d.mem.mu.Lock()
	defer d.mem.mu.Unlock()
	d.mem.now = now
}

// Dump returns the current values under d's prefix by name, whatever the hooks
// are: what an operator sees in a service's console. Without what is deleted.
func (d *Driver) Dump() map[string][]byte {
	d.mem.mu.Lock()
	defer d.mem.mu.Unlock()
	values := map[string][]byte{}
	for k := range d.mem.states {
		if at := d.mem.current(k); k.prefix == d.prefix && at.rev != driver.Absent {
			values[k.name] = bytes.Clone(at.value)
		}
	}
	return values
}

// Set writes a value as an operator does it by hand: whatever the revision, the
// value, the name, the limits and the hooks are.
func (d *Driver) Set(name string, value []byte) {
	d.mem.mu.Lock()
	defer d.mem.mu.Unlock()
	d.mem.push(key{d.prefix, name}, state{value: append([]byte{}, value...)})
}

// Remove takes a secret away, as if it had never been, and as no service does it:
// its name does not rest. Old reads still find it if there is a hook for them.
func (d *Driver) Remove(name string) {
	d.mem.mu.Lock()
	defer d.mem.mu.Unlock()
	d.mem.push(key{d.prefix, name}, state{})
}
