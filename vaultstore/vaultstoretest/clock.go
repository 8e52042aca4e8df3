package vaultstoretest

import (
	"sync"
	"time"
)

// A Clock stands still until it is told to move. It is safe for concurrent use.
//
//	clock := vaultstoretest.NewClock(time.Now())
//	srv := vaultstoretest.NewServer(vaultstoretest.WithClock(clock.Now))
//	clock.Advance(time.Hour)
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that shows start.
func NewClock(start time.Time) *Clock { return &Clock{now: start} }

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock forward by d.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
