// Command quickstart moves tokens from a file of Zoho's SDK into a secret manager and
// shows, step by step, what tokenkeep does with them and how many requests each step takes.
//
//	go run ./examples/quickstart                   no network, no account: AWS Secrets Manager is a double in the process
//	go run ./examples/quickstart -store gcpsm      Google Secret Manager, in the same way
//	go run ./examples/quickstart -store vaultstore HashiCorp Vault, in the same way; your Vault, if VAULT_ADDR is set
//	go run ./examples/quickstart -store memory     no service at all
//	go run ./examples/quickstart -file FILE        another sdk_tokens.txt
//	go run ./examples/quickstart -endpoint URL     any service that speaks AWS's protocol, with made-up credentials
//	go run ./examples/quickstart -aws              your account; all that the run creates is removed at its end
//	go run ./examples/quickstart -gcp projects/ID  your project, in the same way: half a minute, for Google's quotas
//
// After -gcp projects/ID/locations/LOCATION the secrets are regional. -store gcpsm takes an
// -endpoint too: HOST:PORT of a service that speaks Google's protocol in plain text. -aws or
// -gcp together with -endpoint use your credentials at that endpoint.
//
// If VAULT_ADDR is set, -store vaultstore runs on that Vault, with VAULT_TOKEN and what else
// Vault's client reads in the environment (VAULT_NAMESPACE, VAULT_CACERT, ...), and removes
// all that it created. -mount PATH is a KV version 2 mount other than "secret". -store
// vaultstore -endpoint URL sends a made-up token there, and nothing of the environment.
//
// -gcp is tested against the double only; no run with it has reached Google yet.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// sample is what the FileStore of Zoho's Python SDK wrote, with made-up values.
//
//go:embed sdk_tokens.txt
var sample []byte

func main() {
	var o options
	store := flag.String("store", "", "run on a store of this `package`: "+names()+"; the first is the default")
	flag.StringVar(&o.file, "file", "", "read the tokens of this `file` (it is not changed)")
	flag.StringVar(&o.endpoint, "endpoint", "", "use the service at this `address`: a URL, for gcpsm HOST:PORT")
	flag.StringVar(&o.region, "region", "", "use this AWS `region`")
	flag.StringVar(&o.mount, "mount", "", "use the KV version 2 mount of Vault at this `path` (default \"secret\")")
	flag.BoolVar(&o.aws, "aws", false, "use the credentials of the environment, and without -endpoint AWS itself")
	flag.Func("gcp", "use the credentials of the environment, and without -endpoint Google itself, in `projects/ID[/locations/LOCATION]`", o.setParent)
	flag.Parse()
	k, err := pick(*store)
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(2)
	}

	// The first interrupt ends the run, which then cleans up; the second ends the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, k, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", explain(err, k))
		os.Exit(1)
	}
}

type options struct {
	file, endpoint, region, gcp, mount string
	aws                                bool
}

// run tells the story to w.
func run(ctx context.Context, k kind, o options, w io.Writer) (err error) {
	if flag.NArg() > 0 {
		return errors.New("there is an argument too many: files are given with -file")
	}
	service, err := connect(ctx, k, o)
	if err != nil {
		return err
	}
	defer service.close()
	s := &story{service: service, file: o.file, patience: time.Second}
	if s.one, err = service.store(); err != nil {
		return err
	}
	if s.two, err = service.store(); err != nil {
		return err
	}

	p := &page{w: w, calls: service.calls.Load}
	p.head(service)
	for _, step := range []struct {
		title string
		do    func(context.Context) (string, error)
	}{
		{"Read the file in which Zoho's SDK keeps its tokens", s.read},
		{"Save the tokens", s.save},
		{"Save them again: 16 workers, two stores, all at once", s.saveAtOnce},
		{"Count what the service holds", s.count},
		{"Find each token by everything that it can be found by", s.find},
		{"Rotate a refresh token", s.rotate},
		{"List the tokens", s.list},
		{"Delete one token", s.remove},
	} {
		if err = p.step(ctx, step.title, step.do); err != nil {
			break
		}
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if len(service.created) > 0 {
		err = errors.Join(err, p.step(context.WithoutCancel(ctx), "Clean up", service.cleanUp))
	}
	if err == nil || s.duplicated != 0 || s.lost != 0 {
		fmt.Fprintf(w, "quickstart: %d imported, %d stored, %d duplicated, %d lost\n",
			len(s.tokens), s.stored, s.duplicated, s.lost)
	}
	return err
}
