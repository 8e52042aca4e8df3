// Command gcpserver is the double of Google Secret Manager as a program: the endpoint of
// one location.
//
//	SERVER_LISTEN   where it serves, "0.0.0.0:8000"
//	SERVER_STDIN    if set, it ends when its standard input does
//
// SIGHUP breaks all connections and refuses others for a second.
package main

import (
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/integration/containers/serve"
)

func main() {
	srv := gcpsmtest.NewServer(gcpsmtest.WithLocation("europe-west3"))
	defer srv.Close()
	serve.Until(srv.Addr)
}
