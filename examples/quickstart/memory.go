package main

import (
	"context"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
)

var inMemory = kind{
	name:  "memory",
	title: "memory",
	calls: "calls of the driver, which are no requests here",
	list:  "one read of the index, and one of every 100 records",
	open:  openMemory,
}

func openMemory(_ context.Context, _ options, s *service) error {
	d := memstore.NewDriver()
	s.what, s.prefix = "the memory of this process: nothing outlives it", "none"
	s.store = func() (*token.Store, error) {
		client := d.Under("")
		client.OnCall(func(_ context.Context, c memstore.Call) memstore.Fault {
			s.calls.Add(1)
			if c.Op == memstore.OpPut {
				s.note(c.Names[0])
			}
			return memstore.Fault{}
		})
		return token.NewStore(client, nil)
	}
	s.remove = func(ctx context.Context, name string) error {
		s.calls.Add(1)
		return d.Delete(ctx, name)
	}
	return nil
}
