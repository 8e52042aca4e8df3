// Package memstore keeps tokens in memory: for programs that need no more, and
// for tests, of tokenkeep and of the programs that use it.
//
// [New] makes a store that is strongly consistent and lives as long as the
// process. [NewDriver] makes the driver below it, which can be told to be as
// difficult as a real service: [Driver.OnCall] makes calls fail before or after
// they are applied, and lose their answers; [Driver.Stale] makes reads stale.
package memstore

import "github.com/tokenkeep/tokenkeep/token"

// New returns a store on a memory of its own. The options may be nil.
func New(opts *token.Options) (*token.Store, error) {
	return token.NewStore(NewDriver(), opts)
}
