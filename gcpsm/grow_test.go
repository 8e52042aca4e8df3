package gcpsm_test

import (
	"strings"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/stories"
	"github.com/tokenkeep/tokenkeep/token"
)

// index returns the values of the index secrets.
func (s *service) index() (values []string) {
	for _, name := range s.Names() {
		if _, short, ok := strings.Cut(name, "/secrets/app__oauth__"); ok && strings.HasPrefix(short, "index") {
			value, _, _ := s.Value(secretOf(prefix, short))
			values = append(values, value)
		}
	}
	return values
}

// The size of one secret does not bound a store: its index grows.
func TestTheIndexHoldsMoreThanASecretDoes(t *testing.T) {
	s := start(t)
	stories.Grow(t, 65_536, func() *token.Store { return s.store(t) }, s.index)
}
