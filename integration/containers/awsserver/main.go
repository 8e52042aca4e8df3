// Command awsserver is the double of AWS Secrets Manager as a program. It is strict about
// quotas, and its reads are current.
//
//	SERVER_LISTEN   where it serves, "0.0.0.0:8000"
//	SERVER_STDIN    if set, it ends when its standard input does
//
// SIGHUP breaks all connections and refuses others for a second.
package main

import (
	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/integration/containers/serve"
)

func main() {
	srv := awssmtest.NewServer()
	defer srv.Close()
	serve.Until(srv.URL[len("http://"):])
}
