package scale

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/driver"
	"github.com/tokenkeep/tokenkeep/vaultstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

const mount = "secret"

// An onVault is one node of Vault, which has no quotas unless somebody makes some, with a
// mount as it is by default: of ten versions.
type onVault struct {
	*vaultstoretest.Server
	wire   *wire
	driver driver.Driver
	quiet  atomic.Bool // the operator is at work
	served atomic.Int64
}

func newVault(t testing.TB) service {
	t.Helper()
	s := &onVault{}
	s.Server = vaultstoretest.NewHandler(vaultstoretest.WithClock(time.Now))
	s.URL = "http://vault.test:8200"
	t.Cleanup(s.Close)
	s.wire = &wire{serve: s.serve, label: labelVault, tally: newTally(), instant: s.quiet.Load}
	d, err := vaultstore.NewDriver(s.sdk(t), mount, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.driver = d
	return s
}

func (s *onVault) name() string  { return "Vault" }
func (s *onVault) calls() *tally { return s.wire.tally }
func (s *onVault) forget()       { s.ResetCalls() }

func (s *onVault) sdk(t testing.TB) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	config.Address, config.HttpClient.Transport = s.URL, s.wire
	client, err := api.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	client.ClearNamespace()
	client.SetToken(vaultstoretest.RootToken)
	client.SetMaxRetries(0)
	return client
}

func (s *onVault) open(t testing.TB) *token.Store {
	t.Helper()
	store, err := vaultstore.New(s.sdk(t), mount, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func (s *onVault) serve(w http.ResponseWriter, r *http.Request, _ []byte) {
	s.ServeHTTP(w, r)
	if s.served.Add(1)%10_000 == 0 {
		s.forget()
	}
}

func labelVault(r *http.Request, _ []byte, status int, _ []byte) call {
	method := r.Method
	if method == http.MethodPost {
		method = http.MethodPut
	}
	about, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/"+mount+"/"), "/")
	c := call{Method: method + " " + about, Index: strings.Contains(r.URL.Path, "/"+prefix+"/index")}
	c.Write = c.Method == "PUT data"
	if status >= 400 && status != http.StatusNotFound {
		c.Code = fmt.Sprint("HTTP ", status)
	}
	return c
}

func (s *onVault) operator(at bool) { s.quiet.Store(at) }

func (s *onVault) put(ctx context.Context, name string, value []byte) error {
	_, err := s.driver.Put(ctx, name, value, driver.Absent)
	return err
}

func (s *onVault) index() (values [][]byte) {
	for _, name := range s.Names(mount) {
		if strings.HasPrefix(name, prefix+"/index") {
			data, _, _ := s.Value(mount + "/" + name)
			text, _ := data["value"].(string)
			values = append(values, []byte(text))
		}
	}
	return values
}

func (s *onVault) stored() (charged, pending int) { return len(s.Names(mount)), 0 }

func (s *onVault) price() (month, calls float64) { return 0, 0 }
