package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

var onVault = kind{
	name:  "vaultstore",
	title: "HashiCorp Vault",
	flags: []string{"endpoint", "mount"},
	calls: "requests that Vault's client sent, repetitions included",
	list:  "one read of the index, and one of each record",
	quota: "An operator set a rate limit quota in this Vault, and it is used up. Try again later.",
	open:  openVault,
}

func openVault(_ context.Context, o options, s *service) error {
	mount := cmp.Or(o.mount, "secret")
	switch {
	case o.endpoint != "":
		if !isAddress(o.endpoint, "http", "https") {
			return errors.New("-endpoint is not a URL like http://localhost:8200")
		}
		s.what = "mount " + mount + " at " + o.endpoint
	case os.Getenv(api.EnvVaultAddress) == "":
		double := vaultstoretest.NewServer(vaultstoretest.WithMount(mount, 2))
		s.inProcess()
		s.close, o.endpoint = double.Close, double.URL
	}
	client, config, err := vaultClient(o.endpoint)
	if err != nil {
		return err
	}
	if o.endpoint == "" {
		s.what = "HashiCorp Vault at " + cmp.Or(config.AgentAddress, config.Address) + ", mount " + mount
		if namespace := client.Namespace(); namespace != "" {
			s.what += ", namespace " + printable(namespace)
		}
	}
	config.HttpClient.Transport = vaultWatch{service: s, mount: mount, next: config.HttpClient.Transport}
	s.under = mount + "/" + s.prefix + "/"
	// Nobody waits for half a minute, as a store does, to hear that an address is wrong.
	opts := &vaultstore.Options{Store: token.Options{Timeout: 20 * time.Second}}
	s.store = func() (*token.Store, error) { return vaultstore.New(client, mount, s.prefix, opts) }
	d, err := vaultstore.NewDriver(client, mount, s.prefix, opts)
	s.remove = func(ctx context.Context, name string) error { return d.Delete(ctx, strings.TrimPrefix(name, s.under)) }
	return err
}

// A vaultWatch stands below all that repeats a request: each of them comes by here.
type vaultWatch struct {
	service *service
	mount   string
	next    http.RoundTripper
}

func (v vaultWatch) RoundTrip(req *http.Request) (*http.Response, error) {
	v.service.calls.Add(1)
	_, name, value := strings.Cut(req.URL.Path, "/v1/"+v.mount+"/data/")
	if !value || req.Method != http.MethodPut {
		return v.next.RoundTrip(req)
	}
	// A creation is the same request as an update, which so is not cut short either.
	v.service.note(v.mount + "/" + name)
	ctx, cancel := uncut(req.Context())
	resp, err := v.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = uncutBody{resp.Body, cancel}
	return resp, nil
}

// An uncutBody ends the context of an answer when that has been read.
type uncutBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b uncutBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
