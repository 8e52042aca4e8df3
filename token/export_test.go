package token

import (
	"context"
	"io"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// NewSimulatedStore returns a store whose random numbers and waits a simulation
// decides on.
func NewSimulatedStore(d driver.Driver, random io.Reader, pause func(context.Context, int) error) (*Store, error) {
	s, err := NewStore(d, nil)
	if err != nil {
		return nil, err
	}
	s.random, s.pause, s.width = random, pause, 1
	return s, nil
}

// ListAtOnce lets a store hold so many refs when it lists.
func (s *Store) ListAtOnce(n int) { s.refsAtOnce = n }
