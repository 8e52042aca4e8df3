package driver

import "context"

// A Cleaner is a [Driver] of a service that keeps values which were replaced. A driver destroys
// them with its writes; what is left when a process dies in between, a Cleaner finds.
type Cleaner interface {
	// Clean destroys the values of a secret that were replaced, and returns how many there were;
	// with dryRun it destroys none. The newest value stays, whatever it is, and a secret that
	// does not exist has none. It may be called while others write the secret: it destroys
	// nothing that is current, or could become so. An error says that some may be left.
	Clean(ctx context.Context, name string, dryRun bool) (old int, err error)
}
